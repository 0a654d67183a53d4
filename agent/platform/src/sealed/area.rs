//! Addresses where huge pages can lie.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Length and alignment of a huge page (x86-64, AArch64 with 4 KiB pages).
pub(super) const HUGE_BYTES: usize = 2 << 20;

/// All of a file in memory, mapped where huge pages can back it: streaming
/// through weights costs half the misses of address translation then.
#[derive(Debug)]
pub(super) struct Area {
    /// Of the content, at a multiple of [`HUGE_BYTES`] if it is that long.
    start: *mut u8,
    length: usize,
}

impl Area {
    /// Maps the first `length` bytes of `file`, at least one, to be read.
    pub fn map(file: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        Self::new(file, length, libc::PROT_READ, libc::MAP_PRIVATE)
    }

    /// Maps them to be written.
    pub fn map_writable(file: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        Self::new(file, length, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED)
    }

    fn new(file: BorrowedFd<'_>, length: usize, protection: i32, kind: i32) -> io::Result<Self> {
        let at = if length < HUGE_BYTES { std::ptr::null_mut() } else { reserve(length)? };
        let flags = kind | if at.is_null() { 0 } else { libc::MAP_FIXED };
        // SAFETY: either the kernel chooses the address, or it lies with all of
        // `length` in what `reserve` just took, which nobody else has.
        let start = unsafe { libc::mmap(at.cast(), length, protection, flags, file.as_raw_fd(), 0) };
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

    /// The content.
    ///
    /// # Safety
    /// Nothing may change it or make its file shorter while it is looked at.
    pub const unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: mapped to be read for as long as `self` lives; whoever calls
        // vouches for what is behind it.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }

    /// The content, to be written.
    ///
    /// # Safety
    /// It must have been mapped for that, its file must be at least as long, and
    /// nobody else may look at it meanwhile.
    pub const unsafe fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: mapped for as long as `self` lives; whoever calls vouches for
        // the rest.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.length) }
    }
}

/// Puts `block` into a huge page if it fills one (madvise(2), `MADV_COLLAPSE`,
/// since Linux 6.1); the kernel wants a page of it to be there. Refused without
/// harm elsewhere. Costs little before it is filled, and a copy afterwards.
pub(super) fn into_huge_page(block: &mut [u8]) {
    if block.len() == HUGE_BYTES {
        // SAFETY: a mapping that the caller holds; what is in it stays the same.
        unsafe { libc::madvise(block.as_mut_ptr().cast(), block.len(), libc::MADV_COLLAPSE) };
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made; whoever holds `self` hands out no
        // reference that lives longer.
        unsafe { libc::munmap(self.start.cast(), self.length) };
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
