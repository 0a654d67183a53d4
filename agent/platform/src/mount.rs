//! Mounts that are attached nowhere (fsopen(2), fsmount(2), open_tree(2)):
//! nobody else sees them and they go with their descriptor.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};

// linux/mount.h.
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const OPEN_TREE_CLONE: libc::c_uint = 1;

/// Tells whether anything was mounted or unmounted in this mount namespace
/// (proc_pid_mountinfo(5)).
#[derive(Debug)]
pub struct Changes(File);

impl Changes {
    /// Counts from now on.
    ///
    /// # Errors
    /// Without `/proc`.
    pub fn new() -> io::Result<Self> {
        let changes = Self(File::open("/proc/self/mountinfo")?);
        let _ = changes.any();
        Ok(changes)
    }

    /// Whether there were any since the last time.
    #[must_use]
    pub fn any(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(rustix::event::poll(&mut [PollFd::new(&self.0, PollFlags::PRI)], Some(&now)), Ok(n) if n > 0)
    }
}

/// Mounts a new file system of `kind` with `options`, attached nowhere.
///
/// # Errors
/// What the kernel reports: `EPERM` without `CAP_SYS_ADMIN`, `ENODEV` for a
/// kind it does not know, `ENOSYS` before Linux 5.2.
pub fn detached(kind: &CStr, options: &[(&CStr, &CStr)]) -> io::Result<OwnedFd> {
    // SAFETY: `kind` ends with NUL and outlives the call.
    let context = unsafe { owned(libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC)) }?;
    for (key, value) in options {
        config(&context, FSCONFIG_SET_STRING, key.as_ptr(), value.as_ptr())?;
    }
    config(&context, FSCONFIG_CMD_CREATE, std::ptr::null(), std::ptr::null())?;
    // SAFETY: `context` is open; no pointers are passed.
    unsafe { owned(libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, 0)) }
}

/// A second mount of what is at `directory`, as a bind mount is, attached
/// nowhere.
///
/// # Errors
/// What open_tree(2) reports.
pub fn bound(directory: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | (libc::O_CLOEXEC | libc::AT_EMPTY_PATH).cast_unsigned();
    // SAFETY: `directory` is open and the path is an empty C string.
    unsafe { owned(libc::syscall(libc::SYS_open_tree, directory.as_raw_fd(), c"".as_ptr(), flags)) }
}

fn config(
    context: &OwnedFd,
    command: libc::c_uint,
    key: *const libc::c_char,
    value: *const libc::c_char,
) -> io::Result<()> {
    // SAFETY: `context` is open; `key` and `value` are null or come from C
    // strings of the caller that outlive the call.
    let rc = unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, 0) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Owns the descriptor that a system call returned, or its error.
///
/// # Safety
/// `result` is the immediate result of a system call that makes a descriptor.
unsafe fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    match i32::try_from(result) {
        // SAFETY: the kernel has just made it for us alone, says the caller.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_detached_tmpfs_holds_files_and_has_a_second_mount() {
        let root = match detached(c"tmpfs", &[(c"size", c"1m")]) {
            Ok(root) => root,
            Err(e) => return eprintln!("skipped: {e}"),
        };
        std::fs::write(format!("/proc/self/fd/{}/file", root.as_raw_fd()), b"x").unwrap();
        let other = bound(root.as_fd()).unwrap();
        assert_eq!(std::fs::read(format!("/proc/self/fd/{}/file", other.as_raw_fd())).unwrap(), b"x");
        assert!(detached(c"no-such-fs", &[]).is_err());
        assert!(detached(c"tmpfs", &[(c"no-such-option", c"1")]).is_err());
    }
}
