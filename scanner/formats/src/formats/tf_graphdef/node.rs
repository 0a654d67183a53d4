use crate::codec::protobuf::{Message, Value};
use crate::core::{FormatError, Input, Inspection, Reader};

use super::recognise;

/// Bytes kept of a node's or function's name.
pub const NAME_BYTES_MAX: usize = 512;
/// Bytes kept of a text in an attribute or constant.
pub const TEXT_BYTES_MAX: usize = 1024;
/// Inputs, called functions and attributes kept of one node.
const INPUTS_MAX: usize = 4096;
const CALLS_MAX: usize = 256;
const TEXTS_MAX: usize = 32;
/// Texts of a constant kept.
const CONSTANTS_MAX: usize = 8;
/// Smallest text looked at for a graph in it.
const NESTED_BYTES_MIN: u64 = 24;
/// `DT_STRING`
const DT_STRING: u64 = 7;

/// A `NodeDef`, as far as it matters here.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// Offset in the content.
    pub at: u64,
    /// `name`
    pub name: String,
    /// `op`
    pub op: String,
    /// `input`: data inputs first, then control inputs (`^name`).
    pub inputs: Vec<String>,
    /// Functions that attributes name.
    pub calls: Vec<String>,
    /// Attributes that are texts.
    pub texts: Vec<(String, String)>,
    /// First values of a constant of texts.
    pub constants: Vec<String>,
}

/// Reads nodes from the wire.
pub struct NodeReader<'a> {
    /// What is read.
    pub input: &'a Input,
    /// Where reading stands.
    pub r: Reader<'a>,
}

impl Node {
    /// Adds an input.
    pub fn push_input(&mut self, input: String) {
        if self.inputs.len() < INPUTS_MAX {
            self.inputs.push(input);
        }
    }

    /// Adds a function that an attribute names.
    pub fn push_call(&mut self, function: String) {
        if self.calls.len() < CALLS_MAX {
            self.calls.push(function);
        }
    }

    /// Adds an attribute that is a text.
    pub fn push_text(&mut self, key: &str, value: String) {
        if self.texts.len() < TEXTS_MAX {
            self.texts.push((key.to_owned(), value));
        }
    }

    /// Adds a value of a constant.
    pub fn push_constant(&mut self, value: String) {
        if self.constants.len() < CONSTANTS_MAX {
            self.constants.push(value);
        }
    }

    /// The data inputs' nodes.
    pub fn data_inputs(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().filter(|i| !i.starts_with('^')).map(|i| node_of(i))
    }

    /// The nodes it waits for, too.
    pub fn all_inputs(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(|i| node_of(i))
    }

    /// Bytes it takes in memory, roughly.
    pub fn weight(&self) -> usize {
        let texts = self.texts.iter().map(|(k, v)| k.len() + v.len() + 48).sum::<usize>();
        let names = self.inputs.iter().chain(&self.calls).chain(&self.constants).map(|t| t.len() + 24).sum::<usize>();
        200 + self.name.len() * 2 + self.op.len() + names + texts
    }
}

/// `^name`, `name:1` and `name:out:0` name the node `name`.
pub fn node_of(input: &str) -> &str {
    let input = input.strip_prefix('^').unwrap_or(input);
    input.split(':').next().unwrap_or(input)
}

impl<'a> NodeReader<'a> {
    /// At the start of `input`.
    pub fn new(input: &'a Input) -> Self {
        Self { input, r: Reader::new(input) }
    }

    /// The `NodeDef` in `body`. Graphs in its texts are inspected on the way.
    ///
    /// # Errors
    /// Whatever no decoder would take.
    pub fn node(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<Node, FormatError> {
        let mut node = Node { at: body.start, ..Node::default() };
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            let Value::Bytes(inner) = field.value else { continue };
            match field.number {
                1 => node.name = inner.text(&mut self.r, NAME_BYTES_MAX, "node name")?,
                2 => node.op = inner.text(&mut self.r, NAME_BYTES_MAX, "op")?,
                3 => node.push_input(inner.text(&mut self.r, NAME_BYTES_MAX, "input")?),
                5 => self.attribute(ctx, &mut node, inner)?,
                _ => {}
            }
        }
        Ok(node)
    }

    /// An entry of `map<string, AttrValue>`.
    fn attribute(&mut self, ctx: &mut Inspection<'_>, node: &mut Node, body: Message) -> Result<(), FormatError> {
        let mut key = String::new();
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            match (field.number, field.value) {
                (1, Value::Bytes(inner)) => key = inner.text(&mut self.r, NAME_BYTES_MAX, "attribute")?,
                (2, Value::Bytes(inner)) => self.attr_value(ctx, node, &key, inner)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// `AttrValue`, or the list in one: the fields that hold texts, tensors
    /// and functions have other numbers there.
    fn attr_value(
        &mut self,
        ctx: &mut Inspection<'_>,
        node: &mut Node,
        key: &str,
        body: Message,
    ) -> Result<(), FormatError> {
        let mut lists = Vec::new();
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            match (field.number, field.value) {
                (1, Value::Bytes(list)) => lists.push(list),
                (2, Value::Bytes(text)) => self.text(ctx, node, key, text)?,
                (8, Value::Bytes(tensor)) => self.tensor(ctx, node, tensor)?,
                (10, Value::Bytes(function)) => self.function_name(ctx, node, function)?,
                _ => {}
            }
        }
        for list in lists {
            let mut fields = list.fields();
            while let Some(field) = fields.next(ctx, &mut self.r)? {
                match (field.number, field.value) {
                    (2, Value::Bytes(text)) => self.text(ctx, node, key, text)?,
                    (8, Value::Bytes(tensor)) => self.tensor(ctx, node, tensor)?,
                    (9, Value::Bytes(function)) => self.function_name(ctx, node, function)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn text(&mut self, ctx: &mut Inspection<'_>, node: &mut Node, key: &str, body: Message) -> Result<(), FormatError> {
        node.push_text(key, body.text(&mut self.r, TEXT_BYTES_MAX, "attribute text")?);
        self.nested(ctx, node, body)
    }

    /// `NameAttrList`
    fn function_name(&mut self, ctx: &mut Inspection<'_>, node: &mut Node, body: Message) -> Result<(), FormatError> {
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            if let (1, Value::Bytes(name)) = (field.number, field.value) {
                node.push_call(name.text(&mut self.r, NAME_BYTES_MAX, "function")?);
            }
        }
        Ok(())
    }

    /// `TensorProto`: texts are kept, numbers stepped over.
    fn tensor(&mut self, ctx: &mut Inspection<'_>, node: &mut Node, body: Message) -> Result<(), FormatError> {
        let (mut dtype, mut content, mut elements) = (0, None, 1u64);
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            match (field.number, field.value) {
                (1, Value::Varint(value)) => dtype = value,
                (2, Value::Bytes(shape)) => elements = self.elements(ctx, shape)?,
                (4, Value::Bytes(bytes)) => content = Some(bytes),
                (8, Value::Bytes(text)) => {
                    if node.constants.len() < CONSTANTS_MAX {
                        node.push_constant(text.text(&mut self.r, TEXT_BYTES_MAX, "constant")?);
                    }
                    self.nested(ctx, node, text)?;
                }
                (5 | 6 | 7 | 9..=13 | 16..=18, Value::Bytes(numbers)) => {
                    ctx.opaque(self.input, numbers.start..numbers.end);
                }
                _ => {}
            }
        }
        match content {
            Some(content) if dtype == DT_STRING => self.packed_texts(ctx, node, content, elements),
            Some(content) => {
                ctx.opaque(self.input, content.start..content.end);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Product of the sizes in `TensorShapeProto`.
    fn elements(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<u64, FormatError> {
        let mut elements = 1u64;
        let mut dims = body.fields();
        while let Some(field) = dims.next(ctx, &mut self.r)? {
            let (2, Value::Bytes(dim)) = (field.number, field.value) else { continue };
            let mut fields = dim.fields();
            while let Some(field) = fields.next(ctx, &mut self.r)? {
                if let (1, Value::Varint(size)) = (field.number, field.value) {
                    elements = elements.saturating_mul(size);
                }
            }
        }
        Ok(elements)
    }

    /// Texts in `tensor_content`: all lengths as varints, then all bytes
    /// (`port::DecodeStringList`). What does not fit is no text.
    fn packed_texts(
        &mut self,
        ctx: &mut Inspection<'_>,
        node: &mut Node,
        body: Message,
        elements: u64,
    ) -> Result<(), FormatError> {
        const LENGTHS_MAX: u64 = 64;
        let bytes = body.prefix(&mut self.r, 64 * 1024, "tensor_content")?;
        let mut rest = bytes.iter();
        let mut lengths = Vec::new();
        for _ in 0..elements.min(LENGTHS_MAX) {
            ctx.work(1)?;
            let mut length = 0u64;
            for group in 0..5 {
                let Some(byte) = rest.next() else { return Ok(()) };
                length |= u64::from(byte & 0x7f) << (group * 7);
                if *byte < 0x80 {
                    break;
                }
            }
            lengths.push(length);
        }
        if elements > LENGTHS_MAX {
            return Ok(());
        }
        let mut start = body.end.min(body.start + (bytes.len() - rest.len()) as u64);
        for length in lengths {
            let end = start.saturating_add(length);
            if end > body.end {
                return Ok(());
            }
            let text = Message { start, end };
            node.push_constant(text.text(&mut self.r, TEXT_BYTES_MAX, "constant")?);
            self.nested(ctx, node, text)?;
            start = end;
        }
        Ok(())
    }

    /// Inspects a text that is a graph (`DatasetFromGraph`, `TRTEngineOp`) or
    /// a pickle.
    fn nested(&mut self, ctx: &mut Inspection<'_>, node: &Node, body: Message) -> Result<(), FormatError> {
        if body.len() < NESTED_BYTES_MIN {
            return Ok(());
        }
        if is_nested(&body.prefix(&mut self.r, 512, "text")?)
            && let Some(content) = body.slice(self.input)
        {
            ctx.child(&node.name, &content);
        }
        Ok(())
    }
}

/// Whether a text starts like content that deserves an inspection of its own.
pub fn is_nested(head: &[u8]) -> bool {
    recognise::is_graph_def(head)
        || recognise::is_meta_graph(head)
        || head.starts_with(b"\x08\x01\x12")
        || head.starts_with(b"PK\x03\x04")
        || matches!(head, [0x80, 2..=5, ..])
}
