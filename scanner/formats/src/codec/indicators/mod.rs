//! Secrets and network indicators in the text that stands in and beside
//! models: metadata, configurations, templates.
//!
//! Ordinary links are no indicator. A secret counts when its shape, alphabet
//! and randomness fit its issuer's format and it is no placeholder; evidence
//! never repeats it.

mod network;
pub mod rules;
mod secrets;

use serde_json::Value;

use crate::codec::config::{Place, walk};
use crate::core::{FormatError, Inspection};

/// Most findings raised for one text.
const FINDINGS_MAX: usize = 16;
/// Shortest text that can hold an indicator.
const TEXT_BYTES_MIN: usize = 12;

/// Reports secrets and network indicators in `text`, found in the field or
/// file `place` of the current content. Time is linear in the text.
pub fn inspect_text(ctx: &mut Inspection<'_>, text: &str, place: &str) {
    if text.len() < TEXT_BYTES_MIN {
        return;
    }
    for secret in secrets::find(text, FINDINGS_MAX) {
        ctx.find(secret.rule, None, format!("{place}: {} {}", secret.kind, secret.redacted));
    }
    for hit in network::find(text, FINDINGS_MAX) {
        ctx.find(hit.rule, None, format!("{place}: `{}` ({})", hit.shown, hit.why));
    }
}

/// As [`inspect_text`], for every text in `value`.
///
/// # Errors
/// When the work budget is spent.
pub fn inspect_value(ctx: &mut Inspection<'_>, value: &Value) -> Result<(), FormatError> {
    let mut texts = 0usize;
    walk(ctx, &Place::root(""), value, &mut |ctx, place, value| {
        if let Value::String(text) = value
            && text.len() >= TEXT_BYTES_MIN
            && texts < 100_000
        {
            texts += 1;
            // Most texts hold nothing: the path is only written for those that do.
            if secrets::may_hold(text) || network::may_hold(text) {
                inspect_text(ctx, text, &place.to_string());
            }
        }
    })
}

#[cfg(test)]
mod tests;
