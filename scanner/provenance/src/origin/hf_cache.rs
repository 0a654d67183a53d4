//! The Hugging Face cache: `models--org--name/{blobs,snapshots,refs}`, which
//! llama.cpp and the Rust hub client share.

use weighbridge_types::{Artifact, Claim, Strength};

use super::check::{self, Check};
use super::{Said, Surroundings, address, claim, is_hex, paths};
use crate::purl;

/// Most references read of one repository.
const REFS_MAX: usize = 64;
/// Longest reference file, bytes.
const REF_BYTES_MAX: usize = 128;

/// Where in a cache a file lies.
#[derive(Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The folder `…/models--org--name`.
    pub base: &'a str,
    /// `org/name`
    pub repository: String,
    /// Which part of it.
    pub spot: Spot<'a>,
}

/// The part of a repository's folder.
#[derive(Debug, PartialEq, Eq)]
pub enum Spot<'a> {
    /// `snapshots/<commit>/<file>`
    Snapshot { commit: &'a str, file: &'a str },
    /// `blobs/<etag>`
    Blob { etag: &'a str },
}

/// Reads a place off a path.
pub fn place(path: &str) -> Option<Place<'_>> {
    super::ancestors(path).find_map(|(base, rest)| {
        let id = base.rsplit('/').next()?.strip_prefix("models--")?;
        let repository = address::repository(&id.replacen("--", "/", 1))?;
        let spot = match rest.split_once('/')? {
            ("snapshots", rest) => {
                let (commit, file) = rest.split_once('/').filter(|(commit, _)| is_hex(commit, 40))?;
                Spot::Snapshot { commit, file }
            }
            ("blobs", etag) if !etag.contains('/') => Spot::Blob { etag },
            _ => return None,
        };
        Some(Place { base, repository, spot })
    })
}

/// Claims from every path of the artifact that lies in a cache.
pub fn claims(said: &mut Said, artifact: &Artifact, disk: &dyn Surroundings) {
    let places: Vec<Place<'_>> = paths(artifact).filter_map(place).collect();
    for place in &places {
        let etag = places.iter().find_map(|p| match p.spot {
            Spot::Blob { etag } if p.base == place.base => Some(etag),
            _ => None,
        });
        let checked = match etag {
            Some(etag) => check::etag(etag, artifact, disk, place.base, &format!("blobs/{etag}")),
            None => Check::Open("it is a copy and no link to a blob, so no digest is recorded"),
        };
        let (strength, how) = match checked {
            Check::Same(how) => (Strength::Content, how),
            Check::Open(why) => (Strength::Record, why),
            Check::Differs => {
                let etag = etag.unwrap_or_default();
                let record = format!("the name of the blob of `{}` in the Hugging Face cache", place.repository);
                said.findings.push(check::contradiction(&record, etag, artifact));
                continue;
            }
        };
        match place.spot {
            Spot::Snapshot { commit, file } => {
                said.claims.push(snapshot(place, commit, file, strength, how, disk));
            }
            // The snapshots say more, where there are any.
            Spot::Blob { .. } if places.iter().any(|p| p.base == place.base && p != place) => {}
            Spot::Blob { .. } => {
                let detail = format!("a blob of a Hugging Face cache that no snapshot names; {how}");
                let purl = Some(purl::huggingface(&place.repository, None));
                said.claims.push(Claim { purl, ..claim(strength, "hf-cache", detail) });
            }
        }
    }
}

fn snapshot(
    place: &Place<'_>,
    commit: &str,
    file: &str,
    strength: Strength,
    how: &str,
    disk: &dyn Surroundings,
) -> Claim {
    let refs = refs(place.base, commit, disk);
    let named = if refs.is_empty() { String::new() } else { format!(" ({})", refs.join(", ")) };
    let detail = format!("`{}` of a snapshot in the Hugging Face cache{named}; {how}", address::text(file));
    Claim {
        purl: Some(purl::huggingface(&place.repository, Some(commit))),
        url: Some(format!("https://huggingface.co/{}", place.repository)),
        revision: Some(commit.to_owned()),
        ..claim(strength, "hf-cache", detail)
    }
}

/// Names of the references that stand for `commit`: branches, tags, `pr/1`.
fn refs(base: &str, commit: &str, disk: &dyn Surroundings) -> Vec<String> {
    let mut names = disk.names(base, "refs");
    names.extend(disk.names(base, "refs/pr").into_iter().map(|n| format!("pr/{n}")));
    names.sort();
    names.truncate(REFS_MAX);
    names.retain(|name| {
        disk.file(base, &format!("refs/{name}"), REF_BYTES_MAX).is_some_and(|c| c.trim_ascii() == commit.as_bytes())
    });
    names.iter().map(|name| address::text(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_off_paths() {
        let commit = "a".repeat(40);
        let path = format!("/c/models--Org--a--b/snapshots/{commit}/onnx/m.onnx");
        let found = place(&path).unwrap();
        assert_eq!((found.base, found.repository.as_str()), ("/c/models--Org--a--b", "Org/a--b"));
        assert_eq!(found.spot, Spot::Snapshot { commit: &commit, file: "onnx/m.onnx" });
        assert_eq!(place("/c/models--gpt2/blobs/ff").unwrap().repository, "gpt2");
        for path in [
            "/c/models--o--n/snapshots/main/f",
            "/c/models--o--n/blobs/a/b",
            "/c/models--../blobs/a",
            "/c/models----/blobs/a",
            "/c/datasets--o--n/blobs/a",
            "models--o--n",
            "",
        ] {
            assert_eq!(place(path), None, "{path}");
        }
    }
}
