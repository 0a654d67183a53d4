//! Stores that name blobs by digest: Ollama, Docker Model Runner, OCI layouts.

use std::collections::HashMap;

use weighbridge_types::{LinkKind, ModelKind};

use super::{Grouping, folder_of, names};

/// Makes a model of each manifest with its blobs, by digest wherever they
/// were found in this scan, and by the store's layout.
pub fn manifests(grouping: &mut Grouping<'_>) {
    let mut by_digest: HashMap<String, Vec<usize>> = HashMap::new();
    for (i, artifact) in grouping.artifacts.iter().enumerate() {
        if let Some(digest) = artifact.sha256 {
            by_digest.entry(format!("sha256:{digest}")).or_default().push(i);
        }
    }
    for i in 0..grouping.artifacts.len() {
        let Some(manifest) = grouping.get(i).filter(|a| a.format == "oci-model") else { continue };
        let mut members = vec![i];
        let blobs = manifest.links.iter().filter(|l| l.kind == LinkKind::Blob);
        members.extend(blobs.filter_map(|l| nearest(grouping, &manifest.path, by_digest.get(&l.target)?)));
        if members.len() == 1 {
            continue;
        }
        let (name, kind) = match names::ollama(&manifest.path) {
            Some(name) => (name, ModelKind::Ollama),
            None => (layout_name(&manifest.path), ModelKind::Oci),
        };
        let path = manifest.path.clone();
        grouping.push(name, kind, &path, members);
    }
}

/// The file whose path shares most with `path`: the same bytes may lie in
/// several stores, and a store's model is made of its own.
fn nearest(grouping: &Grouping<'_>, path: &str, candidates: &[usize]) -> Option<usize> {
    let shared = |i: &usize| {
        let other = grouping.get(*i).map_or("", |a| a.path.as_str());
        path.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count()
    };
    candidates.iter().copied().rev().max_by_key(shared)
}

/// Name of the folder around `blobs/sha256/…` or `index.json`.
fn layout_name(path: &str) -> String {
    let layout = path.rsplit_once("/blobs/").map_or_else(|| folder_of(path), |(before, _)| before);
    names::of_folder(layout)
}
