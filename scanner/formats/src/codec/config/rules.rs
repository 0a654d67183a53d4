//! Rules about names of code in configurations; `hf-config` registers them.

use weighbridge_types::{Rule, Severity, Verdict};

/// A configuration calls something that runs commands or code.
pub static DANGEROUS_CALLABLE: Rule = Rule {
    id: "config-dangerous-callable",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "the configuration calls code that takes over the machine",
    what: "A key that loaders turn into a call (Hydra's `_target_`, torchtune's `_component_`, LightningCLI's \
           `class_path`, `target` with `params`, jsonpickle's `py/…`) names a function that runs commands, evaluates \
           code, loads pickles or libraries, changes files or opens connections.",
    why: "`hydra.utils.instantiate` and its like call whatever the name says with the arguments beside it, while the \
          model is being loaded; NeMo, Uni2TS and FlexTok models were attacked this way.",
    false_positives: "None known in published models. A training script's own configuration may open files.",
    remedy: "Do not load the model. Report it to the hub it came from.",
    references: &[
        "CVE-2025-23304",
        "CVE-2025-23249",
        "CVE-2025-23250",
        "CVE-2025-23360",
        "CWE-470",
        "https://unit42.paloaltonetworks.com/rce-vulnerabilities-in-ai-python-libraries/",
    ],
};

/// A configuration calls something that stands out.
pub static UNUSUAL_CALLABLE: Rule = Rule {
    id: "config-unusual-callable",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the configuration calls code that no model is built from",
    what: "A key that loaders turn into a call names a corner of the standard library, a name that gives itself away, \
           or a function of unknown origin with arguments that look like a command.",
    why: "The call happens while the model is being loaded, with arguments the file chose.",
    false_positives: "Configurations of training tools that start helpers of their own.",
    remedy: "Read the named function before loading the model.",
    references: &["CVE-2025-23304", "CWE-470"],
};

/// A configuration calls somebody's own code.
pub static UNKNOWN_CALLABLE: Rule = Rule {
    id: "config-unknown-callable",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "the configuration calls code outside known libraries",
    what: "A key that loaders turn into a call names a class or function of a package that is not among the known \
           libraries for models.",
    why: "Which code runs depends on what is installed under that name on the machine that loads the model.",
    false_positives: "Every research project names its own classes.",
    remedy: "Know where that package comes from before loading the model.",
    references: &["CWE-470"],
};

/// An expression in a configuration does what none needs.
pub static EXPRESSION: Rule = Rule {
    id: "config-code-expression",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "an expression in the configuration runs commands or code",
    what: "A value that tools evaluate (MONAI's `$…`, OmegaConf's `${eval:…}` and other resolvers) imports modules by \
           name, runs commands or evaluates strings.",
    why: "MONAI bundles evaluate such values as Python; registered resolvers do what their name says. It happens while \
          the configuration is read.",
    false_positives: "None known. Honest expressions compute paths, devices and shapes.",
    remedy: "Do not load the model.",
    references: &["CWE-95", "https://docs.monai.io/en/stable/config_syntax.html"],
};

/// An expression in a configuration reaches for files or the network.
pub static UNUSUAL_EXPRESSION: Rule = Rule {
    id: "config-unusual-expression",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "an expression in the configuration reaches for files or the network",
    what: "A value that tools evaluate (MONAI's `$…`) downloads, connects, deletes files or reads the environment.",
    why: "It happens while the configuration is read, on the machine that loads the bundle.",
    false_positives: "Bundles that fetch their own test data.",
    remedy: "Read the expression before running the bundle.",
    references: &["CWE-95", "https://docs.monai.io/en/stable/config_syntax.html"],
};

/// A configuration reads the environment.
pub static ENVIRONMENT_READ: Rule = Rule {
    id: "config-environment-read",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "the configuration reads environment variables",
    what: "An interpolation such as `${oc.env:NAME}` takes a value from the environment of the loading process.",
    why: "Variables hold credentials; a value read into a configuration may be logged or sent on.",
    false_positives: "Paths and cache folders are usually given this way.",
    remedy: "See which variables are named.",
    references: &["https://omegaconf.readthedocs.io/en/latest/custom_resolvers.html", "CWE-526"],
};

/// A key that decides what runs stands twice in one object.
pub static DUPLICATE_KEY: Rule = Rule {
    id: "config-duplicate-key",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a key that decides what runs is given twice",
    what: "A key such as `auto_map`, `chat_template` or `_target_` occurs more than once in its object, with different \
           values.",
    why: "Python takes the last value, other readers the first: what was reviewed is not what is used.",
    false_positives: "A file merged by hand.",
    remedy: "Treat both values as the file's, and ask the publisher which one is meant.",
    references: &["CWE-436", "https://bishopfox.com/blog/json-interoperability-vulnerabilities"],
};
