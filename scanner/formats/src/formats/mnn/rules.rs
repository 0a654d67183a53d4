use weighbridge_types::{Rule, Severity, Verdict};

use crate::codec::flatbuffers::rules::{TRAILING_BYTES, TRAILING_CONTENT};

pub static ALL: &[&Rule] = &[&PLUGIN, &TRAILING_CONTENT, &TRAILING_BYTES];

/// An operator that a plugin runs.
pub static PLUGIN: Rule = Rule {
    id: "mnn-plugin-operator",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "operator that a plugin runs",
    what: "An operator of type `Plugin` or `Extra` names code that does not come with MNN.",
    why: "It runs only where an app has registered native code for it: code that was not inspected here.",
    false_positives: "Models converted with `--allowCustomOp`, and those compiled for a vendor's accelerator.",
    remedy: "Find out who publishes the plugin; take it from its publisher alone.",
    references: &["https://mnn-docs.readthedocs.io/en/latest/contribute/op.html"],
};
