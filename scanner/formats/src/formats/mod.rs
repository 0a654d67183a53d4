//! The registry: one directory and one line per format.

use weighbridge_types::Rule;

use crate::core::{FormatSpec, GENERIC_RULES};

mod compressed;
mod executable;
mod json;
mod nemo;
pub mod pickle;
mod rar;
mod sevenz;
pub mod tar;
mod torch_tar;
mod xml;
mod zip;

/// Every format, more telling ones before those they resemble.
pub static FORMATS: &[&FormatSpec] = &[
    &nemo::FORMAT,
    &torch_tar::FORMAT,
    // Wrappers last: what is inside decides.
    &json::FORMAT,
    &xml::FORMAT,
    &zip::FORMAT,
    &tar::FORMAT,
    &sevenz::FORMAT,
    &rar::FORMAT,
    &compressed::GZIP,
    &compressed::BZIP2,
    &compressed::XZ,
    &compressed::ZSTD,
    &compressed::LZ4,
    &compressed::LZMA,
    &compressed::ZLIB,
    // What only matters beside a model.
    &executable::HOOK,
    &executable::ELF,
    &executable::PE,
    &executable::MACH_O,
    &executable::SHORTCUT,
    &executable::SCRIPT,
];

/// The format of this id.
#[must_use]
pub fn by_id(id: &str) -> Option<&'static FormatSpec> {
    FORMATS.iter().copied().find(|f| f.id == id)
}

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
