//! What models likely derive from, by the norm tensors that requantisation
//! leaves alone. A relation, never trust.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use sha2::{Digest, Sha256 as Hasher};
use weighbridge_formats::codec::norms::Sum;
use weighbridge_types::{Artifact, Lineage, Model, Sha256};

use crate::origin::Catalogue;

/// Norm tensors with more than one value, below which a fingerprint says
/// nothing: every untrained model has norms of ones and zeros.
const VARIED_MIN: u64 = 4;
/// Most relatives listed of one model.
const RELATIVES_MAX: usize = 64;
/// Types of weights that nothing was lost in.
const FULL_PRECISION: &[&str] = &["F32", "F16", "BF16"];
/// Architectures whose converters add one to the scales of norms.
const SHIFTED: &[&str] = &["gemma", "gemma2", "gemma3", "nemotron"];

/// The fingerprints of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Of the norms as they stand.
    plain: String,
    /// Of the norms as a converter that adds one stores them; GGUF files hold
    /// them that way already.
    shifted: Option<String>,
    /// Whether the architecture is one of those.
    is_shifted: bool,
    tensors: u64,
    /// Digests of the files that hold norms, in order.
    files: Vec<Sha256>,
}

impl Fingerprint {
    /// Of a model made of `files`, if they hold enough of norms that were
    /// trained, and all of them.
    #[must_use]
    pub fn of(model: &Model, files: &[&Artifact]) -> Option<Self> {
        if !model.missing.is_empty() || files.iter().any(|a| a.metadata.contains_key("adapter")) {
            return None;
        }
        let (mut plain, mut shifted) = (Sum::default(), Sum::default());
        let (mut tensors, mut varied) = (0u64, 0u64);
        let (mut seen, mut digests) = (BTreeSet::new(), Vec::new());
        let mut gguf = false;
        for artifact in files {
            let Some(norms) = artifact.metadata.get("norms") else { continue };
            let text = |key: &str| norms.get(key).and_then(Value::as_str);
            let number = |key: &str| norms.get(key).and_then(Value::as_u64);
            let (sum, more) = (text("sum")?, text("sum_shifted")?);
            gguf |= artifact.format == "gguf";
            digests.push(artifact.sha256?);
            // The same weights twice in one folder are one set of weights.
            if seen.insert(sum) {
                plain.join(&sum.parse().ok()?);
                shifted.join(&more.parse().ok()?);
                tensors = tensors.checked_add(number("tensors")?)?;
                varied = varied.checked_add(number("varied")?)?;
            }
        }
        digests.sort();
        (varied >= VARIED_MIN).then(|| Self {
            plain: print(&plain, tensors),
            shifted: (!gguf).then(|| print(&shifted, tensors)),
            is_shifted: is_shifted(model),
            tensors,
            files: digests,
        })
    }

    /// The one that reports show: what a converted file would have.
    fn shown(&self) -> &str {
        self.shifted.as_deref().filter(|_| self.is_shifted).unwrap_or(&self.plain)
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.plain.as_str()).chain(self.shifted.as_deref())
    }
}

/// SHA-256 over the sum and the number of tensors, low bytes first.
fn print(sum: &Sum, tensors: u64) -> String {
    let mut hasher = Hasher::new();
    hasher.update(sum.to_bytes());
    hasher.update(tensors.to_le_bytes());
    Sha256::new(hasher.finalize().into()).to_string()
}

fn is_shifted(model: &Model) -> bool {
    let named = model.metadata.get("architecture").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    let family = ["forcausallm", "forconditionalgeneration", "_text"]
        .iter()
        .fold(named.as_str(), |name, end| name.strip_suffix(end).unwrap_or(name));
    SHIFTED.contains(&family)
}

/// Whether the weights are what training left, not a quantisation of them.
fn is_full(model: &Model) -> bool {
    let quantization = model.metadata.get("quantization").and_then(Value::as_str);
    quantization.is_none_or(|q| FULL_PRECISION.contains(&q))
}

/// Sets the lineage of each model that has a fingerprint, in the order of
/// `models`, and names its relatives.
///
/// A quantised model derives from one in full precision with the same
/// fingerprint. Between two of a kind the direction cannot be told: each is
/// named for the other.
pub fn relate(models: &mut [Model], prints: &[Option<Fingerprint>], catalogue: &Catalogue) {
    let mut by_print: HashMap<&str, BTreeSet<usize>> = HashMap::new();
    for (at, print) in prints.iter().enumerate() {
        for text in print.iter().flat_map(Fingerprint::all) {
            by_print.entry(text).or_default().insert(at);
        }
    }
    let kinds: Vec<(bool, String)> = models.iter().map(|m| (is_full(m), m.path.clone())).collect();
    for (at, (model, print)) in models.iter_mut().zip(prints).enumerate() {
        let Some(print) = print else { continue };
        let group: BTreeSet<usize> = print.all().filter_map(|p| by_print.get(p)).flatten().copied().collect();
        let relatives = |full: bool| -> Vec<String> {
            let other = |other: &&usize| {
                **other != at
                    && prints.get(**other).and_then(Option::as_ref).is_some_and(|p| p.files != print.files)
                    && kinds.get(**other).is_some_and(|(is_full, _)| *is_full == full)
            };
            let paths = group.iter().filter(other).filter_map(|o| kinds.get(*o)).map(|(_, path)| path.clone());
            paths.take(RELATIVES_MAX).collect()
        };
        let mut found = relatives(true);
        found.extend(print.all().flat_map(|p| catalogue.relatives(p)));
        if found.is_empty() && !is_full(model) {
            found = relatives(false);
        }
        found.dedup();
        model.lineage =
            Some(Lineage { fingerprint: print.shown().to_owned(), tensors: print.tensors, likely_derived_from: found });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weighbridge_types::{Metadata, ModelKind, Verdict};

    fn artifact(path: &str, format: &str, seed: u8, sum: u8, varied: u64) -> Artifact {
        let mut metadata = Metadata::new();
        let hex = |n: u8| format!("{n:02x}").repeat(32);
        metadata.insert(
            "norms".to_owned(),
            serde_json::json!({"sum": hex(sum), "sum_shifted": hex(sum ^ 0xff), "tensors": varied, "varied": varied}),
        );
        Artifact {
            path: path.to_owned(),
            size_bytes: 1,
            sha256: Some(Sha256::new([seed; 32])),
            format: format.to_owned(),
            metadata,
            verdict: Verdict::Clean,
            findings: Vec::new(),
            links: Vec::new(),
            also_at: Vec::new(),
            signature: None,
            origin: Vec::new(),
            advisories: Vec::new(),
            decision: None,
            shadow: None,
        }
    }

    fn model(path: &str, quantization: Option<&str>, architecture: &str) -> Model {
        let mut metadata = Metadata::new();
        metadata.insert("architecture".to_owned(), architecture.into());
        if let Some(q) = quantization {
            metadata.insert("quantization".to_owned(), q.into());
        }
        Model {
            name: path.to_owned(),
            kind: ModelKind::File,
            format: String::new(),
            path: path.to_owned(),
            files: vec![path.to_owned()],
            size_bytes: 1,
            metadata,
            verdict: Verdict::Clean,
            missing: Vec::new(),
            same_as: Vec::new(),
            signature: None,
            origin: Vec::new(),
            lineage: None,
            advisories: Vec::new(),
        }
    }

    fn related(all: &[(&str, Option<&str>, &str, Artifact)]) -> Vec<Vec<String>> {
        let mut models: Vec<Model> = all.iter().map(|(path, q, arch, _)| model(path, *q, arch)).collect();
        let prints: Vec<_> = models.iter().zip(all).map(|(m, (.., a))| Fingerprint::of(m, &[a])).collect();
        relate(&mut models, &prints, &Catalogue::default());
        models.into_iter().map(|m| m.lineage.map(|l| l.likely_derived_from).unwrap_or_default()).collect()
    }

    #[test]
    fn quantised_derives_from_full_and_never_the_other_way() {
        let found = related(&[
            ("full", None, "llama", artifact("full", "safetensors", 1, 7, 9)),
            ("q4", Some("Q4_0"), "llama", artifact("q4", "gguf", 2, 7, 9)),
            ("q8", Some("Q8_0"), "llama", artifact("q8", "gguf", 3, 7, 9)),
            ("else", Some("Q8_0"), "llama", artifact("else", "gguf", 4, 8, 9)),
        ]);
        assert_eq!(found, [vec![], vec!["full"], vec!["full"], Vec::<&str>::new()]);
    }

    #[test]
    fn where_the_direction_cannot_be_told_both_are_named() {
        let found = related(&[
            ("q4", Some("Q4_0"), "llama", artifact("q4", "gguf", 2, 7, 9)),
            ("q8", Some("Q8_0"), "llama", artifact("q8", "gguf", 3, 7, 9)),
            ("copy", Some("Q8_0"), "llama", artifact("copy", "gguf", 3, 7, 9)),
        ]);
        assert_eq!(found, [vec!["q8", "copy"], vec!["q4"], vec!["q4"]]);
    }

    #[test]
    fn converters_that_add_one_are_met() {
        let files = [
            ("full", None, "Gemma2ForCausalLM", artifact("full", "safetensors", 1, 7, 9)),
            ("q4", Some("Q4_0"), "gemma2", artifact("q4", "gguf", 2, 7 ^ 0xff, 9)),
        ];
        assert_eq!(related(&files)[1], ["full"]);
        let print = |i: usize| {
            let (path, q, arch, artifact) = &files[i];
            Fingerprint::of(&model(path, *q, arch), &[artifact]).unwrap().shown().to_owned()
        };
        assert_eq!(print(0), print(1), "both show the same fingerprint");
    }

    #[test]
    fn untrained_cut_off_and_incomplete_models_have_none() {
        let m = model("m", None, "llama");
        assert!(Fingerprint::of(&m, &[&artifact("m", "safetensors", 1, 7, 3)]).is_none());
        let mut incomplete = artifact("m", "safetensors", 1, 7, 9);
        incomplete.metadata.insert("norms".to_owned(), serde_json::json!({"incomplete": "x"}));
        assert!(Fingerprint::of(&m, &[&incomplete, &artifact("n", "safetensors", 2, 8, 9)]).is_none());
        let mut missing = m.clone();
        missing.missing.push("model-00002-of-00002.safetensors".to_owned());
        assert!(Fingerprint::of(&missing, &[&artifact("m", "safetensors", 1, 7, 9)]).is_none());
        assert!(Fingerprint::of(&m, &[]).is_none());
    }

    #[test]
    fn shards_sum_up_in_any_order_and_copies_count_once() {
        let m = model("m", None, "llama");
        let (a, b) = (artifact("a", "safetensors", 1, 7, 9), artifact("b", "safetensors", 2, 8, 9));
        let print = |files: &[&Artifact]| Fingerprint::of(&m, files).unwrap().plain;
        assert_eq!(print(&[&a, &b]), print(&[&b, &a]));
        let mut copy = a.clone();
        copy.sha256 = Some(Sha256::new([9; 32]));
        assert_eq!(print(&[&a, &copy, &b]), print(&[&a, &b]));
    }
}
