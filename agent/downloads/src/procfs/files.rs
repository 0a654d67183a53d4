use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Statx, StatxFlags, makedev, openat, statx};

use super::guard::{enter, guarded};
use super::{link_inode, read};
use crate::download::FileId;
use crate::sniff::{HEAD_BYTES, Sniffed, sniff};

/// Most descriptors looked at in one process.
const DESCRIPTORS_MAX: usize = 4096;
/// Most files and pipes kept of one process.
const KEPT_MAX: usize = 256;
/// Most bytes read of a list of mounts.
const MOUNTS_BYTES_MAX: u64 = 1 << 20;

/// What a process holds open that matters here.
#[derive(Debug, Default)]
pub struct Held {
    /// Regular files open for writing.
    pub files: Vec<Opened>,
    /// Sockets, by inode.
    pub sockets: Vec<u64>,
    /// Pipes open for writing, by inode.
    pub pipes: Vec<u64>,
}

/// A regular file open for writing, at one moment.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Process and descriptor.
    pub at: (u32, u32),
    /// Which file.
    pub id: FileId,
    /// Length, bytes.
    pub length: u64,
    /// On the disk, bytes.
    pub allocated: u64,
    /// Where the next write goes; stays 0 for writes with their own place.
    pub position: u64,
    /// Last written, nanoseconds since 1970.
    pub modified_ns: i128,
}

/// Looks at the descriptors of `pid`; empty if it is gone or not ours to see.
pub fn held(pid: u32) -> Held {
    guarded(move || if enter(pid) { look(pid) } else { Held::default() })
}

fn look(pid: u32) -> Held {
    let mut held = Held::default();
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return held };
    for entry in entries.flatten().take(DESCRIPTORS_MAX) {
        let Ok(link) = std::fs::read_link(entry.path()) else { continue };
        if let Some(inode) = link_inode(&link, "socket") {
            held.sockets.push(inode);
            continue;
        }
        let writes = entry.path().symlink_metadata().is_ok_and(|meta| meta.mode() & 0o200 != 0);
        if !writes {
            continue;
        }
        if let Some(inode) = link_inode(&link, "pipe").filter(|_| held.pipes.len() < KEPT_MAX) {
            held.pipes.push(inode);
        } else if link.starts_with("/") && held.files.len() < KEPT_MAX {
            let fd = super::number(&entry.file_name());
            held.files.extend(fd.and_then(|fd| opened(pid, fd, &entry.path())));
        }
    }
    held
}

fn opened(pid: u32, fd: u32, path: &Path) -> Option<Opened> {
    // Without asking a file system that a user may serve and never answer.
    let stat = statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::BASIC_STATS).ok()?;
    let meta = Meta::of(&stat)?;
    let info = read(format!("/proc/{pid}/fdinfo/{fd}"), 256)?;
    let position = field(&info, "pos:").and_then(|pos| pos.parse().ok()).unwrap_or(0);
    let Meta { id, length, allocated, modified_ns } = meta;
    Some(Opened { at: (pid, fd), id, length, allocated, position, modified_ns })
}

/// What is watched of a file; none if it is not a regular one.
#[derive(Debug, Clone, Copy)]
struct Meta {
    id: FileId,
    length: u64,
    allocated: u64,
    modified_ns: i128,
}

impl Meta {
    fn of(stat: &Statx) -> Option<Self> {
        let regular = FileType::from_raw_mode(stat.stx_mode.into()) == FileType::RegularFile;
        regular.then(|| Self {
            id: FileId { dev: makedev(stat.stx_dev_major, stat.stx_dev_minor), ino: stat.stx_ino },
            length: stat.stx_size,
            allocated: stat.stx_blocks.saturating_mul(512),
            modified_ns: i128::from(stat.stx_mtime.tv_sec) * 1_000_000_000 + i128::from(stat.stx_mtime.tv_nsec),
        })
    }
}

fn field<'t>(text: &'t [u8], name: &str) -> Option<&'t str> {
    std::str::from_utf8(text).ok()?.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// A file that is being written, held by a descriptor that reads nothing
/// (`O_PATH`), so that its name, its size and its first bytes can be had
/// after the writer has gone.
#[derive(Debug)]
pub struct Pinned {
    fd: OwnedFd,
    readable: bool,
}

/// How large a file is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// On the disk, bytes.
    pub allocated: u64,
    /// Length, bytes.
    pub length: u64,
}

impl Opened {
    /// Takes hold of the file, if the descriptor still leads to it.
    pub fn pin(&self) -> Option<Pinned> {
        let file = self.clone();
        guarded(move || file.open())
    }

    fn open(&self) -> Option<Pinned> {
        let (pid, fd) = self.at;
        if !enter(pid) {
            return None;
        }
        let path = format!("/proc/{pid}/fd/{fd}");
        let fd = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let stat = statx(&fd, "", AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC, StatxFlags::BASIC_STATS).ok()?;
        let same = Meta::of(&stat).is_some_and(|meta| meta.id == self.id);
        same.then(|| Pinned { readable: !served_by_a_user(pid, self.at.1), fd })
    }
}

impl Pinned {
    /// Its name as this process sees it; the last one if it was deleted.
    pub fn path(&self) -> Option<PathBuf> {
        let link = std::fs::read_link(self.link()).ok()?;
        let name = link.to_str().and_then(|name| name.strip_suffix(" (deleted)")).map(PathBuf::from);
        Some(name.filter(|_| self.deleted()).unwrap_or(link))
    }

    /// How large it is now.
    pub fn size(&self) -> Option<Size> {
        let meta = Meta::of(&self.stat()?)?;
        Some(Size { allocated: meta.allocated, length: meta.length })
    }

    /// What its first bytes say. Never blocks: only regular files are pinned,
    /// and none of a file system that a user serves is opened.
    pub fn sniff(&self) -> io::Result<Sniffed> {
        if !self.readable {
            return Ok(Sniffed::Unknown);
        }
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(self.link())?;
        let mut head = [0; HEAD_BYTES];
        let read = file.read_at(&mut head, 0)?;
        Ok(sniff(head.get(..read).unwrap_or_default()))
    }

    fn deleted(&self) -> bool {
        self.stat().is_some_and(|stat| stat.stx_nlink == 0)
    }

    fn stat(&self) -> Option<Statx> {
        statx(&self.fd, "", AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC, StatxFlags::BASIC_STATS).ok()
    }

    fn link(&self) -> String {
        format!("/proc/self/fd/{}", self.fd.as_fd().as_raw_fd())
    }
}

/// Whether the file system of a descriptor is FUSE, where any call may wait
/// for a process that never answers. Yes if it cannot be told.
fn served_by_a_user(pid: u32, fd: u32) -> bool {
    let told = || {
        let info = read(format!("/proc/{pid}/fdinfo/{fd}"), 256)?;
        let mount = field(&info, "mnt_id:")?.to_owned();
        let mounts = read(format!("/proc/{pid}/mountinfo"), MOUNTS_BYTES_MAX)?;
        // proc_pid_mountinfo(5): the id first, the type behind ` - `.
        let line = mounts
            .split(|&byte| byte == b'\n')
            .find(|line| line.strip_prefix(mount.as_bytes()).is_some_and(|rest| rest.first() == Some(&b' ')));
        // A file of no mount in sight, such as a memfd, is served by the kernel.
        let Some(line) = line else { return Some(false) };
        let text = String::from_utf8_lossy(line);
        Some(text.split_once(" - ")?.1.starts_with("fuse"))
    };
    told().unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn sees_files_open_for_writing_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (path, fifo) = (folder.path().join("w"), folder.path().join("fifo"));
        let mut file = File::create(&path).unwrap();
        file.write_all(b"GGUF\x03").unwrap();
        let reader = File::open(&path).unwrap();
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let held_fifo = File::options().read(true).write(true).open(&fifo).unwrap();
        let null = File::create("/dev/null").unwrap();
        let id = FileId { dev: file.metadata().unwrap().dev(), ino: file.metadata().unwrap().ino() };
        let files = held(std::process::id()).files;
        let ours: Vec<_> = files.iter().filter(|opened| opened.id == id).collect();
        assert_eq!(ours.len(), 1);
        assert_eq!((ours[0].length, ours[0].position), (5, 5));
        assert!(
            !files.iter().any(|o| [&held_fifo, &null].iter().any(|f| i64::from(o.at.1) == i64::from(f.as_raw_fd())))
        );
        let pinned = ours[0].pin().unwrap();
        assert_eq!(pinned.path().unwrap(), path);
        assert!(matches!(pinned.sniff().unwrap(), Sniffed::Known(format) if format.name == "gguf"));
        drop(reader);
        std::fs::remove_file(&path).unwrap();
        drop(file);
        assert_eq!(pinned.path().unwrap(), path, "the last name of a deleted file");
        assert_eq!(pinned.size().unwrap().length, 5);
    }

    #[test]
    fn a_descriptor_that_leads_elsewhere_is_not_pinned() {
        let file = tempfile::tempfile().unwrap();
        let fd = u32::try_from(file.as_raw_fd()).unwrap();
        let id = FileId { dev: 0, ino: 1 };
        let opened = Opened { at: (std::process::id(), fd), id, length: 0, allocated: 0, position: 0, modified_ns: 0 };
        assert!(opened.pin().is_none());
    }
}
