//! Memory that operations reuse from call to call.

use crate::{
    attention::{Angles, Item},
    product::Lines,
    segments::Piece,
};

/// Working memory of one caller. Give every operation of a model the same one:
/// it grows to what the largest needs and is then never allocated again.
#[derive(Default)]
pub struct Scratch {
    /// Quantised activations.
    pub(crate) lines: Lines,
    /// Each thread's queries and sums.
    pub(crate) workers: Vec<Lines>,
    /// Pages that a batch writes.
    pub(crate) marks: Vec<bool>,
    /// Pieces of a batch.
    pub(crate) items: Vec<Item>,
    /// Rotations of a batch.
    pub(crate) angles: Angles,
    /// Keys of a batch, turned.
    pub(crate) keys: Lines,
    /// Pieces of texts.
    pub(crate) pieces: Vec<Piece>,
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").field("bytes", &self.bytes()).finish()
    }
}

impl Scratch {
    /// Bytes it holds now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let workers: usize = self.workers.iter().map(Lines::bytes).sum();
        let items = self.items.capacity() * size_of::<Item>();
        let pieces = self.pieces.capacity() * size_of::<Piece>();
        self.lines.bytes() + workers + self.marks.capacity() + items + self.angles.bytes() + self.keys.bytes() + pieces
    }
}
