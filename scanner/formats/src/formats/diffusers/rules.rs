use weighbridge_types::{Rule, Severity, Verdict};

/// A component's class comes from the repository.
pub static LOCAL_COMPONENT: Rule = Rule {
    id: "diffusers-local-component",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "a component's class is not from a known library",
    what: "`model_index.json` takes a component's class from a module that is not part of diffusers, transformers or \
           another known library: a Python file of the repository, or a package of the loading machine.",
    why: "With `trust_remote_code=True`, or `custom_pipeline`, that module runs when the pipeline is loaded.",
    false_positives: "New architectures are published this way.",
    remedy: "Read the findings of the named file.",
    references: &["https://huggingface.co/docs/diffusers/using-diffusers/custom_pipeline_overview", "CWE-829"],
};

/// A component leads out of the repository.
pub static COMPONENT_OUTSIDE: Rule = Rule {
    id: "diffusers-component-outside",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "a component leads out of the repository",
    what: "A component's name, library or class holds an absolute path, a URL or `..`.",
    why: "diffusers joins these names into folders and modules to load from.",
    false_positives: "None known.",
    remedy: "Do not load the pipeline.",
    references: &["CWE-22"],
};
