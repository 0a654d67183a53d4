//! Flax checkpoints (`flax.serialization.to_bytes`): one MessagePack map of
//! maps, whose arrays are extensions that hold MessagePack themselves.

mod array;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use serde_json::{Map, Value};

use crate::codec::msgpack::{Event, Step, Walker};
use crate::codec::tensors::Survey;
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};
use crate::formats::pickle;

/// Longest key or text read.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Keys remembered to tell duplicates.
const KEYS_MAX: usize = 1 << 20;
/// Findings of one kind.
const FINDINGS_MAX: u32 = 16;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "flax-msgpack",
    name: "Flax checkpoint",
    extensions: &["msgpack"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

/// First keys of trees that Flax, Optax and the libraries above them save.
const FIRST_KEYS: &[&[u8]] = &[
    b"params",
    b"opt_state",
    b"step",
    b"batch_stats",
    b"state",
    b"model",
    b"target",
    b"optimizer",
    b"ema_params",
    b"encoder",
    b"decoder",
    b"transformer",
    b"bert",
    b"roberta",
    b"text_model",
    b"vision_model",
    b"lm_head",
];

/// A map of a few entries, whose first key is a text; which text decides, or
/// the name.
fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let Some(keys) = first_key(sniff.head) else { return Confidence::No };
    let key = keys.split_first().and_then(|(head, rest)| rest.get(..usize::from(head & 0x1f)));
    // A MessagePack of another program begins with a map as well: an array
    // extension, or Flax's own names, must be near.
    let known = key.is_some_and(|key| FIRST_KEYS.contains(&key));
    let array = memchr::memmem::find(sniff.head, b"\xa7float32").is_some()
        || memchr::memmem::find(sniff.head, b"\xa8bfloat16").is_some()
        || memchr::memmem::find(sniff.head, b"\xa7float16").is_some();
    let named = sniff.name.has_extension(FORMAT.extensions);
    match (known, array, named) {
        (true, true, _) => Confidence::Certain,
        (true, false, true) | (false, true, true) => Confidence::Likely,
        (false, false, true) => Confidence::Plausible,
        (true, false, false) if sniff.starts_with(b"\x81\xa6params") => Confidence::Likely,
        _ => Confidence::No,
    }
}

/// What follows the head of a map, if a short text follows it.
fn first_key(head: &[u8]) -> Option<&[u8]> {
    let keys = match *head.first()? {
        0x81..=0x8f => head.get(1..)?,
        0xde => head.get(3..)?,
        0xdf => head.get(5..)?,
        _ => return None,
    };
    matches!(keys.first(), Some(0xa1..=0xbf)).then_some(keys)
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut tree = Tree::new();
    let mut walker = Walker::new(Reader::new(input));
    let mut result = Ok(());
    loop {
        match walker.step() {
            Ok(Some(step)) => {
                ctx.work(1)?;
                tree.value(ctx, input, &step)?;
            }
            Ok(None) => break,
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    tree.facts(ctx);
    result?;
    let end = walker.position();
    if end < input.len() {
        ctx.find(&rules::TRAILING, end, format!("{} bytes follow the tree", input.len() - end));
        ctx.child("trailing", &input.tail_from(end));
    }
    Ok(())
}

/// What the walk over the tree knows.
struct Tree {
    /// The key over the current value, by depth.
    path: Vec<String>,
    /// Digests of the keys of each map that is open.
    keys: Vec<HashSet<u64>>,
    keys_seen: usize,
    top: Vec<String>,
    tensors: u64,
    parameters: u64,
    types: BTreeMap<String, u64>,
    survey: Survey,
    reported: BTreeMap<&'static str, u32>,
}

impl Tree {
    fn new() -> Self {
        Self {
            path: Vec::new(),
            keys: Vec::new(),
            keys_seen: 0,
            top: Vec::new(),
            tensors: 0,
            parameters: 0,
            types: BTreeMap::new(),
            survey: Survey::new(false),
            reported: BTreeMap::new(),
        }
    }

    fn value(&mut self, ctx: &mut Inspection<'_>, input: &Input, step: &Step) -> Result<(), FormatError> {
        // Containers further in are closed, and a new one has no keys yet.
        self.keys.truncate(step.depth + 1);
        if step.is_key {
            return self.key(ctx, input, step);
        }
        self.path.truncate(step.depth);
        match &step.event {
            Event::Extension(kind, range) => self.extension(ctx, input, *kind, range, step.at)?,
            Event::Binary(range) | Event::Text(range) => self.bytes(ctx, input, range),
            Event::Map(_) | Event::Array(_) | Event::Scalar(_) => {}
        }
        Ok(())
    }

    fn key(&mut self, ctx: &mut Inspection<'_>, input: &Input, step: &Step) -> Result<(), FormatError> {
        let key = match &step.event {
            Event::Text(range) | Event::Binary(range) => {
                let mut r = Reader::at(input, range.start);
                String::from_utf8_lossy(&r.bytes(range.end - range.start, TEXT_BYTES_MAX, "key")?).into_owned()
            }
            Event::Scalar(scalar) => format!("{scalar:?}"),
            Event::Map(_) | Event::Array(_) | Event::Extension(..) => {
                self.report(ctx, &rules::ODD_KEY, step.at, "a map has a container or an extension as key");
                return Ok(());
            }
        };
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        while self.keys.len() <= step.depth {
            self.keys.push(HashSet::new());
        }
        if self.keys_seen < KEYS_MAX {
            self.keys_seen += 1;
            if self.keys.last_mut().is_some_and(|keys| !keys.insert(hasher.finish())) {
                self.report(ctx, &rules::DUPLICATE_KEY, step.at, &format!("`{key}` occurs twice"));
            }
        }
        if step.depth == 1 && self.top.len() < 64 {
            self.top.push(key.clone());
        }
        self.path.truncate(step.depth.saturating_sub(1));
        while self.path.len() + 1 < step.depth {
            self.path.push("*".to_owned());
        }
        self.path.push(key);
        Ok(())
    }

    fn extension(
        &mut self,
        ctx: &mut Inspection<'_>,
        input: &Input,
        kind: i8,
        range: &Range<u64>,
        at: u64,
    ) -> Result<(), FormatError> {
        let name = self.path.join("/");
        let Some(content) = input.slice(range.start, range.end - range.start) else { return Ok(()) };
        match kind {
            // An array, and a NumPy scalar: both `(shape, dtype, bytes)`.
            1 | 3 => match array::read(&content) {
                Ok(array) => self.array(ctx, input, range.start, &array, &name)?,
                Err(error) => {
                    self.report(ctx, &rules::BAD_ARRAY, at, &format!("`{name}`: {error}"));
                    self.foreign(ctx, &name, &content);
                }
            },
            // A complex number of Python: `(real, imaginary)`.
            2 => {}
            _ => {
                self.report(ctx, &rules::UNKNOWN_EXTENSION, at, &format!("`{name}` is of extension type {kind}"));
                self.foreign(ctx, &name, &content);
            }
        }
        Ok(())
    }

    fn array(
        &mut self,
        ctx: &mut Inspection<'_>,
        input: &Input,
        base: u64,
        array: &array::Array,
        name: &str,
    ) -> Result<(), FormatError> {
        self.tensors += 1;
        let data = base + array.data.start..base + array.data.end;
        if array.holds_objects() {
            self.report(ctx, &rules::OBJECT_ARRAY, base, &format!("`{name}` is of type `{}`", array.dtype));
            if let Some(content) = input.slice(data.start, data.end - data.start) {
                self.foreign(ctx, name, &content);
            }
            return Ok(());
        }
        let elements = array.elements();
        self.parameters = self.parameters.saturating_add(elements.unwrap_or(0));
        if self.types.len() < 64 || self.types.contains_key(&array.dtype) {
            *self.types.entry(array.dtype.clone()).or_default() += 1;
        }
        let wanted = elements.and_then(|n| Some(n.checked_mul(array.element_bytes()?)));
        let held = data.end - data.start;
        let is_wrong = elements.is_none() || wanted.is_some_and(|wanted| wanted != Some(held));
        if is_wrong {
            let detail = format!("`{name}`: {held} bytes for shape {:?} of `{}`", array.shape, array.dtype);
            self.report(ctx, &rules::SIZE_MISMATCH, base, &detail);
        }
        self.survey.tensor(ctx, input, data.clone(), array.element(), &|| name.to_owned())?;
        ctx.opaque(input, data);
        Ok(())
    }

    /// Text and bytes: not weights, unless a program or a pickle.
    fn bytes(&mut self, ctx: &mut Inspection<'_>, input: &Input, range: &Range<u64>) {
        if range.end - range.start < 8 {
            return;
        }
        let Some(content) = input.slice(range.start, range.end - range.start) else { return };
        if pickle::begins(&content) {
            let name = self.path.join("/");
            self.report(ctx, &rules::HIDDEN_PICKLE, range.start, &format!("`{name}`"));
            self.foreign(ctx, &name, &content);
        }
    }

    fn foreign(&mut self, ctx: &mut Inspection<'_>, name: &str, content: &Input) {
        let count = self.reported.entry("foreign").or_default();
        *count += 1;
        if *count <= FINDINGS_MAX && !content.is_empty() {
            ctx.child(if name.is_empty() { "extension" } else { name }, content);
        }
    }

    fn report(&mut self, ctx: &mut Inspection<'_>, rule: &'static weighbridge_types::Rule, at: u64, detail: &str) {
        let count = self.reported.entry(rule.id).or_default();
        *count += 1;
        if *count <= FINDINGS_MAX {
            ctx.find(rule, at, detail);
        }
    }

    fn facts(&mut self, ctx: &mut Inspection<'_>) {
        ctx.fact("tensor_count", self.tensors);
        ctx.fact("parameters", self.parameters);
        ctx.fact("top_level_keys", std::mem::take(&mut self.top));
        let types: Map<_, _> = std::mem::take(&mut self.types).into_iter().map(|(k, n)| (k, Value::from(n))).collect();
        ctx.fact("dtypes", types);
    }
}
