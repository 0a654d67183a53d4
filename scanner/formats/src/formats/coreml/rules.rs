use weighbridge_types::{Rule, Severity, Verdict};

/// Rules of this format.
pub static ALL: &[&Rule] = &[&CUSTOM_LAYER, &CUSTOM_MODEL, &LINKED_MODEL, &PATH_OUTSIDE];

/// Layers that the application implements.
pub static CUSTOM_LAYER: Rule = Rule {
    id: "coreml-custom-layer",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "custom layer",
    what: "A layer or operation names a class of the application that computes it, with parameters for it.",
    why: "Native code outside the file takes its parameters from the file; it was not inspected here.",
    false_positives: "Models made for one application.",
    remedy: "Use the model in the application it was made for, from its publisher.",
    references: &["https://developer.apple.com/documentation/coreml/mlcustomlayer"],
};

/// Models that the application implements.
pub static CUSTOM_MODEL: Rule = Rule {
    id: "coreml-custom-model",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "custom model",
    what: "The model is a class of the application, named in the file with parameters for it.",
    why: "Native code outside the file takes its parameters from the file; it was not inspected here.",
    false_positives: "Models made for one application.",
    remedy: "Use the model in the application it was made for, from its publisher.",
    references: &["https://developer.apple.com/documentation/coreml/mlcustommodel"],
};

/// Models that stand for another.
pub static LINKED_MODEL: Rule = Rule {
    id: "coreml-linked-model",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "model that loads another by name",
    what: "The model links to another compiled model by file name and search path.",
    why: "What runs is whatever lies there; it was not inspected with this file.",
    false_positives: "Pipelines that share one feature extractor.",
    remedy: "Look at the linked model.",
    references: &["https://apple.github.io/coremltools/mlmodel/Format/LinkedModel.html"],
};

/// Paths out of the package.
pub static PATH_OUTSIDE: Rule = Rule {
    id: "coreml-path-outside",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "file outside the package",
    what: "A package item, weight file or linked model has an absolute path, one with `..` or another way out.",
    why: "Loading or compiling the model opens or copies that file.",
    false_positives: "None known: tools write paths inside the package.",
    remedy: "Do not load the model.",
    references: &["CWE-22"],
};
