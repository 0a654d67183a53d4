//! Programs, libraries, scripts and start-up hooks: no part of any model, but
//! what rides along with one in an archive. Inspected only beside a model.

mod hook;
mod native;
mod rules;
mod script;

pub use hook::HOOK;
pub use native::{ELF, MACH_O, PE, SHORTCUT};
pub use script::SCRIPT;

use crate::core::Inspection;

/// Reports what this is: suspicious in an archive with a model, worth knowing
/// in a folder with one.
fn report(ctx: &mut Inspection<'_>, what: &str) {
    let rule = if ctx.member().is_some() { &rules::IN_ARCHIVE } else { &rules::BESIDE };
    ctx.find(rule, 0, what);
}

#[cfg(test)]
mod tests;
