//! Stores that name blobs by digest: Ollama, Docker Model Runner, OCI layouts.

use std::collections::HashMap;

use weighbridge_types::{LinkKind, ModelKind};

use super::{Grouping, folder_of, names};

/// Makes a model of each manifest with its blobs, by digest wherever they
/// were found in this scan, and by the store's layout.
pub fn manifests(grouping: &mut Grouping<'_>) {
    let mut by_digest: HashMap<String, usize> = HashMap::new();
    for (i, artifact) in grouping.artifacts.iter().enumerate() {
        if let Some(digest) = artifact.sha256 {
            by_digest.entry(format!("sha256:{digest}")).or_insert(i);
        }
    }
    for i in 0..grouping.artifacts.len() {
        let Some(manifest) = grouping.get(i).filter(|a| a.format == "oci-model") else { continue };
        let mut members = vec![i];
        let blobs = manifest.links.iter().filter(|l| l.kind == LinkKind::Blob);
        members.extend(blobs.filter_map(|l| by_digest.get(&l.target).copied()));
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

/// Name of the folder around `blobs/sha256/…` or `index.json`.
fn layout_name(path: &str) -> String {
    let layout = path.rsplit_once("/blobs/").map_or_else(|| folder_of(path), |(before, _)| before);
    names::of_folder(layout)
}
