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

mod error;
pub mod layout;
#[cfg(test)]
mod testing;

pub use error::KernelError;
pub use layout::Layout;
