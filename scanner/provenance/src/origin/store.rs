//! Stores that keep blobs by digest: what their manifests say of a blob.

use std::collections::HashMap;
use std::rc::Rc;

use sha2::{Digest, Sha256 as Hasher};
use weighbridge_types::{Artifact, Claim, Strength};

use super::check::{self, Check};
use super::{Origins, Said, Surroundings, address, claim, is_hex, oci, ollama, paths};
use crate::purl;

/// Most manifests read of one store.
const MANIFESTS_MAX: usize = 4096;
/// Most models that claim one blob.
const OWNERS_MAX: usize = 16;
/// Largest manifest of an Ollama store, bytes.
const OLLAMA_MANIFEST_BYTES_MAX: usize = 256 << 10;

/// One model of a store.
#[derive(Debug, Default)]
struct Model {
    /// `ollama` or `oci`.
    source: &'static str,
    /// What its user calls it.
    name: String,
    /// `host/path` of its registry.
    repository: Option<String>,
    tag: Option<String>,
    /// Digest of its manifest.
    manifest: String,
    /// Where it says that its content came from.
    from: Option<String>,
    revision: Option<String>,
}

/// What one store says of its blobs.
#[derive(Debug, Default)]
pub struct Store {
    models: Vec<Model>,
    /// Models by the digest of a blob, with its path when unpacked.
    blobs: HashMap<String, Vec<(usize, Option<String>)>>,
}

impl Store {
    fn add(&mut self, model: Model, blobs: impl IntoIterator<Item = oci::Blob>) {
        let at = self.models.len();
        let own = oci::Blob { digest: model.manifest.clone(), path: None };
        for blob in blobs.into_iter().chain([own]) {
            let owners = self.blobs.entry(blob.digest).or_default();
            if owners.len() < OWNERS_MAX && !owners.iter().any(|(owner, _)| *owner == at) {
                owners.push((at, blob.path));
            }
        }
        self.models.push(model);
    }

    /// Reads every manifest below `manifests/`.
    fn ollama(disk: &dyn Surroundings, base: &str) -> Self {
        let mut store = Self::default();
        let mut folders = vec!["manifests".to_owned()];
        for _ in 0..4 {
            let inside = |folder: &String| {
                disk.names(base, folder).into_iter().map(|name| format!("{folder}/{name}")).collect::<Vec<_>>()
            };
            folders = folders.iter().flat_map(inside).take(MANIFESTS_MAX).collect();
        }
        for path in folders {
            let reference = path.strip_prefix("manifests/").and_then(ollama::reference);
            let content = disk.file(base, &path, OLLAMA_MANIFEST_BYTES_MAX);
            let (Some(reference), Some(content)) = (reference, content) else { continue };
            let Some(manifest) = oci::manifest(&content) else { continue };
            store.add(ollama_model(&reference, digest(&content)), manifest.blobs);
        }
        store
    }

    /// Reads the index of an OCI layout, or Docker Model Runner's.
    fn oci(disk: &dyn Surroundings, base: &str) -> Self {
        let mut store = Self::default();
        let document = |name: &str| disk.file(base, name, oci::DOCUMENT_BYTES_MAX);
        let docker = document("models.json").map(|c| oci::docker_models(&c)).unwrap_or_default();
        let plain = document("index.json").map(|c| oci::index(&c)).unwrap_or_default();
        let blob = |digest: &str| {
            ["blobs", "manifests"].iter().find_map(|folder| document(&format!("{folder}/sha256/{digest}")))
        };
        let entries = docker.into_iter().map(|e| (e, true)).chain(plain.into_iter().map(|e| (e, false)));
        for (entry, docker) in entries.take(MANIFESTS_MAX) {
            let manifest = blob(&entry.digest).filter(|c| digest(c) == entry.digest).and_then(|c| oci::manifest(&c));
            let manifest = manifest.unwrap_or_default();
            let configured = manifest.config.as_deref().and_then(blob).map(|c| oci::config(&c)).unwrap_or_default();
            let from = manifest.source.or(configured.0);
            let revision = manifest.revision.or(configured.1);
            let files = entry.files.into_iter().map(|digest| oci::Blob { digest, path: None });
            let blobs: Vec<oci::Blob> = manifest.blobs.into_iter().chain(files).collect();
            let mut names = entry.names;
            if names.is_empty() {
                names.push(String::new());
            }
            for name in names {
                let reference = oci::reference(&name, docker).filter(|_| !name.is_empty());
                let (repository, tag) = reference.map_or((None, None), |(r, t)| (Some(r), Some(t)));
                let model = Model {
                    source: "oci",
                    name,
                    repository,
                    tag,
                    manifest: entry.digest.clone(),
                    from: from.clone(),
                    revision: revision.clone(),
                };
                store.add(model, blobs.iter().cloned());
            }
        }
        store
    }

    fn claims(&self, digest: &str, strength: Strength, how: &str) -> Vec<Claim> {
        let owners = self.blobs.get(digest).map(Vec::as_slice).unwrap_or_default();
        let each =
            owners.iter().filter_map(|(at, path)| Some(self.models.get(*at)?.claim(path.as_deref(), strength, how)));
        each.collect()
    }
}

impl Model {
    fn claim(&self, path: Option<&str>, strength: Strength, how: &str) -> Claim {
        let kind = if self.source == "ollama" { "an Ollama store" } else { "an OCI layout" };
        let name = if self.name.is_empty() {
            "a model without a tag".to_owned()
        } else {
            format!("`{}`", address::text(&self.name))
        };
        let called = path.map(|p| format!(", as `{p}`")).unwrap_or_default();
        let from = match (&self.from, &self.revision) {
            (Some(from), Some(revision)) => format!(", which says it was made from {from} at `{revision}`"),
            (Some(from), None) => format!(", which says it was made from {from}"),
            _ => String::new(),
        };
        let mut made = claim(strength, self.source, format!("part of {name} in {kind}{called}{from}; {how}"));
        made.revision = Some(format!("sha256:{}", self.manifest));
        if let Some(repository) = &self.repository {
            made.url = address::url(&format!("https://{repository}"));
            // Registries that serve the hub's repositories as images.
            let hub = ["hf.co/", "huggingface.co/"].iter().find_map(|host| repository.strip_prefix(host));
            made.purl = match hub.and_then(address::repository) {
                Some(id) => Some(purl::huggingface(&id, None)),
                None => Some(purl::oci(repository, Some(&self.manifest), self.tag.as_deref())),
            };
        }
        made
    }
}

fn ollama_model(reference: &ollama::Reference, manifest: String) -> Model {
    Model {
        source: "ollama",
        name: reference.name(),
        repository: Some(reference.repository()),
        tag: Some(reference.tag.clone()),
        manifest,
        ..Model::default()
    }
}

fn digest(content: &[u8]) -> String {
    weighbridge_types::Sha256::new(Hasher::digest(content).into()).to_string()
}

/// Claims of the stores in which the artifact lies.
pub fn claims(said: &mut Said, artifact: &Artifact, origins: &Origins<'_>) {
    for path in paths(artifact) {
        if let Some((base, digest)) = ollama::blob_place(path) {
            blob(said, artifact, &origins.store(base, Store::ollama), digest);
        } else if let Some((base, digest)) = oci::blob_place(path) {
            blob(said, artifact, &origins.store(base, Store::oci), digest);
        } else if let Some((_, below)) = ollama::manifest_place(path)
            && let Some(reference) = ollama::reference(below)
            && artifact.format == "oci-model"
            && let Some(digest) = artifact.sha256
        {
            let model = ollama_model(&reference, digest.to_string());
            said.claims.push(model.claim(None, Strength::Record, "the manifest itself, whose digest nothing records"));
        }
    }
}

/// A blob whose name is its digest.
fn blob(said: &mut Said, artifact: &Artifact, store: &Store, digest: &str) {
    debug_assert!(is_hex(digest, 64), "places hold digests");
    match check::sha256(digest, artifact) {
        Check::Same(how) => said.claims.extend(store.claims(digest, Strength::Content, how)),
        Check::Open(why) => said.claims.extend(store.claims(digest, Strength::Record, why)),
        Check::Differs => {
            said.findings.push(check::contradiction("the name of the blob in its store", digest, artifact))
        }
    }
}

impl Origins<'_> {
    /// The store at `base`, read once.
    fn store(&self, base: &str, read: fn(&dyn Surroundings, &str) -> Store) -> Rc<Store> {
        if let Some(store) = self.stores.borrow().get(base) {
            return Rc::clone(store);
        }
        let store = Rc::new(read(self.disk, base));
        self.stores.borrow_mut().insert(base.to_owned(), Rc::clone(&store));
        store
    }
}
