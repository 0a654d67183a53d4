use std::io;

use sha2::{Digest, Sha256};

use crate::ImportError;
use crate::manifest::{FileEntry, hex};

/// Where an imported model goes: files by name, each written front to back,
/// one after the other.
pub trait Sink {
    /// Appends `bytes` to `file`; the first call for a name begins the file.
    ///
    /// # Errors
    /// Whatever the destination reports; the import stops.
    fn append(&mut self, file: &'static str, bytes: &[u8]) -> io::Result<()>;
}

/// One file on its way to the sink, hashed as it passes.
pub(crate) struct Output<'a> {
    sink: &'a mut dyn Sink,
    file: &'static str,
    hash: Sha256,
    len: u64,
}

impl<'a> Output<'a> {
    pub(crate) fn new(sink: &'a mut dyn Sink, file: &'static str) -> Self {
        Self { sink, file, hash: Sha256::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        self.sink.append(self.file, bytes).map_err(|source| ImportError::Write { file: self.file, source })?;
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Fills up with zeros to a multiple of `alignment`.
    pub(crate) fn align(&mut self, alignment: u64) -> Result<(), ImportError> {
        let zeros = [0; 4096];
        let mut missing = self.len.next_multiple_of(alignment) - self.len;
        while missing > 0 {
            let n = usize::try_from(missing).unwrap_or(usize::MAX).min(zeros.len());
            self.write(zeros.get(..n).unwrap_or_default())?;
            missing -= n as u64;
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> FileEntry {
        let digest: [u8; 32] = self.hash.finalize().into();
        FileEntry { name: self.file.to_owned(), size_bytes: self.len, sha256: hex(&digest) }
    }

    /// Writes a whole file.
    pub(crate) fn whole(sink: &'a mut dyn Sink, file: &'static str, bytes: &[u8]) -> Result<FileEntry, ImportError> {
        let mut output = Self::new(sink, file);
        output.write(bytes)?;
        Ok(output.finish())
    }
}
