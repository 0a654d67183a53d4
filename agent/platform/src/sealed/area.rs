//! Addresses where huge pages can lie.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Length and alignment of a huge page (x86-64, AArch64 with 4 KiB pages).
const HUGE_BYTES: usize = 2 << 20;

/// All of a file in memory, mapped to be read where huge pages can back it:
/// streaming through weights costs half the misses of address translation then.
#[derive(Debug)]
pub(super) struct Area {
    /// Of the content, at a multiple of [`HUGE_BYTES`] if it is that long.
    start: *const u8,
    length: usize,
}

impl Area {
    /// Maps the first `length` bytes of `file`, at least one.
    pub fn map(file: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        let at = if length < HUGE_BYTES { std::ptr::null_mut() } else { reserve(length)? };
        let fixed = if at.is_null() { 0 } else { libc::MAP_FIXED };
        // SAFETY: either the kernel chooses the address, or it lies with all of
        // `length` in what `reserve` just took, which nobody else has.
        let start =
            unsafe { libc::mmap(at.cast(), length, libc::PROT_READ, libc::MAP_PRIVATE | fixed, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            let error = io::Error::last_os_error();
            if !at.is_null() {
                // SAFETY: what `reserve` took; a failed mmap(2) left it or took it away.
                unsafe { libc::munmap(at.cast(), length) };
            }
            return Err(error);
        }
        if length >= HUGE_BYTES {
            // SAFETY: advice about the mapping just made; it may be refused, no harm.
            unsafe { libc::madvise(start, length, libc::MADV_HUGEPAGE) };
        }
        Ok(Self { start: start.cast(), length })
    }

    /// The content. Nothing may change it or make its file shorter while it is
    /// looked at.
    pub const unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: mapped to be read for as long as `self` lives; whoever calls
        // vouches for what is behind it.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }

    /// Puts what is there into huge pages (madvise(2), since Linux 6.1).
    pub fn collapse(&self) {
        if self.length >= HUGE_BYTES {
            // SAFETY: the mapping that `self` holds; content does not change. It
            // may be refused, no harm.
            unsafe { libc::madvise(self.start.cast_mut().cast(), self.length, libc::MADV_COLLAPSE) };
        }
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made; whoever holds `self` hands out no
        // reference that lives longer.
        unsafe { libc::munmap(self.start.cast_mut().cast(), self.length) };
    }
}

/// Addresses that nobody has, `length` of them from a multiple of
/// [`HUGE_BYTES`] on.
fn reserve(length: usize) -> io::Result<*mut u8> {
    let all = length.checked_add(HUGE_BYTES).ok_or(io::ErrorKind::OutOfMemory)?;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), all, libc::PROT_NONE, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let start: *mut u8 = start.cast();
    let before = start.addr().next_multiple_of(HUGE_BYTES) - start.addr();
    let kept = length.next_multiple_of(page_bytes()).min(all - before);
    // SAFETY: both ends of the reservation just made, without what is kept.
    unsafe {
        if before > 0 {
            libc::munmap(start.cast(), before);
        }
        if all > before + kept {
            libc::munmap(start.add(before + kept).cast(), all - before - kept);
        }
        Ok(start.add(before))
    }
}

fn page_bytes() -> usize {
    // SAFETY: sysconf(3) takes a number and touches no memory.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).ok().filter(|n| n.is_power_of_two()).unwrap_or(4096)
}
