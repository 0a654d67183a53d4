//! The inference stacks that are installed, by what lies on disk: package
//! records, application bundles, build records in executables. Nothing is run.

mod binary;
mod folder;
mod markers;
mod packages;
mod programs;
mod python;
#[cfg(test)]
mod tests;
mod walk;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use weighbridge_types::{AdvisoryMatch, ScanError};

use crate::advisory::version::Scheme;
use crate::advisory::{Catalogue, Installed};
use programs::Program;

/// Name and version of the schema (`docs/schema/inventory-1.json`).
pub const SCHEMA: &str = "weighbridge.inventory/1";

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The root of the file system to look at: `/`, or where a container's
    /// image lies. Reported paths are below it, and nothing outside is reached.
    pub root: PathBuf,
    /// Whether to look where programs are usually installed.
    pub usual: bool,
    /// Homes of users besides those in `/home`, `/root` and `/Users`.
    pub homes: Vec<PathBuf>,
    /// Folders and files that the user named.
    pub extra: Vec<PathBuf>,
}

/// What is installed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The stacks, by name and path.
    pub stacks: Vec<Stack>,
    /// Folders that lie too deep to have been entered.
    pub folders_skipped: u64,
    /// What could not be read, and why.
    pub errors: Vec<ScanError>,
}

/// An installed stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    /// Identifier, as in `rules/programs.txt`; for other packages that an
    /// advisory is about, the name on PyPI.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its version, where one was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How its versions count.
    pub scheme: Scheme,
    /// Folder or file that holds it.
    pub path: String,
    /// The file that said so.
    pub evidence: String,
    /// Advisories that apply, worst first.
    pub advisories: Vec<AdvisoryMatch>,
    /// Advisories that may apply: there is no version, or it cannot be
    /// compared, or no range is known.
    pub undecided: Vec<String>,
}

/// Looks for stacks and for what is known against them.
#[must_use]
pub fn inventory(search: &Search, catalogue: &Catalogue) -> Inventory {
    let seen = walk::walk(search, catalogue);
    let mut stacks: Vec<Stack> = distinct(seen.found).into_iter().map(|f| judged(f, catalogue)).collect();
    stacks.sort_by(|a, b| (&a.name, &a.path, &a.version).cmp(&(&b.name, &b.path, &b.version)));
    Inventory { schema: SCHEMA.to_owned(), stacks, folders_skipped: seen.folders_skipped, errors: seen.errors }
}

/// What a reader of files found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    id: String,
    name: String,
    scheme: Scheme,
    version: Option<String>,
    path: PathBuf,
    evidence: PathBuf,
}

impl Found {
    fn new(program: &Program, version: Option<String>, path: PathBuf, evidence: PathBuf) -> Self {
        let version = match program.scheme {
            Scheme::LlamaBuild => version.map(|v| llama_build(&v)),
            _ => version,
        };
        Self {
            id: program.id.to_owned(),
            name: program.name.to_owned(),
            scheme: program.scheme,
            version: version.map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()),
            path,
            evidence,
        }
    }
}

/// llama.cpp's build in the words of its releases: packages and libraries say
/// `0.0.1234` or `1234` for `b1234`.
fn llama_build(version: &str) -> String {
    let number = version.trim().strip_prefix("0.0.").unwrap_or(version.trim());
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    if digits { format!("b{number}") } else { number.to_owned() }
}

/// One entry for what was found in several ways: of entries for one stack, one
/// inside the other, those that say nothing new go.
fn distinct(mut found: Vec<Found>) -> Vec<Found> {
    found.sort();
    found.dedup_by(|a, b| a.id == b.id && a.version == b.version && a.path == b.path);
    let told = |f: &Found| {
        found.iter().any(|o| {
            let around = f.path.starts_with(&o.path) || o.path.starts_with(&f.path);
            let nearer = f.path != o.path && f.path.starts_with(&o.path);
            f.id == o.id && around && (nearer && f.version == o.version || f.version.is_none() && o.version.is_some())
        })
    };
    found.iter().filter(|f| !told(f)).cloned().collect()
}

fn judged(found: Found, catalogue: &Catalogue) -> Stack {
    let program = programs::PROGRAMS.get(&found.id);
    let mut packages: Vec<(&str, &str)> = Vec::new();
    match program {
        Some(program) => {
            packages.extend(program.pypi.iter().map(|name| ("PyPI", name.as_str())));
            packages.extend(program.go.iter().map(|module| ("Go", *module)));
        }
        None => packages.push(("PyPI", &found.id)),
    }
    let judgement = catalogue.against_program(&Installed {
        stack: &found.id,
        packages: &packages,
        version: found.version.as_deref(),
    });
    Stack {
        path: found.path.to_string_lossy().into_owned(),
        evidence: found.evidence.to_string_lossy().into_owned(),
        id: found.id,
        name: found.name,
        version: found.version,
        scheme: found.scheme,
        advisories: judgement.matches,
        undecided: judgement.undecided,
    }
}
