use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;

use super::guard::{enter, guarded_pass};
use super::{link_inode, processes};

/// Most descriptors looked at in one process.
const DESCRIPTORS_MAX: usize = 65_536;
/// Most processes named for one target.
const HOLDERS_MAX: usize = 8;

/// Something that processes share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// A socket, by inode.
    Socket(u64),
    /// The reading end of a pipe, by inode.
    PipeReader(u64),
}

/// Who holds each of `targets`, in one pass over all processes.
pub fn holders(targets: HashSet<Target>) -> HashMap<Target, Vec<u32>> {
    if targets.is_empty() {
        return HashMap::new();
    }
    guarded_pass(move || search(&targets))
}

fn search(targets: &HashSet<Target>) -> HashMap<Target, Vec<u32>> {
    let mut found: HashMap<Target, Vec<u32>> = HashMap::new();
    for pid in processes().filter(|pid| enter(*pid)) {
        let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for entry in entries.flatten().take(DESCRIPTORS_MAX) {
            let Ok(link) = std::fs::read_link(entry.path()) else { continue };
            let target = if let Some(inode) = link_inode(&link, "socket") {
                Target::Socket(inode)
            } else if let Some(inode) = link_inode(&link, "pipe") {
                Target::PipeReader(inode)
            } else {
                continue;
            };
            if !targets.contains(&target) {
                continue;
            }
            // The mode of the link itself tells how the pipe is open.
            let reads = || entry.path().symlink_metadata().is_ok_and(|meta| meta.mode() & 0o400 != 0);
            if matches!(target, Target::PipeReader(_)) && !reads() {
                continue;
            }
            let pids = found.entry(target).or_default();
            if pids.len() < HOLDERS_MAX && !pids.contains(&pid) {
                pids.push(pid);
            }
        }
    }
    for pids in found.values_mut() {
        pids.sort_unstable();
    }
    found
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;

    use super::*;

    fn inode(fd: &impl AsRawFd, kind: &str) -> u64 {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap();
        link_inode(&link, kind).unwrap()
    }

    #[test]
    fn finds_the_socket_and_the_reading_end_only() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let (socket_target, pipe) =
            (Target::Socket(inode(&socket, "socket")), Target::PipeReader(inode(&reader, "pipe")));
        let both = HashSet::from([socket_target, pipe]);
        let us = vec![std::process::id()];
        assert_eq!(holders(both.clone()), HashMap::from([(socket_target, us.clone()), (pipe, us)]));
        drop(reader);
        assert_eq!(holders(both.clone()).get(&pipe), None);
        drop(writer);
    }
}
