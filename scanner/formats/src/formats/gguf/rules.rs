//! What a GGUF file can do wrong.

use weighbridge_types::{Rule, Severity, Verdict};

use crate::codec::{jinja, tensors};

/// Every rule GGUF can raise.
pub const ALL: &[&Rule] = &[
    &ABSURD_LENGTH,
    &INVALID_TYPE,
    &ARRAY_NESTING,
    &INVALID_BOOL,
    &DUPLICATE_NAME,
    &BAD_NAME,
    &NOT_UTF8,
    &ALIGNMENT,
    &TENSOR_SHAPE,
    &TENSOR_TYPE,
    &TENSOR_TYPE_NEWER,
    &TENSOR_MISALIGNED,
    &TENSOR_OVERLAP,
    &OFFSET_BEYOND_END,
    &HIDDEN_BYTES,
    &SPLIT_COUNT,
    &SPLIT_NAME,
    &ARCHITECTURE,
    &jinja::rules::SANDBOX_ESCAPE,
    &jinja::rules::FORBIDDEN_CALL,
    &jinja::rules::LOADS_FILE,
    &jinja::rules::REACHES_OBJECT,
    &jinja::rules::OBFUSCATED,
    &jinja::rules::RESOURCE_BOMB,
    &jinja::rules::CONTENT_TRIGGER,
    &jinja::rules::DATE_TRIGGER,
    &jinja::rules::INJECTED_INSTRUCTION,
    &jinja::rules::REWRITES_CONTENT,
    &jinja::rules::ACTIVE_MARKUP,
    &jinja::rules::INVISIBLE_TEXT,
    &jinja::rules::ENCODED_BLOB,
    &jinja::rules::TOO_COMPLEX,
    &jinja::rules::UNFINISHED,
    &tensors::rules::PROGRAM,
    &tensors::rules::ARCHIVE,
    &tensors::rules::HIDDEN_TEXT,
    &tensors::rules::NOT_FINITE,
];

/// Whether `c` makes a name read other than it is: control characters
/// (loaders in C stop at NUL), bidirectional overrides, invisible characters.
#[must_use]
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

const REFETCH: &str = "Do not load it with an old runtime. Fetch the file again from its publisher; if it is the \
                       same, ask them.";

/// A length or count that no file can hold.
pub static ABSURD_LENGTH: Rule = Rule {
    id: "gguf-absurd-length",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a length or count far beyond the end of the file",
    what: "The number of pairs or tensors, the length of a string or of an array is far more than the file could \
           hold: over 16 million entries, or a string or array beyond the loader's own limit of 2^30.",
    why: "Loaders that multiply such a number by an element's size, or reserve memory for it, overflow the heap. A \
          broken download never looks like this: its counts are still the honest ones.",
    false_positives: "Random damage to exactly these bytes.",
    remedy: REFETCH,
    references: &[
        "CVE-2024-23496",
        "CVE-2024-23605",
        "CVE-2024-21836",
        "CVE-2024-21825",
        "CVE-2024-25664",
        "CVE-2024-25665",
        "CVE-2024-25666",
        "CVE-2024-25667",
        "CVE-2024-25668",
        "CWE-190",
    ],
};

/// A value type id outside the enumeration.
pub static INVALID_TYPE: Rule = Rule {
    id: "gguf-invalid-value-type",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a metadata value of a type that does not exist",
    what: "The type of a value or of an array's elements is none of the thirteen of the specification.",
    why: "Loaders use the id as an index into a table of sizes; outside of it they read and write wild memory.",
    false_positives: "A future version of the format, or damage.",
    remedy: REFETCH,
    references: &["CVE-2024-21825", "CVE-2024-25667", "CWE-129"],
};

/// Arrays in arrays in arrays.
pub static ARRAY_NESTING: Rule = Rule {
    id: "gguf-array-nesting",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "arrays nested deeper than any writer does",
    what: "A metadata array holds arrays that hold arrays, more than three levels deep.",
    why: "Readers that follow the nesting recursively run out of stack. The reference loader refuses even one level.",
    false_positives: "None known.",
    remedy: REFETCH,
    references: &["CWE-674"],
};

/// A boolean that is neither 0 nor 1.
pub static INVALID_BOOL: Rule = Rule {
    id: "gguf-invalid-bool",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a boolean that is neither 0 nor 1",
    what: "A metadata value of type bool has another byte than 0 or 1.",
    why: "The specification calls the model invalid then; loading such a byte into a C++ bool is undefined behaviour.",
    false_positives: "Damage.",
    remedy: REFETCH,
    references: &["https://github.com/ggml-org/ggml/blob/master/docs/gguf.md"],
};

/// A key or tensor name that occurs twice.
pub static DUPLICATE_NAME: Rule = Rule {
    id: "gguf-duplicate-name",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a key or tensor name occurs twice",
    what: "Two pairs have the same key, or two tensors the same name.",
    why: "Some readers take the first, others the last, the reference loader refuses: a scanner can be shown another \
          template than the one that is used.",
    false_positives: "Hand-edited files.",
    remedy: REFETCH,
    references: &["CWE-436"],
};

/// A key or name that is empty, overlong or deceptive.
pub static BAD_NAME: Rule = Rule {
    id: "gguf-bad-name",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a key or tensor name no writer makes",
    what: "A key or tensor name is empty, holds control, bidirectional or invisible characters, or a tensor name is \
           a path or longer than its loader's limit: 63 bytes for language models, 127 for pictures.",
    why: "Loaders copy names into buffers of 64 or 128 bytes and cut them at NUL; invisible characters make one name \
          look like another.",
    false_positives: "None known from converters.",
    remedy: REFETCH,
    references: &["CWE-120", "CWE-158"],
};

/// Text that is not UTF-8.
pub static NOT_UTF8: Rule = Rule {
    id: "gguf-not-utf8",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "a string that is not UTF-8",
    what: "A key, tensor name or text value outside the tokenizer's tables is not UTF-8, as the specification demands.",
    why: "Readers differ in what they make of it, from refusing the file to dropping characters.",
    false_positives: "A name written in a local encoding; damage.",
    remedy: "Fetch the file again.",
    references: &["https://github.com/ggml-org/ggml/blob/master/docs/gguf.md"],
};

/// `general.alignment` that cannot be one.
pub static ALIGNMENT: Rule = Rule {
    id: "gguf-alignment",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "an impossible alignment",
    what: "`general.alignment` is zero, no power of two, above 2 MiB, or no unsigned 32-bit integer.",
    why: "Loaders round offsets with it: zero divides by zero, other values move every tensor or overflow the size of \
          the data section.",
    false_positives: "None known.",
    remedy: REFETCH,
    references: &["CVE-2025-53630", "CVE-2026-27940", "CWE-369"],
};

/// Extents that cannot be.
pub static TENSOR_SHAPE: Rule = Rule {
    id: "gguf-tensor-shape",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a tensor shape no loader accepts",
    what: "More than four dimensions, an extent of zero or below, extents that multiply beyond 63 bits, or rows that \
           are no whole number of quantisation blocks.",
    why: "Extents are written into an array of four and multiplied to a size: each of these overflowed the heap of a \
          released loader.",
    false_positives: "Video models keep convolutions of five dimensions; those architectures are known and exempt.",
    remedy: REFETCH,
    references: &["CVE-2024-21802", "CVE-2025-53630", "CWE-190", "CWE-787"],
};

/// A tensor type id nobody used.
pub static TENSOR_TYPE: Rule = Rule {
    id: "gguf-tensor-type",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a tensor of a type that never existed",
    what: "The type of a tensor is none that ggml, its forks, or the near future of either would use.",
    why: "The id is an index into a table of sizes and functions; outside of it loaders read wild pointers.",
    false_positives: "An unknown fork with its own numbering.",
    remedy: REFETCH,
    references: &["CWE-129"],
};

/// A tensor type newer than this release.
pub static TENSOR_TYPE_NEWER: Rule = Rule {
    id: "gguf-tensor-type-newer",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "a tensor type newer than this release",
    what: "The type of a tensor is just above the last one known.",
    why: "Its size is not known, so the layout of the file could not be checked.",
    false_positives: "Every file in a new quantisation, until the next release of this scanner.",
    remedy: "Update the scanner.",
    references: &[],
};

/// An offset that is not aligned.
pub static TENSOR_MISALIGNED: Rule = Rule {
    id: "gguf-tensor-misaligned",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a tensor that is not aligned",
    what: "A tensor's offset is no multiple of the file's alignment.",
    why: "Kernels read it with aligned vector loads and fault or read neighbours; no writer makes it.",
    false_positives: "None known.",
    remedy: REFETCH,
    references: &["https://github.com/ggml-org/ggml/blob/master/docs/gguf.md"],
};

/// Two tensors share bytes.
pub static TENSOR_OVERLAP: Rule = Rule {
    id: "gguf-tensor-overlap",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "tensors overlap",
    what: "Two tensors claim the same bytes of the data section.",
    why: "Bytes with two meanings pass a check under one and act under the other; the reference loader refuses them.",
    false_positives: "None known.",
    remedy: REFETCH,
    references: &["CWE-823"],
};

/// An offset that leaves the file.
pub static OFFSET_BEYOND_END: Rule = Rule {
    id: "gguf-offset-beyond-end",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a tensor placed beyond the end of the file",
    what: "A tensor starts beyond the end although the tensors before it end well within, claims more than 4 TiB, or \
           its end overflows 64 bits.",
    why: "Loaders that trust the offset read other memory of the server (keys, prompts of other users) into the \
          model, which can then be downloaded.",
    false_positives: "None known; a broken download keeps its tensors one after the other.",
    remedy: REFETCH,
    references: &["CVE-2026-7482", "CVE-2025-53630", "CWE-125"],
};

/// Bytes that belong to no tensor.
pub static HIDDEN_BYTES: Rule = Rule {
    id: "gguf-hidden-bytes",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "bytes that belong to no tensor",
    what: "Bytes other than zero lie between tensors or after the last one's padding. They are inspected as a file of \
           their own.",
    why: "No loader reads them, so archives, scripts and programs are carried there; with a ZIP directory at the end \
          the file is an archive as well.",
    false_positives: "Files written over longer ones; tools that append notes.",
    remedy: "Look at what was found in those bytes; take the file from its publisher.",
    references: &["CWE-506"],
};

/// No usable architecture.
pub static ARCHITECTURE: Rule = Rule {
    id: "gguf-architecture",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "no usable architecture",
    what: "The file has metadata and tensors, but `general.architecture` is absent or no text. Further parts of a \
           split model, importance matrices, and files without any metadata (stable-diffusion.cpp) are exempt.",
    why: "No runtime of language models loads such a file; it could not be judged as what it claims to be.",
    false_positives: "Files of tools with keys of their own.",
    remedy: "Fetch the file again; find out which program wrote it.",
    references: &["https://github.com/ggml-org/ggml/blob/master/docs/gguf.md"],
};

/// `split.*` keys that contradict the file.
pub static SPLIT_COUNT: Rule = Rule {
    id: "gguf-split-count",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "split keys that contradict the file",
    what: "`split.no` is not below `split.count`, or the file has more tensors than all parts together should.",
    why: "Loaders size their tables by these numbers before they open the other parts.",
    false_positives: "Parts renamed and edited by hand.",
    remedy: REFETCH,
    references: &["CWE-1284"],
};

/// The name says another part than the content.
pub static SPLIT_NAME: Rule = Rule {
    id: "gguf-split-name",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "the name says another part than the content",
    what: "The numbers in `name-00001-of-00005.gguf` differ from `split.no` and `split.count`.",
    why: "Loaders find the other parts by name; with the wrong name they load the wrong parts.",
    false_positives: "Renamed parts.",
    remedy: "Restore the publisher's names.",
    references: &[],
};
