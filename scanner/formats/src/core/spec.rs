use serde_json::Value;
use weighbridge_types::Rule;

use crate::codec::{hdf5, tar, zip::Listing};
use crate::core::{FormatError, Input, Inspection, Sniff};

/// How sure a format is that content is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// It is not.
    No,
    /// Nothing in the content objects and the name fits: a format without a
    /// signature.
    Plausible,
    /// Several independent marks fit.
    Likely,
    /// Signature and structure fit.
    Certain,
}

/// How a format is recognised.
pub enum Recognise {
    /// By its first bytes, last bytes and length.
    Bytes(fn(&Sniff<'_>) -> Confidence),
    /// By the members of a ZIP archive.
    Zip(fn(&Listing) -> Confidence),
    /// By the members of a tar archive.
    Tar(fn(&tar::Listing) -> Confidence),
    /// By the root group of an HDF5 file.
    Hdf5(fn(&hdf5::Object, &Sniff<'_>) -> Confidence),
    /// By the keys of a JSON object (parsed under limits), with the file's
    /// name as a hint.
    Json(fn(&Value, &Sniff<'_>) -> Confidence),
    /// By the name of an XML document's root element.
    XmlRoot(&'static str),
}

/// Where content of a format is worth inspecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Wherever it is found.
    Anywhere,
    /// Only beside a model, in the same folder or container: source code,
    /// scripts, requirement lists. A disk is full of these, and only loaders
    /// of models make them part of one. A file named on the command line is
    /// inspected whatever its scope.
    BesideModel,
}

/// The registry entry of one format: the one line that a new format adds.
pub struct FormatSpec {
    /// Identifier in reports: `gguf`, `pytorch-zip`.
    pub id: &'static str,
    /// Name for people.
    pub name: &'static str,
    /// Usual extensions, lower-case, without dot.
    pub extensions: &'static [&'static str],
    /// Whether loading this format can run code by design. Such content under
    /// the name of a format that cannot is a finding.
    pub runs_code: bool,
    /// Whether it is a model or part of one (weights, graph, adapter,
    /// tokenizer, configuration), and not merely a wrapper around files.
    pub is_model: bool,
    /// Where it is worth inspecting.
    pub scope: Scope,
    /// How it is recognised.
    pub recognise: Recognise,
    /// Parses and inspects content that was recognised. Findings, metadata and
    /// links go to the [`Inspection`]; an error says why it stopped early and
    /// becomes a finding too.
    pub inspect: fn(&mut Inspection<'_>, &Input) -> Result<(), FormatError>,
    /// Rules this format can raise.
    pub rules: &'static [&'static Rule],
}
