//! Memory on its way to being sealed.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::FallocateFlags;

use super::area::{Area, HUGE_BYTES, into_huge_page};

/// New memory that is filled block by block and then sealed. It lies in huge
/// pages from the beginning where the system can: filling small pages and
/// putting them together afterwards takes five times as long.
#[derive(Debug)]
pub struct Filling {
    file: File,
    /// None for no bytes.
    area: Option<Area>,
}

impl Filling {
    /// Length of all blocks but the last.
    pub const BLOCK_BYTES: usize = HUGE_BYTES;

    /// Memory of `size_bytes` zeros; `name` shows in /proc.
    ///
    /// # Errors
    /// What memfd_create(2), ftruncate(2) and mmap(2) report.
    pub fn create(name: &str, size_bytes: u64) -> io::Result<Self> {
        let file = super::create(name)?;
        file.set_len(size_bytes)?;
        let length = usize::try_from(size_bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let area = if length == 0 { None } else { Some(Area::map_writable(file.as_fd(), length)?) };
        Ok(Self { file, area })
    }

    /// All of it, front to back, in blocks that need no memory before they are
    /// taken from here.
    ///
    /// # Errors
    /// What fallocate(2) reports: there is no more memory.
    pub fn blocks(&mut self) -> impl Iterator<Item = io::Result<&mut [u8]>> {
        let Self { file, area } = self;
        let content: &mut [u8] = match area {
            // SAFETY: mapped writable in `create`, over all of a file of that length
            // that nobody else has: it leaves this struct when it is sealed.
            Some(area) => unsafe { area.bytes_mut() },
            None => &mut [],
        };
        content.chunks_mut(Self::BLOCK_BYTES).zip(0_u64..).map(|(block, number)| {
            // An error here, where touching it first would end the process.
            let (at, length) = (number * Self::BLOCK_BYTES as u64, block.len().min(1) as u64);
            rustix::fs::fallocate(&*file, FallocateFlags::empty(), at, length)?;
            into_huge_page(block);
            Ok(block)
        })
    }

    /// Ends the filling: nobody changes it from here on.
    ///
    /// # Errors
    /// What fcntl(2) reports.
    pub fn seal(self) -> io::Result<File> {
        let Self { file, area } = self;
        // Sealing is refused as long as it is mapped writable.
        drop(area);
        super::seal(&file)?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::Sealed;

    #[test]
    fn nothing_can_be_filled() {
        let mut none = Filling::create("test", 0).unwrap();
        assert_eq!(none.blocks().count(), 0);
        let sealed = Sealed::map(&none.seal().unwrap().into(), 0).unwrap();
        assert_eq!(sealed.bytes(), b"");
    }

    #[test]
    fn more_than_there_are_addresses_is_refused() {
        assert!(Filling::create("test", u64::MAX).is_err());
        assert!(Filling::create("test", 1 << 62).is_err());
    }
}
