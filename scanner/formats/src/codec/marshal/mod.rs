//! CPython `marshal` streams: code objects of any version.
//!
//! The format changes with every minor release and a stream says nothing
//! about which one wrote it; the layouts known (Python 2, 3.0, 3.8 and 3.11
//! on) are tried in turn. Bytecode is not read: what code can reach stands in
//! its names and constants.

mod judge;
mod parse;
#[cfg(test)]
mod tests;

use weighbridge_types::{Rule, Severity, Verdict};

use crate::core::Inspection;

pub use judge::{Danger, danger_in_bytes, danger_in_text};
pub use parse::{Code, read};

/// Rules that whoever calls [`inspect`] must list among its own.
pub const RULES: &[&Rule] = &[&DANGEROUS_CODE];

/// Stored code reaches outside the model.
pub static DANGEROUS_CODE: Rule = Rule {
    id: "marshal-dangerous-code",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "stored Python bytecode reaches outside the model",
    what: "A CPython code object stored in the file (a Lambda layer, a function in a pickle) names things that start \
           programs, open connections or files, import modules or run text as code.",
    why: "The loader rebuilds a function from it and calls it: whoever wrote the file runs code on the machine that \
          loads it, with all rights of the user.",
    false_positives: "Code that was stored with its helper functions, such as one that reads a vocabulary file. Look \
                      at the names in the evidence.",
    remedy: "Do not load the file. Ask the publisher for one without stored code: weights and a named layer class.",
    references: &["CVE-2024-3660", "CVE-2025-9905", "https://docs.python.org/3/library/marshal.html", "CWE-502"],
};

/// As [`inspect`] for a whole compiled module, which imports, opens and starts
/// things honestly: only what no module needs is reported.
pub fn inspect_module(ctx: &mut Inspection<'_>, bytes: &[u8], place: &str) -> bool {
    let Some(code) = read(bytes) else { return false };
    if let Some(danger) = judge::judge_module(&code) {
        ctx.find(&DANGEROUS_CODE, None, format!("{place}: {} {danger}", code.title()));
    }
    true
}

/// Inspects marshalled code found in `place` of the current content and
/// reports what it imports and calls. Returns whether `bytes` held a code
/// object.
pub fn inspect(ctx: &mut Inspection<'_>, bytes: &[u8], place: &str) -> bool {
    let Some(code) = read(bytes) else { return false };
    if let Some(danger) = judge::judge(&code) {
        ctx.find(&DANGEROUS_CODE, None, format!("{place}: {} {danger}", code.title()));
    }
    true
}
