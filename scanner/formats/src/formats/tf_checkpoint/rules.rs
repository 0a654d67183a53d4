use weighbridge_types::{Rule, Severity, Verdict};

/// Rules of this format.
pub static ALL: &[&Rule] = &[&BAD_RANGE];

/// Entries that point to nowhere.
pub static BAD_RANGE: Rule = Rule {
    id: "tf-checkpoint-bad-range",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "checkpoint entry that lies nowhere",
    what: "An entry of the index names a data file that the header does not count, or a range beyond any file.",
    why: "Loaders add offset and size; a wrapped sum reads foreign memory.",
    false_positives: "None known from honest tools.",
    remedy: "Do not load the checkpoint.",
    references: &["CWE-125", "CWE-190"],
};
