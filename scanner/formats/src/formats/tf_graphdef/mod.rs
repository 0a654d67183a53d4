//! TensorFlow graphs: `GraphDef` (frozen graphs) and `MetaGraphDef` (`.meta`),
//! binary and as text. `tf_savedmodel` builds on the same parts.
//!
//! A TensorFlow graph is a program. Its operators read and write files, open
//! connections and call Python; whoever runs the graph runs them (TensorFlow's
//! SECURITY.md; "TensorAbuse", IEEE S&P 2025).

mod body;
mod judge;
mod metagraph;
mod node;
mod objects;
pub(super) mod ops;
pub(super) mod recognise;
pub(super) mod rules;
mod text;

use crate::codec::protobuf::{DEPTH_MAX, Message};
use crate::core::{FormatError, FormatSpec, Input, Inspection, Recognise, Scope};

pub(super) use judge::report;
pub(super) use metagraph::{Gathered, MetaGraph};
pub(super) use objects::inspect_config;
pub(super) use text::TextGraphs;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "tf-graphdef",
    name: "TensorFlow graph",
    extensions: &["pb", "pbtxt", "meta", "graphdef"],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise::recognise),
    inspect,
    rules: rules::ALL,
};

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let head = input.head(4096).map_err(|source| FormatError::Io { offset: 0, source })?;
    if recognise::is_text_graph(&head) {
        let mut graphs = TextGraphs::default();
        let walked = graphs.read(ctx, input);
        report(ctx, &graphs.graphs);
        return walked;
    }
    if recognise::nesting(&head) > DEPTH_MAX {
        return Err(FormatError::limit("protobuf_depth_max", DEPTH_MAX.into()));
    }
    let mut graph = MetaGraph::new(input);
    let whole = Message::whole(input);
    let walked =
        if recognise::is_meta_graph(&head) { graph.meta_graph(ctx, whole) } else { graph.graph_def(ctx, whole) };
    report(ctx, std::slice::from_ref(&graph.gathered));
    walked
}

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
