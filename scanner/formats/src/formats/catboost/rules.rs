use weighbridge_types::{Rule, Severity, Verdict};

pub static ALL: &[&Rule] = &[&ROOT_OUTSIDE, &PYTHON_OBJECTIVE];

/// The flatbuffer points outside itself.
pub static ROOT_OUTSIDE: Rule = Rule {
    id: "catboost-root-outside",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the root of the flatbuffer lies outside it",
    what: "The first offset of the model's flatbuffer leads beyond its length.",
    why: "A loader that does not verify the buffer reads memory that is not the model's.",
    false_positives: "A damaged file.",
    remedy: "Fetch the file again from its publisher.",
    references: &["CWE-125"],
};

/// The model was trained with Python code of its author.
pub static PYTHON_OBJECTIVE: Rule = Rule {
    id: "catboost-python-objective",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "trained with an objective in Python",
    what: "The parameters name a user-defined Python objective or metric.",
    why: "Continuing the training needs that code from somewhere.",
    false_positives: "Common in research; prediction does not need the code.",
    remedy: "Take the code from the publisher's repository only.",
    references: &["https://catboost.ai/docs/en/concepts/python-usages-examples"],
};
