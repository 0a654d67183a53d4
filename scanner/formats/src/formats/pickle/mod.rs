//! Python pickles of every protocol: raw, stacked, with joblib's arrays
//! between the opcodes, and inside other containers.
//!
//! A pickle is a program for a small stack machine. What it would do is found
//! by running that machine on symbols: [`machine`] executes the opcodes,
//! [`calls`] and [`state`] say what a call or a change of state means,
//! [`judge`] what an import gives away, by the tables in `rules/pickle/`.

mod calls;
mod code;
mod constants;
mod evaluate;
mod fold;
mod heap;
mod imports;
mod joblib;
mod judge;
mod literal;
mod machine;
mod memo;
mod names;
mod nested;
mod ops;
mod python2;
mod render;
mod rules;
mod sniff;
mod special;
mod state;
mod streams;
mod tables;
mod zfile;

#[cfg(test)]
mod tests;

use serde_json::Value as Json;

use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

pub use streams::{inspect_all, inspect_stream, inspect_stream_as};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "pickle",
    name: "Python pickle",
    extensions: &["pkl", "pickle", "p", "pck", "pcl", "dill", "joblib", "sav", "cloudpickle"],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(sniff::recognise),
    inspect,
    rules: rules::ALL,
};

/// Pickles that joblib wrote: told apart once the wrappers of arrays were
/// seen. Only its old compressed form has first bytes of its own.
pub static JOBLIB: FormatSpec = FormatSpec {
    id: "joblib",
    name: "joblib pickle",
    extensions: &["joblib", "jbl", "pkl", "sav"],
    recognise: Recognise::Bytes(zfile::recognise),
    inspect: zfile::inspect,
    rules: &[],
    ..FORMAT_FIELDS
};

/// Pickled estimators: told apart by the first class imported.
pub static SKLEARN: FormatSpec = FormatSpec {
    id: "sklearn",
    name: "scikit-learn pickle",
    extensions: &["pkl", "pickle", "joblib", "sav"],
    recognise: Recognise::Bytes(never),
    rules: &[],
    ..FORMAT_FIELDS
};

/// What the refinements share with [`FORMAT`].
const FORMAT_FIELDS: FormatSpec = FormatSpec {
    id: "",
    name: "",
    extensions: &[],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(never),
    inspect,
    rules: &[],
};

/// What one pickle stream (or a file of them) told.
#[derive(Debug, Default)]
pub struct Facts {
    /// Highest protocol it declares.
    pub protocol: Option<u8>,
    /// Offset after its STOP (or where it broke off).
    pub end: u64,
    /// Whether STOP was reached as the real unpickler would.
    pub complete: bool,
    /// Globals it resolves, `module.name`, in order, without repeats.
    pub globals: Vec<String>,
    /// PyTorch storages named by persistent ids.
    pub storages: Vec<Storage>,
    /// Opcodes executed.
    pub opcodes: u64,
    /// Streams read, by [`inspect_all`].
    pub streams: u64,
    /// Arrays that joblib wrote between the opcodes.
    pub joblib_arrays: u64,
    /// Class of the estimator, if the first class is one.
    pub estimator: Option<String>,
    /// Version of scikit-learn that wrote it.
    pub sklearn_version: Option<String>,
}

/// A PyTorch storage named by a persistent id:
/// `('storage', torch.FloatStorage, key, location, numel)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// `torch.FloatStorage`
    pub dtype: String,
    /// Member `data/<key>` of the archive.
    pub key: String,
    /// `cpu`, `cuda:0`
    pub location: String,
    /// Elements.
    pub numel: u64,
}

impl Facts {
    /// Takes over what a pickle inside this one told.
    fn absorb(&mut self, inner: Self) {
        for global in inner.globals {
            if self.globals.len() < 1024 && !self.globals.contains(&global) {
                self.globals.push(global);
            }
        }
        self.opcodes += inner.opcodes;
        self.joblib_arrays += inner.joblib_arrays;
        self.protocol = self.protocol.max(inner.protocol);
        self.sklearn_version = self.sklearn_version.take().or(inner.sklearn_version);
    }

    /// Takes over what the stream after this one told.
    fn add(&mut self, mut next: Self) {
        self.end = next.end;
        self.complete = next.complete;
        self.estimator = self.estimator.take().or(next.estimator.take());
        self.storages.append(&mut next.storages);
        self.absorb(next);
    }
}

/// Whether `input` begins with a pickle beyond doubt.
#[must_use]
pub fn begins(input: &Input) -> bool {
    input.head(4096).is_ok_and(|head| sniff::is_convincing(&head, input.len()))
}

fn never(_: &Sniff<'_>) -> Confidence {
    Confidence::No
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let facts = inspect_all(ctx, input)?;
    if let Some(protocol) = facts.protocol {
        ctx.fact("format_version", protocol);
    }
    ctx.fact("opcodes", facts.opcodes);
    if facts.streams > 1 {
        ctx.fact("streams", facts.streams);
    }
    if !facts.globals.is_empty() {
        ctx.fact("globals", Json::from(facts.globals));
    }
    if let Some(version) = facts.sklearn_version {
        ctx.fact("producer", format!("scikit-learn {version}"));
    }
    if facts.joblib_arrays > 0 {
        ctx.refine_format("joblib");
    } else if facts.estimator.is_some() {
        ctx.refine_format("sklearn");
    }
    if let Some(estimator) = facts.estimator {
        ctx.fact("architecture", estimator);
    }
    Ok(())
}

/// Who reads a pickle, and so what its names may mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Python's `pickle`.
    #[default]
    Python,
    /// The C++ unpickler of TorchScript: `__torch__.…` names are types of the
    /// archive's own code.
    TorchScript,
    /// `torch.package`: unknown modules are sources of the same archive, which
    /// are inspected by themselves.
    Packaged,
}

impl Dialect {
    /// Whether a module nothing is known of comes with the archive.
    fn defines(self, module: &str) -> bool {
        match self {
            Self::Python => false,
            Self::TorchScript => module == "__torch__" || module.starts_with("__torch__."),
            Self::Packaged => true,
        }
    }
}
