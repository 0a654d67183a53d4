use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::codec::protobuf::{Message, Value};
use crate::core::{FormatError, Input, Inspection, Reader};

use super::layer_rule;

/// Bytes kept of a name or text.
const TEXT_BYTES_MAX: usize = 1024;
/// Distinct types counted.
const KINDS_MAX: usize = 1000;

/// Walks `NetParameter` or `NetDef`.
pub fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut net = Net { input, r: Reader::new(input), kinds: BTreeMap::new() };
    let walked = net.walk(ctx);
    ctx.fact("operators", net.kinds.into_iter().map(|(k, n)| (k, Json::from(n))).collect::<Map<_, _>>());
    walked
}

struct Net<'a> {
    input: &'a Input,
    r: Reader<'a>,
    kinds: BTreeMap<String, u64>,
}

impl Net<'_> {
    fn walk(&mut self, ctx: &mut Inspection<'_>) -> Result<(), FormatError> {
        let mut fields = Message::whole(self.input).fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            match (field.number, field.value) {
                (1, Value::Bytes(name)) => {
                    let name = name.text(&mut self.r, TEXT_BYTES_MAX, "name")?;
                    ctx.fact("name", name);
                }
                (2, Value::Bytes(body)) => self.second(ctx, body)?,
                (100, Value::Bytes(layer)) => self.layer(ctx, layer)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// `LayerParameter`: type in field 2, blobs in 7, `python_param` in 130.
    fn layer(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        let (mut name, mut kind, mut python) = (String::new(), String::new(), None);
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            let Value::Bytes(inner) = field.value else { continue };
            match field.number {
                1 => name = inner.text(&mut self.r, TEXT_BYTES_MAX, "layer name")?,
                2 => kind = inner.text(&mut self.r, TEXT_BYTES_MAX, "type")?,
                7 => self.blob(ctx, inner)?,
                130 => python = Some(inner),
                _ => {}
            }
        }
        let mut shown = Vec::new();
        if let Some(python) = python {
            for (number, key) in [(1, "module"), (2, "layer"), (3, "param_str")] {
                if let Some(text) = python.descend(ctx, &mut self.r, &[number])?.pop() {
                    shown.push(format!("{key}={:?}", text.text(&mut self.r, TEXT_BYTES_MAX, "python_param")?));
                }
            }
        }
        if let Some(rule) = layer_rule(&kind) {
            ctx.find(rule, body.start, format!("layer `{name}` has type `{kind}` ({})", shown.join(", ")));
        }
        self.count(kind);
        Ok(())
    }

    /// `BlobProto`: packed floats.
    fn blob(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            if let (5 | 6 | 8 | 9, Value::Bytes(numbers)) = (field.number, field.value) {
                ctx.opaque(self.input, numbers.start..numbers.end);
            }
        }
        Ok(())
    }

    /// Field 2: `V1LayerParameter` of Caffe (type is a number, blobs in 6), or
    /// `OperatorDef` of Caffe2 (type is a text in 4, arguments in 5).
    fn second(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        let (mut text, mut number, mut arguments) = (String::new(), None, Vec::new());
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            match (field.number, field.value) {
                (4, Value::Bytes(inner)) => text = inner.text(&mut self.r, TEXT_BYTES_MAX, "type")?,
                (5, Value::Varint(kind)) => number = Some(kind),
                (5, Value::Bytes(argument)) if arguments.len() < 16 => arguments.push(argument),
                (6, Value::Bytes(blob)) => self.blob(ctx, blob)?,
                _ => {}
            }
        }
        if let Some(number) = number {
            self.count(format!("layer {number}"));
            return Ok(());
        }
        if let Some(rule) = layer_rule(&text) {
            let mut shown = Vec::new();
            for argument in arguments {
                // Argument: name = 1, s = 4.
                let name = argument.descend(ctx, &mut self.r, &[1])?.pop();
                let value = argument.descend(ctx, &mut self.r, &[4])?.pop();
                if let (Some(name), Some(value)) = (name, value) {
                    let name = name.text(&mut self.r, 128, "argument")?;
                    shown.push(format!("{name}={:?}", value.text(&mut self.r, TEXT_BYTES_MAX, "argument")?));
                }
            }
            ctx.find(rule, body.start, format!("operator `{text}` ({})", shown.join(", ")));
        }
        self.count(text);
        Ok(())
    }

    fn count(&mut self, kind: String) {
        if self.kinds.len() < KINDS_MAX || self.kinds.contains_key(&kind) {
            *self.kinds.entry(kind).or_default() += 1;
        }
    }
}
