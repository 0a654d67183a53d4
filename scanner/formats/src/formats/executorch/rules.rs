use weighbridge_types::{Rule, Severity, Verdict};

use crate::codec::flatbuffers::rules::{TRAILING_BYTES, TRAILING_CONTENT};

pub static ALL: &[&Rule] =
    &[&CUSTOM_OPERATOR, &FOREIGN_DELEGATE, &DELEGATE, &SEGMENT_OUTSIDE, &TRAILING_CONTENT, &TRAILING_BYTES];

const KERNELS: &str = "https://docs.pytorch.org/executorch/stable/kernel-library-custom-aten-kernel.html";
const DELEGATES: &str = "https://docs.pytorch.org/executorch/stable/compiler-delegate-and-partitioner.html";

/// An operator of no known namespace.
pub static CUSTOM_OPERATOR: Rule = Rule {
    id: "executorch-custom-operator",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "custom operator",
    what: "A method calls an operator outside the namespaces that ExecuTorch and PyTorch ship.",
    why: "It runs only where an app has linked native code for it: code that was not inspected here.",
    false_positives: "Programs for one app's own kernels.",
    remedy: "Find out who publishes the kernels; link them from their publisher alone.",
    references: &[KERNELS],
};

/// A delegate of an unknown backend.
pub static FOREIGN_DELEGATE: Rule = Rule {
    id: "executorch-foreign-delegate",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "part of the program for an unknown backend",
    what: "A delegate names a backend that does not come with ExecuTorch.",
    why: "Its blob was not inspected; the vendor's library reads it.",
    false_positives: "Programs for other vendors' accelerators.",
    remedy: "Load the program only with backends you know.",
    references: &[DELEGATES],
};

/// A delegate of a known backend.
pub static DELEGATE: Rule = Rule {
    id: "executorch-delegate",
    severity: Severity::Info,
    verdict: Verdict::Clean,
    title: "part of the program compiled for a backend",
    what: "A delegate names a backend that comes with ExecuTorch.",
    why: "Its blob is opaque here; the backend's library reads it.",
    false_positives: "Not applicable: it is a note.",
    remedy: "None.",
    references: &[DELEGATES],
};

/// A segment beyond the end.
pub static SEGMENT_OUTSIDE: Rule = Rule {
    id: "executorch-segment-outside",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "segment outside the file",
    what: "The offset and size of a segment lead beyond the end of the file.",
    why: "Runtimes map the file and read there.",
    false_positives: "A download that was cut off.",
    remedy: "Fetch the file again and compare its digest.",
    references: &["CWE-125", "CVE-2025-30402"],
};
