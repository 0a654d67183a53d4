use serde::{Deserialize, Serialize};

use crate::{AdvisoryMatch, Claim, Lineage, Metadata, Signature, Verdict};

/// One model as its user knows it: one file, or many that belong together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The name a user would recognise: repository id, `name:tag`, file stem.
    pub name: String,
    /// How its files hang together.
    pub kind: ModelKind,
    /// Identifier of the format of its weights.
    pub format: String,
    /// Folder or file that holds it.
    pub path: String,
    /// Paths of the artifacts it is made of, in order.
    pub files: Vec<String>,
    /// Sum of the files' lengths; hard links and shared blobs count once.
    pub size_bytes: u64,
    /// Facts that hold for the whole model.
    pub metadata: Metadata,
    /// Worst verdict among its files.
    pub verdict: Verdict,
    /// Files it names that were not found beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Other models in this report with the same bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same_as: Vec<String>,
    /// What the signature beside it says of all its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// Claims about where it came from, strongest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origin: Vec<Claim>,
    /// What its norm tensors say of its ancestry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
    /// Advisories that apply to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advisories: Vec<AdvisoryMatch>,
}

/// How the files of a [`Model`] hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// One file.
    File,
    /// Numbered or indexed parts.
    Sharded,
    /// A folder with weights, configuration and tokenizer.
    Repository,
    /// A snapshot in a Hugging Face cache.
    HfSnapshot,
    /// An Ollama manifest and its blobs.
    Ollama,
    /// An OCI layout or Docker Model Runner store.
    Oci,
    /// A TensorFlow SavedModel folder.
    SavedModel,
    /// A Core ML package.
    CoremlPackage,
    /// A TensorFlow checkpoint.
    TfCheckpoint,
    /// A graph with tensors in other files.
    ExternalData,
    /// An adapter, with or without its base model.
    Adapter,
}
