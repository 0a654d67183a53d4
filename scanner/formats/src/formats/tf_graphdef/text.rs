//! Graphs in the text format: `GraphDef`, `MetaGraphDef` and `SavedModel`.

use crate::codec::protobuf::text::{Event, Events};
use crate::core::{FormatError, Input, Inspection, Reader};

use super::body::Body;
use super::metagraph::{Asset, Gathered, Signature};
use super::node::{self, NAME_BYTES_MAX, Node, TEXT_BYTES_MAX};

/// Meta graphs in one file.
const GRAPHS_MAX: usize = 1000;

/// Graphs read from text.
#[derive(Debug, Default)]
pub struct TextGraphs {
    /// One per `meta_graphs`, or the one graph.
    pub graphs: Vec<Gathered>,
}

impl TextGraphs {
    /// Reads all of `input`.
    ///
    /// # Errors
    /// Where the text breaks off or its braces do not match; what was gathered
    /// stays.
    pub fn read(&mut self, ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
        let mut r = Reader::new(input);
        let mut text = Text { events: Events::new(&mut r) };
        let mut alone = Gathered::default();
        let result = loop {
            match text.events.next(ctx) {
                Ok(Some(Event::Open(name))) if name == "meta_graphs" && self.graphs.len() < GRAPHS_MAX => {
                    let mut graph = Gathered::default();
                    let read = text.meta_graph(ctx, &mut graph);
                    self.graphs.push(graph);
                    if let Err(error) = read {
                        break Err(error);
                    }
                }
                Ok(Some(Event::Open(name))) => {
                    if let Err(error) = text.graph_field(ctx, &mut alone, &name) {
                        break Err(error);
                    }
                }
                Ok(Some(Event::Close | Event::Scalar(..))) => {}
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if !alone.ops.is_empty() || self.graphs.is_empty() {
            self.graphs.push(alone);
        }
        result
    }
}

struct Text<'r, 'i> {
    events: Events<'r, 'i>,
}

impl Text<'_, '_> {
    /// Calls `field` for each field up to the end of the open message.
    fn message(
        &mut self,
        ctx: &mut Inspection<'_>,
        mut field: impl FnMut(&mut Self, &mut Inspection<'_>, Event) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        loop {
            match self.events.next(ctx)? {
                None | Some(Event::Close) => return Ok(()),
                Some(event) => field(self, ctx, event)?,
            }
        }
    }

    /// Steps over the open message.
    fn skip(&mut self, ctx: &mut Inspection<'_>) -> Result<(), FormatError> {
        let mut depth = 1u32;
        while depth > 0 {
            match self.events.next(ctx)? {
                Some(Event::Open(_)) => depth += 1,
                Some(Event::Close) => depth -= 1,
                Some(Event::Scalar(..)) => {}
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn meta_graph(&mut self, ctx: &mut Inspection<'_>, graph: &mut Gathered) -> Result<(), FormatError> {
        self.message(ctx, |text, ctx, event| match event {
            Event::Open(name) => text.graph_field(ctx, graph, &name),
            _ => Ok(()),
        })
    }

    /// A message of `MetaGraphDef` or `GraphDef`: their names differ.
    fn graph_field(&mut self, ctx: &mut Inspection<'_>, graph: &mut Gathered, name: &str) -> Result<(), FormatError> {
        match name {
            "graph_def" => self.meta_graph(ctx, graph),
            "node" => {
                let node = self.node(ctx)?;
                graph.main_node(node)
            }
            "library" => self.message(ctx, |text, ctx, event| match event {
                Event::Open(name) if name == "function" => text.function(ctx, graph),
                Event::Open(_) => text.skip(ctx),
                _ => Ok(()),
            }),
            "meta_info_def" => self.message(ctx, |text, ctx, event| match event {
                Event::Scalar(name, value) => {
                    match name.as_str() {
                        "tags" => graph.tags.push(cut(&value, NAME_BYTES_MAX)),
                        "tensorflow_version" => graph.version = cut(&value, NAME_BYTES_MAX),
                        _ => {}
                    }
                    Ok(())
                }
                Event::Open(_) => text.skip(ctx),
                Event::Close => Ok(()),
            }),
            "saver_def" => self.message(ctx, |text, ctx, event| match event {
                Event::Scalar(name, value) => {
                    let names = ["filename_tensor_name", "save_tensor_name", "restore_op_name"];
                    let slot = names.iter().position(|n| *n == name).and_then(|n| graph.saver.get_mut(n));
                    if let Some(slot) = slot {
                        *slot = cut(&value, NAME_BYTES_MAX);
                    }
                    Ok(())
                }
                Event::Open(_) => text.skip(ctx),
                Event::Close => Ok(()),
            }),
            "signature_def" => {
                let signature = self.signature(ctx)?;
                graph.signature(signature);
                Ok(())
            }
            "asset_file_def" => {
                let asset = self.asset(ctx)?;
                graph.asset(asset);
                Ok(())
            }
            "collection_def" => self.collection(ctx, graph),
            _ => self.skip(ctx),
        }
    }

    fn function(&mut self, ctx: &mut Inspection<'_>, graph: &mut Gathered) -> Result<(), FormatError> {
        let at = self.events.position();
        let mut name = String::new();
        let mut body = Body::default();
        self.message(ctx, |text, ctx, event| match event {
            Event::Open(field) if field == "signature" => text.scalar_of(ctx, "name", &mut name),
            Event::Open(field) if field == "node_def" => body.push(text.node(ctx)?),
            Event::Open(_) => text.skip(ctx),
            _ => Ok(()),
        })?;
        graph.function(name, at, &body);
        Ok(())
    }

    fn node(&mut self, ctx: &mut Inspection<'_>) -> Result<Node, FormatError> {
        let mut node = Node { at: self.events.position(), ..Node::default() };
        self.message(ctx, |text, ctx, event| {
            match event {
                Event::Scalar(field, value) => match field.as_str() {
                    "name" => node.name = cut(&value, NAME_BYTES_MAX),
                    "op" => node.op = cut(&value, NAME_BYTES_MAX),
                    "input" => node.push_input(cut(&value, NAME_BYTES_MAX)),
                    _ => {}
                },
                Event::Open(field) if field == "attr" => text.attribute(ctx, &mut node)?,
                Event::Open(_) => text.skip(ctx)?,
                Event::Close => {}
            }
            Ok(())
        })?;
        Ok(node)
    }

    /// An entry of a node's attributes; whatever depth its texts have, the
    /// field's name tells what they are.
    fn attribute(&mut self, ctx: &mut Inspection<'_>, node: &mut Node) -> Result<(), FormatError> {
        let mut key = String::new();
        let mut path: Vec<String> = Vec::new();
        loop {
            match self.events.next(ctx)? {
                Some(Event::Open(name)) => path.push(name),
                Some(Event::Close) if path.pop().is_none() => return Ok(()),
                Some(Event::Close) => {}
                None => return Ok(()),
                Some(Event::Scalar(name, value)) => {
                    let parent = path.last().map(String::as_str);
                    match (parent, name.as_str()) {
                        (None, "key") => key = cut(&value, NAME_BYTES_MAX),
                        (Some("func"), "name") => node.push_call(cut(&value, NAME_BYTES_MAX)),
                        (Some("tensor"), "string_val") => {
                            node.push_constant(cut(&value, TEXT_BYTES_MAX));
                            nested(ctx, node, value);
                        }
                        (Some("tensor"), "tensor_content") => nested(ctx, node, value),
                        (Some("value" | "list"), "s") => {
                            node.push_text(&key, cut(&value, TEXT_BYTES_MAX));
                            nested(ctx, node, value);
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    fn signature(&mut self, ctx: &mut Inspection<'_>) -> Result<Signature, FormatError> {
        let mut signature = Signature::default();
        let mut path: Vec<String> = Vec::new();
        loop {
            match self.events.next(ctx)? {
                Some(Event::Open(name)) => path.push(name),
                Some(Event::Close) if path.pop().is_none() => return Ok(signature),
                Some(Event::Close) => {}
                None => return Ok(signature),
                Some(Event::Scalar(name, value)) => {
                    let value = cut(&value, NAME_BYTES_MAX);
                    match (path.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), name.as_str()) {
                        ([], "key") => signature.name = value,
                        (["value", "inputs"], "key") => signature.inputs.push(value),
                        (["value", "outputs"], "key") => signature.outputs.push(value),
                        (["value", "outputs", "value"], "name") => signature.roots.push(value),
                        _ => {}
                    }
                }
            }
        }
    }

    fn asset(&mut self, ctx: &mut Inspection<'_>) -> Result<Asset, FormatError> {
        let mut asset = Asset { at: self.events.position(), ..Asset::default() };
        self.message(ctx, |text, ctx, event| match event {
            Event::Scalar(name, value) if name == "filename" => {
                asset.file = cut(&value, NAME_BYTES_MAX);
                Ok(())
            }
            Event::Open(name) if name == "tensor_info" => text.scalar_of(ctx, "name", &mut asset.tensor),
            Event::Open(_) => text.skip(ctx),
            _ => Ok(()),
        })?;
        Ok(asset)
    }

    /// An entry of `collection_def`: nodes that loaders run.
    fn collection(&mut self, ctx: &mut Inspection<'_>, graph: &mut Gathered) -> Result<(), FormatError> {
        let mut key = String::new();
        let mut values = Vec::new();
        let mut path: Vec<String> = Vec::new();
        loop {
            match self.events.next(ctx)? {
                Some(Event::Open(name)) => path.push(name),
                Some(Event::Close) if path.pop().is_some() => {}
                Some(Event::Close) | None => break,
                Some(Event::Scalar(name, value)) => match (path.last().map(String::as_str), name.as_str()) {
                    (None, "key") => key = cut(&value, NAME_BYTES_MAX),
                    (Some("node_list"), "value") if values.len() < GRAPHS_MAX => {
                        values.push(cut(&value, NAME_BYTES_MAX));
                    }
                    _ => {}
                },
            }
        }
        if matches!(key.as_str(), "saved_model_main_op" | "legacy_init_op" | "table_initializer") {
            graph.init_nodes.append(&mut values);
        }
        Ok(())
    }

    /// Keeps the text field `name` of the open message and steps over the
    /// rest.
    fn scalar_of(&mut self, ctx: &mut Inspection<'_>, name: &str, out: &mut String) -> Result<(), FormatError> {
        self.message(ctx, |text, ctx, event| match event {
            Event::Scalar(field, value) if field == name => {
                *out = cut(&value, NAME_BYTES_MAX);
                Ok(())
            }
            Event::Open(_) => text.skip(ctx),
            _ => Ok(()),
        })
    }
}

/// At most `max` bytes of `value`.
fn cut(value: &[u8], max: usize) -> String {
    String::from_utf8_lossy(value.get(..max).unwrap_or(value)).into_owned()
}

/// Inspects a text that is a graph itself.
fn nested(ctx: &mut Inspection<'_>, node: &Node, value: Vec<u8>) {
    if value.len() > 24 && node::is_nested(&value) {
        ctx.child(&node.name, &Input::bytes(value));
    }
}
