use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::codec::protobuf::{Message, Value};
use crate::core::{FormatError, Input, Inspection, Reader};

use super::operator_rule;

/// Bytes kept of a name or text.
const TEXT_BYTES_MAX: usize = 1024;
/// Distinct operators counted.
const KINDS_MAX: usize = 2000;
/// Attributes shown of one operator.
const SHOWN_MAX: usize = 6;

/// Walks `ProgramDesc`: blocks, their operators.
pub fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    let mut kinds = BTreeMap::new();
    let walked = program(ctx, &mut r, input, &mut kinds);
    ctx.fact("operators", kinds.into_iter().map(|(k, n)| (k, Json::from(n))).collect::<Map<_, _>>());
    walked
}

fn program(
    ctx: &mut Inspection<'_>,
    r: &mut Reader<'_>,
    input: &Input,
    kinds: &mut BTreeMap<String, u64>,
) -> Result<(), FormatError> {
    let mut fields = Message::whole(input).fields();
    while let Some(field) = fields.next(ctx, r)? {
        match (field.number, field.value) {
            (1, Value::Bytes(block)) => {
                let mut block = block.fields();
                while let Some(field) = block.next(ctx, r)? {
                    if let (4, Value::Bytes(body)) = (field.number, field.value) {
                        let kind = operator(ctx, r, body)?;
                        if kinds.len() < KINDS_MAX || kinds.contains_key(&kind) {
                            *kinds.entry(kind).or_insert(0) += 1;
                        }
                    }
                }
            }
            (4, Value::Bytes(version)) => {
                let mut version = version.fields();
                while let Some(field) = version.next(ctx, r)? {
                    if let (1, Value::Varint(n)) = (field.number, field.value) {
                        ctx.fact("format_version", n);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// `OpDesc`; returns its type.
fn operator(ctx: &mut Inspection<'_>, r: &mut Reader<'_>, body: Message) -> Result<String, FormatError> {
    let mut kind = String::new();
    let mut attributes = Vec::new();
    let mut fields = body.fields();
    while let Some(field) = fields.next(ctx, r)? {
        match (field.number, field.value) {
            (3, Value::Bytes(text)) => kind = text.text(r, TEXT_BYTES_MAX, "type")?,
            (4, Value::Bytes(attribute)) => attributes.push(attribute),
            _ => {}
        }
    }
    if let Some((rule, does)) = operator_rule(&kind) {
        let mut shown = Vec::new();
        for attribute in attributes {
            let name = attribute.descend(ctx, r, &[1])?.pop();
            let value = attribute.descend(ctx, r, &[5])?.pop();
            if let (Some(name), Some(value), true) = (name, value, shown.len() < SHOWN_MAX) {
                let (name, value) = (name.text(r, 128, "attribute")?, value.text(r, TEXT_BYTES_MAX, "attribute")?);
                shown.push(format!("{name}={value:?}"));
            }
        }
        ctx.find(rule, body.start, format!("{kind}({}) {does}", shown.join(", ")));
    }
    Ok(kind)
}
