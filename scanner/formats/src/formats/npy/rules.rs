//! What an array file can be found to be, one page per rule.

use weighbridge_types::{Rule, Severity, Verdict};

/// Every rule of this format.
pub const ALL: &[&Rule] = &[&HEADER_EXPRESSION, &OBJECT_ARRAY, &SIZE_MISMATCH, &NON_FINITE];

/// The header is no literal.
pub static HEADER_EXPRESSION: Rule = Rule {
    id: "npy-header-expression",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the array header is an expression, not data",
    what: "The header of a .npy file must be a Python literal; this one holds calls or names.",
    why: "NumPy reads the header with `ast.literal_eval`, but other readers have used `eval`.",
    false_positives: "None known.",
    remedy: "Do not load the file.",
    references: &["https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html", "CWE-95"],
};

/// The array holds Python objects.
pub static OBJECT_ARRAY: Rule = Rule {
    id: "npy-object-array",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "the array holds pickled objects",
    what: "The element type is `object`, so the data is a pickle. What it does is judged by the rules for pickles.",
    why: "Loading it needs `allow_pickle=True`, which runs whatever the pickle says (CVE-2019-6446).",
    false_positives: "Arrays of strings or of arrays of different length.",
    remedy: "Prefer arrays of plain types.",
    references: &["CVE-2019-6446", "CWE-502"],
};

/// Shape and bytes disagree.
pub static SIZE_MISMATCH: Rule = Rule {
    id: "npy-trailing-data",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "bytes follow the array",
    what: "The file goes on behind the bytes that shape and element type account for.",
    why: "`numpy.load` ignores them; they may be meant for another reader.",
    false_positives: "Programs that append to the file.",
    remedy: "Nothing, if you know the program.",
    references: &["CWE-646"],
};

/// Weights that are no numbers.
pub static NON_FINITE: Rule = Rule {
    id: "npy-non-finite",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "most values are not finite",
    what: "More than half of the sampled values of a floating-point array are NaN or infinite.",
    why: "Such weights are of no use; they show damage or tampering.",
    false_positives: "Masks that use infinities.",
    remedy: "Compare the file with the publisher's.",
    references: &[],
};
