//! Rules that the pipeline itself raises.

use weighbridge_types::{Rule, Severity, Verdict};

/// All of them, for `weighbridge rules`.
pub static ALL: &[&Rule] = &[
    &INSPECTION_FAILED,
    &PATTERN_SEARCH_FAILED,
    &CHANGED_WHILE_SCANNING,
    &EXTERNAL_DATA_LINK,
    &SIGNATURE_UNTRUSTED,
    &ADVISORY_BY_DIGEST,
    &ADVISORY_BY_REPOSITORY,
];

/// An advisory names this very file.
pub static ADVISORY_BY_DIGEST: Rule = Rule {
    id: "advisory-by-digest",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "an advisory names this file",
    what: "The SHA-256 of the file stands in an advisory, ours or one given with `--advisories`. Its severity is the advisory's.",
    why: "Somebody looked at exactly these bytes and warned of them.",
    false_positives: "None by accident: digests do not collide. An advisory may be wrong; a document of yours with the same id replaces or withdraws it.",
    remedy: "Do as the advisory says; if it names a replacement, use that.",
    references: &["docs/advisories.md"],
};

/// An advisory names the repository this file seems to come from.
pub static ADVISORY_BY_REPOSITORY: Rule = Rule {
    id: "advisory-by-repository",
    severity: Severity::High,
    verdict: Verdict::Suspicious,
    title: "an advisory names the repository this file seems to come from",
    what: "A claim of origin names a repository, and a revision if the advisory does, that an advisory warns of.",
    why: "Malicious repositories are found and taken down, while copies stay on disks.",
    false_positives: "Claims of origin can be wrong: anyone can name a folder. The report says who claims it and how strongly.",
    remedy: "Find out where the file came from; do not load it until you know.",
    references: &["docs/advisories.md"],
};

/// The signature beside a model does not stand.
pub static SIGNATURE_UNTRUSTED: Rule = Rule {
    id: "signature-untrusted",
    severity: Severity::High,
    verdict: Verdict::Suspicious,
    title: "the signature does not stand",
    what: "A check of the bundle failed: a file was altered, added, removed or renamed after signing, or the signer is not the trusted one.",
    why: "Whoever changes a model after its publisher signed it leaves the signature behind. This is what signatures are for.",
    false_positives: "Files that a user or a tool put into the model's folder; a bundle left over from an earlier version; a key that was changed.",
    remedy: "Fetch the model again from its publisher, or move what you added out of its folder. `weighbridge verify` lists every file that differs.",
    references: &["OpenSSF Model Signing 1.0, section 8", "CWE-347"],
};

/// The worker died, hung, or a parser broke.
pub static INSPECTION_FAILED: Rule = Rule {
    id: "inspection-failed",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "the inspection failed",
    what: "The confined process that inspected the file crashed, ran out of memory, or gave no sign of life in time.",
    why: "Files made to break scanners do exactly this. It was not inspected, so it is not clean.",
    false_positives: "A bug of ours: please report it with the file's format and, if you may, the file.",
    remedy: "Treat the file as hostile until another tool or a newer release has inspected it.",
    references: &["CWE-754"],
};

/// The pattern engine gave up.
pub static PATTERN_SEARCH_FAILED: Rule = Rule {
    id: "pattern-search-failed",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "the search for patterns failed",
    what: "The YARA engine stopped with an error in a part of the content.",
    why: "What was not searched is not clean.",
    false_positives: "A rule given with `--rules` that costs too much.",
    remedy: "Scan again without rules of your own; if it stays, report it to us with the file's format.",
    references: &["CWE-754"],
};

/// The bytes digested are not the bytes inspected.
pub static CHANGED_WHILE_SCANNING: Rule = Rule {
    id: "changed-while-scanning",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "the file changed while it was scanned",
    what: "Length, modification time or content differ between the start and the end of the inspection.",
    why: "What was found may not hold for what is there now; swapping a file during its check is a known attack.",
    false_positives: "A download or training run that is still writing.",
    remedy: "Scan again when nothing writes to the file.",
    references: &["CWE-367"],
};

/// External data reached through a link.
pub static EXTERNAL_DATA_LINK: Rule = Rule {
    id: "external-data-is-a-link",
    severity: Severity::High,
    verdict: Verdict::Suspicious,
    title: "tensor data of a graph is reached through a link",
    what: "The file that a graph names as its external data, or a folder on the way to it, is a symbolic link.",
    why: "Runtimes that check only the text of the path then read or overwrite a file elsewhere.",
    false_positives: "Hugging Face caches link every file into their own blob store; such links are recognised and not reported.",
    remedy: "Replace the link by the file, if its target is what you expect.",
    references: &["CVE-2026-34446", "CVE-2026-34447", "CWE-59"],
};
