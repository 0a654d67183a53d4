//! What the operators of a graph amount to, given who runs them when.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};
use weighbridge_types::{LinkKind, Rule};

use crate::codec::location::{Reach, reach};
use crate::core::Inspection;

use super::metagraph::{Call, Gathered, call};
use super::ops::{self, Class};
use super::rules;

/// Findings about one operator.
const PER_OP_MAX: u64 = 20;
/// Facts in one list or map.
const FACTS_MAX: usize = 100;

/// Who runs a node or function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunBy {
    /// Callers of the model: signatures, functions of its objects, and the
    /// loader itself.
    Users,
    /// Whoever saves the model again.
    Saver,
    /// The loader, to restore variables.
    Restorer,
    /// Nobody known.
    Nobody,
}

/// Reports what `graphs` gathered: one graph, or all of a SavedModel.
pub fn report(ctx: &mut Inspection<'_>, graphs: &[Gathered]) {
    for graph in graphs {
        Judge::new(graph).report(ctx);
    }
    facts(ctx, graphs);
}

struct Judge<'a> {
    graph: &'a Gathered,
    assets: HashSet<&'a str>,
    /// Whether roots are known at all: a SavedModel, not a bare graph.
    has_roots: bool,
    users: Reachable<'a>,
    saver: Reachable<'a>,
    restorer: Reachable<'a>,
}

/// Nodes of the main graph and functions that a set of roots runs.
#[derive(Default)]
struct Reachable<'a> {
    nodes: HashSet<&'a str>,
    functions: HashSet<&'a str>,
}

impl<'a> Reachable<'a> {
    fn from(
        graph: &'a Gathered,
        roots: impl Iterator<Item = &'a str>,
        functions: impl Iterator<Item = &'a str>,
    ) -> Self {
        let nodes = graph.main.ancestors(roots);
        let called = graph.main.nodes.iter().filter(|node| nodes.contains(node.name.as_str()));
        let called = called.flat_map(|node| node.calls.iter().map(String::as_str).chain([node.op.as_str()]));
        let mut open: Vec<&str> = called.chain(functions).collect();
        let mut functions = HashSet::new();
        while let Some(name) = open.pop() {
            if let Some((name, function)) = graph.functions.get_key_value(name)
                && functions.insert(name.as_str())
            {
                open.extend(function.calls.iter().map(String::as_str));
            }
        }
        Self { nodes, functions }
    }

    fn runs(&self, node: &str, function: Option<&str>) -> bool {
        function.map_or_else(|| self.nodes.contains(node), |function| self.functions.contains(function))
    }
}

impl<'a> Judge<'a> {
    fn new(graph: &'a Gathered) -> Self {
        let [_, save, restore] = &graph.saver;
        let outputs = graph.signatures.iter().flat_map(|s| s.roots.iter().map(String::as_str));
        let users = outputs.chain(graph.init_nodes.iter().map(String::as_str));
        Self {
            graph,
            assets: graph.assets.iter().map(|a| super::node::node_of(&a.tensor)).collect(),
            has_roots: !graph.signatures.is_empty() || !graph.object_functions.is_empty(),
            users: Reachable::from(graph, users, graph.object_functions.iter().map(String::as_str)),
            saver: Reachable::from(graph, [save.as_str()].into_iter(), [].into_iter()),
            restorer: Reachable::from(graph, [restore.as_str()].into_iter(), [].into_iter()),
        }
    }

    fn report(&self, ctx: &mut Inspection<'_>) {
        let mut reported = BTreeMap::new();
        let main = self.graph.main.nodes.iter().filter_map(|node| call(&self.graph.main, node, &self.assets));
        for call in main {
            self.judge(ctx, &call, None, &mut reported);
        }
        for (name, function) in &self.graph.functions {
            for call in &function.reaching {
                self.judge(ctx, call, Some(name), &mut reported);
            }
            if ops::is_known(name) {
                ctx.find(&rules::FUNCTION_OVERRIDE, function.at, format!("a function stands in for `{name}`"));
            }
        }
        for (op, used) in &self.graph.ops {
            if !ops::is_known(op) && !self.graph.functions.contains_key(op) {
                let detail =
                    format!("node `{}` uses `{op}`, which TensorFlow does not have ({} uses)", used.node, used.count);
                ctx.find(&rules::CUSTOM_OP, used.at, detail);
            }
        }
        for asset in &self.graph.assets {
            match reach(&asset.file) {
                Reach::Inside => ctx.link(LinkKind::ExternalData, &format!("assets/{}", asset.file)),
                Reach::Odd(reason) | Reach::Outside(reason) => {
                    ctx.find(&rules::ASSET_OUTSIDE, asset.at, format!("asset `{}`: {reason}", asset.file));
                }
            }
        }
    }

    fn judge(
        &self,
        ctx: &mut Inspection<'_>,
        call: &Call,
        function: Option<&str>,
        reported: &mut BTreeMap<(String, &'static str), u64>,
    ) {
        let Some(rule) = self.rule(ctx, call, function) else { return };
        let seen = reported.entry((call.op.clone(), rule.id)).or_default();
        *seen += 1;
        if *seen > PER_OP_MAX {
            return;
        }
        let place = function.map_or_else(String::new, |f| format!(" of function `{f}`"));
        ctx.find(rule, call.at, format!("{} in node `{}`{place} {}", call.shown, call.node, call.does));
    }

    /// The rule that `call` breaks, if any.
    fn rule(&self, ctx: &Inspection<'_>, call: &Call, function: Option<&str>) -> Option<&'static Rule> {
        let path = &call.path;
        let text = path.constants.concat();
        let is_constant = !path.runtime && !text.is_empty();
        let leaves = is_constant && matches!(reach(&text), Reach::Outside(_));
        // A graph inside other content, or in a SavedModel, is there to run.
        let is_deployed = self.has_roots || ctx.depth() > 0;
        match call.class {
            Class::Read if path.asset => None,
            Class::Read | Class::Mmap if text.starts_with("memmapped_package://") => None,
            Class::Read if path.runtime => Some(&rules::FILE_READ_INPUT),
            Class::Read => Some(&rules::FILE_READ),
            Class::Mmap => (!text.is_empty()).then_some(&rules::FILE_READ),
            Class::Proto => {
                let inline = ["", "local://"].contains(&text.as_str()) || text.starts_with("bytes://");
                (!inline).then_some(&rules::FILE_READ)
            }
            Class::Dataset if path.asset => None,
            Class::Dataset if is_deployed && (is_constant || self.run_by(&call.node, function) == RunBy::Users) => {
                Some(&rules::FILE_READ)
            }
            Class::Dataset | Class::Pipeline => Some(&rules::DATASET),
            Class::Table => (leaves && !path.asset).then_some(&rules::TABLE_FILE),
            Class::Write => Some(&rules::FILE_WRITE),
            Class::Summary => Some(&rules::SUMMARY),
            Class::Cache => is_constant.then_some(&rules::FILE_WRITE),
            Class::Print => text.starts_with("file://").then_some(&rules::FILE_WRITE),
            Class::Python => Some(&rules::PYTHON),
            Class::Network => Some(&rules::NETWORK),
            Class::Native => Some(&rules::NATIVE),
            Class::Abort => Some(&rules::ABORT),
            Class::Debug => (!text.is_empty()).then_some(&rules::DEBUG),
            Class::Save | Class::Merge | Class::Restore => {
                self.checkpoint_rule(call, is_constant, leaves, self.run_by(&call.node, function))
            }
        }
    }

    /// Savers are in every model; what matters is who runs them.
    fn checkpoint_rule(&self, call: &Call, is_constant: bool, leaves: bool, run_by: RunBy) -> Option<&'static Rule> {
        match (call.class, run_by) {
            (Class::Restore, RunBy::Users) if is_constant => Some(&rules::FILE_READ),
            (Class::Restore, RunBy::Users) => Some(&rules::CHECKPOINT_READ),
            (Class::Restore, _) => None,
            (_, RunBy::Users | RunBy::Restorer) if is_constant || call.class == Class::Merge => {
                Some(&rules::FILE_WRITE)
            }
            (_, RunBy::Users | RunBy::Restorer) => Some(&rules::CHECKPOINT_WRITE_INPUT),
            (_, RunBy::Saver | RunBy::Nobody) if leaves => Some(&rules::CHECKPOINT_WRITE_INPUT),
            (_, RunBy::Saver | RunBy::Nobody) => None,
        }
    }

    fn run_by(&self, node: &str, function: Option<&str>) -> RunBy {
        if self.users.runs(node, function) {
            RunBy::Users
        } else if self.restorer.runs(node, function) {
            RunBy::Restorer
        } else if self.saver.runs(node, function) {
            RunBy::Saver
        } else {
            RunBy::Nobody
        }
    }
}

fn facts(ctx: &mut Inspection<'_>, graphs: &[Gathered]) {
    if let Some(version) = graphs.iter().map(|g| &g.version).find(|v| !v.is_empty()) {
        ctx.fact("tensorflow_version", version.as_str());
        ctx.fact("producer", format!("tensorflow {version}"));
    }
    let tags: Vec<_> = graphs.iter().map(|g| g.tags.join(",")).filter(|t| !t.is_empty()).take(FACTS_MAX).collect();
    if !tags.is_empty() {
        ctx.fact("tags", tags);
    }
    let signatures: Map<_, _> = graphs
        .iter()
        .flat_map(|g| &g.signatures)
        .take(FACTS_MAX)
        .map(|s| {
            let ends = serde_json::json!({"inputs": s.inputs, "outputs": s.outputs});
            (s.name.clone(), ends)
        })
        .collect();
    if !signatures.is_empty() {
        ctx.fact("signatures", signatures);
    }
    let mut counts = BTreeMap::new();
    for (op, used) in graphs.iter().flat_map(|g| &g.ops) {
        *counts.entry(op.as_str()).or_insert(0u64) += used.count;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let counts = counts.into_iter().take(FACTS_MAX).map(|(op, n)| (op.to_owned(), Value::from(n)));
    ctx.fact("operators", counts.collect::<Map<_, _>>());
    let types = graphs.iter().flat_map(|g| &g.object_types).take(FACTS_MAX);
    let types: Map<_, _> = types.map(|(name, n)| (name.clone(), Value::from(*n))).collect();
    if !types.is_empty() {
        ctx.fact("object_types", types);
    }
}
