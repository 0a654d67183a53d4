//! Rules about archives, whatever their kind.

use weighbridge_types::{Rule, Severity, Verdict};

/// All of them.
pub const ALL: &[&Rule] =
    &[&PATH_TRAVERSAL, &LINK_ESCAPE, &WRITE_THROUGH_LINK, &DEVICE, &PRIVILEGED, &BOMB, &UNDER_MODEL_NAME, &ENCRYPTED];

/// A member name leads out of the target folder.
pub static PATH_TRAVERSAL: Rule = Rule {
    id: "archive-path-traversal",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "a member's name leads out of the folder it is unpacked into",
    what: "The name has more `..` than folders before them, is absolute, starts at a drive or names a server.",
    why: "Unpacking writes where the attacker chose: into start-up files, site-packages, another model (zip slip).",
    false_positives: "Backups made with absolute names; whole backups and file-system images are recognised and exempt.",
    remedy: "Do not unpack it. Ask the publisher for an archive without such names.",
    references: &[
        "CWE-22",
        "CVE-2007-4559",
        "CVE-2023-48299",
        "https://security.snyk.io/research/zip-slip-vulnerability",
    ],
};

/// A link points outside the target folder.
pub static LINK_ESCAPE: Rule = Rule {
    id: "archive-link-escape",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "a link in the archive points outside of it",
    what: "A symbolic or hard link whose target is absolute or leads above the folder the archive is unpacked into.",
    why: "What reads or writes the member afterwards reads or writes a file of the attacker's choice: keys, \
          credentials, start-up files.",
    false_positives: "Source packages with links to the packager's machine (exempt where there is no model), and \
                      file-system images, which are recognised.",
    remedy: "Do not unpack it outside a throw-away folder.",
    references: &["CWE-59", "CVE-2026-34447", "CVE-2025-4517"],
};

/// A member is written through a link.
pub static WRITE_THROUGH_LINK: Rule = Rule {
    id: "archive-write-through-link",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "a member is written through a link that leads out",
    what: "One member is a symbolic link that leads out of the archive, and a later one lies below it.",
    why: "Unpackers that follow the link write the later member anywhere on the disk.",
    false_positives: "None known.",
    remedy: "Do not unpack it.",
    references: &["CWE-61", "CVE-2025-4330", "CVE-2018-1002200"],
};

/// A device or FIFO.
pub static DEVICE: Rule = Rule {
    id: "archive-device",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the archive holds a device or a FIFO",
    what: "A member is a character or block device or a named pipe, and the archive is no file-system image.",
    why: "Unpacked as root it gives access to disks and memory; readers of a FIFO hang.",
    false_positives: "Partial backups of system folders.",
    remedy: "Find out why it is there; models need none.",
    references: &["CWE-67"],
};

/// A setuid or setgid program.
pub static PRIVILEGED: Rule = Rule {
    id: "archive-setuid",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the archive holds a setuid or setgid program",
    what: "A regular, executable member has the setuid or setgid bit, and the archive is no file-system image.",
    why: "Unpacked with its permissions it runs as its owner for whoever starts it.",
    false_positives: "Partial backups of system folders.",
    remedy: "Find out why it is there; models need none.",
    references: &["CWE-250"],
};

/// Expands out of all proportion.
pub static BOMB: Rule = Rule {
    id: "archive-bomb",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the archive expands out of all proportion",
    what: "Content of no known kind expands more than 500 times, compressed data inside is compressible again, or \
           members share the same compressed bytes.",
    why: "Unpacking fills memory or disk, or makes a scanner give up before it reaches what counts.",
    false_positives: "Blank disk images and other empty files. Arrays of zeros are recognised as arrays and exempt.",
    remedy: "Do not unpack it where disk space matters.",
    references: &["CWE-409", "https://www.usenix.org/conference/woot19/presentation/fifield"],
};

/// A 7z or RAR archive under a model's name.
pub static UNDER_MODEL_NAME: Rule = Rule {
    id: "archive-under-model-name",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "an archive that no loader reads stands under a model's name",
    what: "The name is that of a PyTorch or pickle file, the content a 7z or RAR archive.",
    why: "Malicious models were published in this form so that scanners, which expect a ZIP, fail to open them \
          (nullifAI, 2025).",
    false_positives: "None known from honest tools.",
    remedy: "Do not unpack and load it; report it to the hub.",
    references: &["https://www.reversinglabs.com/blog/rl-identifies-malware-ml-model-hosted-on-hugging-face"],
};

/// Encrypted content.
pub static ENCRYPTED: Rule = Rule {
    id: "archive-encrypted",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "content is encrypted",
    what: "Members, or the archive's table of contents, are encrypted.",
    why: "They could not be inspected. Passwords that travel beside an archive serve to get it past scanners.",
    false_positives: "Archives that people protect for good reasons.",
    remedy: "Unpack it in a throw-away folder and scan the parts.",
    references: &[],
};
