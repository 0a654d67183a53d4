//! Documents that the parser gave up on: PyYAML may read on where YAML 1.2
//! stops, and loaders build what stands before an error. Tags and calls are
//! looked for in the plain text.

use serde_json::json;

use crate::codec::yaml::{Document, Tagged, scalar};

/// Most hits taken from the text.
const HITS_MAX: usize = 200;
/// Longest tag or name taken.
const NAME_MAX: usize = 200;

/// Adds what `text` holds of tags and calls to `document`.
pub(super) fn search(text: &str, document: &mut Document) {
    let path = "behind the error";
    let mut hits = 0;
    for line in text.lines() {
        if hits >= HITS_MAX {
            return;
        }
        let line = line.trim_start();
        if line.starts_with('#') {
            continue;
        }
        for mark in ["!!python/", "tag:yaml.org,2002:python/", "!apply:", "!applyref:", "!new:"] {
            let Some(at) = line.find(mark) else { continue };
            let run = line.get(at..).unwrap_or_default();
            let tag: String =
                run.chars().take_while(|c| !c.is_whitespace() && !">,]}\"'".contains(*c)).take(NAME_MAX).collect();
            let value: String = run.chars().skip(tag.chars().count()).take(NAME_MAX).collect();
            let tag = tag.strip_prefix("!!").map_or(tag.clone(), |rest| format!("{}{rest}", scalar::CORE));
            let seen = document.tags.iter().any(|t| t.tag == tag);
            if !seen {
                document.tags.push(Tagged { path: path.into(), tag, value: value.trim().into() });
                hits += 1;
            }
        }
        if let Some((_, rest)) = line.split_once("_target_") {
            let name = rest.trim_start_matches(['"', '\'', ' ']).strip_prefix(':').unwrap_or_default();
            let name: String = name.trim_start_matches([' ', '"', '\'']).chars().take(NAME_MAX).collect();
            let name = name.split([' ', '"', '\'', ',', '}', '#']).next().unwrap_or_default();
            if !name.is_empty() {
                document.values.push(json!({ "_target_": name }));
                hits += 1;
            }
        }
    }
}
