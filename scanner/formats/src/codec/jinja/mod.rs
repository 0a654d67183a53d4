//! Chat templates (Jinja2): attacks on the sandbox and hidden behaviour.
//!
//! Nothing is rendered. A tolerant lexer feeds a single walk that follows
//! constants through concatenation, filters, slices and variables, so that a
//! name is seen however it is spelt, and that knows which conditions look at
//! what users wrote.

pub mod rules;

mod access;
mod constant;
mod expression;
mod judge;
mod lexer;
mod names;
mod notes;
mod prose;
mod scope;
#[cfg(test)]
mod tests;
mod walk;

use crate::core::{FormatError, Inspection};
use walk::Walk;

/// Longest template that is walked, bytes; the longest published one has a
/// fifteenth of that.
const TEMPLATE_BYTES_MAX: usize = 1 << 20;

/// Inspects `template`, found in the field or file `place` of the current
/// content, and reports findings there.
pub fn inspect(ctx: &mut Inspection<'_>, template: &str, place: &str) {
    if template.len() > TEMPLATE_BYTES_MAX {
        ctx.stopped(&FormatError::limit("template_bytes_max", TEMPLATE_BYTES_MAX as u64));
        return;
    }
    if ctx.work(template.len() as u64 / 4).is_err() {
        ctx.stopped(&FormatError::limit("work_max", ctx.options().limits.work_max));
        return;
    }
    let mut walk = Walk::default();
    walk.run(template);
    for hit in walk.notes.hits {
        ctx.find(hit.rule, None, format!("`{place}`, line {}: {}", hit.line, hit.evidence));
    }
    if walk.notes.too_complex {
        ctx.find(&rules::TOO_COMPLEX, None, format!("`{place}`"));
    }
}
