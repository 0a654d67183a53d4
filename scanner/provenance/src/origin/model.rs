//! Claims about a model: what its files claim together.

use std::collections::BTreeMap;

use weighbridge_types::{Artifact, Claim, Strength};

use super::strongest_first;

/// A model's claims from those of its `files`, strongest first.
///
/// A chain is as strong as its weakest link: a claim is worth what it is worth
/// for the file where it is worth least. One that does not hold for every
/// file is no more than a record, and says for how many it holds.
#[must_use]
pub fn claims(files: &[&Artifact]) -> Vec<Claim> {
    // Manifests say what belongs together and are no content of the model.
    let content: Vec<&&Artifact> = files.iter().filter(|a| a.format != "oci-model").collect();
    let content = if content.is_empty() { files.iter().collect() } else { content };
    let total = content.len();
    let mut by_origin: BTreeMap<_, Vec<&Claim>> = BTreeMap::new();
    for artifact in content {
        let mut seen = Vec::new();
        for claim in &artifact.origin {
            let key = (&claim.source, &claim.purl, &claim.url, &claim.revision);
            // The strongest of each kind counts once per file.
            if !seen.contains(&key) {
                by_origin.entry(key).or_default().push(claim);
                seen.push(key);
            }
        }
    }
    let joined = by_origin.into_values().filter_map(|claims| joined(&claims, total)).collect();
    strongest_first(joined)
}

fn joined(claims: &[&Claim], total: usize) -> Option<Claim> {
    let weakest = claims.iter().min_by_key(|claim| claim.strength)?;
    let mut out = (*weakest).clone();
    if claims.len() < total {
        out.strength = out.strength.min(Strength::Record);
        out.detail = format!("for {} of {total} files: {}", claims.len(), out.detail);
    } else if total > 1 {
        out.detail = format!("for all {total} files: {}", out.detail);
    }
    Some(out)
}
