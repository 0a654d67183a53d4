//! What is known of a model, as far as policies can ask for it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use weighbridge_types::{
    AdvisoryMatch, Artifact, Claim, Metadata, Model, ModelKind, Severity, Sha256, Signature, Strength, Verdict,
};

/// Models that can run code when they are loaded, and the source code that their
/// repositories bring. Programs that only lie beside a model are neither.
pub(crate) const RUNS_CODE: &[&str] = &[
    "joblib",
    "keras-h5",
    "keras-zip",
    "llamafile",
    "nemo",
    "npy",
    "npz",
    "pickle",
    "python-source",
    "pytorch-legacy",
    "pytorch-tar",
    "pytorch-zip",
    "r-rds",
    "script",
    "sklearn",
    "tf-graphdef",
    "tf-savedmodel",
    "torch-export",
    "torch-package",
    "torch7",
    "torchscript",
    "torchserve-mar",
];

/// Most values kept of a list: a hostile file can declare any number.
const VALUES_MAX: usize = 64;
/// Longest text kept, bytes.
const TEXT_MAX: usize = 256;

/// Facts about one model file and the model it belongs to, as data: nothing in
/// here says what to do. Tests of policies write it by hand, so every field
/// has a default.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Assessment {
    /// The name a user would recognise.
    pub name: String,
    /// Whether it only changes another model.
    pub adapter: bool,
    /// Identifier of the format.
    pub format: String,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Digest of the file; absent when not all of it could be read.
    pub sha256: Option<Sha256>,
    /// What the findings say together.
    pub verdict: Verdict,
    /// Severity of the worst finding.
    pub severity: Option<Severity>,
    /// Rules that hit.
    pub findings: BTreeSet<String>,
    /// `unsigned`, `trusted`, `untrusted`, `unknown`.
    pub signature: SignatureStatus,
    /// Who signed, if trusted.
    pub signers: BTreeSet<String>,
    /// Best claim of origin.
    pub origin: Option<Strength>,
    /// Package URLs without version, each with the strength of its best claim.
    pub origins: BTreeMap<String, Strength>,
    /// As declared, lower case.
    pub licences: BTreeSet<String>,
    /// As declared.
    pub base_models: BTreeSet<String>,
    /// `llama`, `qwen2`.
    pub family: Option<String>,
    /// Identifiers and aliases.
    pub advisories: BTreeSet<String>,
    /// Worst severity among them.
    pub advisory_severity: Option<Severity>,
    /// Number of weights.
    pub parameters: Option<u64>,
    /// Tokens.
    pub context_length: Option<u64>,
    /// As the file names it.
    pub quantization: Option<String>,
    /// Days since it was first seen here.
    pub age_days: Option<u32>,
}

/// [`Signature`] without its details.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureStatus {
    /// No bundle.
    #[default]
    Unsigned,
    /// Every check passed.
    Trusted,
    /// A check failed.
    Untrusted,
    /// A check could not be made.
    Unknown,
}

impl SignatureStatus {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Trusted => "trusted",
            Self::Untrusted => "untrusted",
            Self::Unknown => "unknown",
        }
    }
}

impl Default for Assessment {
    /// A clean, unsigned safetensors file of unknown origin.
    fn default() -> Self {
        Self {
            name: String::new(),
            adapter: false,
            format: "safetensors".to_owned(),
            size_bytes: 0,
            sha256: None,
            verdict: Verdict::Clean,
            severity: None,
            findings: BTreeSet::new(),
            signature: SignatureStatus::Unsigned,
            signers: BTreeSet::new(),
            origin: None,
            origins: BTreeMap::new(),
            licences: BTreeSet::new(),
            base_models: BTreeSet::new(),
            family: None,
            advisories: BTreeSet::new(),
            advisory_severity: None,
            parameters: None,
            context_length: None,
            quantization: None,
            age_days: None,
        }
    }
}

impl Assessment {
    /// Facts about `artifact`, with those that only the whole `model` tells.
    #[must_use]
    pub fn of(artifact: &Artifact, model: Option<&Model>) -> Self {
        let metadata: Vec<&Metadata> = std::iter::once(&artifact.metadata).chain(model.map(|m| &m.metadata)).collect();
        let claims: Vec<&Claim> = artifact.origin.iter().chain(model.iter().flat_map(|m| &m.origin)).collect();
        let advisories: Vec<&AdvisoryMatch> =
            artifact.advisories.iter().chain(model.iter().flat_map(|m| &m.advisories)).collect();
        let (signature, signers) = signature(artifact.signature.as_ref());
        let first = |keys: &[&str]| keys.iter().find_map(|key| texts(&metadata, key).into_iter().next());
        let number = |key: &str| metadata.iter().find_map(|m| m.get(key).and_then(Value::as_u64));
        Self {
            name: short(model.map_or(artifact.path.as_str(), |m| m.name.as_str())),
            adapter: model.is_some_and(|m| m.kind == ModelKind::Adapter),
            format: artifact.format.clone(),
            size_bytes: artifact.size_bytes,
            sha256: artifact.sha256,
            verdict: artifact.verdict,
            severity: artifact.findings.iter().map(|f| f.severity).max(),
            findings: artifact.findings.iter().map(|f| f.rule.to_string()).take(VALUES_MAX).collect(),
            signature,
            signers,
            origin: claims.iter().map(|c| c.strength).max(),
            origins: origins(&claims),
            licences: texts(&metadata, "license").into_iter().map(|l| l.to_lowercase()).collect(),
            base_models: ["base_model", "base_models"].iter().flat_map(|key| texts(&metadata, key)).collect(),
            family: first(&["model_type", "architecture"]).map(|f| f.to_lowercase()),
            advisories: advisories
                .iter()
                .flat_map(|a| std::iter::once(&a.id).chain(&a.aliases))
                .take(VALUES_MAX)
                .cloned()
                .collect(),
            advisory_severity: advisories.iter().map(|a| a.severity).max(),
            parameters: number("parameters"),
            context_length: number("context_length"),
            quantization: first(&["quantization"]),
            age_days: None,
        }
    }

    /// Whether loading such a file can run code it brings.
    #[must_use]
    pub fn runs_code(&self) -> bool {
        RUNS_CODE.contains(&self.format.as_str())
    }
}

fn signature(signature: Option<&Signature>) -> (SignatureStatus, BTreeSet<String>) {
    match signature {
        None | Some(Signature::Unsigned) => (SignatureStatus::Unsigned, BTreeSet::new()),
        Some(Signature::Trusted { signer, .. }) => {
            let names = signer.name.iter().chain([&signer.identity]).map(|n| short(n)).collect();
            (SignatureStatus::Trusted, names)
        }
        Some(Signature::Untrusted { .. }) => (SignatureStatus::Untrusted, BTreeSet::new()),
        Some(Signature::Unknown { .. }) => (SignatureStatus::Unknown, BTreeSet::new()),
    }
}

fn origins(claims: &[&Claim]) -> BTreeMap<String, Strength> {
    let mut out = BTreeMap::new();
    for claim in claims.iter().take(VALUES_MAX) {
        if let Some(purl) = &claim.purl {
            let best = out.entry(without_version(purl)).or_insert(claim.strength);
            *best = claim.strength.max(*best);
        }
    }
    out
}

/// Texts under `key`, from a text or a list of texts.
fn texts(metadata: &[&Metadata], key: &str) -> Vec<String> {
    let values = metadata.iter().filter_map(|m| m.get(key));
    let each = values.flat_map(|value| match value {
        Value::Array(items) => items.iter().collect::<Vec<_>>(),
        one => vec![one],
    });
    each.filter_map(Value::as_str).filter(|text| !text.trim().is_empty()).map(short).take(VALUES_MAX).collect()
}

fn short(text: &str) -> String {
    let end = (0..=TEXT_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned()
}

/// `pkg:huggingface/Org/Name@rev?x` → `pkg:huggingface/Org/Name`.
fn without_version(purl: &str) -> String {
    short(purl.split(['@', '?', '#']).next().unwrap_or(purl))
}
