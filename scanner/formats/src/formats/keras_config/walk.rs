//! The walk over a whole configuration, and what its texts give away.

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;
use weighbridge_types::Rule;

use super::{blob, names, object, rules};
use crate::codec::json::Document;
use crate::codec::marshal;
use crate::core::{FormatError, Inspection};

/// Keys whose texts are words of a vocabulary, not names of anything.
const WORD_KEYS: &[&str] =
    &["vocabulary", "word_counts", "word_docs", "index_docs", "index_word", "word_index", "label_lookup", "merges"];
/// Keys whose texts name a function to call.
const CALL_KEYS: &[&str] = &[
    "activation",
    "recurrent_activation",
    "function",
    "loss",
    "metrics",
    "optimizer",
    "initializer",
    "kernel_initializer",
    "bias_initializer",
    "registered_name",
    "call_fn",
    "init_fn",
    "fn",
    "class_name",
];
/// Keys whose texts name a module to import.
const MODULE_KEYS: &[&str] = &["module", "function_module", "output_shape_module", "mask_module", "fn_module"];
/// Longest text shown as evidence, characters.
const SHOWN_CHARS_MAX: usize = 160;
/// Most findings of one walk; the same object in a hundred layers is one.
const FINDINGS_MAX: usize = 100;
/// Shortest run of base64 in a document that cannot be parsed.
const RUN_BYTES_MIN: usize = 64;

/// Where in a configuration something stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'v> {
    /// The attribute or member that holds the configuration.
    pub what: &'v str,
    /// Name of the nearest layer or model around it.
    pub layer: &'v str,
    /// The nearest key around it.
    pub key: &'v str,
    /// Inside the stored function of a Lambda, which is looked at as a whole.
    pub in_code: bool,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        if !self.layer.is_empty() {
            write!(f, ": `{}`", shown(self.layer))?;
        }
        Ok(())
    }
}

/// The context of one walk.
pub(super) struct Walker<'c, 'a> {
    pub ctx: &'c mut Inspection<'a>,
    reported: HashSet<(&'static str, String)>,
}

impl Walker<'_, '_> {
    /// Reports `rule` once for each `subject`.
    pub fn find(&mut self, rule: &'static Rule, subject: &str, place: Place<'_>, detail: impl fmt::Display) {
        if self.reported.len() < FINDINGS_MAX && self.reported.insert((rule.id, shown(subject))) {
            self.ctx.find(rule, None, format!("{place}: {detail}"));
        }
    }
}

/// Walks `document`, replaced duplicates included.
pub(super) fn walk(ctx: &mut Inspection<'_>, document: &Document, what: &str) -> Result<(), FormatError> {
    let mut walker = Walker { ctx, reported: HashSet::new() };
    let root = Place { what, layer: "", key: "", in_code: false };
    let mut pending = vec![(&document.value, root)];
    for (path, replaced) in &document.duplicates {
        let key = path.rsplit('.').next().unwrap_or_default();
        walker.find(&rules::DUPLICATE_KEYS, key, root, format_args!("`{}` occurs twice", shown(path)));
        pending.push((replaced, Place { key, ..root }));
    }
    while let Some((value, place)) = pending.pop() {
        walker.ctx.work(1)?;
        match value {
            Value::Object(map) => {
                let name = map.get("config").and_then(|c| c.get("name")).or(map.get("name")).and_then(Value::as_str);
                let here = Place { layer: name.unwrap_or(place.layer), ..place };
                let holds_code = object::check(&mut walker, map, here);
                let named = map.get("class_name").is_some_and(Value::is_string);
                for (key, value) in map {
                    // What an object's name means was judged with the object.
                    if named && matches!(key.as_str(), "class_name" | "module" | "registered_name" | "spec_name") {
                        continue;
                    }
                    pending.push((value, Place { key, in_code: place.in_code || holds_code, ..here }));
                }
            }
            Value::Array(items) => pending.extend(items.iter().map(|item| (item, place))),
            Value::String(text) => check_text(&mut walker, text, place),
            _ => {}
        }
    }
    Ok(())
}

fn check_text(walker: &mut Walker<'_, '_>, text: &str, place: Place<'_>) {
    if place.in_code && matches!(place.key, "function" | "code" | "value" | "output_shape" | "mask")
        || WORD_KEYS.contains(&place.key)
    {
        return;
    }
    let key = shown(place.key);
    if MODULE_KEYS.contains(&place.key) && names::meaning(Some(text), "", None, false) == names::Meaning::Unsafe {
        walker.find(&rules::UNSAFE_REFERENCE, text, place, format_args!("module `{}`", shown(text)));
    } else if MODULE_KEYS.contains(&place.key) && place.in_code {
        // The bytes of a wrapped module, looked at with its layer.
    } else if CALL_KEYS.contains(&place.key) && names::is_dangerous_call(text) {
        walker.find(&rules::UNSAFE_REFERENCE, text, place, format_args!("`{key}` is `{}`", shown(text)));
    } else if blob::inspect_text(walker.ctx, text, &format!("{key} of {}", shown(place.layer))) {
        walker.find(&rules::EMBEDDED_CONTENT, text, place, format_args!("`{key}` holds encoded content"));
    } else if let Some(piece) = marshal::danger_in_text(text) {
        let detail = format!("`{key}` holds `{piece}`: `{}`", shown(text));
        walker.find(&rules::CODE_TEXT, text, place, detail);
    }
}

/// Searches a document that is no JSON for what would matter in it: a loader
/// more lenient than this parser may read it.
pub(super) fn search_text(ctx: &mut Inspection<'_>, bytes: &[u8], what: &str) {
    let text = String::from_utf8_lossy(bytes);
    let mut walker = Walker { ctx, reported: HashSet::new() };
    let place = Place { what, layer: "", key: "", in_code: false };
    for mark in ["\"Lambda\"", "\"__lambda__\""] {
        if text.contains(mark) {
            walker.find(&rules::LAMBDA, mark, place, format_args!("{mark} in a document that cannot be parsed"));
        }
    }
    if let Some(piece) = marshal::danger_in_text(&text) {
        walker.find(&rules::CODE_TEXT, piece, place, format_args!("`{piece}` in a document that cannot be parsed"));
    }
    let is_encoded = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    for run in text.split(|c| !is_encoded(c)).filter(|run| run.len() >= RUN_BYTES_MIN) {
        blob::inspect_text(walker.ctx, run, what);
    }
}

/// `text` as evidence.
pub(super) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}
