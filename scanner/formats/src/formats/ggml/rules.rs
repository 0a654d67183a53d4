//! What a file from before GGUF can do wrong.

use weighbridge_types::{Rule, Severity, Verdict};

/// Every rule these formats can raise.
pub const ALL: &[&Rule] = &[&HYPERPARAMETER, &LENGTH, &TENSOR, &SESSION];

const REFETCH: &str = "Do not load it: the programs that read these formats are no longer mended. Take a GGUF of the \
                       same model.";

/// A hyperparameter that cannot be.
pub static HYPERPARAMETER: Rule = Rule {
    id: "ggml-hyperparameter",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "an impossible hyperparameter",
    what: "A hyperparameter in the header of a GGML file is negative or above 16 million.",
    why: "Loaders size their buffers by these numbers without a check.",
    false_positives: "Damage.",
    remedy: REFETCH,
    references: &["CWE-190", "CWE-789"],
};

/// A length no buffer has room for.
pub static LENGTH: Rule = Rule {
    id: "ggml-length",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a word or tensor name of impossible length",
    what: "A word of the vocabulary is longer than 64 KiB, or a tensor name longer than 128 bytes.",
    why: "Loaders copy names into buffers of 32 to 64 bytes.",
    false_positives: "Damage.",
    remedy: REFETCH,
    references: &["CWE-120"],
};

/// A tensor that cannot be.
pub static TENSOR: Rule = Rule {
    id: "ggml-tensor",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a tensor no loader can read",
    what: "A tensor has more than four dimensions, an extent of zero or below, a type that does not exist, or rows that \
           are no whole number of blocks; or other bytes stand where a tensor should.",
    why: "Loaders write extents into an array of two to four and look sizes up in a table, both without a check.",
    false_positives: "Files of programs with a layout of their own.",
    remedy: REFETCH,
    references: &["CVE-2024-21802", "CWE-787", "CWE-129"],
};

/// A saved conversation.
pub static SESSION: Rule = Rule {
    id: "ggml-session",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "the saved state of a conversation, not a model",
    what: "The file is a session or sequence state of llama.cpp (`--prompt-cache`, `--slot-save-path`).",
    why: "It holds the tokens of prompts, which are what users wrote.",
    false_positives: "None.",
    remedy: "Treat it like the conversation itself.",
    references: &["CWE-312"],
};
