use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Artifact, Model};

/// Name and version of the report's schema (`docs/schema/scan-1.json`).
pub const SCHEMA: &str = "weighbridge.scan/1";

/// What one scan saw: the contract between the scanner and everything else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Which program wrote it.
    pub tool: Tool,
    /// Where the scan began.
    pub roots: Vec<String>,
    /// Every file that is, holds or claims to be a model, by path.
    pub artifacts: Vec<Artifact>,
    /// The models those files make up, by path.
    pub models: Vec<Model>,
    /// Counts.
    pub summary: Summary,
    /// What could not be read, and why.
    pub errors: Vec<ScanError>,
}

/// The program that wrote a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// `weighbridge`
    pub name: String,
    /// Its version.
    pub version: String,
    /// Digest over every rule and table that decided; two reports with the
    /// same value were judged alike.
    pub rules: String,
}

/// Counts over a whole scan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Files looked at, models or not.
    pub files_seen: u64,
    /// Files among them that are not models and do not claim to be.
    pub files_other: u64,
    /// Artifacts whose assessment came from the cache.
    pub files_cached: u64,
    /// Bytes digested.
    pub bytes_hashed: u64,
    /// Number of artifacts.
    pub artifacts: u64,
    /// Number of models.
    pub models: u64,
    /// Artifacts by verdict.
    pub verdicts: BTreeMap<String, u64>,
    /// Findings by severity.
    pub findings: BTreeMap<String, u64>,
    /// Wall time, milliseconds.
    pub elapsed_ms: u64,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanError {
    /// What it was about.
    pub path: String,
    /// What happened and what to do next.
    pub message: String,
}
