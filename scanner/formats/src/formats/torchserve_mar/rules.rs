use weighbridge_types::{Rule, Severity, Verdict};

/// Every rule of this format.
pub const ALL: &[&Rule] = &[&OUTSIDE_FILE];

/// The manifest names a file outside.
pub static OUTSIDE_FILE: Rule = Rule {
    id: "mar-names-outside-file",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the manifest names a file outside the archive",
    what: "The handler, weights or another file of the manifest has an absolute path or climbs out with `..`.",
    why: "The server would import or unpickle a file of the machine instead of one that was inspected.",
    false_positives: "None known from torch-model-archiver.",
    remedy: "Do not serve the archive.",
    references: &["CVE-2023-48299", "CWE-22"],
};
