//! Compute kernels: packed integer matrix products, paged attention, a thread pool.
//!
//! Trust boundary: sizes, weights, token numbers and page numbers come from a
//! model or a request, so every public function checks them and returns an
//! error. Inside, pointers are used only after those checks. The crate knows
//! nothing of graphs, files or tokens' meaning.
//!
//! All instruction sets compute the same bits: integer block products are
//! exact, floating-point sums have one order, and that order depends neither
//! on the instruction set nor on how many rows are computed together.

mod attention;
mod error;
mod lanes;
pub mod layout;
mod math;
mod memory;
mod pool;
mod product;
mod rows;
mod scratch;
#[cfg(test)]
mod testing;

pub use attention::{AttentionShape, PAGE_TOKENS, PageStore, Segment, StoreShape, attention};
pub use error::KernelError;
pub use lanes::Isa;
pub use layout::Layout;
pub use memory::{Memory, read};
pub use pool::Pool;
pub use product::{Activation, Finish, Weights, gated_feed_forward, matmul};
pub use rows::{argmax, embed};
pub use scratch::Scratch;
