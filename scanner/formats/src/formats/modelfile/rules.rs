use weighbridge_types::{Rule, Severity, Verdict};

/// The base model is fetched over plain HTTP.
pub static REMOTE_BASE: Rule = Rule {
    id: "modelfile-remote-base",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the model is built from an address without encryption",
    what: "`FROM` or `ADAPTER` of a Modelfile names an `http://` address.",
    why: "Whoever sits on the path, or owns the address, decides which weights are used.",
    false_positives: "A registry in a private network.",
    remedy: "Pull the base model from a registry by digest.",
    references: &["CWE-319", "CWE-494"],
};
