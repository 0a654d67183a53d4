//! Python distributions: `*.dist-info`, `*.egg-info`, `*.egg`, and the records
//! of conda.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};

use serde_json::Value;

use super::Found;
use super::folder::{Folder, Kind};
use super::programs::PROGRAMS;
use super::walk::Walker;
use crate::advisory::normalised;
use crate::advisory::version::{Scheme, compare};
use crate::json;

/// Bytes of metadata read: names and versions stand at the top.
const METADATA_BYTES_MAX: u64 = 64 << 10;
/// Largest record of conda read; it lists every file of a package.
const CONDA_BYTES_MAX: usize = 16 << 20;

/// Distributions in a `site-packages` or `dist-packages` folder.
pub(super) fn site(walker: &mut Walker<'_>, folder: &Folder, entries: &[(OsString, Kind)]) {
    for (entry, kind) in entries {
        let shown = entry.to_string_lossy();
        // pip renames what it is about to remove.
        if shown.starts_with('~') {
            continue;
        }
        let (stem, inner): (&str, &[&str]) = if let Some(stem) = shown.strip_suffix(".dist-info") {
            (stem, &["METADATA"])
        } else if let Some(stem) = shown.strip_suffix(".egg-info") {
            (stem, if *kind == Kind::File { &[] } else { &["PKG-INFO"] })
        } else if let Some(stem) = shown.strip_suffix(".egg").filter(|_| *kind == Kind::Folder) {
            (stem, &["EGG-INFO", "PKG-INFO"])
        } else {
            continue;
        };
        distribution(walker, folder, entry, stem, inner);
    }
}

/// One distribution: `name-version` in the name of its folder, the same in the
/// metadata inside. Where the two disagree, both are told: one of them is what
/// is installed.
fn distribution(walker: &mut Walker<'_>, site: &Folder, entry: &OsStr, stem: &str, inner: &[&str]) {
    let mut parts = stem.split('-');
    let (name, named) = (normalised(parts.next().unwrap_or_default()), parts.next().filter(|v| !v.is_empty()));
    if PROGRAMS.pypi(&name).is_none() && !walker.catalogue.knows_package("PyPI", &name) {
        return;
    }
    let place = site.path.join(entry);
    let evidence = inner.iter().fold(place.clone(), |path, part| path.join(part));
    let inside = match metadata(site, entry, inner) {
        Ok(bytes) => version(&bytes),
        Err(e) => {
            walker.error(&evidence, &e);
            None
        }
    };
    let mut push = |version: Option<String>, evidence| {
        let found = match PROGRAMS.pypi(&name) {
            Some(program) => Found::new(program, version, site.path.clone(), evidence),
            None => Found {
                id: name.clone(),
                name: name.clone(),
                scheme: Scheme::Python,
                version,
                path: site.path.clone(),
                evidence,
            },
        };
        walker.seen.found.push(found);
    };
    match (inside, named) {
        (Some(inside), Some(named)) if !same(&inside, &unescaped(named)) => {
            let message =
                format!("says version `{inside}`, its folder `{named}`; remove the package and install it again");
            push(Some(inside), evidence.clone());
            push(Some(named.to_owned()), place);
            walker.note(&evidence, &message);
        }
        (Some(inside), _) => push(Some(inside), evidence),
        (None, named) => push(named.map(unescaped), place),
    }
}

/// Whether two texts are one version.
fn same(a: &str, b: &str) -> bool {
    compare(Scheme::Python, a, b).map_or(a == b, Ordering::is_eq)
}

/// A version in a file name: `-` is written `_` there (PEP 427, PEP 503).
fn unescaped(version: &str) -> String {
    version.replace('_', "-")
}

fn metadata(site: &Folder, entry: &OsStr, inner: &[&str]) -> std::io::Result<Vec<u8>> {
    let Some((file, folders)) = inner.split_last() else { return site.head(entry, METADATA_BYTES_MAX) };
    let mut at = site.child(entry)?;
    for folder in folders {
        at = at.child(OsStr::new(folder))?;
    }
    at.head(OsStr::new(file), METADATA_BYTES_MAX)
}

/// The `Version` among the headers of core metadata.
fn version(metadata: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(metadata);
    let headers = text.lines().take_while(|l| !l.trim().is_empty());
    let value = headers.filter_map(|l| l.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case("version"));
    value.map(|(_, v)| v.trim().chars().take(128).collect::<String>()).filter(|v| !v.is_empty())
}

/// Packages of an environment of conda: `conda-meta/name-version-build.json`.
pub(super) fn conda(walker: &mut Walker<'_>, folder: &Folder, entries: &[(OsString, Kind)]) {
    for (entry, _) in entries.iter().filter(|(_, kind)| *kind == Kind::File) {
        let shown = entry.to_string_lossy();
        let Some(stem) = shown.strip_suffix(".json") else { continue };
        let mut parts = stem.rsplitn(3, '-').skip(1);
        let (Some(named), Some(name)) = (parts.next(), parts.next()) else { continue };
        let Some(program) = PROGRAMS.pypi(&normalised(name)) else { continue };
        let evidence = folder.path.join(entry);
        let version = folder
            .read(entry, CONDA_BYTES_MAX as u64)
            .map_err(|e| e.to_string())
            .and_then(|bytes| json::strict(&bytes, CONDA_BYTES_MAX).map_err(|e| e.to_string()))
            .map(|record| record.get("version").and_then(Value::as_str).map(str::to_owned));
        let version = match version {
            Ok(version) => version,
            Err(message) => {
                walker.note(&evidence, &message);
                None
            }
        };
        let environment = folder.path.parent().unwrap_or(&folder.path).to_path_buf();
        walker.push(program, version.or_else(|| Some(named.to_owned())), environment, evidence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_header_counts() {
        assert_eq!(version(b"Metadata-Version: 2.1\nName: x\nVersion: 1.2\r\n\nVersion: 9\n").as_deref(), Some("1.2"));
        assert_eq!(version(b"Name: x\n\nVersion: 9\n"), None);
        assert_eq!(version(b"\xff\xfe\0\0Version: 1\nversion:2").as_deref(), Some("2"));
        assert_eq!(version(b""), None);
    }
}
