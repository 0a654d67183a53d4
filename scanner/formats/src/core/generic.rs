//! Rules that any format can raise: damage, limits, names that lie.

use weighbridge_types::{Rule, Severity, Verdict};

use crate::core::{FormatError, Inspection};

/// Rules not owned by one format.
pub const GENERIC_RULES: &[&Rule] = &[
    &TRUNCATED,
    &MALFORMED,
    &LIMIT_REACHED,
    &READ_FAILED,
    &EXTENSION_MISMATCH,
    &CODE_UNDER_SAFE_NAME,
    &UNRECOGNISED,
    &LFS_POINTER,
    &HTML_PAGE,
    &EMPTY_FILE,
    &FINDINGS_DROPPED,
];

/// The content ends inside a field.
pub static TRUNCATED: Rule = Rule {
    id: "truncated",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "the content ends too early",
    what: "A field, tensor or member declared by the file lies partly or wholly beyond its end.",
    why: "The rest was not there to inspect. Interrupted downloads look like this, and so do files cut on purpose so \
          that a scanner gives up while a lenient loader has already run what stands before the cut.",
    false_positives: "A download that is still running or was broken off.",
    remedy: "Fetch the file again from its publisher and compare the digest.",
    references: &["CWE-1284"],
};

/// A field holds what its specification forbids.
pub static MALFORMED: Rule = Rule {
    id: "malformed",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "the content breaks its format's specification",
    what: "A field holds a value that the format's specification forbids.",
    why: "What a parser does with such a value differs from loader to loader; memory bugs live there. What follows the \
          field could not be inspected.",
    false_positives: "A newer version of the format than this release knows.",
    remedy: "Fetch the file again; if it is the publisher's, report the format version to us.",
    references: &["CWE-20"],
};

/// One of our limits was reached.
pub static LIMIT_REACHED: Rule = Rule {
    id: "limit-reached",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "an inspection limit was reached",
    what: "Depth, expansion, member count, work or a field's size went over the named limit.",
    why: "Archive bombs and quadratic inputs aim at exactly this; what lies beyond was not inspected.",
    false_positives: "A very large honest archive.",
    remedy: "If the source is trusted, unpack it and scan the parts.",
    references: &["CWE-409", "CWE-400"],
};

/// The operating system could not read the bytes.
pub static READ_FAILED: Rule = Rule {
    id: "read-failed",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "reading failed",
    what: "The operating system reported an error while the file was read.",
    why: "What could not be read could not be inspected.",
    false_positives: "Failing disks, network file systems, files that were being written.",
    remedy: "Check the disk and scan again.",
    references: &[],
};

/// The extension belongs to another format.
pub static EXTENSION_MISMATCH: Rule = Rule {
    id: "extension-mismatch",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "the extension belongs to another format",
    what: "The content was recognised as one format while the extension is that of another.",
    why: "Tools that choose a loader or a scanner by name look at the wrong thing (CVE-2025-10155).",
    false_positives: "People rename files; some projects reuse extensions.",
    remedy: "Rename the file, or treat its source with care.",
    references: &["CVE-2025-10155", "CWE-646"],
};

/// Content that can run code stands under the name of a format that cannot.
pub static CODE_UNDER_SAFE_NAME: Rule = Rule {
    id: "code-under-safe-name",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "content that can run code under the name of a format that cannot",
    what: "The name promises a format without code (safetensors, GGUF, ONNX, JSON…) and the content is one whose \
           loading can run code.",
    why: "Loaders that sniff content load it all the same, while allow-lists by extension let it pass.",
    false_positives: "None known from honest tools.",
    remedy: "Do not load it; ask the publisher.",
    references: &["CVE-2025-10155", "CWE-646"],
};

/// The name says model, the content says nothing known.
pub static UNRECOGNISED: Rule = Rule {
    id: "unrecognised",
    severity: Severity::Low,
    verdict: Verdict::Unknown,
    title: "named like a model, content not recognised",
    what: "The extension is that of a model format, but the content is none that is known.",
    why: "It could not be inspected. Unknown is not a pass.",
    false_positives: "Other programs use the same extensions; encrypted or proprietary weights.",
    remedy: "Find out which program wrote it.",
    references: &[],
};

/// A Git LFS pointer stands where the weights should be.
pub static LFS_POINTER: Rule = Rule {
    id: "lfs-pointer",
    severity: Severity::Info,
    verdict: Verdict::Unknown,
    title: "a Git LFS pointer, not the file itself",
    what: "The content is the small text that Git LFS leaves in place of a large file.",
    why: "There is no model here to inspect.",
    false_positives: "None.",
    remedy: "Run `git lfs pull` and scan again.",
    references: &["https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md"],
};

/// A web page stands where the weights should be.
pub static HTML_PAGE: Rule = Rule {
    id: "html-page",
    severity: Severity::Info,
    verdict: Verdict::Unknown,
    title: "a web page, not a model",
    what: "The content is HTML: a login or error page saved under a model's name.",
    why: "There is no model here to inspect.",
    false_positives: "None.",
    remedy: "Download the file again, logged in.",
    references: &[],
};

/// Nothing is in the file.
pub static EMPTY_FILE: Rule = Rule {
    id: "empty-file",
    severity: Severity::Info,
    verdict: Verdict::Unknown,
    title: "an empty file under a model's name",
    what: "The file has no bytes, or only zero bytes.",
    why: "There is no model here to inspect; pre-allocated downloads look like this.",
    false_positives: "A download that has not started to write.",
    remedy: "Wait for the download, then scan again.",
    references: &[],
};

/// More hits than are kept.
pub static FINDINGS_DROPPED: Rule = Rule {
    id: "findings-dropped",
    severity: Severity::Info,
    verdict: Verdict::Clean,
    title: "more findings than are kept",
    what: "The file has more hits than the limit per artifact; the least severe were dropped.",
    why: "A flood of notes can hide the one that matters; that one was kept.",
    false_positives: "None.",
    remedy: "Look at the kept findings first.",
    references: &[],
};

/// Turns an early stop into its finding.
pub(crate) fn stopped(ctx: &mut Inspection<'_>, error: &FormatError) {
    let rule = match error {
        FormatError::Truncated { .. } => &TRUNCATED,
        FormatError::Malformed { .. } => &MALFORMED,
        FormatError::Limit { .. } => &LIMIT_REACHED,
        FormatError::Io { .. } => &READ_FAILED,
    };
    ctx.find(rule, error.offset(), error.to_string());
}
