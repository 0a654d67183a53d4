//! Lines of `requirements.txt` (pip's "Requirements File Format").

use crate::core::{FormatError, Inspection};
use crate::formats::requirements::{rules, sources};

/// Releases that were published by attackers, with what is known of them.
const COMPROMISED: &[(&str, &[&str], &str)] = &[
    ("ultralytics", &["8.3.41", "8.3.42", "8.3.45", "8.3.46"], "mines cryptocurrency, December 2024"),
    ("litellm", &["1.82.7", "1.82.8"], "steals credentials, March 2026"),
];
/// Packages that only ever were an attack on PyPI.
const MALICIOUS_PACKAGES: &[(&str, &str)] =
    &[("torchtriton", "stole files through PyTorch's nightly builds, December 2022")];

/// Calls `f` for every line, joined where one ends in `\`, without comments.
pub(super) fn each(text: &str, mut f: impl FnMut(&str) -> Result<(), FormatError>) -> Result<(), FormatError> {
    let mut joined = String::new();
    for line in text.lines() {
        if let Some(open) = line.strip_suffix('\\') {
            joined.push_str(open);
            joined.push(' ');
            continue;
        }
        joined.push_str(line);
        f(&joined)?;
        joined.clear();
    }
    f(&joined)
}

/// Judges one line.
pub(super) fn inspect(ctx: &mut Inspection<'_>, line: &str) -> Result<(), FormatError> {
    ctx.work(1)?;
    let line = line.find(" #").and_then(|at| line.get(..at)).unwrap_or(line).trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(());
    }
    if line.starts_with('-') {
        option(ctx, line);
        return Ok(());
    }
    // `name @ URL`, or the URL alone.
    let target = line.split_once('@').filter(|(name, _)| is_name(name.trim())).map_or(line, |(_, url)| url.trim());
    if is_url(target) {
        sources::direct(ctx, line, target);
        return Ok(());
    }
    if let Some((name, version)) = line.split_once("==") {
        pinned(ctx, line, name, version.trim_start_matches('='));
    } else {
        pinned(ctx, line, line, "");
    }
    Ok(())
}

/// Judges one of conda's `name=version=build`.
pub(super) fn inspect_conda(ctx: &mut Inspection<'_>, line: &str) -> Result<(), FormatError> {
    ctx.work(1)?;
    if is_url(line) {
        sources::direct(ctx, line, line);
        return Ok(());
    }
    let mut parts = line.split('=').filter(|p| !p.is_empty());
    let (name, version) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    pinned(ctx, line, name.rsplit("::").next().unwrap_or_default(), version);
    Ok(())
}

fn option(ctx: &mut Inspection<'_>, line: &str) {
    let (name, value) = line.split_once(['=', ' ', '\t']).unwrap_or((line, ""));
    let value = value.trim().trim_start_matches('=').trim();
    match name {
        "-i" | "--index-url" | "--extra-index-url" | "-f" | "--find-links" => sources::index(ctx, name, value),
        "--trusted-host" => sources::trusted_host(ctx, value),
        "-e" | "--editable" if is_url(value) => sources::direct(ctx, line, value),
        _ => {}
    }
}

/// Holds `name` and `version` against the tables of known attacks.
fn pinned(ctx: &mut Inspection<'_>, line: &str, name: &str, version: &str) {
    // PEP 503: runs of `-`, `_` and `.` are one `-`.
    let name = name.split(['[', '<', '>', '=', '!', '~', ';', ' ', '(']).next().unwrap_or_default();
    let name = name.trim().to_ascii_lowercase().replace(['_', '.'], "-");
    let version = version.trim_start().split([' ', ';', ',', '#']).next().unwrap_or_default();
    let bad_release =
        COMPROMISED.iter().find(|(n, versions, _)| *n == name && versions.contains(&version)).map(|(.., why)| *why);
    let bad_package = MALICIOUS_PACKAGES.iter().find(|(n, _)| *n == name).map(|(_, why)| *why);
    if let Some(why) = bad_release.or(bad_package) {
        ctx.find(&rules::COMPROMISED, None, format!("`{line}` {why}"));
    }
}

fn is_name(text: &str) -> bool {
    let text = text.split('[').next().unwrap_or_default();
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn is_url(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'-'))
}
