//! Rules about secrets and addresses in text; `hf-config` registers them.

use weighbridge_types::{Rule, Severity, Verdict};

/// A credential stands in the text.
pub static SECRET: Rule = Rule {
    id: "secret-in-text",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a credential stands in the model's text",
    what: "Metadata or a configuration holds a private key or a token whose shape and randomness fit its issuer's \
           format.",
    why: "Everyone who receives the model receives the credential. It may be the publisher's by accident, or planted \
          so that whoever uses the model works on somebody else's account.",
    false_positives: "Tokens that were revoked long ago; test keys. Placeholders of documentation are not reported.",
    remedy: "Tell the publisher; revoke the credential if it is yours. The report never repeats it.",
    references: &["CWE-798", "CWE-312"],
};

/// A JSON web token stands in the text.
pub static WEB_TOKEN: Rule = Rule {
    id: "web-token-in-text",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "a JSON web token stands in the model's text",
    what: "Metadata or a configuration holds a signed JSON web token.",
    why: "Until it expires, whoever holds it is its subject to the service that issued it.",
    false_positives: "Most web tokens live for minutes; demonstrations print them freely.",
    remedy: "See whether it has expired; revoke it if it is yours.",
    references: &["https://www.rfc-editor.org/rfc/rfc7519", "CWE-798"],
};

/// An address of a published attack.
pub static KNOWN_BAD_ADDRESS: Rule = Rule {
    id: "known-bad-address",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "the address of a published attack",
    what: "The text names a host or address that reports of attacks through models and their packages list.",
    why: "Malicious models open shells to such hosts, fetch programs from them or send credentials there.",
    false_positives: "Documents about those attacks.",
    remedy: "Do not use the model; look for connections to the address in your network's logs.",
    references: &[
        "https://jfrog.com/blog/data-scientists-targeted-by-malicious-hugging-face-ml-models-with-silent-backdoor/",
        "https://www.reversinglabs.com/blog/rl-identifies-malware-ml-model-hosted-on-hugging-face",
    ],
};

/// An address that honest models do not name.
pub static UNUSUAL_ADDRESS: Rule = Rule {
    id: "unusual-address",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "an address that model files do not name",
    what: "The text holds a URL of a bare public IP address, a mining pool, a hidden service, a tunnel to a private \
           machine, a request collector, a paste or a chat webhook.",
    why: "Payloads are fetched from such places and loot is sent there; no registry, paper or project page lives on \
          them.",
    false_positives: "A demonstration server that someone left in a configuration.",
    remedy: "See what uses the address before the model is used.",
    references: &["CWE-506", "https://attack.mitre.org/techniques/T1102/"],
};
