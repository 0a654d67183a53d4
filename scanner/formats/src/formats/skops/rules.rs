use weighbridge_types::{Rule, Severity, Verdict};

/// Every rule of this format.
pub const ALL: &[&Rule] = &[&DANGEROUS_TYPE, &HIDDEN_ACCESS, &UNKNOWN_TYPE, &UNKNOWN_NODE, &DUPLICATE_KEYS];

/// A type or function that hands over control.
pub static DANGEROUS_TYPE: Rule = Rule {
    id: "skops-dangerous-type",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "the schema names a function that runs commands or code, or opens files",
    what: "A node names a function of `os`, `subprocess`, `builtins` or a relative, or one that reads, writes or evaluates \
           in a library of arrays.",
    why: "Whoever trusts the types that the file asks for, as many examples do, calls it on load.",
    false_positives: "None known from skops.io.dump of an estimator.",
    remedy: "Do not load the file.",
    references: &["CVE-2024-37065", "CWE-502"],
};

/// A node says one thing and reaches another.
pub static HIDDEN_ACCESS: Rule = Rule {
    id: "skops-hidden-access",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "a node reaches something other than what it shows for review",
    what: "An operator node names another module, a method node reaches special attributes or an owner it does not name, \
           or a random generator names no generator.",
    why: "The list of types that the user is asked to trust does not show what is called: code runs although only \
          harmless types were trusted.",
    false_positives: "None known: skops writes such nodes consistently.",
    remedy: "Do not load the file; update skops to 0.13 or later.",
    references: &["CVE-2025-54412", "CVE-2025-54413", "CWE-351"],
};

/// A type of an unknown library.
pub static UNKNOWN_TYPE: Rule = Rule {
    id: "skops-unknown-type",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the schema names a type outside the known libraries",
    what: "A node names a class or function that belongs to none of the libraries ordinary in models.",
    why: "Loading needs that code and the user's trust in it.",
    false_positives: "Estimators with transformers of their author's own.",
    remedy: "Find out where the type comes from before trusting it.",
    references: &["https://skops.readthedocs.io/en/stable/persistence.html"],
};

/// A loader nobody knows.
pub static UNKNOWN_NODE: Rule = Rule {
    id: "skops-unknown-node",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the schema has a node of an unknown kind",
    what: "`__loader__` names no node that skops has.",
    why: "It is either newer than this release or made to confuse readers.",
    false_positives: "A newer version of skops.",
    remedy: "Check the version that wrote the file.",
    references: &[],
};

/// Two readers would see two schemas.
pub static DUPLICATE_KEYS: Rule = Rule {
    id: "skops-duplicate-keys",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a key that decides what a node makes occurs twice",
    what: "An object of the schema has the same key twice.",
    why: "Python takes the last, other readers the first: a reviewer sees another type than the loader makes.",
    false_positives: "None known.",
    remedy: "Do not load the file.",
    references: &["CWE-694"],
};
