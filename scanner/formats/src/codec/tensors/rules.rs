//! What tensor bytes can hold that they should not.

use weighbridge_types::{Rule, Severity, Verdict};

/// A program at the start of a tensor.
pub static PROGRAM: Rule = Rule {
    id: "tensor-holds-program",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a tensor's bytes are a program",
    what: "The bytes of a tensor start with a complete ELF, PE or Mach-O signature, or with a script's first line.",
    why: "Weights carry malware past mail and web filters; a small loader elsewhere writes the tensor to disk and \
          runs it.",
    false_positives: "None by chance: the signatures are 48 bits or more. Files that test scanners have it.",
    remedy: "Do not use the file; look for what would have extracted it.",
    references: &["https://arxiv.org/abs/2107.08590", "CWE-506"],
};

/// An archive or pickle at the start of a tensor.
pub static ARCHIVE: Rule = Rule {
    id: "tensor-holds-archive",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "a tensor's bytes are an archive or a pickle",
    what: "The bytes of a tensor start like a ZIP, 7z, gzip or xz archive or a pickle. It is inspected as such, and \
           what it does is judged there.",
    why: "Libraries that keep pickled state in tensors unpickle it when the model loads.",
    false_positives: "Transformer Engine keeps its scaling state as pickles in `_extra_state` tensors.",
    remedy: "Read the findings about its content.",
    references: &["CWE-506"],
};

/// Text or a program in the low bits of floats.
pub static HIDDEN_TEXT: Rule = Rule {
    id: "tensor-hidden-text",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "text or a program in the low bits of a tensor",
    what: "The lowest bits or bytes of a tensor's 32-bit floats, put together, spell text or a program's signature \
           (looked for under `--deep`, in the first 64 KiB of a tensor).",
    why: "Replacing the low bits of weights hides megabytes of payload without changing what the model does.",
    false_positives: "Bytes stored under a float type on purpose: text kept in an F32 tensor.",
    remedy: "Do not use the file; compare it with the publisher's.",
    references: &["https://arxiv.org/abs/2107.08590", "https://arxiv.org/abs/2201.08786", "CWE-506"],
};

/// Mostly NaN.
pub static NOT_FINITE: Rule = Rule {
    id: "tensor-not-a-number",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "a tensor is mostly not numbers",
    what: "More than half of the sampled values of a floating-point tensor are NaN (looked for under `--deep`).",
    why: "The model cannot work with it: broken training, a wrong type, or bytes that are no weights.",
    false_positives: "Placeholders that are filled after loading.",
    remedy: "Compare the file with the publisher's.",
    references: &[],
};
