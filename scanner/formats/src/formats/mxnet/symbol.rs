use std::collections::BTreeMap;

use serde_json::Value;

use super::rules;
use crate::codec::json;
use crate::codec::location::{Reach, reach};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use crate::formats::pickle;

/// Largest graph read, bytes.
const GRAPH_BYTES_MAX: usize = 64 << 20;
/// Findings of one kind.
const FINDINGS_MAX: u32 = 16;
/// Operators that call Python functions which the program registered.
const PYTHON: &[&str] = &["Custom", "_Native", "_NDArray"];

/// Registry entry of the graphs: a document with the same id.
pub static SYMBOL: FormatSpec = FormatSpec {
    id: "mxnet-symbol",
    name: "MXNet symbol",
    extensions: &["json"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Json(recognise),
    inspect,
    rules: rules::SYMBOL,
};

fn recognise(document: &Value, _: &Sniff<'_>) -> Confidence {
    let list = |key: &str| document.get(key).is_some_and(Value::is_array);
    let node = document.pointer("/nodes/0");
    let shaped = node.is_some_and(|node| node.get("op").is_some() && node.get("inputs").is_some());
    if list("arg_nodes") && list("heads") && shaped { Confidence::Certain } else { Confidence::No }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    ctx.refine_format("mxnet");
    let document = json::parse(input, GRAPH_BYTES_MAX)?;
    let graph = &document.value;
    // `["int", 10900]` is 1.9.0.
    if let Some(version) = graph.pointer("/attrs/mxnet_version/1").and_then(Value::as_u64) {
        ctx.fact("mxnet_version", format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100));
    }
    for (path, _) in document.duplicates.iter().take(4) {
        ctx.find(&rules::DUPLICATE_KEY, None, format!("`{path}`"));
    }
    let mut walk = Walk::default();
    // Nodes of control flow (`_foreach`, `_while_loop`, `_cond`) hold graphs.
    let mut open = vec![graph];
    while let Some(graph) = open.pop() {
        let nodes = graph.get("nodes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        walk.references(ctx, graph, nodes.len());
        for node in nodes {
            ctx.work(1)?;
            walk.node(ctx, node, nodes.len());
            open.extend(node.get("subgraphs").and_then(Value::as_array).into_iter().flatten());
        }
    }
    ctx.fact("operators", walk.operators);
    Ok(())
}

#[derive(Default)]
struct Walk {
    operators: u64,
    reported: BTreeMap<&'static str, u32>,
}

impl Walk {
    fn node(&mut self, ctx: &mut Inspection<'_>, node: &Value, nodes: usize) {
        let op = node.get("op").and_then(Value::as_str).unwrap_or_default();
        let name = node.get("name").and_then(Value::as_str).unwrap_or_default();
        if op != "null" {
            self.operators += 1;
        }
        if PYTHON.contains(&op) {
            let kind = ["attrs", "attr", "param"]
                .iter()
                .find_map(|key| node.get(key)?.get("op_type")?.as_str())
                .unwrap_or_default();
            self.report(ctx, &rules::PYTHON_OPERATOR, &format!("`{op}` in node `{name}`, op_type `{kind}`"));
        }
        for key in ["attrs", "attr", "param"] {
            for (key, value) in node.get(key).and_then(Value::as_object).into_iter().flatten() {
                let Some(text) = value.as_str() else { continue };
                if is_library(text) {
                    self.report(ctx, &rules::LIBRARY, &format!("`{key}` of node `{name}` is `{text}`"));
                } else if let Some(pickle) = pickled(text) {
                    self.report(ctx, &rules::PICKLED_ATTRIBUTE, &format!("`{key}` of node `{name}`"));
                    ctx.child(key, &pickle);
                }
            }
        }
        let inputs = node.get("inputs").and_then(Value::as_array).into_iter().flatten();
        for input in inputs {
            self.index(ctx, input, nodes, &format!("input of node `{name}`"));
        }
    }

    fn references(&mut self, ctx: &mut Inspection<'_>, graph: &Value, nodes: usize) {
        for key in ["arg_nodes", "heads"] {
            for entry in graph.get(key).and_then(Value::as_array).into_iter().flatten() {
                self.index(ctx, entry, nodes, key);
            }
        }
    }

    /// `entry` is a node's number, or a list that begins with it.
    fn index(&mut self, ctx: &mut Inspection<'_>, entry: &Value, nodes: usize, what: &str) {
        let number = entry.get(0).unwrap_or(entry);
        let inside = number.as_u64().is_some_and(|n| usize::try_from(n).is_ok_and(|n| n < nodes));
        if number.is_number() && !inside {
            self.report(ctx, &rules::INDEX_OUTSIDE, &format!("{what}: node {number} of {nodes}"));
        }
    }

    fn report(&mut self, ctx: &mut Inspection<'_>, rule: &'static weighbridge_types::Rule, detail: &str) {
        let count = self.reported.entry(rule.id).or_default();
        *count += 1;
        if *count <= FINDINGS_MAX {
            ctx.find(rule, None, detail);
        }
    }
}

/// Whether `text` names a native library, by path.
fn is_library(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let library = [".so", ".dll", ".dylib"].iter().any(|end| lower.ends_with(end)) || lower.contains(".so.");
    library && (text.contains(['/', '\\']) || matches!(reach(text), Reach::Inside | Reach::Outside(_)))
}

/// The pickle that `text` holds in base64, if it does.
fn pickled(text: &str) -> Option<Input> {
    use base64::Engine;
    if text.len() < 16 || text.len() > 16 << 20 || !text.starts_with("gA") {
        return None;
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(text.trim()).ok()?;
    let content = Input::bytes(bytes);
    pickle::begins(&content).then_some(content)
}
