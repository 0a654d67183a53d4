use weighbridge_types::{Rule, Severity, Verdict};

/// A release that was an attack.
pub static COMPROMISED: Rule = Rule {
    id: "requirements-compromised-release",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "a required package's release was published by attackers",
    what: "The list pins a release that is known to mine, steal or open the machine, or a package that never was \
           anything else.",
    why: "Installing what the model asks for runs the attack.",
    false_positives: "A list that was written in the hours before the release was withdrawn.",
    remedy: "Do not install the list; require a later release.",
    references: &[
        "https://blog.pypi.org/posts/2024-12-11-ultralytics-attack-analysis/",
        "https://pytorch.org/blog/compromised-nightly-dependency/",
        "CWE-506",
    ],
};

/// Packages come from somewhere unknown.
pub static UNTRUSTED_SOURCE: Rule = Rule {
    id: "requirements-untrusted-source",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "required packages come from an unknown or unprotected source",
    what: "An index, a link or a package address is not encrypted, is a bare IP address, or is on a host that is no \
           known registry; or certificates are not checked for a host.",
    why: "Installing runs the package's code. Whoever answers at that address decides which code, and an extra index \
          can replace packages of the registry by name.",
    false_positives: "A company's own index; a project's own download server.",
    remedy: "Install from a registry, with hashes.",
    references: &["CWE-829", "CWE-319", "https://pip.pypa.io/en/stable/cli/pip_install/#cmdoption-extra-index-url"],
};

/// A package is given by address.
pub static DIRECT_REFERENCE: Rule = Rule {
    id: "requirements-direct-reference",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "a required package is given by address",
    what: "A line names a repository or file on a known host instead of a release on a registry.",
    why: "What is there may change; without a commit or hash, what is installed later is not what was tested.",
    false_positives: "Research projects often need unreleased versions.",
    remedy: "Pin a commit.",
    references: &["https://packaging.python.org/en/latest/specifications/version-specifiers/#direct-references"],
};
