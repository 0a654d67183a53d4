use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::parse::{self, DirName, Object};

/// Bytes of events taken in one read: at most 42 permission events with their
/// two descriptors each, so that a burst cannot use up the descriptors.
const BUFFER_BYTES: usize = 2048;
// Newer than the C library's header: linux/fanotify.h, 6.13 and 6.14.
const FAN_REPORT_FD_ERROR: u32 = 0x2000;
const FAN_ERRNO_SHIFT: u32 = 24;
const FAN_ERRNO_MAX: i32 = 0xff;
const FAN_PRE_ACCESS: u64 = 0x0010_0000;

/// What the kernel tells of; bits of `FAN_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mask(u64);

impl Mask {
    /// Asks before a file is opened.
    pub const OPEN_PERM: Self = Self(libc::FAN_OPEN_PERM);
    /// Asks before a file is opened to be executed.
    pub const OPEN_EXEC_PERM: Self = Self(libc::FAN_OPEN_EXEC_PERM);
    /// Asks before content is read, written, mapped or cut (Linux 6.14).
    pub const PRE_ACCESS: Self = Self(FAN_PRE_ACCESS);
    /// Tells of files that were open for writing and are closed.
    pub const CLOSE_WRITE: Self = Self(libc::FAN_CLOSE_WRITE);
    /// Tells of names that came by rename(2).
    pub const MOVED_TO: Self = Self(libc::FAN_MOVED_TO);
    /// Tells of names that went by rename(2).
    pub const MOVED_FROM: Self = Self(libc::FAN_MOVED_FROM);
    /// Tells of names that were removed.
    pub const DELETE: Self = Self(libc::FAN_DELETE);
    /// Tells of directories too.
    pub const ON_DIR: Self = Self(libc::FAN_ONDIR);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// How far a mark reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every file of the file system, by whatever mount.
    FileSystem,
    /// Every file of one mount.
    Mount,
    /// One file or directory.
    Inode,
}

impl Scope {
    fn flag(self) -> u32 {
        match self {
            Self::FileSystem => libc::FAN_MARK_FILESYSTEM,
            Self::Mount => libc::FAN_MARK_MOUNT,
            Self::Inode => libc::FAN_MARK_INODE,
        }
    }
}

/// What a group may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Is told.
    Notification,
    /// Is asked; refusals are `EPERM`.
    Content,
    /// Is asked before the content is there; chooses the `errno` of refusals
    /// where the kernel knows how (Linux 6.13).
    PreContent,
}

/// The answer to a permission event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Allow,
    /// Fail with this `errno` where the class allows one, else with `EPERM`.
    Deny(i32),
}

/// Room for one read of events.
#[derive(Debug)]
pub struct Buffer(Box<[u8]>);

impl Default for Buffer {
    fn default() -> Self {
        Self(vec![0; BUFFER_BYTES].into_boxed_slice())
    }
}

/// One event with the descriptors that came with it, which it owns.
#[derive(Debug)]
pub struct Noted<'a> {
    /// What happened: bits of `FAN_*`.
    pub mask: u64,
    /// Who did it; 0 for a process this namespace does not see.
    pub pid: i32,
    /// On what; an error is why the kernel could not open it.
    pub file: Option<io::Result<File>>,
    /// The process.
    pub process: Option<OwnedFd>,
    /// The directory and the name in it.
    pub dir: Option<DirName<'a>>,
}

impl Noted<'_> {
    /// Whether somebody waits for an answer.
    #[must_use]
    pub fn is_question(&self) -> bool {
        self.mask & (libc::FAN_OPEN_PERM | libc::FAN_ACCESS_PERM | libc::FAN_OPEN_EXEC_PERM | FAN_PRE_ACCESS) != 0
    }

    /// Whether the queue ran over and events are lost.
    #[must_use]
    pub fn is_overflow(&self) -> bool {
        self.mask & libc::FAN_Q_OVERFLOW != 0
    }
}

/// A fanotify group. Dropping it removes its marks and lets everybody who
/// waits for an answer go on.
#[derive(Debug)]
pub struct Group {
    fd: OwnedFd,
    class: Class,
}

impl Group {
    /// A group that is asked before files are opened, with the most that this
    /// kernel offers. The queue has no bound: where it has one, the kernel
    /// lets openers through unasked once it is full.
    ///
    /// # Errors
    /// What fanotify_init(2) reports; `EPERM` without `CAP_SYS_ADMIN`.
    pub fn gate() -> io::Result<Self> {
        let base = libc::FAN_CLOEXEC | libc::FAN_NONBLOCK | libc::FAN_UNLIMITED_QUEUE | libc::FAN_UNLIMITED_MARKS;
        let mut last = io::Error::from_raw_os_error(libc::ENOSYS);
        for (class, flag, extra) in [
            (Class::PreContent, libc::FAN_CLASS_PRE_CONTENT, libc::FAN_REPORT_PIDFD | FAN_REPORT_FD_ERROR),
            (Class::PreContent, libc::FAN_CLASS_PRE_CONTENT, libc::FAN_REPORT_PIDFD),
            (Class::PreContent, libc::FAN_CLASS_PRE_CONTENT, 0),
            (Class::Content, libc::FAN_CLASS_CONTENT, libc::FAN_REPORT_PIDFD),
            (Class::Content, libc::FAN_CLASS_CONTENT, 0),
        ] {
            match init(base | flag | extra) {
                Ok(fd) => return Ok(Self { fd, class }),
                Err(e) if e.raw_os_error() == Some(libc::EINVAL) => last = e,
                Err(e) => return Err(e),
            }
        }
        Err(last)
    }

    /// A group that is told, with directory handles and names. Its queue is
    /// bounded by the kernel; an overflow is an event.
    ///
    /// # Errors
    /// What fanotify_init(2) reports; `EINVAL` before Linux 5.9.
    pub fn notification() -> io::Result<Self> {
        let base = libc::FAN_CLOEXEC | libc::FAN_NONBLOCK | libc::FAN_CLASS_NOTIF | libc::FAN_REPORT_DFID_NAME;
        let fd = match init(base | libc::FAN_UNLIMITED_MARKS) {
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => init(base)?,
            other => other?,
        };
        Ok(Self { fd, class: Class::Notification })
    }

    /// What it may do.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// Marks what `path` names. Opens nothing; follows symbolic links.
    ///
    /// # Errors
    /// What fanotify_mark(2) reports; `EINVAL` for file systems that cannot
    /// be asked about, such as `/proc`.
    pub fn mark(&self, path: &CStr, scope: Scope, mask: Mask) -> io::Result<()> {
        self.change(libc::FAN_MARK_ADD | scope.flag(), mask.0, None, Some(path))
    }

    /// Takes a mark back.
    ///
    /// # Errors
    /// What fanotify_mark(2) reports; `ENOENT` if there was none.
    pub fn unmark(&self, path: &CStr, scope: Scope, mask: Mask) -> io::Result<()> {
        self.change(libc::FAN_MARK_REMOVE | scope.flag(), mask.0, None, Some(path))
    }

    /// Marks the file that is open as `file`.
    ///
    /// # Errors
    /// What fanotify_mark(2) reports.
    pub fn mark_open(&self, file: BorrowedFd<'_>, scope: Scope, mask: Mask) -> io::Result<()> {
        self.change(libc::FAN_MARK_ADD | scope.flag(), mask.0, Some(file), None)
    }

    /// Asks no more about this one file until it is written to. The kernel
    /// may forget it under memory pressure and then asks again.
    ///
    /// A write through a shared mapping does not end it: never for files
    /// whose content matters.
    ///
    /// # Errors
    /// What fanotify_mark(2) reports.
    pub fn ignore(&self, file: BorrowedFd<'_>, mask: Mask) -> io::Result<()> {
        let flags = libc::FAN_MARK_ADD | libc::FAN_MARK_INODE;
        let evictable = flags | libc::FAN_MARK_IGNORE | libc::FAN_MARK_EVICTABLE;
        match self.change(evictable, mask.0, Some(file), None) {
            // Before Linux 6.0.
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
                self.change(flags | libc::FAN_MARK_IGNORED_MASK, mask.0, Some(file), None)
            }
            other => other,
        }
    }

    /// Asks about this file again.
    ///
    /// # Errors
    /// What fanotify_mark(2) reports.
    pub fn heed(&self, file: BorrowedFd<'_>, mask: Mask) -> io::Result<()> {
        let flags = libc::FAN_MARK_REMOVE | libc::FAN_MARK_INODE;
        match self.change(flags | libc::FAN_MARK_IGNORE, mask.0, Some(file), None) {
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
                self.change(flags | libc::FAN_MARK_IGNORED_MASK, mask.0, Some(file), None)
            }
            other => other,
        }
    }

    /// Removes every mark of every scope. Who already waits still waits for
    /// an answer.
    ///
    /// # Errors
    /// What fanotify_mark(2) reports.
    pub fn flush(&self) -> io::Result<()> {
        let mut result = Ok(());
        for scope in [Scope::FileSystem, Scope::Mount, Scope::Inode] {
            let flags = libc::FAN_MARK_FLUSH | scope.flag();
            result = self.change(flags, 0, None, Some(c"/")).and(result);
        }
        result
    }

    /// Removes the ignore marks, and all other marks on single files.
    ///
    /// # Errors
    /// What fanotify_mark(2) reports.
    pub fn flush_inodes(&self) -> io::Result<()> {
        self.change(libc::FAN_MARK_FLUSH | libc::FAN_MARK_INODE, 0, None, Some(c"/"))
    }

    /// Takes what is queued, at most one buffer, without waiting, and hands
    /// each event to `each`. Returns how many there were; 0 when none wait.
    ///
    /// # Errors
    /// What read(2) reports: `EMFILE` and the like mean that the kernel
    /// refused one opener for want of a descriptor. `InvalidData` when the
    /// kernel's events are not laid out as known.
    pub fn read<'b>(&self, buffer: &'b mut Buffer, mut each: impl FnMut(Noted<'b>)) -> io::Result<usize> {
        let length = match rustix::io::read(&self.fd, &mut *buffer.0) {
            Ok(length) => length,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(0),
            Err(e) => return Err(e.into()),
        };
        let mut count = 0;
        for event in parse::parse(buffer.0.get(..length).unwrap_or_default()) {
            let event = event.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            count += 1;
            let file = match event.object {
                Object::None => None,
                // SAFETY: read(2) on our group has just made this descriptor
                // for us; each event is handed out once, so nobody else owns
                // it (fanotify(7)).
                Object::Descriptor(fd) => Some(Ok(unsafe { File::from_raw_fd(fd) })),
                Object::Failed(errno) => Some(Err(io::Error::from_raw_os_error(errno))),
            };
            // SAFETY: as above; `parse` leaves out negative numbers.
            let process = event.pidfd.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
            each(Noted { mask: event.mask, pid: event.pid, file, process, dir: event.dir });
        }
        Ok(count)
    }

    /// Answers a question. `fd` is the descriptor that came with it, open or
    /// not; an answer given already is `ENOENT`.
    ///
    /// # Errors
    /// What write(2) reports.
    pub fn answer(&self, fd: i32, answer: Answer) -> io::Result<()> {
        let response = match answer {
            Answer::Allow => libc::FAN_ALLOW,
            Answer::Deny(errno) => libc::FAN_DENY | self.errno_bits(errno),
        };
        match self.respond(fd, response) {
            // Before Linux 6.14 none, later some errnos only: refuse all the same.
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) && response & !0xff != 0 => {
                self.respond(fd, libc::FAN_DENY)
            }
            other => other,
        }
    }

    /// Bytes of events that wait to be read.
    ///
    /// # Errors
    /// What ioctl(2) reports.
    pub fn queued_bytes(&self) -> io::Result<u64> {
        Ok(rustix::io::ioctl_fionread(&self.fd)?)
    }

    fn errno_bits(&self, errno: i32) -> u32 {
        if self.class != Class::PreContent || errno == libc::EPERM || !(1..=FAN_ERRNO_MAX).contains(&errno) {
            return 0;
        }
        u32::try_from(errno).map_or(0, |e| e << FAN_ERRNO_SHIFT)
    }

    fn respond(&self, fd: i32, response: u32) -> io::Result<()> {
        let [a, b, c, d] = fd.to_ne_bytes();
        let [e, f, g, h] = response.to_ne_bytes();
        rustix::io::write(&self.fd, &[a, b, c, d, e, f, g, h])?;
        Ok(())
    }

    fn change(&self, flags: u32, mask: u64, file: Option<BorrowedFd<'_>>, path: Option<&CStr>) -> io::Result<()> {
        let dirfd = file.map_or(libc::AT_FDCWD, |f| f.as_raw_fd());
        let path = path.map_or(std::ptr::null(), CStr::as_ptr);
        // SAFETY: `path` is null or ends with NUL and outlives the call, and
        // both descriptors are open (fanotify_mark(2)).
        let rc = unsafe { libc::fanotify_mark(self.fd.as_raw_fd(), flags, mask, dirfd, path) };
        if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn init(flags: u32) -> io::Result<OwnedFd> {
    // Event descriptors: `O_NONBLOCK`, so that no FIFO holds the kernel up
    // while it opens one for us; `O_NOATIME`, so that asking leaves no trace.
    let files = libc::O_RDONLY | libc::O_LARGEFILE | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOATIME;
    // SAFETY: no pointers are passed (fanotify_init(2)).
    let fd = unsafe { libc::fanotify_init(flags, files.cast_unsigned()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
