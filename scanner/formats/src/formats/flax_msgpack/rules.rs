use weighbridge_types::{Rule, Severity, Verdict};

use crate::codec::tensors::rules as tensors;

pub static ALL: &[&Rule] = &[
    &OBJECT_ARRAY,
    &HIDDEN_PICKLE,
    &UNKNOWN_EXTENSION,
    &BAD_ARRAY,
    &SIZE_MISMATCH,
    &ODD_KEY,
    &DUPLICATE_KEY,
    &TRAILING,
    &tensors::PROGRAM,
];

const SERIALIZATION: &str = "https://flax.readthedocs.io/en/latest/api_reference/flax.serialization.html";

/// An array of Python objects.
pub static OBJECT_ARRAY: Rule = Rule {
    id: "flax-object-array",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "array of Python objects",
    what: "An array of the checkpoint is of NumPy's type `object`.",
    why: "Elements of that type are pickles or raw pointers: reading them runs code or reads memory of the attacker's \
          choice. Flax refuses to write them.",
    false_positives: "None known: `to_bytes` raises an error for such arrays.",
    remedy: "Do not load the file.",
    references: &[SERIALIZATION, "CWE-502"],
};

/// A pickle among the values.
pub static HIDDEN_PICKLE: Rule = Rule {
    id: "flax-pickle-value",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "pickle among the values",
    what: "A text or byte string of the checkpoint is a pickle. Its content is inspected as such.",
    why: "Programs that keep state so unpickle it when they load the checkpoint.",
    false_positives: "Training programs that store their own state.",
    remedy: "Look at what the pickle calls; load parameters only.",
    references: &[SERIALIZATION, "CWE-502"],
};

/// An extension that Flax does not define.
pub static UNKNOWN_EXTENSION: Rule = Rule {
    id: "flax-unknown-extension",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "extension type that Flax does not define",
    what: "A value is of a MessagePack extension type other than array, complex number and NumPy scalar.",
    why: "Only a hook of somebody's own can read it; such hooks often unpickle.",
    false_positives: "MessagePack files of other programs under a checkpoint's name.",
    remedy: "Find out which program wrote the file.",
    references: &[SERIALIZATION],
};

/// An array extension that holds no array.
pub static BAD_ARRAY: Rule = Rule {
    id: "flax-bad-array",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "array extension that holds no array",
    what: "The content of an extension of type 1 or 3 is not `(shape, dtype, bytes)`.",
    why: "No writer makes it; the reader builds an array from whatever is there.",
    false_positives: "Other programs use the same extension numbers for types of their own.",
    remedy: "Do not load the file, unless you know its writer.",
    references: &[SERIALIZATION],
};

/// Elements and shape disagree.
pub static SIZE_MISMATCH: Rule = Rule {
    id: "flax-size-mismatch",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "array whose bytes do not fit its shape",
    what: "An array has more or fewer bytes than its shape and type need, or its shape overflows.",
    why: "Readers reserve memory by the shape, or read beyond the bytes.",
    false_positives: "None: the writer takes both from one array.",
    remedy: "Do not load the file.",
    references: &["CWE-125", "CWE-789"],
};

/// A key that is a container.
pub static ODD_KEY: Rule = Rule {
    id: "flax-odd-key",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "map key that is no text",
    what: "A map has an array, a map or an extension as key.",
    why: "No writer makes it; it aims at the reader.",
    false_positives: "MessagePack files of other programs under a checkpoint's name.",
    remedy: "Do not load the file, unless you know its writer.",
    references: &["https://github.com/msgpack/msgpack/blob/master/spec.md"],
};

/// A key that occurs twice.
pub static DUPLICATE_KEY: Rule = Rule {
    id: "flax-duplicate-key",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "key that occurs twice in its map",
    what: "A map of the checkpoint has two entries of one name.",
    why: "Readers disagree about which one counts: one weight is shown, another used.",
    false_positives: "None: the writer takes the entries from a dictionary.",
    remedy: "Do not load the file.",
    references: &["CWE-436"],
};

/// Bytes after the tree.
pub static TRAILING: Rule = Rule {
    id: "flax-trailing-bytes",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "bytes behind the checkpoint",
    what: "Bytes follow the MessagePack document. They are inspected by whatever they turn out to be.",
    why: "Strict readers refuse the file, others never see what hides there.",
    false_positives: "Streams of several documents, which Flax does not write.",
    remedy: "Find out who appended them.",
    references: &[SERIALIZATION],
};
