use std::collections::HashSet;
use std::path::PathBuf;

/// File systems that hold no files of anybody: kernel interfaces.
const PSEUDO: &[&str] = &[
    "autofs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "pipefs",
    "proc",
    "pstore",
    "ramfs",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sockfs",
    "sysfs",
    "tracefs",
    "fuse.gvfsd-fuse",
    "fuse.portal",
    "fuse.lxcfs",
];

/// File systems whose files lie on another machine.
const REMOTE: &[&str] = &[
    "9p",
    "afs",
    "ceph",
    "cifs",
    "fuse.gcsfuse",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "fuse.hf-mount",
    "glusterfs",
    "lustre",
    "beegfs",
    "gpfs",
    "ncpfs",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
    "virtiofs",
];

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub path: PathBuf,
    /// Kind, as in `/proc/filesystems`.
    pub kind: String,
    device: String,
    root: String,
}

/// Mounted file systems with local files, each device once. Empty where the
/// system does not tell.
#[must_use]
pub fn local_mounts() -> Vec<Mount> {
    let mut mounts = read();
    // The widest view of a device first: the mount of its root.
    mounts.sort_by(|a, b| (a.root.len(), &a.path).cmp(&(b.root.len(), &b.path)));
    let mut seen: HashSet<(String, String)> = HashSet::new();
    let mut out: Vec<Mount> = Vec::new();
    for mount in mounts {
        if PSEUDO.contains(&mount.kind.as_str()) || REMOTE.contains(&mount.kind.as_str()) {
            continue;
        }
        // A bind mount of a part of a device that is there as a whole.
        let covered = out.iter().any(|m| m.device == mount.device && m.root == "/" && mount.root != "/");
        if !covered && seen.insert((mount.device.clone(), mount.root.clone())) {
            out.push(mount);
        }
    }
    out.sort_by(|a, b| a.path.cmp(&b.path));
    out
}

/// Paths where kernel interfaces are mounted: never walked unless named.
#[must_use]
pub fn pseudo_mounts() -> Vec<PathBuf> {
    read().into_iter().filter(|m| PSEUDO.contains(&m.kind.as_str())).map(|m| m.path).collect()
}

fn read() -> Vec<Mount> {
    std::fs::read_to_string("/proc/self/mountinfo").map(|text| parse(&text)).unwrap_or_default()
}

/// `36 35 98:0 /root /mount opts - type source opts` (proc_pid_mountinfo(5)).
fn parse(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut fields = before.split(' ').skip(2);
            let device = fields.next()?.to_owned();
            let root = unescape(fields.next()?);
            let path = PathBuf::from(unescape(fields.next()?));
            let kind = after.split(' ').next()?.to_owned();
            Some(Mount { path, kind, device, root })
        })
        .collect()
}

/// Octal escapes `\040` of mountinfo.
fn unescape(field: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = field.as_bytes();
    while let Some((first, rest)) = bytes.split_first() {
        let code = rest.get(..3).and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 8).ok());
        match code {
            Some(code) if *first == b'\\' => {
                out.push(code);
                bytes = rest.get(3..).unwrap_or_default();
            }
            _ => {
                out.push(*first);
                bytes = rest;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_lines_are_read_with_their_escapes() {
        let mounts = parse("36 35 98:0 / /mnt/my\\040disk rw shared:1 - ext4 /dev/x rw\nbroken\n");
        assert_eq!(mounts.len(), 1);
        assert_eq!((mounts[0].path.to_str(), mounts[0].kind.as_str()), (Some("/mnt/my disk"), "ext4"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_a_local_root_and_a_pseudo_proc() {
        assert!(!local_mounts().is_empty());
        assert!(pseudo_mounts().contains(&PathBuf::from("/proc")));
    }
}
