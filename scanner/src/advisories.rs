//! Says of artifacts and models which advisories apply to them.

use std::collections::HashMap;

use weighbridge_provenance::advisory::{Catalogue, ModelFacts};
use weighbridge_types::{AdvisoryMatch, AdvisoryMatchKind, Artifact, Finding, Model, Rule};

use crate::rules;

/// Matches each artifact by its digest and its claims of origin.
pub fn of_artifacts(artifacts: &mut [Artifact], catalogue: &Catalogue) {
    for artifact in artifacts {
        let files: Vec<_> = artifact.sha256.into_iter().collect();
        let facts = ModelFacts { files: &files, claims: &artifact.origin, ..ModelFacts::default() };
        artifact.advisories = catalogue.against_model(&facts);
        let findings: Vec<Finding> = artifact.advisories.iter().filter_map(finding).collect();
        artifact.raise(findings);
    }
}

/// Matches each model by all it is made of, and by its lineage.
pub fn of_models(models: &mut [Model], artifacts: &[Artifact], catalogue: &Catalogue) {
    let by_path: HashMap<&str, &Artifact> = artifacts.iter().map(|a| (a.path.as_str(), a)).collect();
    for model in models {
        let parts: Vec<&Artifact> = model.files.iter().filter_map(|f| by_path.get(f.as_str()).copied()).collect();
        let files: Vec<_> = parts.iter().filter_map(|a| a.sha256).collect();
        let facts = ModelFacts { files: &files, tree: None, claims: &model.origin, lineage: model.lineage.as_ref() };
        model.advisories = catalogue.against_model(&facts);
        let worst = model.advisories.iter().filter_map(finding).map(|f| f.verdict).max();
        model.verdict = worst.map_or(model.verdict, |worst| worst.max(model.verdict));
    }
}

/// What an advisory makes of an artifact. Lineage alone makes nothing of it:
/// a descendant may have been mended.
fn finding(advisory: &AdvisoryMatch) -> Option<Finding> {
    let rule: &'static Rule = match advisory.matched_by {
        AdvisoryMatchKind::Digest => &rules::ADVISORY_BY_DIGEST,
        AdvisoryMatchKind::Revision => &rules::ADVISORY_BY_REPOSITORY,
        AdvisoryMatchKind::Lineage | AdvisoryMatchKind::Version => return None,
    };
    let instead = match advisory.replaced_by.as_slice() {
        [] => String::new(),
        list => format!("; use {} instead", list.join(" or ")),
    };
    let mut finding =
        Finding::new(rule, format!("{}: {} ({}){instead}", advisory.id, advisory.summary, advisory.evidence));
    finding.severity = advisory.severity;
    finding.references = advisory.references.iter().cloned().map(Into::into).collect();
    Some(finding)
}
