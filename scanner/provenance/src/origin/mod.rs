//! Where files came from: claims with a strength, never one fact.
//!
//! One file per source of evidence, each a pure parser over bytes and paths.
//! What must be read around a file is asked of [`Surroundings`], which the
//! scanner implements; nothing here opens anything.

mod address;
mod catalogue;
mod check;
mod git_lfs;
mod hf_cache;
mod hf_local_dir;
mod lm_studio;
mod model;
mod oci;
mod ollama;
pub mod rules;
mod self_claims;
mod store;
#[cfg(test)]
mod tests;
mod xattr;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use weighbridge_types::{Artifact, Claim, Finding, Strength};

use crate::parsers::Run;

pub use catalogue::{CATALOGUE_BYTES_MAX, Catalogue, CatalogueError};
pub use model::claims as of_model;
pub use xattr::{ATTRIBUTES, VALUE_BYTES_MAX, claims as of_attributes};

/// Most claims kept of one file.
const CLAIMS_MAX: usize = 32;

/// Small files around a model, and what the file system says of them.
///
/// Implementations answer about regular files below `base` that are reached
/// without a link, and about nothing else.
pub trait Surroundings {
    /// The content of the file at `relative` below `base`, if it has at most
    /// `max` bytes.
    fn file(&self, base: &str, relative: &str, max: usize) -> Option<Rc<Vec<u8>>>;

    /// Length and modification time of that file.
    fn stamp(&self, base: &str, relative: &str) -> Option<Stamp>;

    /// Names in the folder at `relative` below `base`, a bounded number.
    fn names(&self, base: &str, relative: &str) -> Vec<String>;
}

/// What the file system says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Length, bytes.
    pub len: u64,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: i128,
}

/// Collects claims about the files of one scan.
pub struct Origins<'a> {
    disk: &'a dyn Surroundings,
    catalogue: &'a Catalogue,
    /// What stores say of their blobs, by the store's folder.
    stores: RefCell<HashMap<String, Rc<store::Store>>>,
}

/// What is known of one file.
#[derive(Default)]
struct Said {
    claims: Vec<Claim>,
    findings: Vec<Finding>,
}

impl<'a> Origins<'a> {
    /// Claims from `disk` and from the digests in `catalogue`.
    #[must_use]
    pub fn new(disk: &'a dyn Surroundings, catalogue: &'a Catalogue) -> Self {
        Self { disk, catalogue, stores: RefCell::default() }
    }

    /// Claims about where `artifact` came from, strongest first, and records
    /// that its content contradicts.
    #[must_use]
    pub fn claims(&self, artifact: &Artifact) -> (Vec<Claim>, Vec<Finding>) {
        let mut said = Said::default();
        said.claims.extend(self.catalogue.claims(artifact));
        hf_cache::claims(&mut said, artifact, self.disk);
        hf_local_dir::claims(&mut said, artifact, self.disk);
        store::claims(&mut said, artifact, self);
        git_lfs::claims(&mut said, artifact, self.disk);
        said.claims.extend(paths(artifact).filter_map(lm_studio::claim));
        said.claims.extend(self_claims::claims(artifact));
        // A pass over several paths of one file says some things twice.
        said.findings.dedup();
        (strongest_first(said.claims), said.findings)
    }
}

/// Sorts claims by strength, then by how exact they are, and bounds them.
#[must_use]
pub fn strongest_first(mut claims: Vec<Claim>) -> Vec<Claim> {
    let exact = |c: &Claim| u8::from(c.purl.is_some()) + u8::from(c.revision.is_some());
    claims.sort_by(|a, b| b.strength.cmp(&a.strength).then_with(|| exact(b).cmp(&exact(a))).then_with(|| a.cmp(b)));
    claims.dedup();
    claims.truncate(CLAIMS_MAX);
    claims
}

/// Every path of a file.
fn paths(artifact: &Artifact) -> impl Iterator<Item = &str> {
    std::iter::once(artifact.path.as_str()).chain(artifact.also_at.iter().map(String::as_str))
}

fn claim(strength: Strength, source: &str, detail: impl Into<String>) -> Claim {
    Claim { strength, source: source.to_owned(), purl: None, url: None, revision: None, detail: detail.into() }
}

/// `(folder, rest)` for each folder above `path`, nearest first.
fn ancestors(path: &str) -> impl Iterator<Item = (&str, &str)> {
    path.rmatch_indices('/').filter_map(|(at, _)| Some((path.get(..at)?, path.get(at + 1..)?)))
}

/// Whether `text` is `n` lower-case hexadecimal digits.
fn is_hex(text: &str, n: usize) -> bool {
    text.len() == n && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Every parser of this module by name, for fuzzing.
pub(crate) static PARSERS: &[(&str, Run)] = &[
    ("origin-hf-cache", |bytes| drop(hf_cache::place(&String::from_utf8_lossy(bytes)))),
    ("origin-hf-local-dir", |bytes| drop(hf_local_dir::parse(bytes))),
    ("origin-ollama", |bytes| drop(ollama::reference(&String::from_utf8_lossy(bytes)))),
    ("origin-oci-manifest", |bytes| drop(oci::manifest(bytes))),
    ("origin-oci-index", |bytes| drop((oci::index(bytes), oci::docker_models(bytes), oci::config(bytes)))),
    ("origin-lm-studio", |bytes| drop(lm_studio::claim(&String::from_utf8_lossy(bytes)))),
    ("origin-git", |bytes| {
        drop((git_lfs::pointer(bytes), git_lfs::remote(bytes), git_lfs::head(bytes)));
        drop(git_lfs::packed(bytes, "refs/heads/main"));
    }),
    ("origin-url", |bytes| drop(address::url(&String::from_utf8_lossy(bytes)))),
    ("origin-xattr", |bytes| drop(xattr::claims(&[("user.xdg.origin.url".to_owned(), bytes.to_vec())]))),
    ("origin-catalogue", |bytes| drop(Catalogue::parse(bytes))),
];
