//! A control group for a process (cgroups(7), version 2), where one was
//! delegated to us. Run by whoever starts the process, not by itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Longest file of the kernel read here, bytes.
const FILE_BYTES_MAX: usize = 1 << 20;

/// A group of its own for one process. Dropping it removes the group, which
/// works once the process is gone.
#[derive(Debug)]
pub struct Group {
    folder: PathBuf,
}

/// What the processes in a group may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Memory, files in memory included, bytes (`memory.max`).
    pub memory_bytes: u64,
    /// Threads and processes (`pids.max`).
    pub threads: u64,
}

impl Group {
    /// Makes a group `name` below our own, limited to `share`, and moves
    /// process `id` into it.
    ///
    /// # Errors
    /// In words, why there is none: no cgroup version 2, not delegated to us,
    /// no memory controller.
    pub fn enclose(name: &str, id: u32, share: Share) -> Result<Self, String> {
        let ours = own_folder()?;
        let controllers = read(&ours.join("cgroup.controllers")).map_err(|e| describe(&ours, &e))?;
        if !controllers.split_whitespace().any(|c| c == "memory") {
            return Err(format!("`{}` has no memory controller", ours.display()));
        }
        // Where processes share the folder with us this is refused (cgroups(7),
        // "no internal processes"); then the controllers may be on already.
        let _ = fs::write(ours.join("cgroup.subtree_control"), "+memory +pids");
        let folder = ours.join(name);
        fs::create_dir(&folder).map_err(|e| describe(&folder, &e))?;
        let group = Self { folder };
        group.set("memory.max", share.memory_bytes)?;
        // Keys and values of callers do not belong on a disk.
        group.set("memory.swap.max", 0).or_else(|e| if e.contains("No such file") { Ok(()) } else { Err(e) })?;
        group.set("pids.max", share.threads)?;
        group.set("cgroup.procs", id.into())?;
        Ok(group)
    }

    fn set(&self, file: &str, value: u64) -> Result<(), String> {
        let path = self.folder.join(file);
        fs::write(&path, value.to_string()).map_err(|e| describe(&path, &e))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Fails while the process lives; the next start finds an empty folder.
        let _ = fs::remove_dir(&self.folder);
    }
}

fn describe(path: &Path, error: &io::Error) -> String {
    format!("`{}`: {error}", path.display())
}

fn read(path: &Path) -> io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX as u64).read_to_string(&mut text)?;
    Ok(text)
}

fn own_folder() -> Result<PathBuf, String> {
    let place = |path: &str| read(Path::new(path)).map_err(|e| describe(Path::new(path), &e));
    let (mounts, groups) = (place("/proc/self/mountinfo")?, place("/proc/self/cgroup")?);
    folder(&mounts, &groups).ok_or_else(|| "cgroup version 2 is not mounted".to_owned())
}

/// Our folder, by /proc/self/mountinfo (proc_pid_mountinfo(5)) and
/// /proc/self/cgroup (cgroups(7)).
fn folder(mounts: &str, groups: &str) -> Option<PathBuf> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let point = mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ").then(|| place.split(' ').nth(4)).flatten()
    })?;
    Some(Path::new(point).join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_its_own_folder_beside_version_1() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      31 23 0:27 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        let groups = "4:memory:/x\n0::/system.slice/weighbridge.service\n";
        let expected = "/sys/fs/cgroup/unified/system.slice/weighbridge.service";
        assert_eq!(folder(mounts, groups), Some(PathBuf::from(expected)));
        assert_eq!(folder("30 23 0:26 / /x rw - cgroup cgroup rw\n", groups), None);
        assert_eq!(folder(mounts, "4:memory:/x\n"), None);
    }

    #[test]
    fn a_group_that_cannot_be_had_is_explained_and_one_that_can_limits() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let name = format!("weighbridge-test-{}", std::process::id());
        let share = Share { memory_bytes: 64 << 20, threads: 8 };
        match Group::enclose(&name, child.id(), share) {
            Ok(group) => {
                let limit = fs::read_to_string(group.folder.join("memory.max")).unwrap();
                assert_eq!(limit.trim(), (64 << 20).to_string());
                assert!(fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap().contains(&name));
            }
            Err(why) => assert!(!why.is_empty()),
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
