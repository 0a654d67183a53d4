//! Changing a file behind the backs of open(2) and write(2).

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

/// The first byte of a file, mapped shared and writable. For self-tests:
/// nobody who watches writes is told of what is written here.
#[derive(Debug)]
pub struct Shared(NonNull<u8>);

impl Shared {
    /// Maps the first byte of `file`, which nobody may cut meanwhile.
    ///
    /// # Errors
    /// `InvalidInput` for an empty file; what mmap(2) reports.
    pub fn of(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an empty file has no first byte to map"));
        }
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice overlaps
        // nothing (mmap(2)); `file` is open for the call.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), 1, rights, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if map == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(map.cast()).map(Self).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
    }

    /// Writes it.
    pub fn set(&mut self, byte: u8) {
        // SAFETY: mapped writable for as long as `self` lives, and within the
        // file as it was. Volatile, since others may see it.
        unsafe { self.0.as_ptr().write_volatile(byte) };
    }

    /// Waits until what was written is in storage (msync(2)), where there is
    /// one.
    ///
    /// # Errors
    /// What msync(2) reports.
    pub fn sync(&self) -> io::Result<()> {
        // SAFETY: the range is the mapping that `self` holds.
        let rc = unsafe { libc::msync(self.0.as_ptr().cast(), 1, libc::MS_SYNC) };
        if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping that `of` made; no reference into it is left.
        unsafe { libc::munmap(self.0.as_ptr().cast(), 1) };
    }
}

/// Empties the file at `path` without opening it (truncate(2)). For
/// self-tests.
///
/// # Errors
/// What truncate(2) reports.
pub fn truncate(path: &CStr) -> io::Result<()> {
    // SAFETY: `path` ends with NUL and outlives the call.
    if unsafe { libc::truncate(path.as_ptr(), 0) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::Shared;

    #[test]
    fn writes_what_read_sees() {
        let path = tempfile::NamedTempFile::new().unwrap();
        assert!(Shared::of(path.as_file()).is_err(), "empty");
        std::fs::write(path.path(), b"abc").unwrap();
        let mut shared = Shared::of(path.as_file()).unwrap();
        shared.set(b'!');
        shared.sync().unwrap();
        assert_eq!(std::fs::read(path.path()).unwrap(), b"!bc");
    }
}
