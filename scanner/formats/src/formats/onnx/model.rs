use std::collections::{BTreeMap, BTreeSet};

use crate::codec::protobuf::{Field, Message, Value};
use crate::core::{FormatError, Input, Inspection, Reader};

use super::tensor::External;

/// Bytes kept of a name, domain or producer.
pub const NAME_BYTES_MAX: usize = 1024;
/// Distinct operators, functions and files remembered.
pub const DISTINCT_MAX: usize = 20_000;
/// Inputs and outputs kept as facts.
const VALUES_MAX: usize = 64;
/// Highest field number of `ModelProto` that a coming version may use.
const FIELD_NUMBER_MAX: u32 = 63;
/// Entries of `metadata_props` kept as facts, and bytes of each.
const PROPS_MAX: usize = 64;
const PROP_BYTES_MAX: usize = 16 * 1024;

/// One operator, as nodes name it.
pub type Operator = (String, String);

/// Where an operator is used.
#[derive(Debug, Clone, Default)]
pub struct Use {
    pub count: u64,
    /// Offset of the first node, and its name.
    pub at: u64,
    pub node: String,
}

/// What one walk over a model gathers.
pub struct Scan<'a> {
    pub input: &'a Input,
    pub r: Reader<'a>,
    pub has_graph: bool,
    pub ir_version: Option<u64>,
    /// `producer_name`, `producer_version`, `domain`, `doc_string`.
    pub texts: BTreeMap<&'static str, String>,
    pub opsets: BTreeMap<String, u64>,
    pub props: Vec<(String, String)>,
    pub operators: BTreeMap<Operator, Use>,
    pub functions: BTreeMap<Operator, u64>,
    pub graph_name: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub tensors: u64,
    pub parameters: u64,
    pub dtypes: BTreeMap<&'static str, u64>,
    pub locations: BTreeSet<String>,
    pub external: Vec<External>,
    /// First offset of an unknown field at the top, and its number.
    pub unknown_field: Option<(u64, u32)>,
}

impl<'a> Scan<'a> {
    pub fn new(input: &'a Input) -> Self {
        Self {
            input,
            r: Reader::new(input),
            has_graph: false,
            ir_version: None,
            texts: BTreeMap::new(),
            opsets: BTreeMap::new(),
            props: Vec::new(),
            operators: BTreeMap::new(),
            functions: BTreeMap::new(),
            graph_name: String::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            tensors: 0,
            parameters: 0,
            dtypes: BTreeMap::new(),
            locations: BTreeSet::new(),
            external: Vec::new(),
            unknown_field: None,
        }
    }

    /// Walks the whole `ModelProto`.
    ///
    /// # Errors
    /// Whatever no decoder would take; what was gathered up to there stays.
    pub fn model(&mut self, ctx: &mut Inspection<'_>) -> Result<(), FormatError> {
        let mut fields = Message::whole(self.input).fields();
        loop {
            let at = fields.position();
            match fields.next(ctx, &mut self.r) {
                Ok(Some(field)) => self.model_field(ctx, field)?,
                Ok(None) if self.has_graph || !self.functions.is_empty() => return Ok(()),
                Ok(None) => return Err(FormatError::malformed("graph", at, "the model has none")),
                Err(error) => {
                    // What does not parse behind a model may be something else.
                    if self.has_graph {
                        self.unknown_field.get_or_insert((at, 0));
                    }
                    return Err(error);
                }
            }
        }
    }

    fn model_field(&mut self, ctx: &mut Inspection<'_>, field: Field) -> Result<(), FormatError> {
        match (field.number, field.value) {
            (1, Value::Varint(version)) => self.ir_version = Some(version),
            (2, Value::Bytes(text)) => self.text("producer_name", text)?,
            (3, Value::Bytes(text)) => self.text("producer_version", text)?,
            (4, Value::Bytes(text)) => self.text("domain", text)?,
            (6, Value::Bytes(text)) => self.text("doc_string", text)?,
            (7, Value::Bytes(graph)) => {
                self.has_graph = true;
                self.graph(ctx, graph, 0)?;
            }
            (8, Value::Bytes(opset)) => self.opset(ctx, opset)?,
            (14, Value::Bytes(prop)) => {
                let entry = self.entry(ctx, prop, PROP_BYTES_MAX)?;
                if self.props.len() < PROPS_MAX {
                    self.props.push(entry);
                }
            }
            (20, Value::Bytes(training)) => self.training(ctx, training)?,
            (25, Value::Bytes(function)) => self.function(ctx, function)?,
            (number, _) if number > FIELD_NUMBER_MAX => {
                self.unknown_field.get_or_insert((field.at, number));
            }
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, key: &'static str, body: Message) -> Result<(), FormatError> {
        let text = body.text(&mut self.r, PROP_BYTES_MAX, key)?;
        self.texts.insert(key, text);
        Ok(())
    }

    fn opset(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        let (mut domain, mut version) = (String::new(), 0);
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            match (field.number, field.value) {
                (1, Value::Bytes(text)) => domain = text.text(&mut self.r, NAME_BYTES_MAX, "domain")?,
                (2, Value::Varint(v)) => version = v,
                _ => {}
            }
        }
        if self.opsets.len() < DISTINCT_MAX {
            self.opsets.insert(domain, version);
        }
        Ok(())
    }

    /// `TrainingInfoProto`: two graphs more.
    fn training(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            if let (1 | 2, Value::Bytes(graph)) = (field.number, field.value) {
                self.graph(ctx, graph, 1)?;
            }
        }
        Ok(())
    }

    /// `StringStringEntryProto`, its value cut at `max` bytes.
    pub fn entry(
        &mut self,
        ctx: &mut Inspection<'_>,
        body: Message,
        max: usize,
    ) -> Result<(String, String), FormatError> {
        let (mut key, mut value) = (String::new(), String::new());
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            match (field.number, field.value) {
                (1, Value::Bytes(text)) => key = text.text(&mut self.r, NAME_BYTES_MAX, "key")?,
                (2, Value::Bytes(text)) => value = text.text(&mut self.r, max, "value")?,
                _ => {}
            }
        }
        Ok((key, value))
    }

    /// `ValueInfoProto` of the main graph, as `name[1, batch, 3]`.
    pub fn value_info(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<String, FormatError> {
        let mut name = String::new();
        let mut shape = String::new();
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            match (field.number, field.value) {
                (1, Value::Bytes(text)) => name = text.text(&mut self.r, 256, "name")?,
                (2, Value::Bytes(value_type)) => shape = self.shape(ctx, value_type)?,
                _ => {}
            }
        }
        Ok(name + &shape)
    }

    /// The dimensions in `TypeProto.tensor_type.shape`.
    fn shape(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<String, FormatError> {
        const DIMENSION: &[u32] = &[1, 2, 1];
        let mut dims: Vec<String> = Vec::new();
        // The messages on the way down are all singular but the last.
        let mut open = vec![body.fields()];
        while let Some(fields) = open.last_mut() {
            let Some(field) = fields.next(ctx, &mut self.r)? else {
                open.pop();
                continue;
            };
            match field.value {
                Value::Bytes(inner) if DIMENSION.get(open.len() - 1) == Some(&field.number) => {
                    open.push(inner.fields());
                }
                Value::Varint(size) if open.len() > DIMENSION.len() && field.number == 1 => {
                    dims.push(size.to_string());
                }
                Value::Bytes(text) if open.len() > DIMENSION.len() && field.number == 2 => {
                    dims.push(text.text(&mut self.r, 64, "dim_param")?);
                }
                _ => {}
            }
            if dims.len() >= VALUES_MAX {
                break;
            }
        }
        Ok(if dims.is_empty() { String::new() } else { format!("[{}]", dims.join(", ")) })
    }

    /// Adds one to the graph's inputs or outputs.
    pub fn keep_value(values: &mut Vec<String>, value: String) {
        if values.len() < VALUES_MAX {
            values.push(value);
        }
    }
}
