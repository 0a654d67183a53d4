use weighbridge_types::{Rule, Severity, Verdict};

/// A class of the model is defined in a Python file beside it.
pub static LOCAL_CODE: Rule = Rule {
    id: "hf-local-code",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "a class of the model is defined in a Python file beside it",
    what: "`auto_map` or a similar key names a class in a Python file of the same repository.",
    why: "With `trust_remote_code=True` the file runs when the model is loaded. The file itself is inspected; this \
          says only that it is used.",
    false_positives: "Every model of a new architecture is published this way at first.",
    remedy: "Read the findings of the named file.",
    references: &["https://huggingface.co/docs/transformers/custom_models", "CWE-829"],
};

/// A class of the model is fetched from another repository.
pub static REMOTE_CODE: Rule = Rule {
    id: "hf-remote-code",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the model runs code from another repository",
    what: "`auto_map`, `custom_pipelines`, `custom_generate` or a module list names a class in another repository \
           (`org/name--module.Class`).",
    why: "Loading the model fetches and runs whatever that repository holds at that time: its owner, or whoever takes \
          over the name, decides what runs. vLLM ran such code without being asked.",
    false_positives: "Fine-tunes saved by transformers point at their base model's repository.",
    remedy: "Look at that repository, and load with a pinned `code_revision`.",
    references: &["CVE-2025-66448", "CVE-2026-22807", "CWE-829", "CWE-494"],
};

/// A class is named by a path or URL.
pub static CODE_OUTSIDE: Rule = Rule {
    id: "hf-code-outside-repository",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "a class is named by a path that leads out of the repository",
    what: "`auto_map` or a similar key holds an absolute path, a URL, `..`, or something that is not the name of a \
           class at all.",
    why: "Libraries turn the value into a file name to import from: this one makes them import what lies elsewhere.",
    false_positives: "None known; libraries write module and class names only.",
    remedy: "Do not load the model.",
    references: &["CWE-22", "CWE-829"],
};

/// The configuration switches off the question whether to trust its code.
pub static TRUST_REMOTE_CODE: Rule = Rule {
    id: "hf-trust-remote-code",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the configuration asks to be trusted with code",
    what: "`trust_remote_code` is stored as true in a configuration file.",
    why: "The decision belongs to whoever loads the model. Some model classes of transformers passed the stored value \
          on to a nested load, which ran code nobody had agreed to.",
    false_positives: "Training tools that dump all their options into `config.json`.",
    remedy: "Remove the key, and decide when loading.",
    references: &["CVE-2026-5241", "CVE-2026-27893", "CWE-829"],
};

/// An attention implementation is fetched from a repository.
pub static KERNEL_REPOSITORY: Rule = Rule {
    id: "hf-kernel-repository",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "the configuration loads a compiled kernel from a repository",
    what: "`_attn_implementation_internal` or a key like it names a repository (`org/name`) instead of a built-in \
           implementation such as `sdpa`.",
    why: "transformers before 5.3.0 fetched the repository and imported it, whatever `trust_remote_code` said.",
    false_positives: "None known in published models: the choice is the user's, at load time.",
    remedy: "Do not load the model; update transformers.",
    references: &["CVE-2026-4372", "CWE-829"],
};

/// An attention implementation is fetched from the hub's own kernels.
pub static KERNEL_OF_HUB: Rule = Rule {
    id: "hf-kernel-of-hub",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the configuration loads a compiled kernel of `kernels-community`",
    what: "The attention implementation stored in the configuration is one of Hugging Face's own kernel repositories.",
    why: "Loading fetches and imports compiled code without asking.",
    false_positives: "A configuration saved by hand with the option still set.",
    remedy: "Remove the key, and choose the implementation when loading.",
    references: &["CVE-2026-4372", "https://huggingface.co/docs/kernels"],
};

/// A library of operators is loaded with the model.
pub static CUSTOM_OPS_LIBRARY: Rule = Rule {
    id: "genai-custom-ops-library",
    severity: Severity::High,
    verdict: Verdict::Suspicious,
    title: "the configuration has a compiled library loaded with the model",
    what: "`custom_ops_library` in the session options of `genai_config.json` names a file.",
    why: "onnxruntime-genai loads that shared library before the model: whatever its initialiser does runs, without a \
          question. Only newer versions refuse paths outside a few folders.",
    false_positives: "Models for AMD's NPUs name the vendor's library.",
    remedy: "Look where the library comes from; remove the key if the model runs without it.",
    references: &["CWE-829", "CWE-426", "https://onnxruntime.ai/docs/genai/reference/config.html"],
};
