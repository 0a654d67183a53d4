//! What can be wrong with a tar archive that holds a model.

use weighbridge_types::{Rule, Severity, Verdict};

/// A header's checksum is wrong.
pub static HEADER_DAMAGED: Rule = Rule {
    id: "tar-header-damaged",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "a tar header's checksum does not fit",
    what: "The checksum of an entry's header is not that of its bytes; the entry was inspected all the same.",
    why: "Strict readers stop here, lenient ones go on: they see different contents.",
    false_positives: "Archives damaged in transfer.",
    remedy: "Fetch the file again from its publisher and compare the digest.",
    references: &["CWE-354"],
};

/// Two sizes for one entry.
pub static SIZE_MISMATCH: Rule = Rule {
    id: "tar-size-mismatch",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "an entry has two sizes",
    what: "A pax header gives another size than the entry's own header, which is not zero.",
    why: "Readers disagree on where the next entry starts: what one takes for data is an entry to the other.",
    false_positives: "None known.",
    remedy: "Do not unpack it; ask the publisher how it was written.",
    references: &["CVE-2025-62518", "CWE-436"],
};

/// Entries after the end.
pub static HIDDEN_MEMBER: Rule = Rule {
    id: "tar-hidden-member",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "entries after the end of the archive",
    what: "More entries follow the zero blocks that end a tar archive.",
    why: "`tar` and Python's `tarfile` stop at the end and do not show them; readers told to ignore zeros unpack them.",
    false_positives: "Archives appended to one another with `cat`.",
    remedy: "Unpack with and without `--ignore-zeros` and compare.",
    references: &["CWE-436"],
};

/// A sparse entry.
pub static SPARSE: Rule = Rule {
    id: "tar-sparse-member",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "a sparse entry was not inspected",
    what: "The archive holds a file whose holes are left out, in one of the GNU formats.",
    why: "Its content only exists once unpacked; it was not inspected.",
    false_positives: "Archives made with `tar --sparse`.",
    remedy: "Unpack it and scan the file.",
    references: &["https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html"],
};
