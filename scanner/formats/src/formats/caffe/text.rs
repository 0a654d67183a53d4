use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::codec::protobuf::text::{Event, Events};
use crate::core::{FormatError, Input, Inspection, Reader};

use super::{layer_rule, rules};

/// Distinct types counted.
const KINDS_MAX: usize = 1000;

/// One layer, as far as it matters.
#[derive(Default)]
struct Layer {
    at: u64,
    name: String,
    kind: String,
    /// Fields of `python_param`.
    python: Vec<String>,
    /// Files that data layers name.
    sources: u32,
}

/// Walks a net as text.
pub fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    let walked = walk(ctx, input, &mut kinds);
    ctx.fact("operators", kinds.into_iter().map(|(k, n)| (k, Json::from(n))).collect::<Map<_, _>>());
    walked
}

fn walk(ctx: &mut Inspection<'_>, input: &Input, kinds: &mut BTreeMap<String, u64>) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    let mut events = Events::new(&mut r);
    let mut path: Vec<String> = Vec::new();
    let mut layer = Layer::default();
    while let Some(event) = events.next(ctx)? {
        match event {
            Event::Open(name) => {
                if path.is_empty() {
                    layer = Layer { at: events.position(), ..Layer::default() };
                }
                path.push(name);
            }
            Event::Close => {
                let closed = path.pop();
                if path.is_empty() && closed.is_some_and(|name| name == "layer" || name == "layers") {
                    finish(ctx, &layer);
                    if kinds.len() < KINDS_MAX || kinds.contains_key(&layer.kind) {
                        *kinds.entry(std::mem::take(&mut layer.kind)).or_default() += 1;
                    }
                }
            }
            Event::Scalar(name, value) => {
                let value = String::from_utf8_lossy(value.get(..1024).unwrap_or(&value)).into_owned();
                match (path.len(), path.last().map(String::as_str), name.as_str()) {
                    (0, _, "name") => ctx.fact("name", value),
                    (1, _, "name") => layer.name = value,
                    (1, _, "type") => layer.kind = value,
                    (2, Some("python_param"), _) if layer.python.len() < 8 => {
                        layer.python.push(format!("{name}={value:?}"));
                    }
                    (2, _, "source") => layer.sources += 1,
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

fn finish(ctx: &mut Inspection<'_>, layer: &Layer) {
    let is_python = layer.kind == "Python" || layer.kind == "PYTHON" || !layer.python.is_empty();
    let rule = if is_python { Some(&rules::PYTHON) } else { layer_rule(&layer.kind) };
    if let Some(rule) = rule {
        let detail = format!("layer `{}` has type `{}` ({})", layer.name, layer.kind, layer.python.join(", "));
        ctx.find(rule, layer.at, detail);
    } else if layer.sources > 0 {
        ctx.find(&rules::DATA_LAYER, layer.at, format!("layer `{}` has type `{}`", layer.name, layer.kind));
    }
}
