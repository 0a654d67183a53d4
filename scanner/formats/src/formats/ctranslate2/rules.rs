use weighbridge_types::{Rule, Severity, Verdict};

pub static ALL: &[&Rule] = &[&OVERFLOW];

/// Dimensions whose product does not fit.
pub static OVERFLOW: Rule = Rule {
    id: "ctranslate2-shape-overflow",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a variable's shape overflows",
    what: "The product of a variable's dimensions does not fit 64 bits.",
    why: "Loaders that multiply without a check reserve too little memory and write beyond it.",
    false_positives: "None: no converter writes it.",
    remedy: "Do not load the file.",
    references: &["CWE-190"],
};
