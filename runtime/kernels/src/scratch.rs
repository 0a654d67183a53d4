//! Memory that operations reuse from call to call.

use crate::product::Lines;

/// Working memory of one caller. Give every operation of a model the same one:
/// it grows to what the largest needs and is then never allocated again.
#[derive(Default)]
pub struct Scratch {
    pub(crate) lines: Lines,
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
        self.lines.bytes()
    }
}
