//! Memory that nobody can change any more (memfd_create(2), "File sealing").

mod area;
mod filling;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};

pub use filling::Filling;

use area::Area;

/// What makes content final: nobody writes, shortens, lengthens, or takes
/// these seals off.
const FINAL: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::SEAL);

/// A new, empty file in memory, to be written and then given to [`seal`].
/// `name` shows in /proc.
///
/// # Errors
/// What memfd_create(2) reports.
pub fn create(name: &str) -> io::Result<File> {
    // Never to be executed (memfd_create(2), since Linux 6.3); older kernels
    // do not know the flag.
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let made = rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL)
        .or_else(|_| rustix::fs::memfd_create(name, flags))?;
    Ok(File::from(made))
}

/// Makes the content of `file` final.
///
/// # Errors
/// What fcntl(2) reports: `EBUSY` while it is mapped writable somewhere.
pub fn seal(file: &File) -> io::Result<()> {
    Ok(rustix::fs::fcntl_add_seals(file, FINAL)?)
}

/// Sealed memory, mapped to be read.
#[derive(Debug)]
pub struct Sealed {
    /// None for no bytes.
    area: Option<Area>,
}

// SAFETY: it is memory that is only ever read.
unsafe impl Send for Sealed {}
// SAFETY: the same.
unsafe impl Sync for Sealed {}

impl Sealed {
    /// Maps all of `file`, which must be sealed and `size_bytes` long.
    ///
    /// # Errors
    /// `InvalidData` that says which seal is missing or how long it is; what
    /// fcntl(2), fstat(2) and mmap(2) report.
    pub fn map(file: &OwnedFd, size_bytes: u64) -> io::Result<Self> {
        let refuse = |why: String| Err(io::Error::new(io::ErrorKind::InvalidData, why));
        let seals = match rustix::fs::fcntl_get_seals(file.as_fd()) {
            // No file in memory at all (fcntl(2), "File Sealing").
            Err(rustix::io::Errno::INVAL) => SealFlags::empty(),
            other => other?,
        };
        let missing = FINAL.difference(seals);
        if !missing.is_empty() {
            return refuse(format!("the memory is not sealed against {}", name(missing)));
        }
        // Final from here on, by the seals.
        let size = rustix::fs::fstat(file)?.st_size;
        if u64::try_from(size) != Ok(size_bytes) {
            return refuse(format!("the memory has {size} bytes, not {size_bytes}"));
        }
        let length = usize::try_from(size_bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let area = if length == 0 { None } else { Some(Area::map(file.as_fd(), length)?) };
        Ok(Self { area })
    }

    /// The content.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        match &self.area {
            // SAFETY: nothing can change it or make it shorter: `map` saw the seals
            // against writing, shrinking and taking seals off, which the kernel
            // upholds for every process (fcntl(2), "File Sealing").
            Some(area) => unsafe { area.bytes() },
            None => &[],
        }
    }

    /// The content for as long as the process lives.
    #[must_use]
    pub fn leak(self) -> &'static [u8] {
        let kept: &'static Self = Box::leak(Box::new(self));
        kept.bytes()
    }
}

fn name(seals: SealFlags) -> String {
    let names = [
        (SealFlags::WRITE, "writing"),
        (SealFlags::SHRINK, "shrinking"),
        (SealFlags::GROW, "growing"),
        (SealFlags::SEAL, "further seals"),
    ];
    names.iter().filter(|(seal, _)| seals.contains(*seal)).map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    use super::*;

    fn filled(content: &[u8]) -> File {
        let mut file = create("test").unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn sealed_content_is_read_and_never_written() {
        let file = filled(b"weights");
        seal(&file).unwrap();
        assert!(file.write_at(b"W", 0).is_err() && file.set_len(3).is_err() && file.set_len(9).is_err());
        let sealed = Sealed::map(&file.try_clone().unwrap().into(), 7).unwrap();
        assert_eq!(sealed.bytes(), b"weights");
        drop(file);
        assert_eq!(sealed.leak(), b"weights");
    }

    #[test]
    fn large_content_begins_where_a_huge_page_can() {
        let content: Vec<u8> = (0..(5 << 20) + 12_345).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let mut filling = Filling::create("test", content.len() as u64).unwrap();
        for (block, from) in filling.blocks().zip(content.chunks(Filling::BLOCK_BYTES)) {
            block.unwrap().copy_from_slice(from);
        }
        let file = filling.seal().unwrap();
        assert!(file.write_at(b"W", 0).is_err() && file.set_len(3).is_err());
        let sealed = Sealed::map(&file.try_clone().unwrap().into(), content.len() as u64).unwrap();
        assert!(sealed.bytes() == content && sealed.bytes().as_ptr().addr().is_multiple_of(2 << 20));
    }

    #[test]
    fn empty_content_is_fine() {
        let file = filled(b"");
        seal(&file).unwrap();
        assert_eq!(Sealed::map(&file.into(), 0).unwrap().bytes(), b"");
    }

    #[test]
    fn another_length_is_refused() {
        let file = filled(b"weights");
        seal(&file).unwrap();
        let file = file.into();
        for size in [0, 6, 8, u64::MAX] {
            assert!(Sealed::map(&file, size).unwrap_err().to_string().contains("has 7 bytes"), "{size}");
        }
    }

    #[test]
    fn each_missing_seal_is_named() {
        let unsealed = Sealed::map(&filled(b"weights").into(), 7).unwrap_err().to_string();
        assert!(unsealed.contains("writing, shrinking, growing, further seals"), "{unsealed}");
        for (seal, name) in [
            (SealFlags::WRITE, "writing"),
            (SealFlags::SHRINK, "shrinking"),
            (SealFlags::GROW, "growing"),
            (SealFlags::SEAL, "further seals"),
        ] {
            let file = filled(b"weights");
            rustix::fs::fcntl_add_seals(&file, FINAL.difference(seal)).unwrap();
            let refused = Sealed::map(&file.into(), 7).unwrap_err().to_string();
            assert!(refused.ends_with(name), "{refused}");
        }
        let file = tempfile::tempfile().unwrap();
        assert!(Sealed::map(&file.into(), 0).unwrap_err().to_string().contains("not sealed"));
    }
}
