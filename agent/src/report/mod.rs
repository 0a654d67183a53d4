//! Renderings of a scan report, one file each.

mod bom;
mod cyclonedx;
mod inventory;
mod json;
mod junit;
mod markdown;
mod sarif;
mod spdx3;
mod table;
mod text;

pub use cyclonedx::{SpecVersion, cyclonedx};
pub use inventory::inventory;
pub use json::json;
pub use junit::junit;
pub use markdown::markdown;
pub use sarif::sarif;
pub use spdx3::spdx3;
pub use table::table;
pub use text::{bold, dim, good, ill, severity_style, size, verdict_style, wrapped};

#[cfg(test)]
mod tests;
