use std::collections::{HashMap, HashSet};

use crate::core::FormatError;

use super::node::{Node, node_of};
use super::ops::{Path, Reaching};

/// Memory for the nodes of one graph or function.
const BODY_BYTES_MAX: usize = 96 << 20;
/// Nodes followed to find what a file name is made of.
const TRACE_NODES_MAX: usize = 64;
/// Arguments shown of one call.
const SHOWN_MAX: usize = 4;

/// The nodes of a graph or of a function.
#[derive(Debug, Default)]
pub struct Body {
    /// In file order.
    pub nodes: Vec<Node>,
    index: HashMap<String, usize>,
    weight: usize,
}

/// What an argument is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Constant parts, in order.
    pub constants: Vec<String>,
    /// Whether something known only when the graph runs takes part.
    pub runtime: bool,
    /// Whether an asset of the model takes part.
    pub asset: bool,
}

impl Body {
    /// Adds a node; of two with one name, the first is found by it.
    ///
    /// # Errors
    /// [`FormatError::Limit`] if the graph takes too much memory.
    pub fn push(&mut self, node: Node) -> Result<(), FormatError> {
        self.weight += node.weight();
        if self.weight > BODY_BYTES_MAX {
            return Err(FormatError::limit("tensorflow_graph_bytes_max", BODY_BYTES_MAX as u64));
        }
        self.index.entry(node.name.clone()).or_insert(self.nodes.len());
        self.nodes.push(node);
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&Node> {
        self.nodes.get(*self.index.get(name)?)
    }

    /// Names of `starts` and of all nodes they depend on.
    pub fn ancestors<'a>(&'a self, starts: impl Iterator<Item = &'a str>) -> HashSet<&'a str> {
        let mut seen = HashSet::new();
        let mut open: Vec<&str> = starts.map(node_of).collect();
        while let Some(name) = open.pop() {
            if let Some(node) = self.get(name)
                && seen.insert(node.name.as_str())
            {
                open.extend(node.all_inputs());
            }
        }
        seen
    }

    /// What file name `node` takes, by the table's word on where it stands.
    pub fn path(&self, node: &Node, reaching: &Reaching, assets: &HashSet<&str>) -> Origin {
        match reaching.path {
            Path::None => Origin { runtime: true, ..Origin::default() },
            Path::Attribute(key) => Origin {
                constants: node.texts.iter().filter(|(k, _)| k == key).map(|(_, v)| v.clone()).collect(),
                ..Origin::default()
            },
            Path::Input(n) => match node.data_inputs().nth(n) {
                Some(input) => self.origin(input, assets),
                None => Origin { runtime: true, ..Origin::default() },
            },
        }
    }

    /// Follows `name` to the constants it is made of.
    fn origin(&self, name: &str, assets: &HashSet<&str>) -> Origin {
        let mut origin = Origin::default();
        let mut seen = HashSet::new();
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            if seen.len() >= TRACE_NODES_MAX {
                origin.runtime = true;
                break;
            }
            if !seen.insert(name) {
                continue;
            }
            if assets.contains(name) {
                origin.asset = true;
                continue;
            }
            match self.get(name) {
                Some(node) if node.op == "Const" || node.op == "HostConst" => {
                    origin.constants.extend(node.constants.iter().cloned());
                }
                Some(node) if node.op != "PlaceholderWithDefault" && node.data_inputs().next().is_some() => {
                    let start = open.len();
                    open.extend(node.data_inputs());
                    open.get_mut(start..).unwrap_or_default().reverse();
                }
                _ => origin.runtime = true,
            }
        }
        origin
    }

    /// `node` as a call: `WriteFile("/tmp/x", …)`.
    pub fn call(&self, node: &Node) -> String {
        let none = HashSet::new();
        let mut arguments: Vec<String> = node
            .data_inputs()
            .take(SHOWN_MAX)
            .map(|input| {
                let origin = self.origin(input, &none);
                let mut parts: Vec<_> = origin.constants.iter().take(2).map(|text| format!("{text:?}")).collect();
                if origin.runtime || parts.is_empty() {
                    parts.push("…".to_owned());
                }
                parts.join(" + ")
            })
            .collect();
        let texts = node.texts.iter().filter(|(key, value)| {
            !value.is_empty() && !key.starts_with('_') && value.len() <= 200 && !matches!(key.as_str(), "metadata")
        });
        arguments.extend(texts.take(SHOWN_MAX).map(|(key, value)| format!("{key}={value:?}")));
        format!("{}({})", node.op, arguments.join(", "))
    }
}
