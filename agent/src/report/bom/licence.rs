//! Licences as files name them, as SPDX names them.

use serde_json::Value;

use super::facts::Fact;
use super::{Bill, ModelEntry, NAME_CHARS_MAX, text};

/// Most licences of one model.
const LICENCES_MAX: usize = 16;

/// A licence that a model's files declare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Licence {
    /// An identifier of the SPDX licence list.
    Id(&'static str),
    /// Several of them, joined by `AND` and `OR`.
    Expression(String),
    /// Something else, as the file words it.
    Name(String),
}

/// Identifiers of the SPDX licence list (3.27) that models are published
/// under: what the model hubs offer, and the common software licences.
const IDS: &[&str] = &[
    "0BSD",
    "AFL-3.0",
    "AGPL-3.0",
    "AGPL-3.0-only",
    "AGPL-3.0-or-later",
    "Apache-1.1",
    "Apache-2.0",
    "Artistic-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSD-3-Clause-Clear",
    "BSL-1.0",
    "C-UDA-1.0",
    "CC-BY-2.0",
    "CC-BY-2.5",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-NC-2.0",
    "CC-BY-NC-3.0",
    "CC-BY-NC-4.0",
    "CC-BY-NC-ND-3.0",
    "CC-BY-NC-ND-4.0",
    "CC-BY-NC-SA-2.0",
    "CC-BY-NC-SA-3.0",
    "CC-BY-NC-SA-4.0",
    "CC-BY-ND-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "CDLA-Permissive-1.0",
    "CDLA-Permissive-2.0",
    "CDLA-Sharing-1.0",
    "CECILL-2.1",
    "ECL-2.0",
    "EPL-1.0",
    "EPL-2.0",
    "EUPL-1.1",
    "EUPL-1.2",
    "GPL-2.0",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "ISC",
    "LGPL-2.1",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
    "LGPLLR",
    "LPPL-1.3c",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "MS-PL",
    "MulanPSL-2.0",
    "NCSA",
    "ODC-By-1.0",
    "ODbL-1.0",
    "OFL-1.1",
    "OSL-3.0",
    "PDDL-1.0",
    "PostgreSQL",
    "PSF-2.0",
    "Unlicense",
    "WTFPL",
    "Zlib",
    "etalab-2.0",
];

/// Tags of model hubs that mean one of them but are spelt otherwise.
const TAGS: &[(&str, &str)] = &[
    ("apache 2.0", "Apache-2.0"),
    ("apache license 2.0", "Apache-2.0"),
    ("apache license, version 2.0", "Apache-2.0"),
    ("c-uda", "C-UDA-1.0"),
    ("lgpl-lr", "LGPLLR"),
    ("mit license", "MIT"),
    ("odbl", "ODbL-1.0"),
    ("odc-by", "ODC-By-1.0"),
    ("pddl", "PDDL-1.0"),
];

/// The licences that the files of a model declare, and who says so.
pub fn licences(bill: &Bill<'_>, entry: &ModelEntry<'_>) -> (Vec<Licence>, Option<usize>) {
    let Some(Fact { value, file }) = bill.fact(entry, "license") else { return (Vec::new(), None) };
    let named = bill.fact(entry, "license_name").and_then(|f| f.value.as_str());
    let one = |raw: &str| licence(if raw.trim().eq_ignore_ascii_case("other") { named.unwrap_or(raw) } else { raw });
    let mut found = match value {
        Value::String(raw) => Vec::from_iter(one(raw)),
        Value::Array(items) => items.iter().filter_map(Value::as_str).filter_map(one).take(LICENCES_MAX).collect(),
        _ => Vec::new(),
    };
    found.dedup();
    (found, file)
}

fn licence(raw: &str) -> Option<Licence> {
    let trimmed = raw.trim();
    if trimmed.is_empty() {
        return None;
    }
    let name = || Licence::Name(text(trimmed, NAME_CHARS_MAX));
    Some(known(trimmed).map(Licence::Id).or_else(|| expression(trimmed)).unwrap_or_else(name))
}

/// The identifier that `raw` means; SPDX compares without regard to case.
fn known(raw: &str) -> Option<&'static str> {
    let by_tag = || TAGS.iter().find(|(tag, _)| tag.eq_ignore_ascii_case(raw)).map(|(_, id)| *id);
    IDS.iter().find(|id| id.eq_ignore_ascii_case(raw)).copied().or_else(by_tag)
}

/// `A OR B AND C` of known identifiers (SPDX 3.0.1, annex B), without
/// exceptions and parentheses.
fn expression(raw: &str) -> Option<Licence> {
    let mut out = Vec::new();
    for (i, word) in raw.split_whitespace().take(2 * LICENCES_MAX).enumerate() {
        out.push(match (i % 2, word) {
            (0, id) => known(id)?,
            (_, "AND" | "and") => "AND",
            (_, "OR" | "or") => "OR",
            _ => return None,
        });
    }
    (out.len() > 1 && out.len() % 2 == 1).then(|| Licence::Expression(out.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_licences_become_identifiers_and_the_rest_stay_names() {
        for (raw, expected) in [
            ("apache-2.0", Licence::Id("Apache-2.0")),
            (" MIT ", Licence::Id("MIT")),
            ("odc-by", Licence::Id("ODC-By-1.0")),
            ("mit OR Apache-2.0", Licence::Expression("MIT OR Apache-2.0".to_owned())),
            ("MIT OR", Licence::Name("MIT OR".to_owned())),
            ("MIT OR llama2", Licence::Name("MIT OR llama2".to_owned())),
            ("gemma", Licence::Name("gemma".to_owned())),
            ("GPL\u{1b}[2J", Licence::Name("GPL\\u{1b}[2J".to_owned())),
        ] {
            assert_eq!(licence(raw), Some(expected), "{raw}");
        }
        assert_eq!(licence("  "), None);
    }
}
