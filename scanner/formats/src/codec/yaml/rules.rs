//! Rules about YAML itself; `yaml-config` registers them.

use weighbridge_types::{Rule, Severity, Verdict};

/// A tag runs code.
pub static CODE_TAG: Rule = Rule {
    id: "yaml-code-tag",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "a YAML tag runs commands or code",
    what: "A tag such as `!!python/object/apply:` (PyYAML), `!apply:` (HyperPyYAML), `!ruby/object:` or a Java class \
           name stands for a function or class that runs commands, evaluates code or loads it.",
    why: "`yaml.load` with an unsafe loader, SpeechBrain's `load_hyperpyyaml` and SnakeYAML call it while they read \
          the file.",
    false_positives: "None known.",
    remedy: "Do not load the file. Report it to the hub it came from.",
    references: &[
        "CVE-2020-14343",
        "CVE-2017-18342",
        "CVE-2022-1471",
        "CWE-502",
        "https://pyyaml.org/wiki/PyYAMLDocumentation",
    ],
};

/// A tag builds an object of an unknown class.
pub static OBJECT_TAG: Rule = Rule {
    id: "yaml-object-tag",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a YAML tag builds an object that configurations do not hold",
    what: "A tag asks the loader for an object of a class that is not part of the known libraries for models, or for \
           one of another language.",
    why: "An unsafe loader imports the module and calls the class while it reads the file.",
    false_positives: "Old training scripts that dumped their argument object with `yaml.dump`.",
    remedy: "Read it with a safe loader, which refuses such tags, or remove the tag.",
    references: &["CVE-2020-14343", "CWE-502"],
};

/// Aliases that expand to far more than is written.
pub static ALIAS_BOMB: Rule = Rule {
    id: "yaml-alias-bomb",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "YAML aliases expand to millions of values",
    what: "Anchors and aliases repeat each other so that the copied-out document is far larger than the written one.",
    why: "Whoever copies, prints or merges the loaded value runs out of memory (\"billion laughs\").",
    false_positives: "None known; honest anchors repeat a block a few times.",
    remedy: "Do not load the file.",
    references: &["CWE-776"],
};
