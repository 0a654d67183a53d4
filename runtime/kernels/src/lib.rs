//! Compute kernels: packed integer matrix products, attention over pages and
//! within texts, norms, a thread pool.
//!
//! Trust boundary: sizes, weights, token numbers and page numbers come from a
//! model or a request, so every public function checks them and returns an
//! error. Inside, pointers are used only after those checks. The crate knows
//! nothing of graphs, files or tokens' meaning.
//!
//! All instruction sets compute the same bits: integer block products are
//! exact, floating-point sums have one order, and that order depends neither
//! on the instruction set nor on how many rows are computed together.
//!
//! ```
//! use weighbridge_kernels::{
//!     AttentionShape, Finish, Isa, Layout, PageStore, Pool, Scratch, Segment, StoreShape, Weights, attention, layout, matmul,
//! };
//!
//! // Once per worker, before its sandbox forbids new threads.
//! let (pool, isa, mut scratch) = (Pool::new(2)?, Isa::detect(), Scratch::default());
//!
//! // At import: pack. In the worker: multiply.
//! let (rows, inputs) = (4 * 16, 64);
//! let mut bytes = vec![0; Layout::Q8.packed_bytes(rows, inputs)?];
//! layout::quantise_rows(Layout::Q8, &vec![0.1; rows * inputs], rows, inputs, &mut bytes)?;
//! let weights = Weights { layout: Layout::Q8, rows, inputs, bytes: &bytes };
//! let (tokens, x) = (3, vec![1.0; 3 * inputs]);
//! let mut qkv = vec![0.0; tokens * rows];
//! matmul(&pool, isa, weights, &x, Finish::default(), &mut qkv, &mut scratch)?;
//! assert!(qkv.iter().all(|v| (v - 6.4).abs() < 0.01));
//!
//! // Two query heads, one key head; one sequence of three new tokens in page 5.
//! let shape = AttentionShape {
//!     heads: 2, kv_heads: 1, head_size: 16, inv_freq: &[1.0, 0.1], interleaved: false, rope_scale: 1.0,
//!     q_norm: None, k_norm: None, norm_epsilon: 1e-6, scale: 0.25, window: 0, softcap: 0.0,
//! };
//! let mut store = PageStore::new(StoreShape { layers: 1, kv_heads: 1, head_size: 16, pages: 8 })?;
//! let segments = [Segment { first_row: 0, rows: tokens, past: 0, pages: &[5] }];
//! let mut out = vec![0.0; tokens * 2 * 16];
//! attention(&pool, isa, &shape, &mut store, 0, &segments, &qkv, &mut out, &mut scratch)?;
//! assert!(out.iter().all(|v| (v - 6.4).abs() < 0.01));
//! # Ok::<(), weighbridge_kernels::KernelError>(())
//! ```

mod attention;
mod error;
mod lanes;
pub mod layout;
mod math;
mod memory;
mod norm;
mod pool;
mod product;
mod rows;
mod scratch;
mod segments;
#[cfg(test)]
mod testing;

pub use attention::{AttentionShape, PAGE_TOKENS, PageStore, Segment, StoreShape, attention};
pub use error::KernelError;
pub use lanes::Isa;
pub use layout::Layout;
pub use memory::{Memory, read};
pub use norm::{Norm, add_norm};
pub use pool::Pool;
pub use product::{Activation, Finish, Weights, gated_feed_forward, matmul};
pub use rows::{argmax, embed};
pub use scratch::Scratch;
pub use segments::{SegmentShape, segment_attention};
