//! Protocol Buffers: the wire format (protobuf.dev, "Encoding") walked lazily,
//! and the text format.
//!
//! A [`Message`] is a pair of offsets. Its fields are read one after the other
//! through one shared [`Reader`]; bodies of length-delimited fields are
//! stepped over, so a tensor of many gigabytes costs nothing. Callers carry
//! the depth of messages they enter and refuse more than [`DEPTH_MAX`].
//!
//! Callers keep to what real decoders do: the last value of a singular field
//! counts, repeated singular messages are merged (visit each occurrence with
//! the same accumulator), a field of unexpected wire type is unknown and
//! skipped (match on number *and* [`Value`]).

mod peek;
pub mod text;
mod wire;

pub use peek::{Peek, Peeked, PeekedValue, is_identifier, is_text};
pub use wire::{Field, Fields, Message, Value};

/// Messages in messages; the limit of the reference decoders.
pub const DEPTH_MAX: u32 = 100;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
