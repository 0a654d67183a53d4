//! FlatBuffers (<https://flatbuffers.dev/internals>), read as the library's
//! own verifier reads them: every offset is held against the content before
//! it is followed.
//!
//! The reader never recurses: callers walk tables of known depth, or keep
//! their own list of what is still to visit. Self-referential offsets cost
//! steps, and steps are counted.

mod bytes;
pub mod rules;
mod table;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod trailing;

pub use table::{FlatBuffer, Table, Vector};
pub use trailing::inspect_trailing;
