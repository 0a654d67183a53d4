use jiff::Timestamp;
use serde_json::{Value, json};

use super::{TOOL, seconds};
use crate::report::bom::{Bill, ModelEntry, TEXT_CHARS_MAX, licences, strength, text};

/// Who says what a bill repeats (1.7): names and versions come from claims,
/// licences and ancestors from files.
pub fn of(bill: &Bill<'_>, now: Timestamp) -> Vec<Value> {
    let now = seconds(now);
    bill.models.iter().enumerate().flat_map(|(i, entry)| of_model(bill, entry, i, &now)).collect()
}

fn of_model(bill: &Bill<'_>, entry: &ModelEntry<'_>, i: usize, now: &str) -> Vec<Value> {
    let mut out = Vec::new();
    let mut cite = |field: &str, by: &str, note: &str| {
        out.push(json!({
            "pointers": [format!("/components/{i}/{field}")],
            "timestamp": now,
            "attributedTo": by,
            "note": text(note, TEXT_CHARS_MAX),
        }));
    };
    let claimed = [("purl", bill.purl(entry)), ("version", bill.claimed_revision(entry))];
    for (field, claim) in claimed {
        if let Some((claim, _)) = claim {
            cite(field, TOOL, &format!("{} ({}): {}", claim.source, strength(claim.strength), claim.detail));
        }
    }
    let by = |file: Option<usize>| file.and_then(|f| bill.files.get(f)).map_or(TOOL, |f| f.id.as_str());
    let (licences, file) = licences(bill, entry);
    if !licences.is_empty() {
        cite("licenses", by(file), "as the file says");
    }
    if !bill.ancestors(entry).is_empty() {
        let file = bill.fact(entry, "base_model").and_then(|f| f.file);
        cite("pedigree/ancestors", by(file), "as the file says");
    }
    out
}
