//! The digest catalogue that a policy may ship: which bytes are which revision
//! of which repository. Besides a signature the only proof of an origin.
//!
//! The format stands in `docs/schema/catalogue-1.json`.

use std::collections::HashMap;

use serde_json::Value;
use weighbridge_types::{Artifact, Claim, Sha256, Strength};

use super::{address, claim, is_hex};
use crate::json::{self, JsonError};
use crate::purl;

/// Largest catalogue read, bytes.
pub const CATALOGUE_BYTES_MAX: usize = 32 << 20;
/// Most files in it.
const FILES_MAX: usize = 250_000;
/// Most repositories that one digest may belong to: licences are everywhere.
const OWNERS_MAX: usize = 16;
/// What its `schema` says.
const SCHEMA: &str = "weighbridge.catalogue/1";

/// Why a catalogue was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// It is no JSON that all readers agree on.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A field is absent or holds something else.
    #[error("`{field}` is not {expected}")]
    Field {
        /// Where it stands.
        field: String,
        /// What should stand there.
        expected: &'static str,
    },
    /// It has more entries than are read.
    #[error("more than {FILES_MAX} files; split the catalogue")]
    TooLong,
}

/// One revision of one repository.
#[derive(Debug)]
struct Release {
    /// `org/name` on the hub, or an address.
    repository: String,
    revision: String,
    purl: Option<String>,
    url: Option<String>,
}

/// Digests and what they are.
#[derive(Debug, Default)]
pub struct Catalogue {
    releases: Vec<Release>,
    /// Releases and paths by digest.
    files: HashMap<Sha256, Vec<(usize, String)>>,
    /// Releases by the fingerprint of their norm tensors.
    norms: HashMap<String, Vec<usize>>,
}

impl Catalogue {
    /// Reads a catalogue of at most [`CATALOGUE_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`CatalogueError`] names the field.
    pub fn parse(bytes: &[u8]) -> Result<Self, CatalogueError> {
        let document = json::strict(bytes, CATALOGUE_BYTES_MAX)?;
        if document.get("schema").and_then(Value::as_str) != Some(SCHEMA) {
            return Err(field("schema", "`weighbridge.catalogue/1`"));
        }
        let releases = document.get("releases").and_then(Value::as_array).ok_or_else(|| field("releases", "a list"))?;
        let mut catalogue = Self::default();
        let mut left = FILES_MAX;
        for (at, release) in releases.iter().enumerate() {
            catalogue.release(at, release, &mut left)?;
        }
        Ok(catalogue)
    }

    fn release(&mut self, at: usize, value: &Value, left: &mut usize) -> Result<(), CatalogueError> {
        let place = |name: &str| format!("releases[{at}].{name}");
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let named = text("repository").and_then(Release::named);
        let (repository, url, hub) =
            named.ok_or_else(|| field(place("repository"), "`org/name` or an https address"))?;
        let revision = text("revision").filter(|r| !r.is_empty() && address::text(r) == *r);
        let revision = revision.ok_or_else(|| field(place("revision"), "a commit, tag or version"))?.to_owned();
        let index = self.releases.len();
        let files = value.get("files").and_then(Value::as_object).ok_or_else(|| field(place("files"), "an object"))?;
        for (path, digest) in files {
            *left = left.checked_sub(1).ok_or(CatalogueError::TooLong)?;
            let digest = digest.as_str().filter(|d| is_hex(d, 64)).and_then(|d| d.parse::<Sha256>().ok());
            let digest =
                digest.ok_or_else(|| field(place(&format!("files[`{}`]", address::text(path))), "a SHA-256"))?;
            let owners = self.files.entry(digest).or_default();
            if owners.len() < OWNERS_MAX {
                owners.push((index, address::text(path)));
            }
        }
        if let Some(fingerprint) = value.get("norm_fingerprint") {
            let fingerprint = fingerprint.as_str().filter(|f| is_hex(f, 64));
            let fingerprint = fingerprint.ok_or_else(|| field(place("norm_fingerprint"), "64 hexadecimal digits"))?;
            let owners = self.norms.entry(fingerprint.to_owned()).or_default();
            if owners.len() < OWNERS_MAX {
                owners.push(index);
            }
        }
        let purl = if hub {
            Some(purl::huggingface(&repository, Some(&revision)))
        } else {
            url.as_deref().and_then(|u| address::purl_of(u, Some(&revision)))
        };
        self.releases.push(Release { repository, revision, purl, url });
        Ok(())
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.releases.is_empty()
    }

    /// The releases that hold exactly the artifact's bytes.
    #[must_use]
    pub fn claims(&self, artifact: &Artifact) -> Vec<Claim> {
        let owners = artifact.sha256.and_then(|digest| self.files.get(&digest)).into_iter().flatten();
        let each = owners.filter_map(|(at, path)| {
            let release = self.releases.get(*at)?;
            let detail = format!("`{path}` in the digest catalogue, by SHA-256");
            Some(Claim {
                purl: release.purl.clone(),
                url: release.url.clone(),
                revision: Some(release.revision.clone()),
                ..claim(Strength::Proof, "catalogue", detail)
            })
        });
        each.collect()
    }

    /// Names of the releases with this fingerprint of norm tensors.
    pub fn relatives(&self, fingerprint: &str) -> impl Iterator<Item = String> {
        let owners = self.norms.get(fingerprint).into_iter().flatten();
        owners.filter_map(|at| self.releases.get(*at)).map(|r| format!("{}@{}", r.repository, r.revision))
    }
}

impl Release {
    /// Name, address, and whether it is the hub's.
    fn named(text: &str) -> Option<(String, Option<String>, bool)> {
        if text.contains("://") {
            let url = address::url(text)?;
            return Some((url.clone(), Some(url), false));
        }
        let id = address::repository(text)?;
        let url = format!("https://huggingface.co/{id}");
        Some((id, Some(url), true))
    }
}

fn field(name: impl Into<String>, expected: &'static str) -> CatalogueError {
    CatalogueError::Field { field: name.into(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(releases: &str) -> Result<Catalogue, CatalogueError> {
        Catalogue::parse(format!(r#"{{"schema":"weighbridge.catalogue/1","releases":[{releases}]}}"#).as_bytes())
    }

    #[test]
    fn bad_catalogues_name_the_field() {
        let of = |releases| catalogue(releases).unwrap_err().to_string();
        assert_eq!(of("{}"), "`releases[0].repository` is not `org/name` or an https address");
        assert_eq!(of(r#"{"repository":"o/n"}"#), "`releases[0].revision` is not a commit, tag or version");
        assert_eq!(
            of(r#"{"repository":"o/n","revision":"1","files":{"a\u0007":"00"}}"#),
            "`releases[0].files[`a\\u{7}`]` is not a SHA-256"
        );
        assert!(matches!(catalogue(r#"{"repository":"o/n","repository":"o/m"}"#), Err(CatalogueError::Json(_))));
        assert!(Catalogue::parse(br#"{"schema":"x"}"#).is_err());
        assert!(catalogue("").unwrap().is_empty());
    }

    #[test]
    fn releases_are_found_by_fingerprint() {
        let print = "ab".repeat(32);
        let found = catalogue(&format!(
            r#"{{"repository":"o/n","revision":"main","files":{{}},"norm_fingerprint":"{print}"}}"#
        ));
        assert_eq!(found.unwrap().relatives(&print).collect::<Vec<_>>(), ["o/n@main"]);
    }
}
