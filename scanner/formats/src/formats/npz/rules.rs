use weighbridge_types::{Rule, Severity, Verdict};

/// Every rule of this format.
pub const ALL: &[&Rule] = &[&FOREIGN_MEMBER];

/// A member is no array.
pub static FOREIGN_MEMBER: Rule = Rule {
    id: "npz-foreign-member",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "a member of a NumPy archive is no array",
    what: "A member does not start with the signature of `.npy`.",
    why: "NumPy never writes one; `np.load` hands out its bytes as they are. It was inspected as whatever it is.",
    false_positives: "Archives that tools extend with notes.",
    remedy: "None needed if nothing else was found.",
    references: &["https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html"],
};
