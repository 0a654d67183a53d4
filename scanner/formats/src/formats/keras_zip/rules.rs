use weighbridge_types::{Rule, Severity, Verdict};

use crate::codec::marshal;

/// Every rule of the format; those of the configuration stand with it.
pub const ALL: &[&Rule] = &[&DUPLICATE_CONFIG, &marshal::DANGEROUS_CODE];

pub static DUPLICATE_CONFIG: Rule = Rule {
    id: "keras-duplicate-config",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the archive holds more than one configuration",
    what: "Several members of the archive are called `config.json`.",
    why: "Python's `zipfile`, and with it Keras, opens the last one; a scanner or a person unpacking the archive sees \
          another.",
    false_positives: "None from Keras, which writes one.",
    remedy: "Do not load the file.",
    references: &["CWE-694", "CWE-436"],
};
