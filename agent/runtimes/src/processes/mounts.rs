use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read};
use std::rc::Rc;

use super::procfs::Process;

/// Bytes of a mount table that are read.
const TABLE_BYTES_MAX: u64 = 16 << 20;

/// File systems that answer when another machine or program does. Touching
/// them may hang for ever, so nothing here does.
const REMOTE: &[&str] =
    &["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "lustre", "gpfs", "beegfs", "glusterfs", "autofs", "coda"];

/// Mounts not to be touched.
#[derive(Debug, Default)]
pub(super) struct Remote {
    ids: HashSet<u64>,
    devices: HashSet<String>,
}

impl Remote {
    /// Whether the mount with this id is one.
    pub(super) fn id(&self, id: u64) -> bool {
        self.ids.contains(&id)
    }

    /// Whether the device, as `/proc/PID/maps` writes it, is one.
    pub(super) fn device(&self, device: &str) -> bool {
        self.devices.contains(device)
    }

    fn parse(table: impl BufRead) -> Self {
        let mut out = Self::default();
        for line in table.split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            // `id parent major:minor root mount options fields… - type source options`
            let Some((head, tail)) = line.split_once(" - ") else { continue };
            let kind = tail.split(' ').next().unwrap_or_default();
            let fuse = (kind.starts_with("fuse") && kind != "fusectl") || kind == "fuseblk";
            if !fuse && !REMOTE.contains(&kind) {
                continue;
            }
            let mut fields = head.split(' ');
            out.ids.extend(fields.next().and_then(|id| id.parse::<u64>().ok()));
            out.devices.extend(fields.nth(1).and_then(as_in_maps));
        }
        out
    }
}

/// `0:45` as `maps` writes it: `00:2d`.
fn as_in_maps(device: &str) -> Option<String> {
    let (major, minor) = device.split_once(':')?;
    Some(format!("{:02x}:{:02x}", major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
}

/// Mount tables of one snapshot, by mount namespace.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    known: HashMap<u64, Rc<Remote>>,
}

impl Mounts {
    /// What the process must not be followed to. `None` if its table cannot be
    /// read: then nothing of it is to be touched.
    pub(super) fn of(&mut self, process: &Process) -> Option<Rc<Remote>> {
        let namespace = process.namespace("mnt").ok();
        if let Some(known) = namespace.and_then(|n| self.known.get(&n)) {
            return Some(Rc::clone(known));
        }
        let table = process.file("mountinfo").ok()?;
        let remote = Rc::new(Remote::parse(BufReader::new(table.take(TABLE_BYTES_MAX))));
        if let Some(namespace) = namespace {
            self.known.insert(namespace, Rc::clone(&remote));
        }
        Some(remote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_and_fuse_mounts_are_known_by_id_and_device() {
        let table = b"21 1 254:0 / / rw - ext4 /dev/vda rw\n\
            40 21 0:45 / /mnt/a\\040b rw shared:1 - nfs4 h:/x rw\n\
            41 21 0:300 / /home/a/f rw - fuse.sshfs h: rw\n\
            42 21 0:46 / /sys/fs/fuse/connections rw - fusectl f rw\n\
            broken - nfs\n x\n\xff\n";
        let remote = Remote::parse(&table[..]);
        assert!(remote.id(40) && remote.id(41) && !remote.id(21) && !remote.id(42));
        assert!(remote.device("00:2d") && remote.device("00:12c") && !remote.device("fe:00"));
    }
}
