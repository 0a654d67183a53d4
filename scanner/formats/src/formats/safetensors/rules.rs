//! What a safetensors file can do wrong.

use weighbridge_types::{Rule, Severity, Verdict};

use crate::codec::{jinja, tensors};

/// Every rule safetensors can raise.
pub const ALL: &[&Rule] = &[
    &HEADER_LENGTH,
    &DUPLICATE_KEY,
    &BAD_NAME,
    &LAYOUT,
    &SIZE_MISMATCH,
    &TRAILING_BYTES,
    &ALSO_ARCHIVE,
    &TARGET,
    &TARGET_NOTED,
    &CODE_IN_METADATA,
    &PAYLOAD_IN_METADATA,
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

const REFETCH: &str = "Do not load it. Fetch the file again from its publisher; if it is the same, ask them.";
const SPECIFICATION: &str = "https://github.com/huggingface/safetensors#format";

/// A header length no library accepts.
pub static HEADER_LENGTH: Rule = Rule {
    id: "safetensors-header-length",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a header length no library accepts",
    what: "The first eight bytes claim a header of more than 100 MB, while a JSON object follows them.",
    why: "Readers that reserve memory for it stop, or overflow when they add it to an offset.",
    false_positives: "None known; the library has refused such files from the start.",
    remedy: REFETCH,
    references: &[SPECIFICATION, "CWE-190", "CWE-789"],
};

/// A key that occurs twice.
pub static DUPLICATE_KEY: Rule = Rule {
    id: "safetensors-duplicate-key",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a name occurs twice in the header",
    what: "Two entries of the header have the same key, which the specification forbids.",
    why: "Some readers take the first, others the last: a scanner and a loader see different tensors.",
    false_positives: "None known; the library cannot write it.",
    remedy: REFETCH,
    references: &[SPECIFICATION, "CWE-436"],
};

/// A deceptive name.
pub static BAD_NAME: Rule = Rule {
    id: "safetensors-bad-name",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a tensor name no framework makes",
    what: "A tensor name is empty, longer than 4 KiB, climbs out of a folder (`..`), or holds control, bidirectional \
           or invisible characters.",
    why: "Converters write one file per tensor under its name; invisible characters make one name look like another.",
    false_positives: "None known from frameworks.",
    remedy: REFETCH,
    references: &["CWE-22", "CWE-158", "CWE-1007"],
};

/// Offsets out of order.
pub static LAYOUT: Rule = Rule {
    id: "safetensors-layout",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "tensors with holes, overlaps or reversed offsets",
    what: "Sorted by offset, a tensor does not start where the one before it ends, or ends before it starts.",
    why: "The specification forbids it so that no byte has two meanings and none is hidden; readers that do not check \
          it read out of bounds. Holes are inspected as files of their own.",
    false_positives: "Some early converters left alignment gaps.",
    remedy: REFETCH,
    references: &[SPECIFICATION, "CWE-125", "CWE-436"],
};

/// Shape and span disagree.
pub static SIZE_MISMATCH: Rule = Rule {
    id: "safetensors-size-mismatch",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a tensor's shape does not fit its bytes",
    what: "Shape times element size is not the number of bytes between the offsets, or overflows.",
    why: "Readers that believe the shape read beyond the data.",
    false_positives: "None known; the library refuses such files.",
    remedy: REFETCH,
    references: &[SPECIFICATION, "CWE-131", "CWE-190"],
};

/// Bytes after the last tensor.
pub static TRAILING_BYTES: Rule = Rule {
    id: "safetensors-trailing-bytes",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "bytes follow the last tensor",
    what: "The file goes on after the last tensor. The rest is inspected as a file of its own.",
    why: "Archives, pickles and programs are carried there; the file is then two at once, depending on who opens it.",
    false_positives: "Files written over longer ones; the library refuses them.",
    remedy: "Look at what was found in those bytes; take the file from its publisher.",
    references: &[SPECIFICATION, "CWE-506"],
};

/// Also a ZIP archive.
pub static ALSO_ARCHIVE: Rule = Rule {
    id: "safetensors-also-archive",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the file is a ZIP archive as well",
    what: "A complete ZIP directory stands at the end of the file. The archive is inspected as well.",
    why: "Programs that recognise archives from the end open another content than the one a safetensors reader sees.",
    false_positives: "A last tensor that holds an archive; where it holds nothing else, this is not reported.",
    remedy: REFETCH,
    references: &["CWE-436", "CWE-646"],
};

/// A dangerous `_target_`.
pub static TARGET: Rule = Rule {
    id: "safetensors-metadata-target",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "metadata that makes Hydra call the system",
    what: "A value of `__metadata__` holds a Hydra `_target_` that names a function of the interpreter, the operating \
           system, or a loader of code.",
    why: "Libraries that keep their configuration in the metadata pass it to `hydra.utils.instantiate`, which calls \
          whatever it names.",
    false_positives: "None known.",
    remedy: REFETCH,
    references: &["CVE-2025-23304", "https://unit42.paloaltonetworks.com/rce-vulnerabilities-in-ai-python-libraries/"],
};

/// Any other `_target_`.
pub static TARGET_NOTED: Rule = Rule {
    id: "safetensors-metadata-target-noted",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "metadata names a class to instantiate",
    what: "A value of `__metadata__` holds a Hydra `_target_` that names a class of some library.",
    why: "Reading the configuration calls that class with arguments from the file.",
    false_positives: "FlexTok and similar libraries keep their configuration like this.",
    remedy: "None needed; know which library reads it.",
    references: &["https://unit42.paloaltonetworks.com/rce-vulnerabilities-in-ai-python-libraries/"],
};

/// Code in metadata.
pub static CODE_IN_METADATA: Rule = Rule {
    id: "safetensors-metadata-code",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "code in the metadata",
    what: "A value of `__metadata__` holds a call such as `os.system(` or `__import__(`, a shell command or a script \
           element.",
    why: "Viewers and training tools show, template or evaluate metadata.",
    false_positives: "Workflows saved with a picture generator that contain a script node.",
    remedy: "Read the value before any tool does.",
    references: &["CWE-94"],
};

/// An encoded payload in metadata.
pub static PAYLOAD_IN_METADATA: Rule = Rule {
    id: "safetensors-metadata-payload",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "an encoded pickle, archive or program in the metadata",
    what: "A value of `__metadata__` is base64 or hexadecimal of a pickle, a ZIP or gzip archive, or a program. What it \
           decodes to is inspected as a file of its own.",
    why: "Libraries have unpickled optimizer state and configuration from metadata; otherwise it is a drop for \
          malware.",
    false_positives: "Tools that keep compressed notes there.",
    remedy: "Look at what was found in it.",
    references: &["CWE-502", "CWE-506"],
};
