use weighbridge_types::{Rule, Severity, Verdict};

use crate::codec::xml_threats;

pub static ALL: &[&Rule] = &[
    &xml_threats::EXTERNAL_ENTITY,
    &xml_threats::ENTITY_BOMB,
    &xml_threats::EXTERNAL_INCLUDE,
    &LIBRARY_PATH,
    &FILE_PATH,
    &CUSTOM_OPERATION,
    &BAD_RANGE,
];

/// The graph names a native library.
pub static LIBRARY_PATH: Rule = Rule {
    id: "openvino-library-path",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "the graph names a native library by path",
    what: "An attribute holds the path of a shared library.",
    why: "Extensions are loaded into the process that runs the model.",
    false_positives: "None: extensions are registered by the program, not by the graph.",
    remedy: "Do not load the model.",
    references: &["CWE-426"],
};

/// A layer names a file.
pub static FILE_PATH: Rule = Rule {
    id: "openvino-file-path",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "a layer names a file outside the model",
    what: "An attribute of a layer is an absolute path or leads to a parent folder.",
    why: "Custom kernels and extensions read, compile and run what stands there.",
    false_positives: "None: converters write no paths into layers.",
    remedy: "Do not load the model.",
    references: &["CWE-22"],
};

/// An operation outside the runtime's own sets.
pub static CUSTOM_OPERATION: Rule = Rule {
    id: "openvino-custom-operation",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "an operation that needs an extension library",
    what: "A layer belongs to an operation set that does not ship with OpenVINO.",
    why: "It runs native code from a library that somebody must load.",
    false_positives: "Tokenizer models converted by openvino-tokenizers use its extension.",
    remedy: "Load it only with an extension library whose source you trust.",
    references: &["https://docs.openvino.ai/2025/documentation/openvino-extensibility.html"],
};

/// A range in the weights that cannot be.
pub static BAD_RANGE: Rule = Rule {
    id: "openvino-bad-range",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a constant's range in the weights is impossible",
    what: "`offset` or `size` of a constant is negative, over 2^40, or no number.",
    why: "Sums that overflow pass a later bounds check.",
    false_positives: "None: no converter writes it.",
    remedy: "Do not load the model.",
    references: &["CWE-190"],
};
