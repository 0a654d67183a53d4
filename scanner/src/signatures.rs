//! Holds the signatures a scan met against the files they speak of. The
//! digests compared are those of the bytes that were inspected; files of a
//! signed model that are no candidates are digested here, and only digested.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use weighbridge_discovery::Tree;
use weighbridge_provenance::signature::{
    self, Algorithm, Attestation, Compared, Digests, Manifest, Part, Scope, SignatureError, Testimony, compare,
    conclude,
};
use weighbridge_types::{Artifact, Claim, Finding, Model, Sha256, Signature, Strength};

use crate::rules;

/// A signature and where it lies.
#[derive(Debug)]
pub struct Bundle {
    /// The file.
    pub path: PathBuf,
    /// What it says.
    pub testimony: Testimony,
}

/// Verifies `bundles` and says so on every artifact they speak of.
pub fn of_artifacts(artifacts: &mut [Artifact], bundles: Vec<Bundle>) {
    for bundle in bundles {
        let digests = inspected(artifacts);
        let shown = bundle.path.display().to_string();
        let model = subject(&bundle);
        let names = bundle.testimony.manifest.as_ref().map(|m| signed_paths(&model, m)).unwrap_or_default();
        let compared = match &bundle.testimony.manifest {
            Some(manifest) => against(&model, manifest, &bundle.path, &digests),
            None => Ok(Compared::default()),
        };
        let signature = conclude(bundle.testimony, compared, &shown).signature;
        for artifact in artifacts.iter_mut() {
            let own = Path::new(&artifact.path) == bundle.path;
            let signed = std::iter::once(&artifact.path).chain(&artifact.also_at).any(|p| names.contains_key(p));
            if !own && !signed {
                continue;
            }
            if own && let Signature::Untrusted { reason, .. } = &signature {
                artifact.raise([Finding::new(&rules::SIGNATURE_UNTRUSTED, reason.clone())]);
            }
            artifact.signature = Some(match artifact.signature.take() {
                Some(other) => weaker(other, signature.clone()),
                None => signature.clone(),
            });
        }
    }
}

/// Lists attestations with the artifacts whose digest they name.
pub fn attest(artifacts: &mut [Artifact], attestations: &[(String, Attestation)]) {
    for artifact in artifacts {
        let Some(digest) = artifact.sha256 else { continue };
        for (place, attestation) in attestations.iter().filter(|(_, a)| a.subjects.contains(&digest)) {
            artifact.origin.push(claim(place, attestation));
        }
    }
}

/// Believed, an attestation is proof; otherwise anyone could have written it.
fn claim(place: &str, attestation: &Attestation) -> Claim {
    let kind = &attestation.predicate_type;
    let built = attestation.builder.as_ref().map(|b| format!(", built by {b}")).unwrap_or_default();
    let (strength, standing) = match (&attestation.signer, &attestation.objection) {
        (Some(signer), None) => (Strength::Proof, format!("signed by {signer}")),
        (_, Some(objection)) => (Strength::Hint, objection.reason.clone()),
        (None, None) => (Strength::Hint, "nobody signed it".to_owned()),
    };
    Claim {
        strength,
        source: "attestation".to_owned(),
        purl: None,
        url: None,
        revision: None,
        detail: format!("{place}: {kind}{built}; {standing}"),
    }
}

/// A model is as trustworthy as its least trusted file.
pub fn of_models(models: &mut [Model], artifacts: &[Artifact]) {
    let by_path: HashMap<&str, &Artifact> = artifacts.iter().map(|a| (a.path.as_str(), a)).collect();
    for model in models {
        let files = model.files.iter().filter_map(|f| by_path.get(f.as_str()));
        let signatures = files.map(|a| a.signature.clone().unwrap_or(Signature::Unsigned));
        model.signature = signatures.reduce(weaker);
        // What was altered is suspicious even if the bytes are harmless.
        if matches!(model.signature, Some(Signature::Untrusted { .. })) {
            model.verdict = model.verdict.max(rules::SIGNATURE_UNTRUSTED.verdict);
        }
    }
}

/// The worse of two.
fn weaker(a: Signature, b: Signature) -> Signature {
    let rank = |s: &Signature| match s {
        Signature::Untrusted { .. } => 0,
        Signature::Unknown { .. } => 1,
        Signature::Unsigned => 2,
        Signature::Trusted { .. } => 3,
    };
    if rank(&b) < rank(&a) { b } else { a }
}

/// SHA-256 of what was inspected, by every path it has.
fn inspected(artifacts: &[Artifact]) -> HashMap<&str, Sha256> {
    artifacts
        .iter()
        .filter_map(|a| Some((a, a.sha256?)))
        .flat_map(|(a, digest)| std::iter::once(&a.path).chain(&a.also_at).map(move |p| (p.as_str(), digest)))
        .collect()
}

/// What a bundle is about: the file it is named after if it speaks of one
/// file only, and the folder it lies in otherwise.
fn subject(bundle: &Bundle) -> PathBuf {
    let folder = bundle.path.parent().unwrap_or(Path::new(""));
    let single = bundle.testimony.manifest.as_ref().is_some_and(|m| m.files.len() == 1);
    if single && let Some(name) = bundle.path.file_name().and_then(|n| n.to_str()) {
        let stems = [".sig", ".sigstore.json", ".sigstore", ".json"].iter().filter_map(|end| name.strip_suffix(end));
        for stem in stems {
            let file = folder.join(stem);
            if file.is_file() {
                return file;
            }
        }
    }
    folder.to_path_buf()
}

/// Paths, as in the report, of the files a manifest names.
fn signed_paths(model: &Path, manifest: &Manifest) -> BTreeMap<String, ()> {
    if model.is_file() {
        return [(model.to_string_lossy().into_owned(), ())].into();
    }
    manifest.files.keys().map(|name| (model.join(name).to_string_lossy().into_owned(), ())).collect()
}

fn against(
    model: &Path,
    manifest: &Manifest,
    bundle: &Path,
    inspected: &HashMap<&str, Sha256>,
) -> Result<Compared, SignatureError> {
    let scope = Scope { bundle: bundle.to_path_buf(), ..Scope::default() };
    compare(model, manifest, &scope, &mut |tree, names| digests(tree, names, manifest, inspected))
}

/// Digests of `names`: of what was inspected where that is SHA-256 of whole
/// files. Another hash is bound to the inspected bytes by a SHA-256 made in
/// the same pass.
fn digests(
    tree: &Tree,
    names: &[&String],
    manifest: &Manifest,
    inspected: &HashMap<&str, Sha256>,
) -> Result<Digests, SignatureError> {
    let known = |name: &str| tree.files.get(name).and_then(|f| inspected.get(f.path.to_str()?)).copied();
    let mut out = Digests::new();
    let mut unread = Vec::new();
    let plain = manifest.algorithm == Algorithm::Sha256 && manifest.shard_bytes.is_none();
    for name in names {
        match known(name).filter(|_| plain) {
            Some(digest) => {
                out.insert((*name).clone(), vec![Part { start: 0, end: None, digest: digest.to_string() }]);
            }
            None => unread.push(*name),
        }
    }
    let wanted = |name: &str| known(name).map(|d| d.to_string());
    out.extend(signature::digest_bound(tree, &unread, manifest.algorithm, manifest.shard_bytes, &wanted)?);
    Ok(out)
}
