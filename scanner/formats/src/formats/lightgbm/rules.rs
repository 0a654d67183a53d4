use weighbridge_types::{Rule, Severity, Verdict};

pub static ALL: &[&Rule] = &[&BAD_COUNT];

/// A count that sizes memory is absurd.
pub static BAD_COUNT: Rule = Rule {
    id: "lightgbm-bad-count",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a count in the header is negative or absurd",
    what: "`num_class`, `max_feature_idx` or `num_tree_per_iteration` is negative, over 2^24, or no number.",
    why: "The loader reserves memory by these numbers before it reads the trees.",
    false_positives: "None: no trainer writes it.",
    remedy: "Do not load the file.",
    references: &["CWE-789"],
};
