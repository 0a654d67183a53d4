use serde::{Deserialize, Serialize};

use crate::{AdvisoryMatch, Claim, Decision, Finding, Sha256, Signature, Verdict};

/// Facts read from a model file, by name: architecture, parameters, licence…
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// One file that is, holds, or claims to be a model, with everything learnt
/// about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// Where it was found, as text; bytes that are not UTF-8 appear as `\xNN`.
    pub path: String,
    /// Length in bytes when it was opened.
    pub size_bytes: u64,
    /// Digest of exactly the bytes that were inspected; absent when they
    /// could not all be read.
    pub sha256: Option<Sha256>,
    /// Identifier of the format, `unknown` when none was recognised.
    pub format: String,
    /// Facts by name.
    pub metadata: Metadata,
    /// What the findings say together.
    pub verdict: Verdict,
    /// Hits, most severe first.
    pub findings: Vec<Finding>,
    /// Other files this one needs or names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Other paths of the same file: hard links, and links in a Hugging Face snapshot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_at: Vec<String>,
    /// What the bundle beside it says of exactly these bytes; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// Claims about where it came from, strongest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origin: Vec<Claim>,
    /// Advisories that apply to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advisories: Vec<AdvisoryMatch>,
    /// What the policy says of it, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// What a candidate policy says of it, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Decision>,
}

impl Artifact {
    /// The verdict that `findings` add up to.
    #[must_use]
    pub fn verdict_of(findings: &[Finding]) -> Verdict {
        findings.iter().map(|f| f.verdict).max().unwrap_or(Verdict::Clean)
    }

    /// Adds `findings`, the worst first, and lets them count for the verdict.
    pub fn raise(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
        self.findings.sort_by_key(|f| std::cmp::Reverse((f.verdict, f.severity)));
        self.verdict = self.verdict.max(Self::verdict_of(&self.findings));
    }
}

/// A reference from one file to another, as the file words it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What the other file is to this one.
    pub kind: LinkKind,
    /// Relative path, repository id or digest, exactly as found.
    pub target: String,
}

/// What a linked file is to the file that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkKind {
    /// Another part of the same model.
    Shard,
    /// Tensor bytes kept outside the graph file.
    ExternalData,
    /// The model an adapter changes, or a fine-tune came from.
    BaseModel,
    /// A content-addressed blob (OCI, Ollama).
    Blob,
    /// Python source that loading may run.
    Code,
}
