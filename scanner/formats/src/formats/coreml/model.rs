use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use weighbridge_types::LinkKind;

use crate::codec::location::{Reach, reach};
use crate::codec::protobuf::{Message, Value};
use crate::core::{FormatError, Input, Inspection, Reader};

use super::rules;

/// Models in pipelines, networks in layers, blocks in operations. Each takes
/// up to four messages, and decoders stop at 100 of those.
const DEPTH_MAX: u32 = 32;
/// Bytes kept of a name or text.
const TEXT_BYTES_MAX: usize = 4096;
/// Names kept as facts.
const NAMES_MAX: usize = 64;
/// Distinct layers counted.
const KINDS_MAX: usize = 1000;
/// Where ML programs say their weights are.
const MODEL_PATH: &str = "@model_path/";

/// Walks `Model`.
pub fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut walk = Walk { input, r: Reader::new(input), features: BTreeMap::new(), kinds: BTreeMap::new() };
    let walked = walk.model(ctx, Message::whole(input), 0);
    for (key, names) in walk.features {
        ctx.fact(key, names);
    }
    ctx.fact("operators", walk.kinds.into_iter().map(|(k, n)| (k, Json::from(n))).collect::<Map<_, _>>());
    walked
}

struct Walk<'a> {
    input: &'a Input,
    r: Reader<'a>,
    features: BTreeMap<&'static str, Vec<String>>,
    kinds: BTreeMap<String, u64>,
}

impl Walk<'_> {
    fn model(&mut self, ctx: &mut Inspection<'_>, body: Message, depth: u32) -> Result<(), FormatError> {
        check_depth(depth)?;
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            match (field.number, field.value) {
                (1, Value::Varint(version)) if depth == 0 => ctx.fact("format_version", version),
                (2, Value::Bytes(description)) if depth == 0 => self.description(ctx, description)?,
                (202, Value::Bytes(pipeline)) => self.pipeline(ctx, pipeline, depth)?,
                (200 | 201, Value::Bytes(outer)) => {
                    for pipeline in self.descend(ctx, outer, &[1])? {
                        self.pipeline(ctx, pipeline, depth)?;
                    }
                }
                (303 | 403 | 500, Value::Bytes(network)) => self.network(ctx, network, depth + 1)?,
                (502, Value::Bytes(program)) => self.program(ctx, program, depth + 1)?,
                (555, Value::Bytes(custom)) => self.custom(ctx, custom, &rules::CUSTOM_MODEL)?,
                (556, Value::Bytes(linked)) => self.linked(ctx, linked)?,
                (3000, Value::Bytes(serialized)) => {
                    for model in self.descend(ctx, serialized, &[2])? {
                        if let Some(content) = model.slice(self.input) {
                            ctx.child("serializedModel", &content);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn pipeline(&mut self, ctx: &mut Inspection<'_>, body: Message, depth: u32) -> Result<(), FormatError> {
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            if let (1, Value::Bytes(model)) = (field.number, field.value) {
                self.model(ctx, model, depth + 1)?;
            }
        }
        Ok(())
    }

    /// `ModelDescription`
    fn description(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            match (field.number, field.value) {
                (n @ (1 | 10), Value::Bytes(feature)) => {
                    let name = self.last_text(ctx, feature, &[1])?.unwrap_or_default();
                    let names = self.features.entry(if n == 1 { "inputs" } else { "outputs" }).or_default();
                    if names.len() < NAMES_MAX {
                        names.push(name);
                    }
                }
                (100, Value::Bytes(metadata)) => self.metadata(ctx, metadata)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// `Metadata`
    fn metadata(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        for (number, key) in [(1, "description"), (2, "version"), (3, "author"), (4, "license")] {
            if let Some(text) = self.last_text(ctx, body, &[number])? {
                ctx.fact(key, text);
            }
        }
        let mut own = Map::new();
        for entry in self.descend(ctx, body, &[100])?.into_iter().take(NAMES_MAX) {
            let key = self.last_text(ctx, entry, &[1])?.unwrap_or_default();
            let value = self.last_text(ctx, entry, &[2])?.unwrap_or_default();
            if key == "com.github.apple.coremltools.version" {
                ctx.fact("producer", format!("coremltools {value}"));
            }
            own.insert(key, Json::from(value));
        }
        if !own.is_empty() {
            ctx.fact("properties", own);
        }
        Ok(())
    }

    /// `NeuralNetwork`, and its classifier and regressor: layers in field 1.
    fn network(&mut self, ctx: &mut Inspection<'_>, body: Message, depth: u32) -> Result<(), FormatError> {
        check_depth(depth)?;
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            let (1, Value::Bytes(layer)) = (field.number, field.value) else { continue };
            let mut layer = layer.fields();
            while let Some(field) = layer.next(ctx, &mut self.r)? {
                let Value::Bytes(parameters) = field.value else { continue };
                match field.number {
                    500 => self.custom(ctx, parameters, &rules::CUSTOM_LAYER)?,
                    605 | 615 => {
                        // BranchLayerParams and LoopLayerParams hold networks.
                        let mut networks = parameters.fields();
                        while let Some(inner) = networks.next(ctx, &mut self.r)? {
                            let is_network = if field.number == 605 { 1..=2 } else { 3..=4 };
                            if let Value::Bytes(network) = inner.value
                                && is_network.contains(&inner.number)
                            {
                                self.network(ctx, network, depth + 1)?;
                            }
                        }
                    }
                    _ => {}
                }
                if field.number >= 100 {
                    self.count(format!("layer {}", field.number));
                }
            }
        }
        Ok(())
    }

    /// `CustomLayerParams` and `CustomModel`: a class of the application.
    fn custom(
        &mut self,
        ctx: &mut Inspection<'_>,
        body: Message,
        rule: &'static weighbridge_types::Rule,
    ) -> Result<(), FormatError> {
        let mut class = self.last_text(ctx, body, &[10])?;
        if class.is_none() {
            class = self.last_text(ctx, body, &[1])?;
        }
        let mut parameters = Vec::new();
        for entry in self.descend(ctx, body, &[30])?.into_iter().take(8) {
            let key = self.last_text(ctx, entry, &[1])?.unwrap_or_default();
            let value = self.last_text(ctx, entry, &[2, 20])?.unwrap_or_default();
            parameters.push(format!("{key}={value:?}"));
        }
        let class = class.unwrap_or_default();
        ctx.find(rule, body.start, format!("class `{class}` ({})", parameters.join(", ")));
        Ok(())
    }

    /// `LinkedModel`: another compiled model, by name and search path.
    fn linked(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        for path in [&[1, 1, 1][..], &[1, 2, 1]] {
            let Some(name) = self.last_text(ctx, body, path)? else { continue };
            match reach(&name) {
                Reach::Outside(reason) => {
                    ctx.find(&rules::PATH_OUTSIDE, body.start, format!("linked model `{name}`: {reason}"));
                }
                _ => {
                    ctx.find(&rules::LINKED_MODEL, body.start, format!("linked model `{name}`"));
                    ctx.link(LinkKind::BaseModel, &name);
                }
            }
        }
        Ok(())
    }

    /// MIL `Program`: functions, their specialisations, their blocks.
    fn program(&mut self, ctx: &mut Inspection<'_>, body: Message, depth: u32) -> Result<(), FormatError> {
        for block in self.descend(ctx, body, &[2, 2, 3, 2])? {
            self.block(ctx, block, depth)?;
        }
        Ok(())
    }

    fn block(&mut self, ctx: &mut Inspection<'_>, body: Message, depth: u32) -> Result<(), FormatError> {
        check_depth(depth)?;
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            if let (3, Value::Bytes(operation)) = (field.number, field.value) {
                self.operation(ctx, operation, depth)?;
            }
        }
        Ok(())
    }

    fn operation(&mut self, ctx: &mut Inspection<'_>, body: Message, depth: u32) -> Result<(), FormatError> {
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            let Value::Bytes(inner) = field.value else { continue };
            match field.number {
                1 => {
                    let kind = inner.text(&mut self.r, TEXT_BYTES_MAX, "operation")?;
                    if kind.starts_with("custom") {
                        ctx.find(&rules::CUSTOM_LAYER, field.at, format!("operation `{kind}`"));
                    }
                    self.count(kind);
                }
                // Values of inputs: entry, Argument, Binding, Value.
                2 => {
                    for name in self.descend(ctx, inner, &[2, 1, 2, 5, 1])? {
                        self.blob_file(ctx, name)?;
                    }
                }
                4 => self.block(ctx, inner, depth + 1)?,
                5 => {
                    for name in self.descend(ctx, inner, &[2, 5, 1])? {
                        self.blob_file(ctx, name)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// `BlobFileValue.fileName`
    fn blob_file(&mut self, ctx: &mut Inspection<'_>, name: Message) -> Result<(), FormatError> {
        let name_text = name.text(&mut self.r, TEXT_BYTES_MAX, "fileName")?;
        super::package::check_blob_file(ctx, &name_text, name.start);
        Ok(())
    }

    fn count(&mut self, kind: String) {
        if self.kinds.len() < KINDS_MAX || self.kinds.contains_key(&kind) {
            *self.kinds.entry(kind).or_default() += 1;
        }
    }

    fn last_text(
        &mut self,
        ctx: &mut Inspection<'_>,
        body: Message,
        path: &[u32],
    ) -> Result<Option<String>, FormatError> {
        let last = self.descend(ctx, body, path)?.pop();
        last.map(|text| text.text(&mut self.r, TEXT_BYTES_MAX, "text")).transpose()
    }

    /// The bodies of all fields along a path of field numbers.
    fn descend(&mut self, ctx: &mut Inspection<'_>, body: Message, path: &[u32]) -> Result<Vec<Message>, FormatError> {
        body.descend(ctx, &mut self.r, path)
    }
}

/// The part of a blob's file name after the folder of the model.
pub fn in_model(name: &str) -> &str {
    name.strip_prefix(MODEL_PATH).unwrap_or(name)
}

fn check_depth(depth: u32) -> Result<(), FormatError> {
    if depth > DEPTH_MAX { Err(FormatError::limit("coreml_depth_max", DEPTH_MAX.into())) } else { Ok(()) }
}
