//! Rules that claims about origin raise.

use weighbridge_types::{Rule, Severity, Verdict};

/// All of them.
pub static ALL: &[&Rule] = &[&CONTRADICTED];

/// A record names another digest than the file has.
pub static CONTRADICTED: Rule = Rule {
    id: "origin-contradicted",
    severity: Severity::High,
    verdict: Verdict::Suspicious,
    title: "the content is not what its record says",
    what: "A store names the file by the digest of its content, or a download record holds that digest, and the \
           content has another one.",
    why: "The file lies where a trusted download would lie, under its name and revision, and is something else: \
          replaced, patched in place, or damaged. Loaders do not look again.",
    false_positives: "A file edited on purpose inside a cache; a damaged disk; a mirror whose entity tags are 64 or \
                      40 hexadecimal digits and no digests.",
    remedy: "Do not load it. Delete the file and its record and fetch the model again from where it claims to come \
             from.",
    references: &["CWE-345", "CWE-494"],
};
