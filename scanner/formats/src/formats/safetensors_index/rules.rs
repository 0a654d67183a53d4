//! What a shard index can do wrong.

use weighbridge_types::{Rule, Severity, Verdict};

/// Every rule a shard index can raise.
pub const ALL: &[&Rule] = &[&PATH_ESCAPE, &NOT_A_NAME, &DUPLICATE_KEY];

const REMOVE: &str = "Do not load the model. Take it from its publisher.";

/// A shard outside of the folder.
pub static PATH_ESCAPE: Rule = Rule {
    id: "index-path-escape",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "a shard index names a file outside of its folder",
    what: "A value of `weight_map` is an absolute path, climbs out of the folder with `..`, is a web address, or holds \
           control characters.",
    why: "Loaders join it to the model's folder and open it: they read another file of the user into the model, load a \
          pickle from a place the attacker can write, or fetch from the attacker's server.",
    false_positives: "None known: published indexes name files beside them.",
    remedy: REMOVE,
    references: &["CWE-22", "CWE-918"],
};

/// A value that is no name.
pub static NOT_A_NAME: Rule = Rule {
    id: "index-not-a-name",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "a shard index maps a tensor to what is no file name",
    what: "A value of `weight_map` is not a string.",
    why: "The file that holds the tensor is not known, so it could not be checked.",
    false_positives: "Damage.",
    remedy: "Fetch the index again.",
    references: &["CWE-1284"],
};

/// A key twice.
pub static DUPLICATE_KEY: Rule = Rule {
    id: "index-duplicate-key",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a key occurs twice in a shard index",
    what: "The same tensor, or `weight_map` itself, occurs twice.",
    why: "Readers differ in which one counts: a scanner and a loader open different files.",
    false_positives: "Indexes merged by hand.",
    remedy: REMOVE,
    references: &["CWE-436"],
};
