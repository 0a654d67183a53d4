//! XML 1.0 documents and the attacks on those who read them: external
//! entities (XXE), entity bombs, external includes. Nothing is expanded and
//! nothing is fetched.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use weighbridge_types::{Rule, Severity, Verdict};

use crate::codec::stream::InputReader;
use crate::codec::xml;
use crate::core::{FormatError, Input, Inspection};

/// Deepest nesting followed.
const DEPTH_MAX: usize = 1000;
/// Largest single event (tag, comment, document type), bytes.
const EVENT_BYTES_MAX: usize = 4 << 20;
/// Most entity declarations looked at.
const ENTITIES_MAX: usize = 10_000;
/// Longest entity: a document that repeats it grows by its square.
const ENTITY_BYTES_MAX: usize = 1000;

/// A document pulls in something from outside.
pub static EXTERNAL_ENTITY: Rule = Rule {
    id: "xml-external-entity",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "an external entity",
    what: "The document type declares an entity or subset by SYSTEM or PUBLIC identifier.",
    why: "Parsers that resolve it read local files or connect to other machines, and the content ends up in the model's \
          metadata or in an error message (XXE).",
    false_positives: "Old documents that name the DTD of their vocabulary.",
    remedy: "Do not load the file with a parser that resolves entities.",
    references: &["CWE-611"],
};

/// Entities that grow when expanded.
pub static ENTITY_BOMB: Rule = Rule {
    id: "xml-entity-bomb",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "entities that grow without bound when expanded",
    what: "Entity declarations refer to each other or to themselves, or one is over 1,000 bytes long.",
    why: "A parser that expands them runs out of memory (billion laughs).",
    false_positives: "None in model files.",
    remedy: "Do not load the file.",
    references: &["CWE-776"],
};

/// An XInclude or stylesheet from elsewhere.
pub static EXTERNAL_INCLUDE: Rule = Rule {
    id: "xml-external-include",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the document includes another one",
    what: "An XInclude element or an XML stylesheet instruction names another resource.",
    why: "Processors that honour it read local files or connect to other machines.",
    false_positives: "Documents written for display in a browser.",
    remedy: "Remove the reference before loading.",
    references: &["CWE-611"],
};

/// A start tag.
pub struct Element<'e> {
    /// Local name.
    pub name: &'e str,
    /// Elements around it.
    pub depth: usize,
    /// Byte offset of its end.
    pub offset: u64,
    start: &'e BytesStart<'e>,
}

impl Element<'_> {
    /// The value of an attribute, entities not expanded.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.attributes().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// All attributes, local names, entities not expanded.
    pub fn attributes(&self) -> impl Iterator<Item = (String, String)> + use<> {
        let mut all = Vec::new();
        for attribute in self.start.attributes().with_checks(false).flatten() {
            all.push((text(attribute.key.local_name().as_ref()), text(&attribute.value)));
        }
        all.into_iter()
    }
}

fn text(raw: &str) -> String {
    raw.to_owned()
}

/// Walks the document, reports the attacks, and calls `visit` for each start
/// tag.
///
/// # Errors
/// [`FormatError::Malformed`] for what is not well-formed, limits, and what
/// `visit` returns.
pub fn inspect(
    ctx: &mut Inspection<'_>,
    input: &Input,
    mut visit: impl FnMut(&mut Inspection<'_>, &Element<'_>) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let input = &xml::utf8(input);
    let mut reader = Reader::from_reader(InputReader::buffered(input.clone()));
    reader.config_mut().check_end_names = false;
    let mut buf = Vec::new();
    let mut depth = 0usize;
    loop {
        ctx.work(1)?;
        buf.clear();
        let offset = reader.buffer_position();
        let event = reader
            .read_event_into(&mut buf)
            .map_err(|e| FormatError::malformed("xml", reader.error_position(), e.to_string()))?;
        if event.len() > EVENT_BYTES_MAX {
            return Err(FormatError::limit("xml_event_bytes_max", EVENT_BYTES_MAX as u64));
        }
        match event {
            Event::Start(start) => {
                element(ctx, &start, depth, offset, &mut visit)?;
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(FormatError::limit("xml_depth_max", DEPTH_MAX as u64));
                }
            }
            Event::Empty(start) => element(ctx, &start, depth, offset, &mut visit)?,
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::DocType(doctype) => document_type(ctx, &text(doctype.as_ref()), offset),
            Event::PI(instruction) if instruction.target().starts_with("xml-stylesheet") => {
                ctx.find(&EXTERNAL_INCLUDE, offset, text(instruction.as_ref()));
            }
            Event::Eof if depth > 0 => return Err(FormatError::truncated("xml element", input.len())),
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

fn element(
    ctx: &mut Inspection<'_>,
    start: &BytesStart<'_>,
    depth: usize,
    offset: u64,
    visit: &mut impl FnMut(&mut Inspection<'_>, &Element<'_>) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let name = text(start.local_name().as_ref());
    let element = Element { name: &name, depth, offset, start };
    if name == "include" && element.attributes().any(|(key, _)| key == "href") {
        ctx.find(&EXTERNAL_INCLUDE, offset, element.attribute("href").unwrap_or_default());
    }
    visit(ctx, &element)
}

/// Looks at `PMML [<!ENTITY a "b">]` or `PMML SYSTEM "x.dtd"`.
fn document_type(ctx: &mut Inspection<'_>, doctype: &str, offset: u64) {
    let (external, internal) = doctype.split_once('[').unwrap_or((doctype, ""));
    let mut outside = names_resource(external).then(|| external.trim().to_owned());
    let mut entities: HashMap<String, String> = HashMap::new();
    for declaration in internal.split("<!ENTITY").skip(1).take(ENTITIES_MAX) {
        let declaration = declaration.trim_start().trim_start_matches('%').trim_start();
        let (name, rest) = declaration.split_once(|c: char| c.is_whitespace()).unwrap_or((declaration, ""));
        let rest = rest.trim_start();
        if names_resource(rest) {
            outside.get_or_insert_with(|| rest.split('>').next().unwrap_or(rest).trim().to_owned());
        }
        let quote = rest.chars().next().filter(|c| *c == '"' || *c == '\'');
        if let Some(value) = quote.and_then(|q| rest.get(1..)?.split(q).next()) {
            entities.insert(name.to_owned(), value.to_owned());
        }
    }
    if let Some(outside) = outside {
        ctx.find(&EXTERNAL_ENTITY, offset, outside);
    }
    if let Some(detail) = bomb(&entities) {
        ctx.find(&ENTITY_BOMB, offset, detail);
    }
}

fn names_resource(text: &str) -> bool {
    text.split_whitespace().any(|word| word == "SYSTEM" || word == "PUBLIC")
}

/// Whether expanding the entities could get out of hand. No model needs any;
/// one that refers to another, or is long, is what bombs are made of.
fn bomb(entities: &HashMap<String, String>) -> Option<String> {
    let mut sorted: Vec<_> = entities.iter().collect();
    sorted.sort();
    sorted.into_iter().find_map(|(name, value)| {
        let inner = value.split('&').skip(1).filter_map(|part| part.split_once(';').map(|(n, _)| n));
        let nested = inner.filter(|n| entities.contains_key(*n)).count();
        if nested > 0 {
            Some(format!("`&{name};` refers to other entities {nested} times"))
        } else if value.len() > ENTITY_BYTES_MAX {
            Some(format!("`&{name};` is {} bytes long", value.len()))
        } else {
            None
        }
    })
}
