use weighbridge_types::{Rule, Severity, Verdict};

/// The base model is a path on somebody's machine.
pub static BASE_PATH: Rule = Rule {
    id: "adapter-base-path",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "the adapter's base model is a path on a machine",
    what: "`base_model_name_or_path` is an absolute path, or leads out of the adapter's folder.",
    why: "Whatever lies at that path on the loading machine becomes the base model.",
    false_positives: "Everyone who trains on a local copy publishes such a path.",
    remedy: "Name the base model yourself when loading the adapter.",
    references: &["CWE-426"],
};

/// The class of the base model is imported from a library nobody knows.
pub static FOREIGN_LIBRARY: Rule = Rule {
    id: "adapter-foreign-library",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the adapter names the library to import its base model's class from",
    what: "`auto_mapping.parent_library` is none of the libraries that hold base models.",
    why: "PEFT imports that module by its name, and importing runs its code.",
    false_positives: "Adapters of models defined in a project of their own.",
    remedy: "Make sure that you know the library before you load the adapter.",
    references: &["https://huggingface.co/docs/peft/package_reference/auto_class", "CWE-829"],
};

/// The base model is a URL.
pub static BASE_URL: Rule = Rule {
    id: "adapter-base-url",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the adapter's base model is a URL",
    what: "`base_model_name_or_path` is a URL instead of a repository name.",
    why: "No version of the library loads from URLs; tools around it may fetch whatever the address gives.",
    false_positives: "Somebody wrote the base model's web page into the field.",
    remedy: "Name the base model yourself when loading the adapter.",
    references: &["CWE-829"],
};
