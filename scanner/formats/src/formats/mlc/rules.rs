use weighbridge_types::{Rule, Severity, Verdict};

/// A shard or tokenizer lies outside the model's folder.
pub static PATH_OUTSIDE: Rule = Rule {
    id: "mlc-path-outside",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "a file of the model lies outside its folder",
    what: "`dataPath` or `tokenizer_files` holds an absolute path, a URL or `..`.",
    why: "The runtime joins the value to the model's folder and reads what lies there: any file its user can read.",
    false_positives: "None known; the compiler writes bare file names.",
    remedy: "Do not load the model.",
    references: &["CWE-22"],
};
