use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::group::{Buffer, Group, Mask, Noted, Scope};
use super::handle::{self, Fsid};
use super::parse::DirName;

/// Most buffers read for one answer, so that a flood comes in portions.
const READS_MAX: usize = 64;
/// Most file systems watched at once.
const MOUNTS_MAX: usize = 1024;

/// What became of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A file that was open for writing was closed.
    Written,
    /// It came here by rename(2).
    Moved,
    /// It went from here, removed or renamed.
    Deleted,
    /// The kernel lost events: look at everything again. Has no path.
    Overflow,
}

/// One change of a watched file system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Change {
    /// Where, at the time of reading; any bytes. Its file may be gone or
    /// another one by now.
    pub path: PathBuf,
    /// What.
    pub kind: Kind,
    /// Who; 0 for a process this namespace does not see. May be gone.
    pub pid: u32,
    /// A directory with all that is in it.
    pub directory: bool,
}

/// Tells of files written, moved and removed, by whole file systems.
///
/// Never delays anybody and needs no answers. Its own process is not left
/// out: changes carry the pid.
#[derive(Debug)]
pub struct Notifier {
    group: Group,
    mounts: Vec<(Fsid, CString, File)>,
    buffer: Buffer,
    unresolved: u64,
}

impl Notifier {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// What fanotify_init(2) reports; `EINVAL` before Linux 5.9.
    pub fn new() -> io::Result<Self> {
        Ok(Self { group: Group::notification()?, mounts: Vec::new(), buffer: Buffer::default(), unresolved: 0 })
    }

    /// Watches the file system that the directory `path` is on. Paths are
    /// told as seen through this mount. Once is enough; more does no harm.
    ///
    /// # Errors
    /// `EPERM` without `CAP_SYS_ADMIN`; `ENODEV`, `EXDEV` and `EOPNOTSUPP` for
    /// file systems without identity or handles; what open(2) reports.
    pub fn watch(&mut self, path: &Path) -> io::Result<()> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let mount = handle::open_mount(&path)?;
        let fsid = Fsid::of(&path)?;
        let known = self.mounts.iter().any(|(id, _, _)| *id == fsid);
        if !known && self.mounts.len() >= MOUNTS_MAX {
            return Err(io::Error::other("too many file systems are watched; watch fewer roots"));
        }
        self.group.mark(&path, Scope::FileSystem, MASK)?;
        if !known {
            self.mounts.push((fsid, path, mount));
        }
        Ok(())
    }

    /// Watches the file system of `path` no more, so that it can be unmounted.
    ///
    /// # Errors
    /// What statfs(2) and fanotify_mark(2) report.
    pub fn unwatch(&mut self, path: &Path) -> io::Result<()> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let fsid = Fsid::of(&path)?;
        self.mounts.retain(|(id, _, _)| *id != fsid);
        self.group.unmark(&path, Scope::FileSystem, MASK)
    }

    /// Changes whose directory was gone before its path could be read.
    #[must_use]
    pub fn unresolved(&self) -> u64 {
        self.unresolved
    }

    /// Waits until there are changes or `timeout` is over; then empty.
    ///
    /// # Errors
    /// What poll(2) and read(2) report.
    pub fn next(&mut self, timeout: Duration) -> io::Result<Vec<Change>> {
        let limit = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        match rustix::event::poll(&mut [PollFd::new(&self.group, PollFlags::IN)], Some(&limit)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Ok(_) => {}
            Err(e) => return Err(e.into()),
        }
        let mut changes = Vec::new();
        for _ in 0..READS_MAX {
            let mut resolver = Resolver { mounts: &self.mounts, last: None, unresolved: 0 };
            let read = self.group.read(&mut self.buffer, |noted| changes.extend(resolver.changes(&noted)))?;
            self.unresolved = self.unresolved.saturating_add(resolver.unresolved);
            if read == 0 {
                break;
            }
        }
        // The kernel merges alike events of one queue only while they are
        // neighbours.
        changes.dedup();
        Ok(changes)
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.group.as_fd()
    }
}

const MASK: Mask = Mask::CLOSE_WRITE.and(Mask::MOVED_TO).and(Mask::MOVED_FROM).and(Mask::DELETE).and(Mask::ON_DIR);

/// Turns handles into paths. Remembers the last directory within one read:
/// events of one directory come in runs.
struct Resolver<'m, 'b> {
    mounts: &'m [(Fsid, CString, File)],
    last: Option<(Fsid, &'b [u8], Option<PathBuf>)>,
    unresolved: u64,
}

impl<'b> Resolver<'_, 'b> {
    fn changes(&mut self, noted: &Noted<'b>) -> Vec<Change> {
        let pid = u32::try_from(noted.pid).unwrap_or(0);
        if noted.is_overflow() {
            return vec![Change { path: PathBuf::new(), kind: Kind::Overflow, pid, directory: false }];
        }
        let Some(dir) = noted.dir.filter(|d| !d.name.is_empty() && d.name != b"." && d.name != b"..") else {
            return Vec::new();
        };
        let parent = match self.directory(dir) {
            Ok(Some(parent)) => parent,
            Ok(None) => {
                self.unresolved = self.unresolved.saturating_add(1);
                return Vec::new();
            }
            // What the kernel said is lost: no descriptors, no memory.
            Err(_) => return vec![Change { path: PathBuf::new(), kind: Kind::Overflow, pid, directory: false }],
        };
        let path = parent.join(OsString::from_vec(dir.name.to_vec()));
        let directory = noted.mask & libc::FAN_ONDIR != 0;
        let has = |bits: u64| noted.mask & bits != 0;
        let change = |kind| Change { path: path.clone(), kind, pid, directory };
        let mut changes = Vec::new();
        changes.extend(has(libc::FAN_MOVED_TO).then(|| change(Kind::Moved)));
        changes.extend(has(libc::FAN_CLOSE_WRITE).then(|| change(Kind::Written)));
        if has(libc::FAN_DELETE | libc::FAN_MOVED_FROM) {
            // The kernel merges the events of one name and their order is
            // lost: the last one is told by whether the name is there.
            let there = !changes.is_empty() && path.symlink_metadata().is_ok();
            changes.insert(if there { 0 } else { changes.len() }, change(Kind::Deleted));
        }
        changes
    }

    /// None for one that is gone.
    fn directory(&mut self, dir: DirName<'b>) -> io::Result<Option<PathBuf>> {
        if let Some((fsid, handle, path)) = &self.last
            && (*fsid, *handle) == (dir.fsid, dir.handle)
        {
            return Ok(path.clone());
        }
        let path = match self.resolve(dir) {
            Err(e) if e.raw_os_error() == Some(libc::ESTALE) || e.kind() == io::ErrorKind::InvalidData => None,
            other => other?,
        };
        self.last = Some((dir.fsid, dir.handle, path.clone()));
        Ok(path)
    }

    fn resolve(&self, dir: DirName<'b>) -> io::Result<Option<PathBuf>> {
        let Some((_, _, mount)) = self.mounts.iter().find(|(fsid, _, _)| *fsid == dir.fsid) else { return Ok(None) };
        let open = handle::open_directory(mount.as_fd(), dir.kind, dir.handle)?;
        handle::path_of(open.as_fd())
    }
}
