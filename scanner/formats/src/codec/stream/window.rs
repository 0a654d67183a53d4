use std::io::{self, Read};

use crate::codec::stream::CHUNK_BYTES;
use crate::core::ReadAt;

/// Bytes behind the reader that can be read again without a restart.
const BEHIND_BYTES: usize = 1 << 20;

/// The last part of a stream read so far.
#[derive(Default)]
pub(super) struct Window {
    bytes: Vec<u8>,
    start: u64,
}

impl Window {
    /// A window that starts with what was read already.
    pub(super) fn holding(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }

    /// Offset after the last byte read.
    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Whether `offset` was read and forgotten.
    pub(super) fn is_behind(&self, offset: u64) -> bool {
        offset < self.start
    }

    /// Reads one chunk, then forgets what lies far before `needed`. Returns
    /// the bytes read, 0 at the end.
    pub(super) fn advance(&mut self, reader: &mut dyn Read, needed: u64) -> io::Result<usize> {
        let old = self.bytes.len();
        self.bytes.resize(old + CHUNK_BYTES, 0);
        let read = loop {
            match reader.read(self.bytes.get_mut(old..).unwrap_or_default()) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.bytes.truncate(old + *read.as_ref().unwrap_or(&0));
        self.forget_before(needed);
        read
    }

    /// Copies what is there from `offset` on.
    pub(super) fn copy(&self, offset: u64, buf: &mut [u8]) -> usize {
        offset.checked_sub(self.start).and_then(|from| self.bytes.read_at(from, buf).ok()).unwrap_or(0)
    }

    fn forget_before(&mut self, needed: u64) {
        let wanted = needed.saturating_sub(BEHIND_BYTES as u64).saturating_sub(self.start);
        let drop = usize::try_from(wanted).unwrap_or(usize::MAX).min(self.bytes.len());
        if drop >= BEHIND_BYTES || drop == self.bytes.len() {
            self.bytes.drain(..drop);
            self.start += drop as u64;
        }
    }
}
