use weighbridge_types::{Rule, Severity, Verdict};

use crate::codec::flatbuffers::rules::{TRAILING_BYTES, TRAILING_CONTENT};

pub static ALL: &[&Rule] = &[&SECTION_OUTSIDE, &TRAILING_CONTENT, &TRAILING_BYTES];

/// A section beyond the end.
pub static SECTION_OUTSIDE: Rule = Rule {
    id: "litertlm-section-outside",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "section outside the file",
    what: "A section of the bundle begins after it ends, or ends beyond the end of the file.",
    why: "Runtimes map the file and read there.",
    false_positives: "A download that was cut off.",
    remedy: "Fetch the file again and compare its digest.",
    references: &["CWE-125"],
};
