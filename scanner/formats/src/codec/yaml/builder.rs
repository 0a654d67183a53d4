//! Builds values from parser events, without recursion and under limits.

use std::collections::HashMap;

use saphyr_parser::{Event, ScalarStyle, Tag};
use serde_json::{Map, Value};

use crate::codec::config::excerpt;
use crate::codec::yaml::{Document, Tagged, scalar};
use crate::core::FormatError;

/// Deepest nesting; configurations stay below a dozen.
const DEPTH_MAX: usize = 100;
/// Most nodes.
const NODES_MAX: u64 = 500_000;
/// Most tagged nodes kept.
const TAGGED_MAX: usize = 2_000;
/// Most duplicate keys kept.
const DUPLICATES_MAX: usize = 64;
/// Longest scalar that an alias repeats, bytes.
const ALIASED_SCALAR_MAX: usize = 256;
/// Most bytes that aliases repeat in one document.
const ALIASED_BYTES_MAX: usize = 1 << 20;
/// Longest path kept, bytes, and longest value shown.
const SHOWN_MAX: usize = 300;

/// Takes events, gives a [`Document`].
#[derive(Default)]
pub(super) struct Builder {
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    aliased_bytes: usize,
    document: Document,
}

/// A collection that has begun.
struct Frame {
    content: Content,
    tag: Option<String>,
    anchor: usize,
    /// Nodes in it, aliases copied out.
    expanded: u64,
}

enum Content {
    List(Vec<Value>),
    Mapping { map: Map<String, Value>, key: Option<String> },
}

/// What an anchor stands for.
struct Anchored {
    scalar: Option<Value>,
    expanded: u64,
}

impl Builder {
    pub(super) fn take(&mut self, event: Event<'_>) -> Result<(), FormatError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref().map(full_tag);
                let value = scalar::value(&text, style == ScalarStyle::Plain, tag.as_deref());
                if anchor > 0 {
                    let scalar = (text.len() <= ALIASED_SCALAR_MAX).then(|| value.clone());
                    self.anchors.insert(anchor, Anchored { scalar, expanded: 1 });
                }
                self.count()?;
                self.tagged(tag, &value);
                self.put(value, 1);
            }
            Event::SequenceStart(anchor, tag) => self.begin(Content::List(Vec::new()), anchor, tag.as_deref())?,
            Event::MappingStart(anchor, tag) => {
                self.begin(Content::Mapping { map: Map::new(), key: None }, anchor, tag.as_deref())?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                self.count()?;
                let (value, expanded) = self.alias(anchor);
                self.put(value, expanded);
            }
            Event::DocumentEnd => self.anchors.clear(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {}
        }
        Ok(())
    }

    /// What was built; open collections are closed as they stand.
    pub(super) fn finish(mut self) -> Document {
        while !self.stack.is_empty() {
            self.end();
        }
        self.document
    }

    fn count(&mut self) -> Result<(), FormatError> {
        self.document.nodes += 1;
        if self.document.nodes > NODES_MAX { Err(FormatError::limit("yaml_nodes_max", NODES_MAX)) } else { Ok(()) }
    }

    fn begin(&mut self, content: Content, anchor: usize, tag: Option<&Tag>) -> Result<(), FormatError> {
        self.count()?;
        if self.stack.len() >= DEPTH_MAX {
            return Err(FormatError::limit("yaml_depth_max", DEPTH_MAX as u64));
        }
        self.stack.push(Frame { content, tag: tag.map(full_tag), anchor, expanded: 1 });
        Ok(())
    }

    fn end(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        let value = match frame.content {
            Content::List(items) => Value::Array(items),
            Content::Mapping { mut map, key } => {
                if let Some(key) = key {
                    map.insert(key, Value::Null);
                }
                Value::Object(map)
            }
        };
        if frame.anchor > 0 {
            self.anchors.insert(frame.anchor, Anchored { scalar: None, expanded: frame.expanded });
        }
        self.tagged(frame.tag, &value);
        self.put(value, frame.expanded);
    }

    fn alias(&mut self, anchor: usize) -> (Value, u64) {
        let Some(anchored) = self.anchors.get(&anchor) else { return (Value::Null, 1) };
        let value = match &anchored.scalar {
            Some(value) if self.aliased_bytes < ALIASED_BYTES_MAX => {
                self.aliased_bytes += value.as_str().map_or(8, str::len);
                value.clone()
            }
            _ => Value::Null,
        };
        (value, anchored.expanded)
    }

    /// Puts a finished node into the collection it stands in.
    fn put(&mut self, value: Value, expanded: u64) {
        let Some(frame) = self.stack.last_mut() else {
            self.document.expanded_nodes = self.document.expanded_nodes.saturating_add(expanded);
            self.document.values.push(value);
            return;
        };
        frame.expanded = frame.expanded.saturating_add(expanded);
        match &mut frame.content {
            Content::List(items) => items.push(value),
            Content::Mapping { map, key } => match key.take() {
                None => *key = Some(scalar::key(&value)),
                Some(key) => {
                    if let Some(replaced) = map.insert(key.clone(), value)
                        && self.document.duplicates.len() < DUPLICATES_MAX
                    {
                        let path = path(&self.stack, Some(&key));
                        self.document.duplicates.push((path, replaced));
                    }
                }
            },
        }
    }

    fn tagged(&mut self, tag: Option<String>, value: &Value) {
        if let Some(tag) = tag
            && !scalar::is_core(&tag)
            && self.document.tags.len() < TAGGED_MAX
        {
            let path = path(&self.stack, None);
            self.document.tags.push(Tagged { path, tag, value: excerpt(value, SHOWN_MAX) });
        }
    }
}

/// Path of the node about to be put, or of `key` in the innermost mapping.
fn path(stack: &[Frame], key: Option<&str>) -> String {
    let mut out = String::new();
    for (n, frame) in stack.iter().enumerate() {
        let innermost = n + 1 == stack.len();
        match &frame.content {
            Content::List(items) => out.push_str(&format!("[{}]", items.len())),
            Content::Mapping { key: open, .. } => {
                if let Some(step) = if innermost { key.or(open.as_deref()) } else { open.as_deref() } {
                    if !out.is_empty() {
                        out.push('.');
                    }
                    out.extend(step.chars().take(64));
                }
            }
        }
        if out.len() > SHOWN_MAX {
            break;
        }
    }
    out
}

/// The tag in full, `%xx` decoded as PyYAML does before it looks it up.
fn full_tag(tag: &Tag) -> String {
    let joined = format!("{}{}", tag.handle, tag.suffix);
    if !joined.contains('%') {
        return joined;
    }
    let bytes = joined.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|h| str::from_utf8(h).ok());
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(decoded) if *byte == b'%' => {
                out.push(decoded);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
