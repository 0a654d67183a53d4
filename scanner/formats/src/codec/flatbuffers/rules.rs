//! Rules about the buffer as a whole, whatever schema it follows.

use weighbridge_types::{Rule, Severity, Verdict};

/// All of them.
pub static ALL: &[&Rule] = &[&TRAILING_CONTENT, &TRAILING_BYTES];

/// Another format after the end.
pub static TRAILING_CONTENT: Rule = Rule {
    id: "flatbuffer-trailing-content",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "other content behind the model",
    what: "Behind the last object of the FlatBuffer stands content that is a format by itself: a pickle, a program, a \
           compressed file.",
    why: "Loaders follow offsets and never see it, so it survives every check that loads the model; a second reader \
          picks it up.",
    false_positives: "None known. ZIP archives with labels and vocabularies are told apart and inspected.",
    remedy: "Find out who appended it; convert the model again from its source.",
    references: &["https://flatbuffers.dev/internals/"],
};

/// Bytes after the end.
pub static TRAILING_BYTES: Rule = Rule {
    id: "flatbuffer-trailing-bytes",
    severity: Severity::Info,
    verdict: Verdict::Clean,
    title: "bytes behind the last known object",
    what: "Bytes follow the last object that the inspection knows, and are not recognised as anything.",
    why: "Padding, objects of a newer schema, or data that hides behind a model.",
    false_positives: "Files of newer writers.",
    remedy: "None needed, unless the file comes from a doubtful place.",
    references: &["https://flatbuffers.dev/internals/"],
};
