//! Chat templates (Jinja2): attacks on the sandbox and hidden behaviour.

use crate::core::Inspection;

/// Inspects `template`, found in the field or file `place` of the current
/// content, and reports findings there.
pub fn inspect(_ctx: &mut Inspection<'_>, _template: &str, _place: &str) {}
