//! TensorFlow SavedModels: `saved_model.pb`, `saved_model.pbtxt`, and the
//! `keras_metadata.pb` beside them.

use crate::codec::protobuf::{Message, Peek, PeekedValue, Value, is_text};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};

use super::tf_graphdef::recognise::{is_meta_graph, is_text_saved_model};
use super::tf_graphdef::{MetaGraph, TextGraphs, report, rules};

/// Meta graphs in one model.
const META_GRAPHS_MAX: usize = 1000;
/// Objects of `keras_metadata.pb` inspected.
const OBJECTS_MAX: u64 = 2000;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "tf-savedmodel",
    name: "TensorFlow SavedModel",
    extensions: &["pb", "pbtxt"],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if is_saved_model(sniff.head) || is_text_saved_model(sniff.head) {
        return Confidence::Certain;
    }
    if is_keras_metadata(sniff.head) {
        return Confidence::Likely;
    }
    // The loader opens this name alone, and takes fields in any order.
    let named = sniff.name.as_str() == "saved_model.pb" && Peek::new(sniff.head).next().is_some();
    if named { Confidence::Plausible } else { Confidence::No }
}

/// A schema version and meta graphs, in whatever order.
fn is_saved_model(head: &[u8]) -> bool {
    let mut fields = Peek::new(head).take(3);
    fields.all(|field| match (field.number, field.value) {
        (1, PeekedValue::Varint(1..=9)) => true,
        (2, PeekedValue::Bytes(graph, _)) => is_meta_graph(graph),
        _ => false,
    }) && Peek::new(head).take(3).any(|field| field.number == 2)
}

/// `SavedMetadata`: nodes with a path from `root`, a Keras identifier and
/// JSON.
fn is_keras_metadata(head: &[u8]) -> bool {
    let Some(node) = Peek::new(head).next().and_then(|f| f.body(1)) else { return false };
    let mut marks = 0;
    for field in Peek::new(node) {
        match (field.number, field.value) {
            (2, PeekedValue::Varint(_)) | (6, PeekedValue::Bytes(..)) => {}
            (3, PeekedValue::Bytes(path, _)) if path.starts_with(b"root") => marks += 1,
            (4, PeekedValue::Bytes(identifier, _)) if is_text(identifier) && identifier.starts_with(b"_tf_keras_") => {
                marks += 1;
            }
            (5, PeekedValue::Bytes(json, _)) if json.starts_with(b"{") => marks += 1,
            _ => return false,
        }
    }
    marks >= 2
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let head = input.head(4096).map_err(|source| FormatError::Io { offset: 0, source })?;
    if is_text_saved_model(&head) {
        let mut graphs = TextGraphs::default();
        let walked = graphs.read(ctx, input);
        report(ctx, &graphs.graphs);
        return walked;
    }
    if is_keras_metadata(&head) {
        return keras_metadata(ctx, input);
    }
    let mut graphs = Vec::new();
    let mut version = None;
    let walked = saved_model(ctx, input, &mut graphs, &mut version);
    if let Some(version) = version {
        ctx.fact("format_version", version);
    }
    report(ctx, &graphs);
    walked
}

/// `SavedModel`: every meta graph counts, whichever the loader's tags pick.
fn saved_model(
    ctx: &mut Inspection<'_>,
    input: &Input,
    graphs: &mut Vec<super::tf_graphdef::Gathered>,
    version: &mut Option<u64>,
) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    let mut fields = Message::whole(input).fields();
    while let Some(field) = fields.next(ctx, &mut r)? {
        match (field.number, field.value) {
            (1, Value::Varint(n)) => *version = Some(n),
            (2, Value::Bytes(body)) => {
                if graphs.len() >= META_GRAPHS_MAX {
                    return Err(FormatError::limit("meta_graphs_max", META_GRAPHS_MAX as u64));
                }
                let mut graph = MetaGraph::new(input);
                let walked = graph.meta_graph(ctx, body);
                graphs.push(graph.gathered);
                walked?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// `SavedMetadata` (Keras 2.5 to 2.15): the configuration each object is
/// revived from.
fn keras_metadata(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut graph = MetaGraph::new(input);
    for (index, object) in (0..).zip(graph.descend(ctx, Message::whole(input), &[1])?) {
        if index >= OBJECTS_MAX {
            return Err(FormatError::limit("keras_objects_max", OBJECTS_MAX));
        }
        for config in graph.descend(ctx, object, &[5])? {
            super::tf_graphdef::inspect_config(&mut graph, ctx, config, index)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
