//! XGBoost models: JSON and UBJSON of the same schema
//! (`doc/model.schema`), the binary of releases before 3.1, and text dumps.

mod binary;
mod rules;
mod schema;
#[cfg(test)]
mod tests;
mod trees;
mod ubjson;

use crate::codec::json;
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};

/// Largest JSON model read, bytes.
const JSON_BYTES_MAX: usize = 64 << 20;
/// Longest line of a text dump.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Start of UBJSON models: an object whose first key is `learner`.
const UBJSON: &[u8] = b"{L\0\0\0\0\0\0\0\x07learner";
/// Start of text dumps.
const DUMP: &[u8] = b"booster[0]:";

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "xgboost",
    name: "XGBoost",
    extensions: &["ubj", "xgb", "bst", "json", "model"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if sniff.starts_with(UBJSON) || is_json(sniff) {
        return Confidence::Certain;
    }
    let dump = sniff.starts_with(DUMP) && matches!(sniff.head.get(DUMP.len()), Some(b'\n' | b'\r'));
    if dump || binary::is_marked(sniff.head) || binary::is_plain(sniff.head) {
        Confidence::Likely
    } else {
        Confidence::No
    }
}

/// An object with the key `learner`, and keys that stand in it.
fn is_json(sniff: &Sniff<'_>) -> bool {
    let text = sniff.text();
    let versioned = text.starts_with(b"{\"version\":[") || text.starts_with(b"{\"version\": [");
    text.starts_with(b"{") && sniff.contains(b"\"learner\"") && (versioned || has_keys(sniff))
}

fn has_keys(sniff: &Sniff<'_>) -> bool {
    [b"\"gradient_booster\"".as_slice(), b"\"learner_model_param\"", b"\"feature_names\"", b"\"attributes\""]
        .iter()
        .filter(|key| sniff.contains(key))
        .count()
        >= 2
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let head = input.head(UBJSON.len()).map_err(|source| FormatError::Io { offset: 0, source })?;
    if head.starts_with(DUMP) {
        return dump(ctx, input);
    }
    if head.starts_with(b"{L") {
        let (document, end) = ubjson::read(ctx, input)?;
        schema::inspect(ctx, &document)?;
        if end < input.len() {
            ctx.find(&rules::TRAILING, end, format!("{} bytes follow the model", input.len() - end));
            ctx.child("trailing", &input.tail_from(end));
        }
        return Ok(());
    }
    if head.trim_ascii_start().starts_with(b"{") || head.starts_with(b"\xef\xbb\xbf") {
        let document = json::parse(input, JSON_BYTES_MAX)?;
        for (path, _) in document.duplicates.iter().take(8) {
            ctx.find(&rules::DUPLICATE_KEY, None, format!("`{path}`"));
        }
        return schema::inspect(ctx, &document.value);
    }
    binary::inspect(ctx, input)
}

/// `booster[n]:` lines, each followed by the nodes of a tree.
fn dump(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    let mut trees = 0u64;
    while !r.at_end() {
        ctx.work(1)?;
        // The last line may have no end.
        let Ok(line) = r.line(LINE_BYTES_MAX, "line") else { break };
        trees += u64::from(line.starts_with(b"booster["));
    }
    ctx.fact("trees", trees);
    Ok(())
}
