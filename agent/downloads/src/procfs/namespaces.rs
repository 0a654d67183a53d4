use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use super::guard::{enter, guarded, guarded_pass};
use super::{link_inode, processes};

/// Network namespaces in use: inode, and a process inside each. At most
/// `count_max`; the second value says whether there are more.
pub fn namespaces(count_max: usize) -> (BTreeMap<u64, u32>, bool) {
    guarded_pass(move || search(count_max))
}

fn search(count_max: usize) -> (BTreeMap<u64, u32>, bool) {
    let (mut found, mut more) = (BTreeMap::new(), false);
    for pid in processes().filter(|pid| enter(*pid)) {
        // Not ours to see, or just gone.
        let Ok(link) = std::fs::read_link(format!("/proc/{pid}/ns/net")) else { continue };
        let Some(inode) = link_inode(&link, "net") else { continue };
        if found.len() < count_max || found.contains_key(&inode) {
            found.entry(inode).or_insert(pid);
        } else {
            more = true;
        }
    }
    (found, more)
}

/// The namespace of the calling thread.
pub fn current() -> io::Result<u64> {
    Ok(std::fs::metadata("/proc/thread-self/ns/net")?.ino())
}

/// A handle to the namespace of `pid`, if it is still `inode`.
pub fn of_process(pid: u32, inode: u64) -> io::Result<File> {
    let open = move || enter(pid).then(|| File::open(format!("/proc/{pid}/ns/net")));
    let file = guarded(open).ok_or(io::ErrorKind::TimedOut)??;
    if file.metadata()?.ino() == inode { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_among_them_and_the_bound_holds() {
        let current = current().unwrap();
        let (all, _) = namespaces(64);
        let pid = all[&current];
        assert!(of_process(pid, current).is_ok());
        assert!(of_process(pid, current + 1).is_err());
        assert_eq!(namespaces(0), (BTreeMap::new(), true));
    }
}
