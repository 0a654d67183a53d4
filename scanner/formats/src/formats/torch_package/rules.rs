use weighbridge_types::{Rule, Severity, Verdict};

/// Every rule of this format.
pub const ALL: &[&Rule] = &[&POWERFUL_EXTERN];

/// The package reaches for processes, native code or the network.
pub static POWERFUL_EXTERN: Rule = Rule {
    id: "torch-package-powerful-extern",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the package uses modules that start processes, load native code or open connections",
    what: "The list of external modules names `subprocess`, `ctypes`, `socket` or a relative.",
    why: "Sources of the package run on import and use these modules of the user's environment.",
    false_positives: "Packages that intern whole libraries.",
    remedy: "Read the sources that import them.",
    references: &["CWE-829", "https://pytorch.org/docs/stable/package.html"],
};
