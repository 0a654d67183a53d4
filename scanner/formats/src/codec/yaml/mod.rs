//! YAML 1.2 (with PyYAML's habits) under limits: tags, duplicate keys and the
//! size aliases would expand to are kept; aliases of collections are not
//! expanded.

mod builder;
mod indent;
mod raw;
pub mod rules;
mod scalar;
mod tags;

use std::borrow::Cow;

use saphyr_parser::{Event, Parser, ScanError};
use serde_json::Value;

use crate::codec::config::instantiate;
use crate::core::{FormatError, Input, Inspection};

/// Largest document read, bytes. A flow sequence is held as tokens until it
/// ends, near a hundred bytes for each of these.
pub const BYTES_MAX: usize = 2 << 20;
/// Most bytes parsed again with lines indented as PyYAML takes them.
const REPARSED_BYTES_MAX: usize = 16 << 20;
/// Nodes after expansion from which aliases are a bomb, when there are also
/// [`EXPANSION_RATIO_MIN`] times as many as before.
const EXPANDED_NODES_MAX: u64 = 1_000_000;
/// Honest anchors repeat a block a few times.
const EXPANSION_RATIO_MIN: u64 = 100;

/// A parsed stream of YAML documents.
#[derive(Debug, Default)]
pub struct Document {
    /// One value per document. Mappings keep the last of duplicate keys, as
    /// PyYAML does; an alias of a collection is `null`, since the collection
    /// stands where its anchor is.
    pub values: Vec<Value>,
    /// Nodes with a tag of their own, by path.
    pub tags: Vec<Tagged>,
    /// Paths of keys that occur more than once in their mapping, with every
    /// value that a later one replaced.
    pub duplicates: Vec<(String, Value)>,
    /// Nodes as written.
    pub nodes: u64,
    /// Nodes if every alias were copied out.
    pub expanded_nodes: u64,
    /// Why reading stopped early; what stands before is in the other fields,
    /// and calls and tags behind it were looked for in the plain text.
    pub stopped: Option<FormatError>,
}

/// A node with a tag that is not of the core schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Tagged {
    /// Where it stands.
    pub path: String,
    /// The tag in full: `tag:yaml.org,2002:python/name:os.system`, `!new:x.Y`.
    pub tag: String,
    /// The value, cut short.
    pub value: String,
}

impl Document {
    /// The first document, where formats keep what they say.
    #[must_use]
    pub fn first(&self) -> &Value {
        self.values.first().unwrap_or(&Value::Null)
    }
}

/// Reads `input` as YAML text in UTF-8 or, with a byte-order mark, UTF-16.
///
/// # Errors
/// [`FormatError::Limit`] beyond [`BYTES_MAX`], [`FormatError::Io`]. Syntax
/// errors are in [`Document::stopped`].
pub fn parse(input: &Input) -> Result<Document, FormatError> {
    if input.len() > BYTES_MAX as u64 {
        return Err(FormatError::limit("yaml_bytes_max", BYTES_MAX as u64));
    }
    let bytes = input.head(BYTES_MAX).map_err(|source| FormatError::Io { offset: 0, source })?;
    Ok(parse_text(&text(&bytes)))
}

/// As [`parse`], for text in memory of at most about [`BYTES_MAX`].
#[must_use]
pub fn parse_text(text: &str) -> Document {
    let mut lenient = Cow::Borrowed(text);
    let mut reparsed = 0;
    loop {
        let (mut document, stopped) = build(&lenient);
        let Some(Stopped::Syntax(error)) = stopped else {
            document.stopped = match stopped {
                Some(Stopped::Limit(limit)) => Some(limit),
                _ => None,
            };
            return searched(text, document);
        };
        let at = offset(&lenient, error.marker().index());
        reparsed += lenient.len();
        if reparsed < REPARSED_BYTES_MAX
            && let Some(mended) = indent::mended(&lenient, at, &error)
        {
            lenient = Cow::Owned(mended);
            continue;
        }
        document.stopped = Some(FormatError::malformed("yaml", at as u64, error.info().to_owned()));
        return searched(text, document);
    }
}

/// Why the parser's events ended before the text did.
enum Stopped {
    Syntax(ScanError),
    Limit(FormatError),
}

fn build(text: &str) -> (Document, Option<Stopped>) {
    let mut builder = builder::Builder::default();
    for event in Parser::new_from_str(text) {
        let stopped = match event {
            Ok((Event::StreamEnd, _)) => break,
            Ok((event, _)) => builder.take(event).err().map(Stopped::Limit),
            Err(error) => Some(Stopped::Syntax(error)),
        };
        if stopped.is_some() {
            return (builder.finish(), stopped);
        }
    }
    (builder.finish(), None)
}

/// A document that stopped early, with what the plain text holds.
fn searched(text: &str, mut document: Document) -> Document {
    if document.stopped.is_some() {
        raw::search(text, &mut document);
    }
    document
}

/// Reports what is wrong with `document` whatever it configures: tags that
/// build objects, calls, expressions, alias bombs, decisive keys given twice.
///
/// # Errors
/// When the work budget is spent.
pub fn inspect(ctx: &mut Inspection<'_>, document: &Document) -> Result<(), FormatError> {
    ctx.work(document.nodes)?;
    tags::inspect(ctx, &document.tags);
    for value in &document.values {
        instantiate::inspect(ctx, value, "")?;
    }
    instantiate::inspect_duplicates(ctx, &document.duplicates)?;
    let (written, expanded) = (document.nodes, document.expanded_nodes);
    if expanded > EXPANDED_NODES_MAX && expanded / written.max(1) >= EXPANSION_RATIO_MIN {
        ctx.find(&rules::ALIAS_BOMB, None, format!("{written} nodes, {expanded} once aliases are copied out"));
    }
    Ok(())
}

/// `bytes` as text: UTF-16 by its byte-order mark, UTF-8 otherwise.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = rest.chunks_exact(2).filter_map(|c| c.first_chunk().copied()).map(unit);
        char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect()
    };
    if let Some(rest) = bytes.strip_prefix(b"\xff\xfe") {
        utf16(rest, u16::from_le_bytes)
    } else if let Some(rest) = bytes.strip_prefix(b"\xfe\xff") {
        utf16(rest, u16::from_be_bytes)
    } else {
        String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).into_owned()
    }
}

/// Byte offset of the character `index` of `text`.
fn offset(text: &str, index: usize) -> usize {
    text.char_indices().nth(index).map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests;
