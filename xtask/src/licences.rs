//! Whose work is in a binary, and under which licences: what most of them ask
//! to be told along with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::run::{self, Result};

/// How files that hold a licence begin.
const NAMES: &[&str] = &["license", "licence", "copying", "copyright", "notice", "unlicense"];
/// Longest text taken, bytes: all of AWS-LC's have 60 KiB.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// A text: each crate that `package` is built from, its licence, and the texts
/// that come with it; the same text only once.
pub fn of(package: &str) -> Result<String> {
    let host = run::output("rustc", &["--print", "host-tuple"])?;
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", host.trim()];
    let metadata: Value = serde_json::from_str(&run::output("cargo", &arguments)?)
        .map_err(|e| format!("`cargo metadata` wrote no JSON: {e}"))?;
    let packages: BTreeMap<&str, &Value> = list(&metadata, "/packages").iter().map(|p| (text(p, "/id"), p)).collect();
    let mut crates = Vec::new();
    for id in linked(&metadata, &packages, package)? {
        let Some(found) = packages.get(id) else { continue };
        // Ours have no source: they are no third party's.
        if !text(found, "/source").is_empty() {
            crates.push(*found);
        }
    }
    crates.sort_by_key(|p| (text(p, "/name"), text(p, "/version")));
    Ok(write(&crates))
}

/// Packages that are linked into `package`: not what only builds or tests it.
fn linked<'a>(metadata: &'a Value, packages: &BTreeMap<&str, &'a Value>, package: &str) -> Result<BTreeSet<&'a str>> {
    let nodes: BTreeMap<&str, &Value> = list(metadata, "/resolve/nodes").iter().map(|n| (text(n, "/id"), n)).collect();
    let first = packages.values().find(|p| text(p, "/name") == package && text(p, "/source").is_empty());
    let first = first.ok_or_else(|| format!("there is no package `{package}` in this workspace"))?;
    let mut waiting = vec![text(first, "/id")];
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        let (true, Some(node)) = (seen.insert(id), nodes.get(id)) else { continue };
        let normal = |d: &&Value| list(d, "/dep_kinds").iter().any(|k| k.get("kind").is_some_and(Value::is_null));
        waiting.extend(list(node, "/deps").iter().filter(normal).map(|d| text(d, "/pkg")));
    }
    Ok(seen)
}

fn write(crates: &[&Value]) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let mut out =
        String::from("Crates in the weighbridge binary, their licences, and the texts that come with them.\n\n");
    for package in crates {
        let mut own = Vec::new();
        let folder = Path::new(text(package, "/manifest_path")).parent().unwrap_or(Path::new("/"));
        for found in texts_in(folder) {
            let next = texts.len() + 1;
            let number = *numbers.entry(found.clone()).or_insert(next);
            if number == next {
                texts.push(found);
            }
            own.push(format!("[{number}]"));
        }
        let (name, version, licence) = (text(package, "/name"), text(package, "/version"), text(package, "/license"));
        let _ = writeln!(out, "{name} {version}: {licence} {}", own.join(" "));
    }
    for (index, found) in texts.iter().enumerate() {
        let _ = write!(out, "\n[{}] {}\n\n{}\n", index + 1, "=".repeat(74), found.trim_end());
    }
    out
}

/// The texts of licences in `folder`, in the order of their files' names.
fn texts_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    let is_licence = |path: &&std::path::PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        NAMES.iter().any(|n| name.starts_with(n))
            && fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() <= TEXT_BYTES_MAX)
    };
    paths.iter().filter(is_licence).filter_map(|path| fs::read_to_string(path).ok()).collect()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_linked_with_its_text_and_nothing_else() {
        let text = of("xtask").unwrap();
        let (crates, texts) = text.split_once("\n[1] ").unwrap();
        assert!(crates.contains("\nclap 4.") && crates.contains("\nsha2 "), "{crates}");
        // Ours, and what only builds it.
        assert!(!crates.contains("weighbridge-") && !crates.contains("\nxtask"), "{crates}");
        assert!(texts.contains("Permission is hereby granted") && texts.contains("Apache License"));
        let without: Vec<&str> = crates.lines().skip(2).filter(|l| !l.ends_with(']')).collect();
        assert!(without.len() * 5 < crates.lines().count(), "most crates bring a text: {without:?}");
    }
}
