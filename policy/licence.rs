//! Classes of licences, so that a policy need not list them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a licence asks for, roughly. No legal advice: `data/licences.yaml`
/// says otherwise where a lawyer does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LicenceClass {
    /// No licence is declared.
    #[default]
    None,
    /// Use for anything, with attribution at most.
    Permissive,
    /// Derived works under the same terms.
    Copyleft,
    /// Free to use, with a list of forbidden uses or users.
    Restricted,
    /// A licence nobody has classed.
    Unknown,
    /// Not for commercial use.
    NonCommercial,
    /// Only as its owner grants.
    Proprietary,
}

impl LicenceClass {
    /// As in policies.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Permissive => "permissive",
            Self::Copyleft => "copyleft",
            Self::Restricted => "restricted",
            Self::Unknown => "unknown",
            Self::NonCommercial => "non-commercial",
            Self::Proprietary => "proprietary",
        }
    }
}

/// Beginnings of identifiers in lower case, the first that fits decides.
const CLASSES: &[(&str, LicenceClass)] = &[
    ("apache-", LicenceClass::Permissive),
    ("mit", LicenceClass::Permissive),
    ("bsd", LicenceClass::Permissive),
    ("0bsd", LicenceClass::Permissive),
    ("bsl-1.0", LicenceClass::Permissive),
    ("isc", LicenceClass::Permissive),
    ("zlib", LicenceClass::Permissive),
    ("unlicense", LicenceClass::Permissive),
    ("wtfpl", LicenceClass::Permissive),
    ("cc0-", LicenceClass::Permissive),
    ("pddl", LicenceClass::Permissive),
    ("cdla-permissive", LicenceClass::Permissive),
    ("cc-by-nc", LicenceClass::NonCommercial),
    ("cc-by-sa", LicenceClass::Copyleft),
    ("cc-by-nd", LicenceClass::Restricted),
    ("cc-by-", LicenceClass::Permissive),
    ("gpl", LicenceClass::Copyleft),
    ("agpl", LicenceClass::Copyleft),
    ("lgpl", LicenceClass::Copyleft),
    ("mpl-", LicenceClass::Copyleft),
    ("epl-", LicenceClass::Copyleft),
    ("eupl-", LicenceClass::Copyleft),
    ("cdla-sharing", LicenceClass::Copyleft),
    ("odc-by", LicenceClass::Permissive),
    ("odbl", LicenceClass::Copyleft),
    ("openrail", LicenceClass::Restricted),
    ("creativeml-openrail", LicenceClass::Restricted),
    ("bigscience-", LicenceClass::Restricted),
    ("bigcode-openrail", LicenceClass::Restricted),
    ("llama", LicenceClass::Restricted),
    ("gemma", LicenceClass::Restricted),
    ("deepseek", LicenceClass::Restricted),
    ("tongyi-qianwen", LicenceClass::Restricted),
    ("qwen-research", LicenceClass::NonCommercial),
    ("fair-noncommercial", LicenceClass::NonCommercial),
    ("apple-amlr", LicenceClass::NonCommercial),
    ("h-research", LicenceClass::NonCommercial),
    ("mrl", LicenceClass::NonCommercial),
    ("mnpl", LicenceClass::NonCommercial),
    ("proprietary", LicenceClass::Proprietary),
];

/// The class of all `licences` together: the one that asks for most.
pub(crate) fn class(licences: &[String], own: &BTreeMap<String, LicenceClass>) -> LicenceClass {
    licences.iter().map(|licence| class_of(licence, own)).max().unwrap_or_default()
}

fn class_of(licence: &str, own: &BTreeMap<String, LicenceClass>) -> LicenceClass {
    let licence = licence.trim().to_ascii_lowercase();
    if let Some(class) = own.get(&licence) {
        return *class;
    }
    // What says so of itself need not be known.
    if ["non-commercial", "noncommercial", "-nc-", "research-only"].iter().any(|word| licence.contains(word)) {
        return LicenceClass::NonCommercial;
    }
    CLASSES.iter().find(|(start, _)| licence.starts_with(start)).map_or(LicenceClass::Unknown, |(_, class)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_licence_that_asks_for_most_decides() {
        let of = |licences: &[&str]| {
            let own = BTreeMap::from([("acme-eula".to_owned(), LicenceClass::Permissive)]);
            class(&licences.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>(), &own)
        };
        assert_eq!(of(&["Apache-2.0"]), LicenceClass::Permissive);
        assert_eq!(of(&["apache-2.0", "CC-BY-NC-4.0"]), LicenceClass::NonCommercial);
        assert_eq!(of(&["cc-by-4.0"]), LicenceClass::Permissive);
        assert_eq!(of(&["llama3.1"]), LicenceClass::Restricted);
        assert_eq!(of(&["something else"]), LicenceClass::Unknown);
        assert_eq!(of(&["acme-eula"]), LicenceClass::Permissive);
        assert_eq!(of(&[]), LicenceClass::None);
    }
}
