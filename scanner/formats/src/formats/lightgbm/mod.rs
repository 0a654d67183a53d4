//! LightGBM models: text, `tree` first, then `key=value` lines.

use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};

mod rules;
#[cfg(test)]
mod tests;

/// Most header lines read.
const HEADER_LINES_MAX: u32 = 10_000;
/// Longest line, bytes: `feature_names` of wide data sets.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "lightgbm",
    name: "LightGBM",
    extensions: &["txt", "lgb", "model", "lightgbm"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let start = sniff.starts_with(b"tree\n") || sniff.starts_with(b"tree\r\n");
    if start && sniff.contains(b"version=v") && sniff.contains(b"num_class=") {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    r.line(LINE_BYTES_MAX, "first line")?;
    for _ in 0..HEADER_LINES_MAX {
        ctx.work(1)?;
        let at = r.position();
        let line = r.line(LINE_BYTES_MAX, "header line")?;
        let line = line.trim_ascii_end();
        // An empty line ends the header; the trees follow.
        if line.is_empty() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(line);
        let Some((key, value)) = text.split_once('=') else { continue };
        match key {
            "version" => ctx.fact("format_version", value),
            "objective" => ctx.fact("objective", value),
            "num_class" | "max_feature_idx" | "num_tree_per_iteration" => {
                // Loaders size their tables by these.
                match value.parse::<i64>() {
                    Ok(n) if (0..1 << 24).contains(&n) => ctx.fact(key, n),
                    _ => ctx.find(&rules::BAD_COUNT, at, format!("{key}={value}")),
                }
            }
            "feature_names" => ctx.fact("features", value.split(' ').count()),
            _ => {}
        }
    }
    Err(FormatError::limit("header lines", HEADER_LINES_MAX.into()))
}
