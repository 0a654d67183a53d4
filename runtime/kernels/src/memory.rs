//! Large memory, and how fast it can be read.

use std::ptr::NonNull;

use crate::{
    Isa, KernelError, Pool,
    lanes::{Lanes, dispatch},
    pool::{Shareable, part},
};

/// Zeroed memory for weights or keys and values, in huge pages where the
/// system has them (half the misses of address translation when streamed).
#[derive(Debug)]
pub struct Memory {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: it owns its bytes alone, like a boxed slice.
unsafe impl Send for Memory {}
// SAFETY: shared references only read.
unsafe impl Sync for Memory {}

impl Memory {
    /// Takes `bytes` of it, at least one; pages are backed when first touched.
    ///
    /// # Errors
    /// [`KernelError::Memory`].
    pub fn zeroed(bytes: usize) -> Result<Self, KernelError> {
        let bytes = bytes.max(1);
        if isize::try_from(bytes).is_err() {
            return Err(KernelError::Memory(bytes));
        }
        let start = allocate(bytes).ok_or(KernelError::Memory(bytes))?;
        Ok(Self { start, bytes })
    }

    /// The bytes.
    #[must_use]
    pub const fn as_slice(&self) -> &[u8] {
        // SAFETY: `allocate` gave `bytes` zeroed bytes, owned until drop.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }

    /// The bytes, to write.
    #[must_use]
    pub const fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }
}

#[cfg(unix)]
fn allocate(bytes: usize) -> Option<NonNull<u8>> {
    // SAFETY: mmap(2): a new private anonymous mapping at an address of the
    // system's choice touches no memory that anybody has.
    let at = unsafe {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0)
    };
    if at == libc::MAP_FAILED {
        return None;
    }
    #[cfg(target_os = "linux")]
    // SAFETY: madvise(2) of the mapping just made; advice may fail, no harm.
    unsafe {
        libc::madvise(at, bytes, libc::MADV_HUGEPAGE);
    }
    NonNull::new(at.cast())
}

#[cfg(not(unix))]
fn layout(bytes: usize) -> Option<std::alloc::Layout> {
    std::alloc::Layout::from_size_align(bytes, 4096).ok()
}

#[cfg(not(unix))]
fn allocate(bytes: usize) -> Option<NonNull<u8>> {
    // SAFETY: the size is not zero.
    NonNull::new(unsafe { std::alloc::alloc_zeroed(layout(bytes)?) })
}

impl Drop for Memory {
    fn drop(&mut self) {
        #[cfg(unix)]
        // SAFETY: munmap(2) of exactly the mapping made in `allocate`, which
        // nobody can reach any more.
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), self.bytes);
        }
        #[cfg(not(unix))]
        if let Some(layout) = layout(self.bytes) {
            // SAFETY: allocated with this layout.
            unsafe { std::alloc::dealloc(self.start.as_ptr(), layout) }
        }
    }
}

/// Reads all of `bytes` once with all threads and does nothing else: the time
/// it takes is the least that a pass over weights of that size can take. The
/// number returned has no meaning; it keeps the reads alive.
pub fn read(pool: &Pool, isa: Isa, bytes: &[u8]) -> f32 {
    let lines = bytes.len() / 256;
    let parts = pool.threads() * 8;
    let mut sums = vec![0f32; parts];
    let out = Shareable::new(sums.as_mut_ptr());
    pool.run(parts, |i| {
        let part = part(lines, parts, i);
        // SAFETY: the part's lines lie within `bytes`; each part has its own sum.
        unsafe { *out.get().add(i) = stream(isa, bytes.as_ptr().add(part.start * 256), part.len()) };
    });
    sums.into_iter().fold(0.0, f32::max)
}

dispatch! { unsafe fn stream(from: *const u8, lines: usize) -> f32 = stream_lines }

/// Reads `lines` times 256 bytes.
#[inline(always)]
unsafe fn stream_lines<S: Lanes>(from: *const u8, lines: usize) -> f32 {
    // SAFETY: the caller's.
    unsafe {
        let mut most = [S::splat(0.0); 4];
        for line in 0..lines {
            let at = from.add(line * 256);
            for (i, most) in most.iter_mut().enumerate() {
                S::prefetch(at.wrapping_add(4096 + i * 64));
                *most = S::max(*most, S::load(at.add(i * 64).cast()));
            }
        }
        let [a, b, c, d] = most;
        S::sum(S::max(S::max(a, b), S::max(c, d)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zeroed_and_writable() {
        let mut memory = Memory::zeroed(3_000_000).unwrap();
        assert!(memory.as_slice().iter().all(|b| *b == 0));
        memory.as_mut_slice()[2_999_999] = 7;
        assert_eq!(memory.as_slice().last(), Some(&7));
        assert!(Memory::zeroed(usize::MAX).is_err());
        assert!(Memory::zeroed(1 << 62).is_err());
    }

    #[test]
    fn reading_sees_every_line() {
        let pool = Pool::new(2).unwrap();
        for isa in Isa::available() {
            for at in [0, 255, 4096, 65_535] {
                let mut bytes = vec![0u8; 65_536];
                bytes[at / 4 * 4..][..4].copy_from_slice(&3f32.to_le_bytes());
                assert_eq!(read(&pool, isa, &bytes), 3.0);
            }
        }
    }
}
