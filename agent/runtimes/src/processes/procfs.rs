//! Bounded reads below `/proc/PID` (proc_pid(5)).

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

/// Most processes looked at; `pid_max` may be four million.
pub(super) const PROCESSES_MAX: usize = 65_536;
/// `/proc/PID/stat` and `status` are far shorter.
const RECORD_BYTES_MAX: u64 = 16 << 10;
/// `PF_KTHREAD` in the flags of `stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// A process. Reads fail once it is gone, even if its id is used again.
pub(super) struct Process {
    dir: OwnedFd,
    pub(super) pid: u32,
}

/// What changes in `stat` when a process does something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Marks {
    pub(super) comm: String,
    memory_bytes: u64,
    faults: u64,
    descriptors: u64,
}

/// What of `stat` is needed at each look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) parent: u32,
    pub(super) start_ticks: u64,
    pub(super) marks: Marks,
}

/// Process ids in `proc`, at most [`PROCESSES_MAX`] of them, and whether that
/// cut some off.
pub(super) fn ids(proc: &Path) -> io::Result<(Vec<u32>, bool)> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(proc)? {
        if out.len() == PROCESSES_MAX {
            return Ok((out, true));
        }
        out.extend(entry?.file_name().to_str().and_then(|n| n.parse::<u32>().ok()));
    }
    out.sort_unstable();
    Ok((out, false))
}

impl Process {
    pub(super) fn open(proc: &Path, pid: u32) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { dir: rustix::fs::openat(CWD, proc.join(pid.to_string()), flags, Mode::empty())?, pid })
    }

    /// A file of the process, for reading.
    pub(super) fn file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        Ok(File::from(rustix::fs::openat(&self.dir, name, flags, Mode::empty())?))
    }

    /// At most `max` bytes of a file.
    pub(super) fn read(&self, name: &str, max: u64) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        self.file(name)?.take(max).read_to_end(&mut out)?;
        Ok(out)
    }

    /// Where a link of procfs points, by its text.
    pub(super) fn link(&self, name: &str) -> io::Result<PathBuf> {
        let text = rustix::fs::readlinkat(&self.dir, name, Vec::new())?;
        Ok(std::ffi::OsString::from_vec(text.into_bytes()).into())
    }

    /// What a link of procfs stands for, as a handle that cannot read: nothing
    /// blocks, nothing happens to devices, no permission event is raised.
    pub(super) fn handle(&self, name: &str) -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(&self.dir, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Inode of a namespace.
    pub(super) fn namespace(&self, which: &str) -> io::Result<u64> {
        let text = self.link(&format!("ns/{which}"))?;
        let digits: String = text.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
        digits.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the namespace has no number"))
    }

    /// Names in one of the process's folders, at most `max`, and whether that
    /// cut some off.
    pub(super) fn names(&self, folder: &str, max: usize) -> io::Result<(Vec<u64>, bool)> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&self.dir, folder, flags, Mode::empty())?;
        let mut out = Vec::new();
        for entry in rustix::fs::Dir::new(dir)? {
            if out.len() == max {
                return Ok((out, true));
            }
            out.extend(entry?.file_name().to_str().ok().and_then(|n| n.parse::<u64>().ok()));
        }
        Ok((out, false))
    }

    /// `None` for kernel threads and for processes that have ended.
    pub(super) fn stat(&self) -> io::Result<Option<Stat>> {
        let raw = self.read("stat", RECORD_BYTES_MAX)?;
        let Some(mut stat) = parse_stat(&raw) else { return Ok(None) };
        // Since Linux 6.2 the length of this folder is the number of entries.
        if let Ok(folder) = rustix::fs::statat(&self.dir, "fd", AtFlags::empty()) {
            stat.marks.descriptors = u64::try_from(folder.st_size).unwrap_or(0);
        }
        Ok(Some(stat))
    }

    /// Real user id.
    pub(super) fn uid(&self) -> io::Result<u32> {
        let raw = self.read("status", RECORD_BYTES_MAX)?;
        let text = String::from_utf8_lossy(&raw);
        let line = text.lines().find_map(|l| l.strip_prefix("Uid:"));
        line.and_then(|l| l.split_whitespace().next()?.parse().ok())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the status names no user"))
    }
}

/// The name of a process may hold parentheses, blanks and line breaks.
fn parse_stat(raw: &[u8]) -> Option<Stat> {
    let text = String::from_utf8_lossy(raw);
    let (head, tail) = text.rsplit_once(')')?;
    let (_, comm) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|f| f.parse::<u64>().ok());
    let ended = matches!(fields.first().copied(), None | Some("Z" | "X" | "x"));
    if ended || number(6)? & KERNEL_THREAD != 0 {
        return None;
    }
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        start_ticks: number(19)?,
        marks: Marks {
            comm: comm.to_owned(),
            memory_bytes: number(20)?,
            faults: number(7)?.saturating_add(number(9)?),
            descriptors: 0,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "7 (a) b (c\n) S 5 7 7 0 -1 4194304 101 0 3 0 9 2 0 0 20 0 1 0 3756052 3133440 379 18446744073709551615";

    #[test]
    fn a_name_with_parentheses_does_not_shift_fields() {
        let stat = parse_stat(LINE.as_bytes()).unwrap();
        assert_eq!((stat.parent, stat.start_ticks), (5, 3_756_052));
        assert_eq!(stat.marks.comm, "a) b (c\n");
        assert_eq!((stat.marks.faults, stat.marks.memory_bytes), (104, 3_133_440));
    }

    #[test]
    fn a_record_cut_anywhere_is_none_or_whole() {
        for end in 0..LINE.len() {
            let cut = parse_stat(&LINE.as_bytes()[..end]);
            assert!(cut.is_none_or(|s| s.parent == 5), "{end}");
        }
    }

    #[test]
    fn kernel_threads_and_the_ended_are_left_out() {
        assert_eq!(parse_stat(LINE.replace("4194304", "2097152").as_bytes()), None);
        assert_eq!(parse_stat(LINE.replace(") S", ") Z").as_bytes()), None);
    }
}
