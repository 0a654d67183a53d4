//! Products of activations with packed weights.
//!
//! Integer layouts quantise activations to 8 bits per 32 inputs (largest
//! magnitude becomes 127, halves to even). A block's integer product is exact;
//! blocks are added in order, each by one fused multiply and add of
//! `product * (weight scale * input scale)`; `q4a` then subtracts
//! `minimum * (input scale * sum of inputs)`. `f16` keeps activations in f32 and
//! adds even and odd inputs apart, the two sums last. Bias, cap and activation
//! follow in f32. A row's result does not depend on the rows beside it.

mod panel;
mod tile;

#[cfg(test)]
mod tests;

use std::ops::Range;

pub(crate) use panel::Lines;
use panel::Panel;

use crate::{
    Isa, KernelError, Layout, Pool,
    error::length,
    layout::{GROUP_ROWS, blocks},
    pool::{Shareable, part},
    scratch::Scratch,
};

/// What bends outputs, or gates a feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x / (1 + e^-x).
    Silu,
    /// GELU by its tanh form.
    GeluTanh,
    /// GELU by the error function.
    Gelu,
    /// max(x, 0).
    Relu,
}

impl Activation {
    /// The activation that graphs call `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "silu" => Self::Silu,
            "gelu_tanh" => Self::GeluTanh,
            "gelu" => Self::Gelu,
            "relu" => Self::Relu,
            _ => return None,
        })
    }
}

/// Packed weights of `rows` outputs by `inputs`.
#[derive(Debug, Clone, Copy)]
pub struct Weights<'a> {
    /// How the bytes lie.
    pub layout: Layout,
    /// The true number of rows; bytes hold them padded to a multiple of 16.
    pub rows: usize,
    /// Inputs of a row, a multiple of 32.
    pub inputs: usize,
    /// [`Layout::packed_bytes`] of them; for [`gated_feed_forward`] twice that.
    pub bytes: &'a [u8],
}

/// What a product does besides.
#[derive(Debug, Clone, Copy, Default)]
pub struct Finish<'a> {
    /// Added to each output row.
    pub bias: Option<&'a [f32]>,
    /// Outputs become cap * tanh(x / cap); 0 for none.
    pub softcap: f32,
    /// Bends outputs, last.
    pub activation: Option<Activation>,
}

/// `out[m][rows] = x[m][inputs] * weights`, `m` being `x.len() / inputs`.
///
/// # Errors
/// Where lengths do not fit each other.
pub fn matmul(
    pool: &Pool,
    isa: Isa,
    weights: Weights<'_>,
    x: &[f32],
    finish: Finish<'_>,
    out: &mut [f32],
    scratch: &mut Scratch,
) -> Result<(), KernelError> {
    length("packed weights", weights.bytes.len(), weights.layout.packed_bytes(weights.rows, weights.inputs)?)?;
    if let Some(bias) = finish.bias {
        length("bias", bias.len(), weights.rows)?;
    }
    product(pool, isa, weights, x, finish, None, out, scratch)
}

/// `out[m][rows] = activation(x * gate) * (x * up)`. `weights.bytes` holds the
/// groups of gate and up by turns, gate first; `weights.rows` counts one of them.
///
/// # Errors
/// Where lengths do not fit each other.
pub fn gated_feed_forward(
    pool: &Pool,
    isa: Isa,
    weights: Weights<'_>,
    activation: Activation,
    x: &[f32],
    out: &mut [f32],
    scratch: &mut Scratch,
) -> Result<(), KernelError> {
    let padded = weights.rows.next_multiple_of(GROUP_ROWS);
    let both = padded.checked_mul(2).ok_or(KernelError::TooLarge { rows: weights.rows, inputs: weights.inputs })?;
    length("packed weights", weights.bytes.len(), weights.layout.packed_bytes(both, weights.inputs)?)?;
    product(pool, isa, weights, x, Finish::default(), Some(activation), out, scratch)
}

#[expect(clippy::too_many_arguments, reason = "the two operations above, joined")]
fn product(
    pool: &Pool,
    isa: Isa,
    weights: Weights<'_>,
    x: &[f32],
    finish: Finish<'_>,
    gate: Option<Activation>,
    out: &mut [f32],
    scratch: &mut Scratch,
) -> Result<(), KernelError> {
    let Weights { layout, rows, inputs, bytes } = weights;
    let m = x.len() / inputs.max(1);
    length("x", x.len(), m * inputs)?;
    length("out", out.len(), m.checked_mul(rows).ok_or(KernelError::TooLarge { rows: m, inputs: rows })?)?;
    if m == 0 || rows == 0 {
        return Ok(());
    }
    let panel = Panel::fill(pool, isa, layout, x, m, blocks(inputs)?, &mut scratch.lines)?;
    let job = Job {
        panel,
        weights: bytes.as_ptr(),
        rows,
        bias: finish.bias.map_or(std::ptr::null(), <[f32]>::as_ptr),
        softcap: finish.softcap,
        activation: finish.activation,
        gate,
        out: out.as_mut_ptr(),
    };
    let groups = rows.div_ceil(GROUP_ROWS);
    // Enough parts that a thread which loses its core delays little, not so
    // few groups each that claiming them costs.
    let parts = if pool.threads() == 1 { 1 } else { (groups / 4).clamp(1, pool.threads() * 8) };
    let job = Shareable::new((&raw const job).cast_mut());
    pool.run(parts, |i| {
        // SAFETY: lengths were checked above against `rows`, `inputs` and
        // `m`; `Panel::fill` wrote the panel for this instruction set; parts
        // are disjoint groups, hence disjoint columns of `out`; `job` lives
        // on this frame until `run` returns.
        unsafe { run(isa, &*job.get(), part(groups, parts, i)) }
    });
    Ok(())
}

/// A product, all sizes checked.
pub(crate) struct Job<'a> {
    panel: Panel<'a>,
    weights: *const u8,
    rows: usize,
    bias: *const f32,
    softcap: f32,
    activation: Option<Activation>,
    gate: Option<Activation>,
    out: *mut f32,
}

crate::lanes::dispatch! {
    /// Computes the columns of some groups.
    ///
    /// # Safety
    /// The job's pointers must reach what its sizes say, and nobody else may
    /// touch those columns of `out`.
    unsafe fn run(job: &Job<'_>, groups: Range<usize>) = tile::groups
}
