//! The models that artifacts make up.

mod names;
mod stores;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use weighbridge_types::{Artifact, LinkKind, Model, ModelKind, Verdict};

/// Formats that are part of a model but no model alone.
const PARTS: &[&str] = &[
    "hf-config",
    "tokenizer",
    "sentencepiece",
    "chat-template",
    "model-card",
    "requirements",
    "safetensors-index",
    "python-source",
    "yaml-config",
    "model-signing",
    "executable",
    "script",
    "oci-model",
    "mlc",
    "modelfile",
    "tfhub",
    "json",
    "xml",
    "unknown",
    "external-data",
    "external-data",
];

/// Formats of plain data that lie about in many projects: no sign that the
/// source code beside them belongs to a model.
const DATA: &[&str] = &["npy", "npz", "pickle", "joblib", "hdf5", "sklearn", "zip", "tar", "gzip", "r-rds", "unknown"];

/// Facts of a member that hold for its whole model.
const SHARED_FACTS: &[&str] =
    &["architecture", "quantization", "context_length", "license", "base_model", "tokenizer", "producer", "name"];

/// Whether the folder of this artifact is a repository that a loader takes as
/// a whole, with its folders.
pub fn marks_whole_repository(artifact: &Artifact) -> bool {
    matches!(
        artifact.format.as_str(),
        "hf-config" | "tokenizer" | "diffusers" | "mlflow" | "sentence-transformers" | "lora"
    )
}

/// Whether the folder of this artifact is a model's: what else lies there is
/// part of it.
pub fn marks_repository(artifact: &Artifact) -> bool {
    !DATA.contains(&artifact.format.as_str())
        && !matches!(
            artifact.format.as_str(),
            "json" | "xml" | "python-source" | "executable" | "requirements" | "script"
        )
}

/// Groups `artifacts` (sorted by path) into models. Every artifact that is a
/// model by itself belongs to exactly one; parts may belong to several.
pub fn group(artifacts: &[Artifact]) -> Vec<Model> {
    let mut grouping = Grouping::new(artifacts);
    stores::manifests(&mut grouping);
    packages(&mut grouping);
    repositories(&mut grouping);
    linked(&mut grouping);
    singles(&mut grouping);
    let mut models = grouping.models;
    tell_identical(&mut models, artifacts);
    models.sort_by(|a, b| (&a.path, &a.name).cmp(&(&b.path, &b.name)));
    models
}

/// Artifacts by path and folder, and the models made of them so far.
struct Grouping<'a> {
    artifacts: &'a [Artifact],
    by_path: HashMap<&'a str, usize>,
    by_folder: BTreeMap<&'a str, Vec<usize>>,
    taken: HashSet<usize>,
    models: Vec<Model>,
}

impl<'a> Grouping<'a> {
    fn new(artifacts: &'a [Artifact]) -> Self {
        let mut by_path = HashMap::new();
        let mut by_folder: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (i, artifact) in artifacts.iter().enumerate() {
            by_path.insert(artifact.path.as_str(), i);
            for other in &artifact.also_at {
                by_path.entry(other.as_str()).or_insert(i);
            }
            by_folder.entry(folder_of(&artifact.path)).or_default().push(i);
        }
        Self { artifacts, by_path, by_folder, taken: HashSet::new(), models: Vec::new() }
    }

    fn get(&self, i: usize) -> Option<&'a Artifact> {
        self.artifacts.get(i)
    }

    /// Makes one model of `members` (the weights among them are taken), and
    /// of what they name.
    fn push(&mut self, name: String, kind: ModelKind, path: &str, members: Vec<usize>) {
        let mut files = BTreeSet::new();
        let mut missing = BTreeSet::new();
        for i in members {
            let Some(artifact) = self.get(i) else { continue };
            files.insert(i);
            for link in &artifact.links {
                if !matches!(link.kind, LinkKind::Shard | LinkKind::ExternalData | LinkKind::Code) {
                    continue;
                }
                let target = Path::new(folder_of(&artifact.path)).join(&link.target);
                match target.to_str().and_then(|t| self.by_path.get(t)) {
                    Some(j) => {
                        files.insert(*j);
                    }
                    None => {
                        missing.insert(link.target.clone());
                    }
                }
            }
        }
        let parts: Vec<&Artifact> = files.iter().filter_map(|i| self.get(*i)).collect();
        let weights = parts.iter().filter(|a| !is_part(a)).max_by_key(|a| a.size_bytes).or(parts.first());
        let Some(weights) = weights else { return };
        let mut model = Model {
            name,
            kind,
            format: weights.format.clone(),
            path: path.to_owned(),
            files: parts.iter().map(|a| a.path.clone()).collect(),
            size_bytes: parts.iter().map(|a| a.size_bytes).sum(),
            metadata: weighbridge_types::Metadata::new(),
            verdict: parts.iter().map(|a| a.verdict).max().unwrap_or(Verdict::Unknown),
            missing: missing.into_iter().collect(),
            same_as: Vec::new(),
            signature: None,
            origin: Vec::new(),
            lineage: None,
            advisories: Vec::new(),
        };
        for key in SHARED_FACTS {
            // Weights first: what they say of themselves beats what lies beside.
            let fact = std::iter::once(*weights).chain(parts.iter().copied()).find_map(|a| a.metadata.get(*key));
            if let Some(fact) = fact {
                model.metadata.insert((*key).to_owned(), fact.clone());
            }
        }
        let parameters: u64 = parts.iter().filter_map(|a| a.metadata.get("parameters")?.as_u64()).sum();
        if parameters > 0 {
            model.metadata.insert("parameters".to_owned(), parameters.into());
        }
        self.taken.extend(files);
        self.models.push(model);
    }

    /// Indices of the artifacts in `folder` and below.
    fn below(&self, folder: &'a str) -> Vec<usize> {
        let inside = format!("{folder}/");
        self.by_folder
            .range(folder..)
            .take_while(|(f, _)| **f == folder || f.starts_with(&inside) || f.as_bytes() < inside.as_bytes())
            .filter(|(f, _)| **f == folder || f.starts_with(&inside))
            .flat_map(|(_, members)| members.iter().copied())
            .collect()
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn is_part(artifact: &Artifact) -> bool {
    PARTS.contains(&artifact.format.as_str())
}

/// Folders that are one model by their layout: SavedModel, Core ML package.
fn packages(grouping: &mut Grouping<'_>) {
    let mut found = Vec::new();
    for (i, artifact) in grouping.artifacts.iter().enumerate() {
        let folder = folder_of(&artifact.path);
        let package = artifact.path.split_inclusive('/').scan(0, |at, part| {
            *at += part.len();
            Some((*at, part))
        });
        let mlpackage = package
            .filter(|(_, part)| part.ends_with(".mlpackage/") || part.ends_with(".mlmodelc/"))
            .map(|(at, _)| at - 1)
            .next()
            .and_then(|at| artifact.path.get(..at));
        if artifact.format == "tf-savedmodel" && artifact.path.contains("saved_model.pb") {
            found.push((folder, ModelKind::SavedModel, i));
        } else if let Some(package) = mlpackage {
            found.push((package, ModelKind::CoremlPackage, i));
        }
    }
    found.sort_by_key(|(folder, ..)| *folder);
    found.dedup_by_key(|(folder, ..)| *folder);
    for (folder, kind, _) in found {
        let members = grouping.below(folder);
        grouping.push(names::of_folder(folder), kind, folder, members);
    }
}

/// Folders with weights and a configuration: Hugging Face repositories and
/// cache snapshots, adapters, MLflow models.
fn repositories(grouping: &mut Grouping<'_>) {
    const CONFIGS: &[&str] = &["hf-config", "lora", "diffusers", "mlflow", "mlc", "safetensors-index", "tokenizer"];
    let folders: Vec<&str> = grouping
        .by_folder
        .iter()
        .filter(|(_, members)| {
            let has = |test: &dyn Fn(&Artifact) -> bool| members.iter().filter_map(|i| grouping.get(*i)).any(test);
            has(&|a| CONFIGS.contains(&a.format.as_str())) && has(&|a| !is_part(a) || a.format == "safetensors-index")
        })
        .map(|(folder, _)| *folder)
        .collect();
    for folder in folders {
        let members: Vec<usize> = grouping.by_folder.get(folder).into_iter().flatten().copied().collect();
        if members.iter().all(|i| grouping.taken.contains(i)) {
            continue;
        }
        let adapter = members.iter().filter_map(|i| grouping.get(*i)).any(|a| a.format == "lora");
        let (name, kind) = match names::hf_snapshot(folder) {
            Some(name) => (name, ModelKind::HfSnapshot),
            None if adapter => (names::of_folder(folder), ModelKind::Adapter),
            None => (names::of_folder(folder), ModelKind::Repository),
        };
        grouping.push(name, kind, folder, members);
    }
}

/// Files that name the other files of their model: shards, external data.
fn linked(grouping: &mut Grouping<'_>) {
    let owners: Vec<usize> = grouping
        .artifacts
        .iter()
        .enumerate()
        .filter(|(_, a)| a.links.iter().any(|l| matches!(l.kind, LinkKind::Shard | LinkKind::ExternalData)))
        .map(|(i, _)| i)
        .collect();
    for i in owners {
        let Some(artifact) = grouping.get(i).filter(|_| !grouping.taken.contains(&i)) else { continue };
        let kind = match artifact.format.as_str() {
            "tf-checkpoint" => ModelKind::TfCheckpoint,
            _ if artifact.links.iter().any(|l| l.kind == LinkKind::ExternalData) => ModelKind::ExternalData,
            _ => ModelKind::Sharded,
        };
        grouping.push(names::of_file(&artifact.path), kind, &artifact.path, vec![i]);
    }
    sharded_by_name(grouping);
}

/// `name-00001-of-00003.gguf` and its siblings, where no index names them.
fn sharded_by_name(grouping: &mut Grouping<'_>) {
    let mut sets: BTreeMap<(&str, String), Vec<usize>> = BTreeMap::new();
    for (i, artifact) in grouping.artifacts.iter().enumerate() {
        if !grouping.taken.contains(&i)
            && !is_part(artifact)
            && let Some(set) = names::shard_set(&artifact.path)
        {
            sets.entry((folder_of(&artifact.path), set)).or_default().push(i);
        }
    }
    for ((folder, set), members) in sets {
        let path = folder.to_owned();
        grouping.push(set, ModelKind::Sharded, &path, members);
    }
}

/// What is left and is a model by itself.
fn singles(grouping: &mut Grouping<'_>) {
    for i in 0..grouping.artifacts.len() {
        let Some(artifact) = grouping.get(i) else { continue };
        if grouping.taken.contains(&i) || is_part(artifact) {
            continue;
        }
        let adapter = artifact.metadata.contains_key("adapter");
        let kind = if adapter { ModelKind::Adapter } else { ModelKind::File };
        grouping.push(names::of_file(&artifact.path), kind, &artifact.path, vec![i]);
    }
}

/// Tells models with the same weights, by digest.
fn tell_identical(models: &mut [Model], artifacts: &[Artifact]) {
    let digests: HashMap<&str, _> = artifacts.iter().filter_map(|a| Some((a.path.as_str(), a.sha256?))).collect();
    let print = |model: &Model| -> Option<Vec<weighbridge_types::Sha256>> {
        let mut all: Vec<_> = model.files.iter().map(|f| digests.get(f.as_str()).copied()).collect::<Option<_>>()?;
        all.sort();
        Some(all)
    };
    let mut same: HashMap<Vec<weighbridge_types::Sha256>, Vec<usize>> = HashMap::new();
    for (i, model) in models.iter().enumerate() {
        if let Some(print) = print(model).filter(|_| model.size_bytes > 0) {
            same.entry(print).or_default().push(i);
        }
    }
    for set in same.into_values().filter(|s| s.len() > 1) {
        let paths: Vec<String> = set.iter().filter_map(|i| models.get(*i)).map(|m| m.path.clone()).collect();
        for i in set {
            if let Some(model) = models.get_mut(i) {
                model.same_as = paths.iter().filter(|p| **p != model.path).cloned().collect();
            }
        }
    }
}

#[cfg(test)]
mod tests;
