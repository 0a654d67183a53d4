//! MessagePack (<https://github.com/msgpack/msgpack/blob/master/spec.md>), one
//! event per value, in a loop: nesting costs a counter on a bounded stack,
//! never the program's own.

#[cfg(test)]
mod tests;
mod walk;

pub use walk::{Event, Scalar, Step, Walker};
