//! All advisories, indexed by what they can be asked for.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use sha2::{Digest, Sha256 as Sha2};
use weighbridge_types::Sha256;

use super::osv::{Advisory, AdvisoryError, Affected, RangeKind};
use super::repository;

/// Most documents taken into one catalogue.
const DOCUMENTS_MAX: usize = 10_000;

/// Why a catalogue cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// A document is no advisory.
    #[error("cannot read the advisory `{document}`")]
    Document {
        /// Its name.
        document: String,
        /// What is wrong with it.
        source: AdvisoryError,
    },
    /// There are too many.
    #[error("more than {DOCUMENTS_MAX} advisories; use fewer, or one folder for each purpose")]
    TooMany,
}

/// Advisories that hold now, ready to be matched. One lookup costs a hash per
/// fact, whatever the number of advisories.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// Over all documents, in the order of their identifiers.
    pub(super) digest: Vec<u8>,
    pub(super) advisories: Vec<Advisory>,
    pub(super) by_file: HashMap<Sha256, Vec<usize>>,
    pub(super) by_tree: HashMap<Sha256, Vec<usize>>,
    pub(super) by_fingerprint: HashMap<String, Vec<usize>>,
    /// By `host/owner/name`, and by `host/owner` for patterns.
    pub(super) by_repository: HashMap<String, Vec<usize>>,
    /// Patterns whose owner is a pattern too.
    pub(super) by_pattern: Vec<usize>,
    /// Advisory and affected entry.
    pub(super) by_stack: HashMap<String, Vec<(usize, usize)>>,
    pub(super) by_package: HashMap<(String, String), Vec<(usize, usize)>>,
}

impl Catalogue {
    /// The advisories of this release alone.
    ///
    /// # Errors
    /// None in a release: its documents are tested.
    pub fn embedded(now: Timestamp) -> Result<Self, CatalogueError> {
        Self::load(&[], now)
    }

    /// The advisories of this release and those in `documents` (name and
    /// bytes). A document replaces an earlier one with the same identifier,
    /// which is how an advisory of ours is corrected or withdrawn.
    ///
    /// # Errors
    /// [`CatalogueError`] names the document.
    pub fn load(documents: &[(String, Vec<u8>)], now: Timestamp) -> Result<Self, CatalogueError> {
        let own = weighbridge_rules::ADVISORIES.iter().map(|(name, text)| (*name, text.as_bytes()));
        Self::build(own.chain(documents.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))), now)
    }

    /// As [`Self::load`], with the advisories of this release about models
    /// alone: they have identifiers of ours.
    ///
    /// # Errors
    /// [`CatalogueError`] names the document.
    pub fn of_models(documents: &[(String, Vec<u8>)], now: Timestamp) -> Result<Self, CatalogueError> {
        let own = weighbridge_rules::ADVISORIES.iter().filter(|(name, _)| name.starts_with("x_WBA"));
        let own = own.map(|(name, text)| (*name, text.as_bytes()));
        Self::build(own.chain(documents.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))), now)
    }

    /// A catalogue of `documents` (name and bytes) only.
    ///
    /// # Errors
    /// [`CatalogueError`] names the document.
    pub fn build<'a>(
        documents: impl Iterator<Item = (&'a str, &'a [u8])>,
        now: Timestamp,
    ) -> Result<Self, CatalogueError> {
        let mut by_id = BTreeMap::new();
        for (count, (document, bytes)) in documents.enumerate() {
            if count >= DOCUMENTS_MAX {
                return Err(CatalogueError::TooMany);
            }
            let advisory = Advisory::parse(bytes)
                .map_err(|source| CatalogueError::Document { document: document.to_owned(), source })?;
            by_id.insert(advisory.id.clone(), (advisory, Sha2::digest(bytes)));
        }
        let digests: Vec<u8> = by_id.values().flat_map(|(_, digest)| digest.to_vec()).collect();
        let mut catalogue = Self { digest: Sha2::digest(&digests).to_vec(), ..Self::default() };
        for (advisory, _) in by_id.into_values().filter(|(a, _)| a.is_current(now)) {
            catalogue.add(advisory);
        }
        Ok(catalogue)
    }

    /// Stands for all its documents; empty where there are none.
    #[must_use]
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }

    /// All advisories that hold, by identifier.
    pub fn advisories(&self) -> impl Iterator<Item = &Advisory> {
        self.advisories.iter()
    }

    /// The advisory called `id`, or that has it as an alias.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Advisory> {
        let own = self.advisories.binary_search_by(|a| a.id.as_str().cmp(id)).ok().and_then(|i| self.advisories.get(i));
        own.or_else(|| self.advisories.iter().find(|a| a.aliases.iter().any(|alias| alias == id)))
    }

    /// Whether any advisory is about the package.
    #[must_use]
    pub fn knows_package(&self, ecosystem: &str, name: &str) -> bool {
        self.by_package.contains_key(&package_key(ecosystem, name))
    }

    fn add(&mut self, advisory: Advisory) {
        let index = self.advisories.len();
        let ours = &advisory.weighbridge;
        for digest in &ours.file_sha256 {
            self.by_file.entry(*digest).or_default().push(index);
        }
        for digest in &ours.tree_sha256 {
            self.by_tree.entry(*digest).or_default().push(index);
        }
        for fingerprint in &ours.norm_fingerprint {
            self.by_fingerprint.entry(fingerprint.clone()).or_default().push(index);
        }
        for pattern in &ours.repo {
            match repository::index_key(pattern) {
                Some(key) => self.by_repository.entry(key).or_default().push(index),
                None => self.by_pattern.push(index),
            }
        }
        for (entry, affected) in advisory.affected.iter().enumerate() {
            for repo in affected.ranges.iter().filter(|r| r.kind == RangeKind::Git).filter_map(|r| r.repo.as_deref()) {
                if let Some(key) = repository::of_url(repo) {
                    self.by_repository.entry(key).or_default().push(index);
                }
            }
            self.add_affected(affected, index, entry);
        }
        self.advisories.push(advisory);
    }

    fn add_affected(&mut self, affected: &Affected, index: usize, entry: usize) {
        if let Some((ecosystem, name)) = &affected.package {
            self.by_package.entry(package_key(ecosystem, name)).or_default().push((index, entry));
        }
        if let Some(stack) = &affected.stack {
            self.by_stack.entry(stack.clone()).or_default().push((index, entry));
        }
    }
}

/// Names of one package are spelt alike: PyPI's as PEP 503 has it, others in
/// lower case.
pub(super) fn package_key(ecosystem: &str, name: &str) -> (String, String) {
    let ecosystem = ecosystem.split(':').next().unwrap_or(ecosystem).to_ascii_lowercase();
    let name = if ecosystem == "pypi" { normalised(name) } else { name.to_ascii_lowercase() };
    (ecosystem, name)
}

/// A Python package's name as PEP 503 has it: lower case, `-` for any run of
/// `-`, `_` and `.`.
#[must_use]
pub fn normalised(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if !matches!(c, '-' | '_' | '.') {
            out.push(c.to_ascii_lowercase());
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    out
}
