use crate::codec::location::{Reach, reach};
use crate::codec::protobuf::{Message, Value};
use crate::core::{FormatError, Inspection};
use weighbridge_types::LinkKind;

use super::model::{DISTINCT_MAX, NAME_BYTES_MAX, Scan, Use};
use super::rules;
use super::tensor::Tensor;

/// Graphs in graphs. Each level takes three messages, and decoders stop at
/// 100 of those.
const GRAPH_DEPTH_MAX: u32 = 33;

impl Scan<'_> {
    /// `GraphProto`; `depth` 0 is the model's main graph.
    pub fn graph(&mut self, ctx: &mut Inspection<'_>, body: Message, depth: u32) -> Result<(), FormatError> {
        if depth > GRAPH_DEPTH_MAX {
            return Err(FormatError::limit("onnx_graph_depth_max", GRAPH_DEPTH_MAX.into()));
        }
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            let Value::Bytes(inner) = field.value else { continue };
            match field.number {
                1 => self.node(ctx, inner, field.at, depth)?,
                2 if depth == 0 => self.graph_name = inner.text(&mut self.r, NAME_BYTES_MAX, "graph name")?,
                5 => self.initializer(ctx, inner)?,
                11 | 12 if depth == 0 => {
                    let value = self.value_info(ctx, inner)?;
                    Self::keep_value(if field.number == 11 { &mut self.inputs } else { &mut self.outputs }, value);
                }
                15 => self.sparse(ctx, inner)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// `FunctionProto`: nodes that stand for an operator of their own.
    pub fn function(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        let (mut name, mut domain) = (String::new(), String::new());
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            let Value::Bytes(inner) = field.value else { continue };
            match field.number {
                1 => name = inner.text(&mut self.r, NAME_BYTES_MAX, "function name")?,
                7 => self.node(ctx, inner, field.at, 1)?,
                10 => domain = inner.text(&mut self.r, NAME_BYTES_MAX, "function domain")?,
                11 => {
                    self.attribute(ctx, inner, 1)?;
                }
                _ => {}
            }
        }
        if self.functions.len() < DISTINCT_MAX {
            self.functions.entry((domain, name)).or_insert(body.start);
        }
        Ok(())
    }

    fn initializer(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        let mut tensor = Tensor::default();
        self.tensor(ctx, &mut tensor, body)?;
        self.tensors += 1;
        self.parameters = self.parameters.saturating_add(tensor.elements().unwrap_or_default());
        *self.dtypes.entry(tensor.type_name()).or_default() += 1;
        self.check_tensor(ctx, &tensor);
        Ok(())
    }

    /// `SparseTensorProto`: values and indices are tensors.
    fn sparse(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        let (mut values, mut indices) = (Tensor::default(), Tensor::default());
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            match (field.number, field.value) {
                (1, Value::Bytes(inner)) => self.tensor(ctx, &mut values, inner)?,
                (2, Value::Bytes(inner)) => self.tensor(ctx, &mut indices, inner)?,
                _ => {}
            }
        }
        self.check_tensor(ctx, &values);
        self.check_tensor(ctx, &indices);
        Ok(())
    }

    fn node(&mut self, ctx: &mut Inspection<'_>, body: Message, at: u64, depth: u32) -> Result<(), FormatError> {
        let (mut name, mut operator, mut domain) = (String::new(), String::new(), String::new());
        let mut cache = ContextCache::default();
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            let Value::Bytes(inner) = field.value else { continue };
            match field.number {
                3 => name = inner.text(&mut self.r, NAME_BYTES_MAX, "node name")?,
                4 => operator = inner.text(&mut self.r, NAME_BYTES_MAX, "op_type")?,
                5 => match self.attribute(ctx, inner, depth)? {
                    Attribute { name, text: Some(text), .. } if name == "ep_cache_context" => {
                        cache.location = Some(text)
                    }
                    Attribute { name, number: Some(number), .. } if name == "embed_mode" => {
                        cache.embedded = number != 0
                    }
                    _ => {}
                },
                7 => domain = inner.text(&mut self.r, NAME_BYTES_MAX, "domain")?,
                _ => {}
            }
        }
        if operator == "EPContext" {
            cache.check(ctx, at);
        }
        if domain == "ai.onnx" {
            domain.clear();
        }
        let known = self.operators.len();
        if let Some(seen) = self.operators.get_mut(&(domain.clone(), operator.clone())) {
            seen.count += 1;
        } else if known < DISTINCT_MAX {
            self.operators.insert((domain, operator), Use { count: 1, at, node: name });
        }
        Ok(())
    }

    /// `AttributeProto`: may hold tensors and graphs of its own.
    fn attribute(&mut self, ctx: &mut Inspection<'_>, body: Message, depth: u32) -> Result<Attribute, FormatError> {
        let mut attribute = Attribute::default();
        let mut single = None;
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            match (field.number, field.value) {
                (1, Value::Bytes(inner)) => attribute.name = inner.text(&mut self.r, NAME_BYTES_MAX, "attribute")?,
                (3, Value::Varint(number)) => attribute.number = Some(number),
                (4, Value::Bytes(inner)) if inner.len() <= 8192 => {
                    attribute.text = Some(inner.text(&mut self.r, 8192, "attribute text")?);
                }
                (5, Value::Bytes(inner)) => self.tensor(ctx, single.get_or_insert_default(), inner)?,
                (6 | 11, Value::Bytes(inner)) => self.graph(ctx, inner, depth + 1)?,
                (10, Value::Bytes(inner)) => {
                    let mut tensor = Tensor::default();
                    self.tensor(ctx, &mut tensor, inner)?;
                    self.check_tensor(ctx, &tensor);
                }
                (22 | 23, Value::Bytes(inner)) => self.sparse(ctx, inner)?,
                _ => {}
            }
        }
        if let Some(tensor) = single {
            self.check_tensor(ctx, &tensor);
        }
        Ok(attribute)
    }
}

/// What of an attribute matters beyond its tensors and graphs.
#[derive(Default)]
struct Attribute {
    name: String,
    number: Option<u64>,
    text: Option<String>,
}

/// Attributes of `com.microsoft.EPContext`: a compiled graph, in the node or
/// in a file that the execution provider opens.
struct ContextCache {
    embedded: bool,
    location: Option<String>,
}

impl Default for ContextCache {
    fn default() -> Self {
        Self { embedded: true, location: None }
    }
}

impl ContextCache {
    fn check(&self, ctx: &mut Inspection<'_>, at: u64) {
        let Some(location) = self.location.as_deref().filter(|_| !self.embedded) else { return };
        match reach(location) {
            Reach::Inside => ctx.link(LinkKind::ExternalData, location),
            Reach::Odd(reason) | Reach::Outside(reason) => {
                ctx.find(&rules::CONTEXT_OUTSIDE, at, format!("EPContext opens `{location}`: {reason}"));
            }
        }
    }
}
