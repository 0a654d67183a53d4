//! What `/proc` says about processes. All of it is text of others: bounded,
//! and gone at any moment.

mod files;
mod guard;
mod holders;
mod namespaces;
mod process;

pub use files::{Held, Opened, Pinned, held};
pub use holders::{Target, holders};
pub use namespaces::{current, namespaces, of_process};
pub use process::{children, describe};

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Most processes looked at in one pass.
const PROCESSES_MAX: usize = 65_536;

/// Ids of the processes there are.
fn processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| number(&entry.file_name())).take(PROCESSES_MAX)
}

fn number(name: &OsStr) -> Option<u32> {
    name.to_str()?.parse().ok()
}

/// At most `bytes_max` bytes of a file in `/proc`.
fn read(path: impl AsRef<Path>, bytes_max: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(bytes_max).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The number in a link such as `socket:[123]`.
fn link_inode(link: &Path, kind: &str) -> Option<u64> {
    link.to_str()?.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_give_their_inode() {
        assert_eq!(link_inode(Path::new("socket:[123]"), "socket"), Some(123));
        for other in
            ["pipe:[123]", "socket:[]", "socket:[1", "socket:[-1]", "/tmp/socket:[1]", "socket:[99999999999999999999]"]
        {
            assert_eq!(link_inode(Path::new(other), "socket"), None, "{other}");
        }
    }

    #[test]
    fn reading_stops_at_its_limit() {
        assert_eq!(read("/proc/self/status", 10).map(|bytes| bytes.len()), Some(10));
    }
}
