//! Tensors as they are stored, and their way into packed layouts.

mod blocks;
mod pack;
mod stored;
#[cfg(test)]
mod tests;

pub(crate) use pack::{Extent, Packer, Plan, plan};
pub(crate) use stored::{Described, Kind, ROW_MAX, Rows, Tensors};
