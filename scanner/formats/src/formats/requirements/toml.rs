//! `pyproject.toml` and `Pipfile`, read line by line: requirements are quoted
//! strings, sources are keys of known names.

use crate::core::{FormatError, Inspection};
use crate::formats::requirements::{lines, sources};

/// Judges every quoted string of `text` by the key and section it stands in.
pub(super) fn inspect(ctx: &mut Inspection<'_>, text: &str) -> Result<(), FormatError> {
    let mut in_sources = false;
    for line in text.lines().map(str::trim).filter(|l| !l.starts_with('#')) {
        if line.starts_with('[') && line.ends_with(']') {
            in_sources = line.contains("source") || line.contains("index");
            continue;
        }
        let quote = if line.contains('"') { '"' } else { '\'' };
        let mut parts = line.split(quote);
        while let (Some(before), Some(quoted)) = (parts.next(), parts.next()) {
            let key = before.trim_end().trim_end_matches(['=', '[']).trim_end();
            let key = key.rsplit([' ', ',', '{', '\t']).next().unwrap_or_default();
            match key {
                _ if !quoted.contains("://") || quoted.contains(" @ ") => lines::inspect(ctx, quoted)?,
                "index-url" | "extra-index-url" | "find-links" => sources::index(ctx, key, quoted),
                "url" if in_sources => sources::index(ctx, key, quoted),
                "git" | "file" => sources::direct(ctx, line, quoted),
                // In a table of one line: `pkg = { url = "…" }`.
                "url" if before.contains('{') => sources::direct(ctx, line, quoted),
                _ => {}
            }
        }
    }
    Ok(())
}
