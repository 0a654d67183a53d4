//! `SavedObjectGraph`: the Python objects a SavedModel is revived into.

use crate::codec::protobuf::{Message, Value};
use crate::core::{FormatError, Inspection};
use crate::formats::keras_config;

use super::metagraph::MetaGraph;
use super::node::NAME_BYTES_MAX;

/// Functions and object types remembered.
const ENTRIES_MAX: usize = 100_000;
/// Keras configurations inspected.
const CONFIGS_MAX: u64 = 2000;

/// Gathers functions and types; Keras configurations are inspected as such.
///
/// # Errors
/// Whatever no decoder would take.
pub fn object_graph(graph: &mut MetaGraph<'_>, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
    let (mut index, mut configs) = (0u64, 0);
    let mut fields = body.fields();
    while let Some(field) = fields.next(ctx, &mut graph.nodes.r)? {
        match (field.number, field.value) {
            (1, Value::Bytes(object)) => {
                if let Some(config) = saved_object(graph, ctx, object)?
                    && configs < CONFIGS_MAX
                {
                    configs += 1;
                    inspect_config(graph, ctx, config, index)?;
                }
                index += 1;
            }
            (2, Value::Bytes(entry)) => {
                let name = graph.one_text(ctx, entry, 1)?;
                offer(graph, name);
            }
            _ => {}
        }
    }
    Ok(())
}

/// `SavedObject`; returns the metadata of its user object.
fn saved_object(
    graph: &mut MetaGraph<'_>,
    ctx: &mut Inspection<'_>,
    body: Message,
) -> Result<Option<Message>, FormatError> {
    let mut metadata = None;
    let mut fields = body.fields();
    while let Some(field) = fields.next(ctx, &mut graph.nodes.r)? {
        match (field.number, field.value) {
            (4, Value::Bytes(user_object)) => {
                if let Some(identifier) = graph.one_text(ctx, user_object, 1)?
                    && graph.gathered.object_types.len() < ENTRIES_MAX
                {
                    *graph.gathered.object_types.entry(identifier).or_default() += 1;
                }
                metadata = graph.descend(ctx, user_object, &[3])?.pop();
            }
            // SavedFunction.concrete_functions
            (6, Value::Bytes(function)) => {
                for name in graph.descend(ctx, function, &[1])? {
                    let name = name.text(&mut graph.nodes.r, NAME_BYTES_MAX, "function")?;
                    offer(graph, Some(name));
                }
            }
            // SavedBareConcreteFunction.concrete_function_name
            (8, Value::Bytes(function)) => {
                let name = graph.one_text(ctx, function, 1)?;
                offer(graph, name);
            }
            _ => {}
        }
    }
    Ok(metadata)
}

fn offer(graph: &mut MetaGraph<'_>, name: Option<String>) {
    if graph.gathered.object_functions.len() < ENTRIES_MAX {
        graph.gathered.object_functions.extend(name);
    }
}

/// Longest configuration of one object, bytes.
const CONFIG_BYTES_MAX: usize = 16 << 20;

/// Keras writes its layers' configuration as JSON here.
pub fn inspect_config(
    graph: &mut MetaGraph<'_>,
    ctx: &mut Inspection<'_>,
    config: Message,
    index: u64,
) -> Result<(), FormatError> {
    if config.prefix(&mut graph.nodes.r, 1, "metadata")? == b"{"
        && let Some(content) = config.slice(graph.nodes.input)
    {
        let bytes = content.head(CONFIG_BYTES_MAX).map_err(|source| FormatError::Io { offset: 0, source })?;
        ctx.within(&format!("object {index}"), &content, |ctx, _| {
            keras_config::inspect_part(ctx, &bytes, "metadata").map(drop)
        })?;
    }
    Ok(())
}
