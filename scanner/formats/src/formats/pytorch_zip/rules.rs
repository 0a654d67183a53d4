use weighbridge_types::{Rule, Severity, Verdict};

/// Every rule of PyTorch containers.
pub const ALL: &[&Rule] =
    &[&STORAGE_LENGTH, &STORAGE_LONGER, &STORAGE_MISSING, &STORAGE_KEY, &STORAGE_UNREFERENCED, &TRAILING_DATA];

/// A storage has fewer bytes than its tensor needs.
pub static STORAGE_LENGTH: Rule = Rule {
    id: "torch-storage-too-short",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a storage has fewer bytes than the pickle declares",
    what: "The persistent id of a storage declares more elements than its member, or its record in a legacy file, holds.",
    why: "Loaders that allocate by one number and copy by the other write or read beyond the buffer; the restricted \
          unpickler of PyTorch before 2.10 corrupts memory this way even with `weights_only=True`.",
    false_positives: "None known from torch.save; a file damaged by a converter.",
    remedy: "Fetch the file again and compare the digest; update PyTorch.",
    references: &["CVE-2026-24747", "CWE-787"],
};

/// A storage has more bytes than its tensor needs.
pub static STORAGE_LONGER: Rule = Rule {
    id: "torch-storage-longer",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "a storage has more bytes than the pickle declares",
    what: "A member that holds tensor data is larger than its declared elements.",
    why: "The surplus is read by nobody and is a place to hide content; it was inspected.",
    false_positives: "Writers that pad storages.",
    remedy: "None needed if nothing else was found.",
    references: &[],
};

/// A named storage is not there.
pub static STORAGE_MISSING: Rule = Rule {
    id: "torch-storage-missing",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "a storage named by the pickle is missing",
    what: "The pickle names tensor data that the archive does not contain.",
    why: "The file is incomplete, or made by hand; it cannot be loaded as it is.",
    false_positives: "Archives stripped of their weights on purpose.",
    remedy: "Fetch the file again.",
    references: &["CWE-1284"],
};

/// A storage key is a path.
pub static STORAGE_KEY: Rule = Rule {
    id: "torch-storage-key-is-path",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a storage key is a path",
    what: "The key of a storage contains separators or consists of dots, while PyTorch writes numbers.",
    why: "Readers that build file names from keys can be led outside the archive.",
    false_positives: "None known from torch.save.",
    remedy: "Do not unpack or convert the file; ask the publisher.",
    references: &["CWE-22"],
};

/// Tensor data that no pickle names.
pub static STORAGE_UNREFERENCED: Rule = Rule {
    id: "torch-storage-unreferenced",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "members lie among the tensor data that no pickle names",
    what: "`data/<number>` exists and no persistent id refers to it.",
    why: "Nobody reads it, so it can hide content; it was inspected as whatever it is.",
    false_positives: "Tools that edit checkpoints and leave storages behind.",
    remedy: "None needed if nothing else was found.",
    references: &[],
};

/// Bytes after the end of a pickle or container.
pub static TRAILING_DATA: Rule = Rule {
    id: "torch-trailing-data",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "data follows the end of the pickle or container",
    what: "A member that holds one pickle goes on after its STOP, or a legacy file after its last storage.",
    why: "Loaders stop before it, scanners that only read the first stream too; it was inspected.",
    false_positives: "Several objects saved to one file one after the other.",
    remedy: "None needed if nothing else was found.",
    references: &[],
};
