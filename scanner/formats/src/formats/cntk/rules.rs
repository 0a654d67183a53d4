use weighbridge_types::{Rule, Severity, Verdict};

/// Rules of this format.
pub static ALL: &[&Rule] = &[&USER_FUNCTION];

/// Functions whose code is elsewhere.
pub static USER_FUNCTION: Rule = Rule {
    id: "cntk-user-function",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "function of the user's own code",
    what: "The model has a user-defined function: a Python module and method, or a native library with a factory.",
    why: "Loading the model imports the module or loads the library; it was not inspected here.",
    false_positives: "Models of projects with layers of their own.",
    remedy: "Find the module or library and look at it before loading the model.",
    references: &["https://learn.microsoft.com/cognitive-toolkit/extend-cntk", "CWE-829"],
};
