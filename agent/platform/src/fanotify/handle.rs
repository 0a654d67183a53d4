//! Files by handle (open_by_handle_at(2)).

use std::ffi::{CStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};

/// Longest handle of any file system (MAX_HANDLE_SZ), bytes.
pub const HANDLE_BYTES_MAX: usize = 128;
/// Suffix of a path whose directory entry is gone (proc_pid_fd(5)).
const DELETED: &[u8] = b" (deleted)";

/// Identity of a file system as fanotify and statfs(2) give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fsid(u64);

impl Fsid {
    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The file system that `path` is on. Opens nothing.
    ///
    /// # Errors
    /// What statfs(2) reports.
    pub fn of(path: &CStr) -> io::Result<Self> {
        let mut out = std::mem::MaybeUninit::<libc::statfs>::zeroed();
        // SAFETY: `path` ends with NUL and `out` is writable memory of the
        // size that statfs(2) fills; both outlive the call.
        let rc = unsafe { libc::statfs(path.as_ptr(), out.as_mut_ptr()) };
        if rc != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: zeroed is a valid value of this plain structure of
        // integers, and statfs(2) succeeded.
        let stat = unsafe { out.assume_init() };
        // SAFETY: `fsid_t` is two `int`s without padding (statfs(2)), as long
        // as a `u64`; every bit pattern is one.
        Ok(Self(unsafe { std::mem::transmute::<libc::fsid_t, u64>(stat.f_fsid) }))
    }
}

/// A handle with room for the longest one; `struct file_handle`.
#[repr(C)]
struct Handle {
    bytes: libc::c_uint,
    kind: libc::c_int,
    handle: [u8; HANDLE_BYTES_MAX],
}

/// Opens the directory of `handle` without rights to read it (`O_PATH`).
///
/// # Errors
/// `ESTALE` when it is gone; `InvalidData` for a handle longer than any.
pub(super) fn open_directory(mount: BorrowedFd<'_>, kind: i32, handle: &[u8]) -> io::Result<OwnedFd> {
    let mut raw = Handle { bytes: 0, kind, handle: [0; HANDLE_BYTES_MAX] };
    let too_long = || io::Error::new(io::ErrorKind::InvalidData, "file handle is longer than a handle may be");
    raw.handle.get_mut(..handle.len()).ok_or_else(too_long)?.copy_from_slice(handle);
    raw.bytes = libc::c_uint::try_from(handle.len()).map_err(|_| too_long())?;
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    // SAFETY: `raw` is laid out as `struct file_handle` with `bytes` of its
    // array filled, checked above, and outlives the call; `mount` is open.
    let fd = unsafe { libc::open_by_handle_at(mount.as_raw_fd(), (&raw mut raw).cast(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Where an open directory is now, or `None` if it was removed.
///
/// # Errors
/// What fstat(2) and readlink(2) on `/proc/self/fd` report.
pub(super) fn path_of(directory: BorrowedFd<'_>) -> io::Result<Option<PathBuf>> {
    if rustix::fs::fstat(directory)?.st_nlink == 0 {
        return Ok(None);
    }
    let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
    let bytes = rustix::fs::readlink(link, Vec::new())?.into_bytes();
    // Gone between the two calls, or outside of the mount we opened.
    if bytes.ends_with(DELETED) && rustix::fs::fstat(directory)?.st_nlink == 0 || !bytes.starts_with(b"/") {
        return Ok(None);
    }
    Ok(Some(PathBuf::from(OsString::from_vec(bytes))))
}

/// A directory descriptor that open_by_handle_at(2) takes as the mount.
pub(super) fn open_mount(path: &CStr) -> io::Result<File> {
    let fd = rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty())?;
    Ok(File::from(fd))
}
