//! What TensorFlow's operators do outside the graph, from the tables in
//! `rules/tensorflow`.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use weighbridge_rules::{TENSORFLOW_KNOWN_OPS, TENSORFLOW_REACHING_OPS};

static REACHING: LazyLock<HashMap<&str, Reaching>> = LazyLock::new(|| {
    lines(TENSORFLOW_REACHING_OPS)
        .filter_map(|line| {
            let mut parts = line.splitn(4, ' ');
            let name = parts.next()?;
            let class = Class::named(parts.next()?)?;
            let path = Path::written(parts.next()?)?;
            Some((name, Reaching { class, path, does: parts.next()? }))
        })
        .collect()
});

static KNOWN: LazyLock<(HashSet<&str>, Vec<&str>)> = LazyLock::new(|| {
    let (prefixes, names): (Vec<_>, Vec<_>) = lines(TENSORFLOW_KNOWN_OPS).partition(|line| line.ends_with('*'));
    (names.into_iter().collect(), prefixes.into_iter().map(|p| p.trim_end_matches('*')).collect())
});

/// An operator that reaches outside the graph.
#[derive(Debug, Clone, Copy)]
pub struct Reaching {
    /// How.
    pub class: Class,
    /// Where the name of the file or peer stands.
    pub path: Path,
    /// In words, as the predicate of a sentence.
    pub does: &'static str,
}

/// Ways to reach outside the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Reads a file.
    Read,
    /// Writes files.
    Write,
    /// Reads training data.
    Dataset,
    /// Makes training data.
    Pipeline,
    /// Reads a vocabulary, usually an asset of the model.
    Table,
    /// Writes a checkpoint.
    Save,
    /// Reads a checkpoint.
    Restore,
    /// Moves checkpoint files.
    Merge,
    /// Writes event files.
    Summary,
    /// Calls Python.
    Python,
    /// Opens connections.
    Network,
    /// Calls native code by name.
    Native,
    /// Ends the process.
    Abort,
    /// Sends tensors to a debugger.
    Debug,
    /// Prints, maybe to a file.
    Print,
    /// Keeps elements in memory, or in a file if one is named.
    Cache,
    /// Reads a descriptor, if it names a file.
    Proto,
    /// Maps a file into memory.
    Mmap,
}

/// Where an operator takes its file name from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// A data input, counted from 0.
    Input(usize),
    /// An attribute.
    Attribute(&'static str),
    /// Nowhere in particular.
    None,
}

impl Class {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "read" => Self::Read,
            "write" => Self::Write,
            "dataset" => Self::Dataset,
            "pipeline" => Self::Pipeline,
            "table" => Self::Table,
            "save" => Self::Save,
            "restore" => Self::Restore,
            "merge" => Self::Merge,
            "summary" => Self::Summary,
            "python" => Self::Python,
            "network" => Self::Network,
            "native" => Self::Native,
            "abort" => Self::Abort,
            "debug" => Self::Debug,
            "print" => Self::Print,
            "cache" => Self::Cache,
            "proto" => Self::Proto,
            "mmap" => Self::Mmap,
            _ => return None,
        })
    }
}

impl Path {
    fn written(text: &'static str) -> Option<Self> {
        match text {
            "-" => Some(Self::None),
            _ => match text.strip_prefix('@') {
                Some(attribute) => Some(Self::Attribute(attribute)),
                None => text.parse().ok().map(Self::Input),
            },
        }
    }
}

/// How `op` reaches outside the graph, if it does.
pub fn reaching(op: &str) -> Option<&'static Reaching> {
    REACHING.get(op)
}

/// Whether `op` comes with TensorFlow or a companion library.
pub fn is_known(op: &str) -> bool {
    KNOWN.0.contains(op) || KNOWN.1.iter().any(|prefix| op.starts_with(prefix))
}

fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_reads() {
        for line in lines(TENSORFLOW_REACHING_OPS) {
            let name = line.split(' ').next().unwrap();
            assert!(reaching(name).is_some(), "{line}");
            assert!(is_known(name), "{name}");
        }
    }
}
