//! The registry: one directory and one line per format.

use weighbridge_types::Rule;

use crate::core::{FormatSpec, GENERIC_RULES};

mod adapter_config;
mod chat_template;
mod diffusers;
pub(crate) mod hf_config;
mod json;
mod mlc;
mod mlflow;
mod model_card;
mod model_signing;
mod modelfile;
mod oci;
pub mod pickle;
mod requirements;
mod sentence_transformers;
mod tokenizer;
mod xml;
mod yaml_config;
mod zip;

/// Every format, more telling ones before those they resemble.
pub static FORMATS: &[&FormatSpec] = &[
    // Beside weights, as text: by their keys, then by their names.
    &adapter_config::FORMAT,
    &oci::FORMAT,
    &oci::KITFILE,
    &model_signing::FORMAT,
    &mlc::FORMAT,
    &diffusers::FORMAT,
    &tokenizer::FORMAT,
    &hf_config::FORMAT,
    &sentence_transformers::FORMAT,
    &mlflow::FORMAT,
    &modelfile::FORMAT,
    &chat_template::FORMAT,
    &chat_template::OTHER,
    &model_card::FORMAT,
    &requirements::FORMAT,
    &yaml_config::CALLING,
    &yaml_config::CALLING_JSON,
    &yaml_config::FORMAT,
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
