//! Continuation lines. YAML 1.2 wants the lines of a quoted scalar or flow
//! collection indented deeper than the block they stand in; PyYAML reads them
//! at any column, and configurations in the wild rely on it. White space there
//! means nothing, so that more of it changes no value.

use saphyr_parser::ScanError;

/// Columns a line of a flow collection is moved by: deeper than any block.
const FLOW_COLUMNS: usize = 200;

/// `text` with the lines that `error` complains of indented; `None` if it
/// complains of something else, or again.
pub(super) fn mended(text: &str, at: usize, error: &ScanError) -> Option<String> {
    match error.info() {
        "invalid indentation in quoted scalar" => quoted(text, at),
        "invalid indentation" | "invalid indentation in flow construct" => flow_line(text, at),
        _ => None,
    }
}

/// Indents every further line of the quoted scalar that starts at `at` beyond
/// the column it starts in.
fn quoted(text: &str, at: usize) -> Option<String> {
    let (before, scalar) = text.split_at_checked(at)?;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let end = end_of_quoted(scalar)?;
    let (scalar, after) = scalar.split_at_checked(end)?;
    let indent = " ".repeat(column);
    let already = scalar.lines().skip(1).all(|line| line.trim().is_empty() || line.starts_with(&indent));
    (!already).then(|| format!("{before}{}{after}", scalar.replace('\n', &format!("\n{indent}"))))
}

/// Length of the quoted scalar at the start of `text`.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().peekable();
    let (_, quote) = chars.next().filter(|(_, c)| *c == '"' || *c == '\'')?;
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote == '"' {
            chars.next();
        } else if c == quote {
            // `''` is a quote in a single-quoted scalar.
            if quote == '\'' && chars.next_if(|(_, c)| *c == '\'').is_some() {
                continue;
            }
            return Some(at + 1);
        }
    }
    None
}

/// Indents the line of `at`, which lies in a flow collection.
fn flow_line(text: &str, at: usize) -> Option<String> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |n| n + 1);
    let (before, line) = text.split_at_checked(start)?;
    let indent = " ".repeat(FLOW_COLUMNS);
    (!line.starts_with(&indent)).then(|| format!("{before}{indent}{line}"))
}
