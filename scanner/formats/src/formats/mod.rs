//! The registry: one directory and one line per format.

use weighbridge_types::Rule;

use crate::core::{FormatSpec, GENERIC_RULES};

pub mod hdf5;
mod json;
pub mod keras_config;
mod keras_h5;
mod keras_zip;
pub mod pickle;
mod xml;
mod zip;

/// Every format, more telling ones before those they resemble.
pub static FORMATS: &[&FormatSpec] = &[
    &keras_zip::FORMAT,
    &keras_h5::FORMAT,
    &keras_config::FORMAT,
    &hdf5::FORMAT,
    // Wrappers last: what is inside decides.
    &json::FORMAT,
    &xml::FORMAT,
    &zip::FORMAT,
];

/// Every rule, by format, for `weighbridge rules`.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    GENERIC_RULES.iter().copied().chain(FORMATS.iter().flat_map(|f| f.rules.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_ids_are_unique_and_rules_have_one_page() {
        let mut ids: Vec<_> = FORMATS.iter().map(|f| f.id).collect();
        ids.sort_unstable();
        let n = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), n, "two formats share an id");
        let mut seen = std::collections::HashMap::new();
        for rule in rules() {
            assert!(rule.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{}", rule.id);
            for text in [rule.title, rule.what, rule.why, rule.false_positives, rule.remedy] {
                assert!(!text.trim().is_empty(), "{} has an empty part", rule.id);
            }
            if let Some(other) = seen.insert(rule.id, rule) {
                assert!(std::ptr::eq(other, rule), "two rules are named {}", rule.id);
            }
        }
    }
}
