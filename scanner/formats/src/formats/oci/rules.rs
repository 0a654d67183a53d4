use weighbridge_types::{Rule, Severity, Verdict};

/// A digest is a path.
pub static DIGEST_PATH: Rule = Rule {
    id: "oci-digest-path",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "a digest in the manifest is a path",
    what: "The `digest` of a layer or configuration holds `/`, `\\` or `..` where `sha256:` and 64 hexadecimal digits \
           belong.",
    why: "Ollama before 0.1.34 used the digest as a file name: pulling such a manifest wrote or read files anywhere, \
          up to running code (\"Probllama\").",
    false_positives: "None.",
    remedy: "Do not pull or run the model; update Ollama.",
    references: &["CVE-2024-37032", "CWE-22"],
};

/// A digest is not one.
pub static DIGEST_MALFORMED: Rule = Rule {
    id: "oci-digest-malformed",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a digest in the manifest is malformed",
    what: "The `digest` of a layer or configuration is not `sha256:` and 64, or `sha512:` and 128, lower-case \
           hexadecimal digits.",
    why: "Content that cannot be checked against its digest can be anything.",
    false_positives: "Manifests edited by hand.",
    remedy: "Pull the model again from its registry.",
    references: &["https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#digests", "CWE-345"],
};

/// A file is unpacked outside the folder.
pub static PATH_OUTSIDE: Rule = Rule {
    id: "oci-path-outside",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "a layer is unpacked outside its folder",
    what: "The title or file path of a layer, or a path of a Kitfile, is absolute, a URL, or holds `..`.",
    why: "Clients write the layer to that path: over files of whoever pulls the model.",
    false_positives: "None known; the specifications demand relative paths.",
    remedy: "Do not pull or unpack the model.",
    references: &["CWE-22", "https://github.com/modelpack/model-spec"],
};

/// A layer is fetched from elsewhere.
pub static FOREIGN_LAYER: Rule = Rule {
    id: "oci-foreign-layer",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a layer is fetched from an address outside the registry",
    what: "A descriptor gives `urls` to fetch its content from.",
    why: "Clients that follow them connect to whatever the manifest names, from inside the network.",
    false_positives: "Base images of Windows once used this; models have no reason to.",
    remedy: "Mirror the content into the registry.",
    references: &["CWE-918"],
};

/// A layer holds code.
pub static CODE_LAYER: Rule = Rule {
    id: "oci-code-layer",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "the model comes with a layer of code",
    what: "A layer's media type says that it holds source code or scripts.",
    why: "Whoever unpacks the model gets the code with it. The layer itself is inspected where it is found.",
    false_positives: "Training and serving code is often packed along.",
    remedy: "Unpack only the model layers, or read the code.",
    references: &["https://github.com/modelpack/model-spec", "https://kitops.org/docs/modelkit/spec/"],
};
