use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use weighbridge_formats::ReadAt;
use xxhash_rust::xxh3::xxh3_128;

/// Bytes fetched and fingerprinted at a time.
const BLOCK_BYTES: usize = 64 * 1024;
/// Blocks remembered by fingerprint: 64 GiB of parsed content.
const BLOCKS_MAX: usize = 1 << 20;
/// Blocks kept in memory, so that parsers going back and forth hit memory.
const CACHE_BLOCKS: usize = 32;

/// A large file read by parsers at any offset. What they were shown is
/// remembered by fingerprint, so that the pass that digests the file can tell
/// whether the digested bytes are the inspected bytes (CWE-367).
#[derive(Clone)]
pub struct FileSource {
    file: Rc<File>,
    state: Rc<RefCell<State>>,
}

#[derive(Default)]
struct State {
    seen: HashMap<u64, u128>,
    cache: Vec<(u64, Vec<u8>)>,
    clock: usize,
}

impl FileSource {
    pub fn new(file: File) -> Self {
        Self { file: Rc::new(file), state: Rc::default() }
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// Whether `block`, at block number `index`, is what parsers saw there.
    /// Blocks they never looked at agree with anything.
    pub fn agrees(&self, index: u64, block: &[u8]) -> bool {
        self.state.borrow().seen.get(&index).is_none_or(|seen| *seen == xxh3_128(block))
    }

    /// Bytes per block of [`Self::agrees`].
    pub const fn block_bytes() -> usize {
        BLOCK_BYTES
    }
}

impl ReadAt for FileSource {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
            let at = offset + done as u64;
            let index = at / BLOCK_BYTES as u64;
            let block = state.block(&self.file, index)?;
            let within = usize::try_from(at % BLOCK_BYTES as u64).unwrap_or(usize::MAX);
            let there = block.get(within..).unwrap_or_default();
            let n = there.len().min(rest.len());
            if n == 0 {
                break;
            }
            if let (Some(to), Some(from)) = (rest.get_mut(..n), there.get(..n)) {
                to.copy_from_slice(from);
            }
            done += n;
        }
        Ok(done)
    }
}

impl State {
    fn block(&mut self, file: &File, index: u64) -> io::Result<&[u8]> {
        let slot = match self.cache.iter().position(|(i, _)| *i == index) {
            Some(slot) => slot,
            None => self.fetch(file, index)?,
        };
        Ok(self.cache.get(slot).map(|(_, block)| block.as_slice()).unwrap_or_default())
    }

    fn fetch(&mut self, file: &File, index: u64) -> io::Result<usize> {
        let mut block = vec![0; BLOCK_BYTES];
        let n = read_full(file, index * BLOCK_BYTES as u64, &mut block)?;
        block.truncate(n);
        if self.seen.len() < BLOCKS_MAX {
            let print = xxh3_128(&block);
            if *self.seen.entry(index).or_insert(print) != print {
                return Err(io::Error::other("the file changed while it was inspected"));
            }
        }
        if self.cache.len() < CACHE_BLOCKS {
            self.cache.push((index, block));
            return Ok(self.cache.len() - 1);
        }
        self.clock = (self.clock + 1) % CACHE_BLOCKS;
        if let Some(slot) = self.cache.get_mut(self.clock) {
            *slot = (index, block);
        }
        Ok(self.clock)
    }
}

/// Fills `buf` from `offset`, fewer bytes only at the end of the file.
pub fn read_full(file: &File, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
        match file.read_at(rest, offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_block_that_changed_after_parsing_is_noticed() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; BLOCK_BYTES * 2]).unwrap();
        let source = FileSource::new(file.try_clone().unwrap());
        let mut buf = [0; 8];
        source.read_at(10, &mut buf).unwrap();
        assert!(source.agrees(0, &vec![7; BLOCK_BYTES]));
        assert!(!source.agrees(0, &vec![8; BLOCK_BYTES]));
        assert!(source.agrees(1, &vec![8; BLOCK_BYTES]), "never shown to a parser");
    }

    #[test]
    fn reads_cross_blocks_and_stop_at_the_end() {
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..BLOCK_BYTES + 100).map(|i| (i % 253) as u8).collect();
        file.write_all(&content).unwrap();
        let source = FileSource::new(file);
        let mut buf = vec![0; 300];
        let n = source.read_at(BLOCK_BYTES as u64 - 50, &mut buf).unwrap();
        assert_eq!(buf[..n], content[BLOCK_BYTES - 50..]);
    }
}
