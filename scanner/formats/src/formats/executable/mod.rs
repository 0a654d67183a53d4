//! Programs, libraries and scripts: no part of any model, but
//! what rides along with one in an archive. Inspected only beside a model.

mod native;
mod rules;
mod script;

pub use native::{ELF, MACH_O, PE, SHORTCUT};
pub use script::SCRIPT;

use crate::core::Inspection;

/// Reports what this is: suspicious under a model's name, in an archive with a
/// model, and as a module that Python imports; worth knowing else.
fn report(ctx: &mut Inspection<'_>, what: &str) {
    let name = ctx.name().as_str();
    let is_module = name.ends_with(".pyd")
        || (name.ends_with(".so") && [".cpython-", ".abi3.", ".pypy"].iter().any(|tag| name.contains(tag)));
    let rule = if ctx.claims_model() {
        &rules::UNDER_MODEL_NAME
    } else if ctx.member().is_some() {
        &rules::IN_ARCHIVE
    } else if is_module {
        &rules::NATIVE_MODULE
    } else {
        &rules::BESIDE
    };
    ctx.find(rule, 0, what);
}

/// What [`report`] can raise.
const REPORTED: &[&weighbridge_types::Rule] =
    &[&rules::UNDER_MODEL_NAME, &rules::IN_ARCHIVE, &rules::NATIVE_MODULE, &rules::BESIDE];

#[cfg(test)]
mod tests;
