//! What differs between readers of one ZIP archive.

use weighbridge_types::{Rule, Severity, Verdict};

use crate::codec::archive;

/// Every rule that [`super::inspect_archive`] and [`super::report_anomalies`]
/// can raise.
pub const ALL: &[&Rule] = &[
    &NAME_MISMATCH,
    &HEADER_MISMATCH,
    &FLAG_TRICK,
    &UNKNOWN_METHOD,
    &DUPLICATE_NAME,
    &OVERLAP,
    &HIDDEN_MEMBER,
    &AMBIGUOUS_DIRECTORY,
    &COUNT_MISMATCH,
    &DIRECTORY_DAMAGED,
    &PREFIX_DATA,
    &SUFFIX_DATA,
    &BAD_CRC,
    &SIZE_LIES,
    &archive::rules::PATH_TRAVERSAL,
    &archive::rules::LINK_ESCAPE,
    &archive::rules::WRITE_THROUGH_LINK,
    &archive::rules::DEVICE,
    &archive::rules::PRIVILEGED,
    &archive::rules::BOMB,
    &archive::rules::ENCRYPTED,
];

const DIFFERENTIAL: &str = "CWE-436";

/// Local header and directory name a member differently.
pub static NAME_MISMATCH: Rule = Rule {
    id: "zip-name-mismatch",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "readers of this archive see a member under different names",
    what: "A member's name in its local header is not the one in the central directory, or it holds a NUL where some \
           readers stop.",
    why: "A scanner looks for `data.pkl` and finds none, or gives up on the mismatch; PyTorch goes by the directory \
          and loads it.",
    false_positives: "None known in files written by model libraries.",
    remedy: "Do not load it; ask the publisher how it was written.",
    references: &["CVE-2025-1944", DIFFERENTIAL],
};

/// Local header and directory disagree about more than the name.
pub static HEADER_MISMATCH: Rule = Rule {
    id: "zip-header-mismatch",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "local header and central directory disagree",
    what: "Compression method, sizes, CRC-32 or flags differ between a member's two headers, or the local header is \
           not where the directory says.",
    why: "One reader unpacks what another skips or sees as damaged.",
    false_positives: "Archives damaged in transfer.",
    remedy: "Fetch the file again; if it stays so, do not load it.",
    references: &["CVE-2025-1944", DIFFERENTIAL],
};

/// Flags forbid reading what is plainly there.
pub static FLAG_TRICK: Rule = Rule {
    id: "zip-flag-trick",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a member is flagged as encrypted or patched, but is not",
    what: "General purpose flag bit 0, 5, 6 or 13 is set, yet the member's content is plainly readable.",
    why: "Python's `zipfile` refuses such a member, so scanners built on it fail; loaders that ignore the flag run it.",
    false_positives: "None known.",
    remedy: "Do not load it.",
    references: &["CVE-2025-1945", DIFFERENTIAL],
};

/// A method number nobody uses.
pub static UNKNOWN_METHOD: Rule = Rule {
    id: "zip-unknown-method",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a member claims a compression method that does not exist",
    what: "The method is none of those that APPNOTE 4.4.5 assigns, or says AES where nothing is encrypted.",
    why: "Scanners skip what they cannot unpack, while a lenient or patched loader takes the bytes as they are.",
    false_positives: "Experimental compressors.",
    remedy: "Do not load it; ask the publisher how it was written.",
    references: &[DIFFERENTIAL],
};

/// Two members, one name.
pub static DUPLICATE_NAME: Rule = Rule {
    id: "zip-duplicate-name",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "two members with different content share a name",
    what: "The directory lists a name twice with different content, or two names that differ only in case.",
    why: "Python's `zipfile` reads the last, others the first, PyTorch ignores case: the scanner looks at one, the \
          loader at another.",
    false_positives: "Java archives merged from others; they are recognised as packages and exempt.",
    remedy: "Do not load it; ask the publisher how it was written.",
    references: &[DIFFERENTIAL],
};

/// Members share bytes.
pub static OVERLAP: Rule = Rule {
    id: "zip-overlap",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "members of the archive overlap",
    what: "The bytes of one member belong to another too, or to the central directory.",
    why: "Overlapping members make a small file expand quadratically (a better zip bomb), or mean different things \
          to different readers.",
    false_positives: "None known.",
    remedy: "Do not unpack it.",
    references: &["https://www.usenix.org/conference/woot19/presentation/fifield", "CVE-2024-0450", "CWE-409"],
};

/// In the file, not in the directory.
pub static HIDDEN_MEMBER: Rule = Rule {
    id: "zip-hidden-member",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the archive holds a member that its directory does not list",
    what: "Between, before or after the listed members stands a local header with data.",
    why: "Readers that go through the file from the front unpack it; those that go by the directory, most scanners \
          among them, never see it.",
    false_positives: "Archives whose members were deleted or replaced in place by old tools.",
    remedy: "Write the archive anew from what the directory lists, or do not load it.",
    references: &[DIFFERENTIAL],
};

/// Several directories.
pub static AMBIGUOUS_DIRECTORY: Rule = Rule {
    id: "zip-ambiguous-directory",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the archive has more than one central directory",
    what: "A second end record, one in the comment, ZIP64 values unlike the plain ones, or an offset that leads \
           elsewhere: readers find different members. All were inspected.",
    why: "The scanner reads one archive, the loader another.",
    false_positives: "Archives appended to one another.",
    remedy: "Do not load it; ask the publisher how it was written.",
    references: &[DIFFERENTIAL, "https://www.usenix.org/conference/usenixsecurity25/presentation/you"],
};

/// The count lies.
pub static COUNT_MISMATCH: Rule = Rule {
    id: "zip-count-mismatch",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the end record counts other members than the directory holds",
    what: "The number of entries in the end record is not the number of headers in the directory.",
    why: "Some readers stop at the count, others at the directory's size: they see different members.",
    false_positives: "None known in files written by model libraries.",
    remedy: "Do not load it; ask the publisher how it was written.",
    references: &[DIFFERENTIAL],
};

/// No directory, or half of one.
pub static DIRECTORY_DAMAGED: Rule = Rule {
    id: "zip-directory-damaged",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "the central directory is missing or damaged",
    what: "Members were found by their local headers instead, as lenient readers do.",
    why: "There may be members that could not be found so. Broken archives made scanners give up before a payload \
          that loads all the same (nullifAI).",
    false_positives: "A download that is still running or was broken off.",
    remedy: "Fetch the file again from its publisher and compare the digest.",
    references: &["https://www.reversinglabs.com/blog/rl-identifies-malware-ml-model-hosted-on-hugging-face"],
};

/// Something stands before the archive.
pub static PREFIX_DATA: Rule = Rule {
    id: "zip-prefix-data",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "data before the archive",
    what: "The first member does not start at the file's first byte.",
    why: "Programs that go by the first bytes see another kind of file than ZIP readers, which go by the end.",
    false_positives: "Self-extracting archives, Python zipapps, llamafiles.",
    remedy: "Look at what the first bytes are.",
    references: &["CWE-646"],
};

/// Something stands after the archive.
pub static SUFFIX_DATA: Rule = Rule {
    id: "zip-suffix-data",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "data after the archive",
    what: "Bytes follow the end record and its comment.",
    why: "Room for a payload that ZIP readers ignore. What it is was inspected.",
    false_positives: "Signatures and padding appended by download tools.",
    remedy: "Compare with the publisher's digest.",
    references: &[],
};

/// The checksum is wrong.
pub static BAD_CRC: Rule = Rule {
    id: "zip-bad-crc",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a member's checksum is wrong",
    what: "The CRC-32 of the content is not the one in the central directory.",
    why: "Python's `zipfile` refuses such a member, so scanners built on it fail; PyTorch does not check and loads it.",
    false_positives: "Archives damaged in transfer. Checkpoints saved without any checksums are recognised and exempt.",
    remedy: "Fetch the file again; if it stays so, do not load it.",
    references: &["CVE-2025-10156", DIFFERENTIAL],
};

/// The length is wrong.
pub static SIZE_LIES: Rule = Rule {
    id: "zip-size-mismatch",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a member unpacks to another size than declared",
    what: "The content is longer or shorter than the central directory says.",
    why: "Readers that stop at the declared size see less than others do; buffers sized by it are overrun.",
    false_positives: "Archives damaged in transfer.",
    remedy: "Fetch the file again; if it stays so, do not load it.",
    references: &[DIFFERENTIAL, "CWE-130"],
};
