use std::collections::HashSet;

use crate::core::{FormatError, Input, Reader};

/// Largest stream looked at; a lambda takes some hundred bytes.
const STREAM_BYTES_MAX: usize = 8 << 20;
/// Most objects in one stream.
const NODES_MAX: usize = 1 << 20;
/// Deepest nesting (`MAX_MARSHAL_STACK_DEPTH`).
const DEPTH_MAX: usize = 2000;
/// Most texts and names kept.
const TEXTS_MAX: usize = 20_000;
/// Longest text kept, bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Set in a type byte if later references may name the object.
const FLAG_REF: u8 = 0x80;

/// What the code objects of one stream say together.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Code {
    /// Name of the outermost function, `<lambda>` mostly.
    pub name: String,
    /// Source file of the outermost function.
    pub filename: String,
    /// Names of all functions in it.
    pub functions: Vec<String>,
    /// Globals, attributes and modules that code names (`co_names`).
    pub names: Vec<String>,
    /// Every other text: constants, variables, documentation.
    pub texts: Vec<String>,
}

impl Code {
    /// For people: ``function `<lambda>` from `model.py` ``.
    #[must_use]
    pub fn title(&self) -> String {
        format!("function `{}` from `{}`", self.name, self.filename)
    }
}

/// The code in `bytes`, `None` if no known layout finds any.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Code> {
    if bytes.len() > STREAM_BYTES_MAX || memchr::memchr2(b'c', b'c' | FLAG_REF, bytes).is_none() {
        return None;
    }
    let input = Input::bytes(bytes.to_vec());
    // A stream can be made to fit several layouts; what any of them sees counts.
    let mut found: Option<Code> = None;
    for layout in Layout::ALL {
        let Some(code) = Parser::new(&input, layout).run().ok().and_then(|nodes| collect(&nodes)) else { continue };
        match &mut found {
            None => found = Some(code),
            Some(known) if *known != code => {
                known.names.extend(code.names);
                known.texts.extend(code.texts);
            }
            Some(_) => {}
        }
    }
    found
}

/// The fields of a code object, by version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Python 1.5 to 2.7: four integers lead.
    Two,
    /// Python 3.0 to 3.7: keyword-only arguments make five.
    Three,
    /// Python 3.8 to 3.10: positional-only arguments make six.
    ThreeEight,
    /// Python 3.11 on: locals merged, tables added.
    ThreeEleven,
}

impl Layout {
    const ALL: [Self; 4] = [Self::ThreeEleven, Self::ThreeEight, Self::Three, Self::Two];

    /// Integers before the bytecode.
    fn integers(self) -> usize {
        match self {
            Self::Two => 4,
            Self::Three | Self::ThreeEleven => 5,
            Self::ThreeEight => 6,
        }
    }

    /// The fields after them.
    fn fields(self) -> &'static [Field] {
        use Field::{Any, Bytes, Line, Name, Names, Other, Source, Tuple};
        match self {
            // code, consts, names, varnames, freevars, cellvars, filename, name, firstlineno, lnotab
            Self::Two | Self::Three | Self::ThreeEight => {
                &[Bytes, Any, Names, Tuple, Tuple, Tuple, Source, Name, Line, Bytes]
            }
            // code, consts, names, localsplusnames, localspluskinds, filename, name, qualname, firstlineno,
            // linetable, exceptiontable
            Self::ThreeEleven => &[Bytes, Any, Names, Tuple, Bytes, Source, Name, Other, Line, Bytes, Bytes],
        }
    }
}

/// What a field of a code object must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// Text of bytes.
    Bytes,
    /// A tuple of constants.
    Any,
    /// The tuple of names.
    Names,
    /// Another tuple of texts.
    Tuple,
    /// The file name.
    Source,
    /// The function's name.
    Name,
    /// Another text.
    Other,
    /// A 32-bit integer that is no object.
    Line,
}

#[derive(Debug)]
enum Node {
    Text(String),
    Items(Vec<usize>),
    Code(Vec<usize>, Layout),
    Other,
}

/// A container that is being read.
struct Open {
    node: usize,
    /// Items still to come; `None` for those that a NULL ends.
    left: Option<usize>,
}

struct Parser<'a> {
    r: Reader<'a>,
    layout: Layout,
    nodes: Vec<Node>,
    /// Objects that references may name, in order.
    refs: Vec<usize>,
    /// Python 2's interned texts.
    interned: Vec<usize>,
    open: Vec<Open>,
}

impl<'a> Parser<'a> {
    fn new(input: &'a Input, layout: Layout) -> Self {
        let r = Reader::new(input);
        Self { r, layout, nodes: Vec::new(), refs: Vec::new(), interned: Vec::new(), open: Vec::new() }
    }

    /// Reads one object and everything in it; the first node is the outermost.
    fn run(mut self) -> Result<Vec<Node>, FormatError> {
        self.object()?;
        while let Some(top) = self.open.last_mut() {
            match &mut top.left {
                Some(0) => {
                    self.open.pop();
                    continue;
                }
                Some(left) => *left -= 1,
                None => {}
            }
            let owner = top.node;
            self.before_field(owner)?;
            let Some(child) = self.object()? else {
                // NULL ends a dictionary and may stand nowhere else.
                match self.open.pop() {
                    Some(Open { left: None, .. }) => continue,
                    _ => return Err(self.malformed("a NULL object")),
                }
            };
            if let Some(Node::Items(items) | Node::Code(items, _)) = self.nodes.get_mut(owner) {
                items.push(child);
            }
        }
        Ok(self.nodes)
    }

    fn malformed(&self, reason: &'static str) -> FormatError {
        FormatError::malformed("marshal", self.r.position(), reason)
    }

    /// Steps over the integer that stands before some field of a code object.
    fn before_field(&mut self, owner: usize) -> Result<(), FormatError> {
        if let Some(Node::Code(fields, layout)) = self.nodes.get_mut(owner)
            && layout.fields().get(fields.len()) == Some(&Field::Line)
        {
            fields.push(owner);
            self.r.skip(4, "first line number")?;
            if let Some(top) = self.open.last_mut() {
                top.left = top.left.map(|n| n.saturating_sub(1));
            }
        }
        Ok(())
    }

    /// Reads one object, or the head of one that holds others. `None` for
    /// NULL.
    fn object(&mut self) -> Result<Option<usize>, FormatError> {
        let byte = self.r.u8("type")?;
        let kind = byte & !FLAG_REF;
        match kind {
            b'0' => return Ok(None),
            b'r' => return self.reference(|p| &p.refs),
            b'R' => return self.reference(|p| &p.interned),
            _ => {}
        }
        if self.nodes.len() >= NODES_MAX || self.open.len() >= DEPTH_MAX {
            return Err(FormatError::limit("marshal_nodes_max", NODES_MAX as u64));
        }
        let node = self.nodes.len();
        self.nodes.push(Node::Other);
        if byte & FLAG_REF != 0 {
            self.refs.push(node);
        }
        match kind {
            b'N' | b'F' | b'T' | b'S' | b'.' => {}
            b'i' => self.r.skip(4, "int")?,
            b'I' | b'g' => self.r.skip(8, "number")?,
            b'y' => self.r.skip(16, "complex")?,
            b'f' => self.short_number()?,
            b'x' => {
                self.short_number()?;
                self.short_number()?;
            }
            b'l' => {
                let digits = self.r.i32_le("long digits")?;
                self.r.skip(u64::from(digits.unsigned_abs()) * 2, "long")?;
            }
            b's' | b't' | b'u' | b'a' | b'A' => {
                let len = self.r.u32_le("text length")?;
                self.text(node, len.into())?;
                if kind == b't' {
                    self.interned.push(node);
                }
            }
            b'z' | b'Z' => {
                let len = self.r.u8("text length")?;
                self.text(node, len.into())?;
            }
            b'(' | b'[' | b'<' | b'>' => {
                let len = self.r.u32_le("item count")?;
                self.items(node, len.into())?;
            }
            b')' => {
                let len = self.r.u8("item count")?;
                self.items(node, len.into())?;
            }
            b':' => self.items(node, 3)?,
            b'{' | b'}' => {
                self.set(node, Node::Items(Vec::new()));
                self.open.push(Open { node, left: None });
            }
            b'c' => {
                self.r.skip(4 * self.layout.integers() as u64, "code object integers")?;
                self.set(node, Node::Code(Vec::new(), self.layout));
                self.open.push(Open { node, left: Some(self.layout.fields().len()) });
            }
            _ => return Err(self.malformed("an unknown type")),
        }
        Ok(Some(node))
    }

    fn set(&mut self, node: usize, value: Node) {
        if let Some(slot) = self.nodes.get_mut(node) {
            *slot = value;
        }
    }

    fn reference(&mut self, table: fn(&Self) -> &Vec<usize>) -> Result<Option<usize>, FormatError> {
        let n = usize::try_from(self.r.u32_le("reference")?).unwrap_or(usize::MAX);
        let node = table(self).get(n).copied();
        node.map(Some).ok_or_else(|| self.malformed("a reference to nothing"))
    }

    fn short_number(&mut self) -> Result<(), FormatError> {
        let len = self.r.u8("number length")?;
        self.r.skip(len.into(), "number")
    }

    fn text(&mut self, node: usize, len: u64) -> Result<(), FormatError> {
        let kept = len.min(TEXT_BYTES_MAX as u64);
        let bytes = self.r.bytes(kept, TEXT_BYTES_MAX, "text")?;
        self.r.skip(len - kept, "text")?;
        self.set(node, Node::Text(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(())
    }

    fn items(&mut self, node: usize, len: u64) -> Result<(), FormatError> {
        let len = self.r.check_count(len, NODES_MAX as u64, 1, "item count")?;
        self.set(node, Node::Items(Vec::new()));
        self.open.push(Open { node, left: usize::try_from(len).ok() });
        Ok(())
    }
}

/// Names and texts of all code objects, `None` without any or if one of them
/// does not hold what its layout says.
fn collect(nodes: &[Node]) -> Option<Code> {
    let text = |n: &usize| match nodes.get(*n) {
        Some(Node::Text(text)) => Some(text),
        _ => None,
    };
    let mut out = Code::default();
    let mut codes = 0;
    let mut named = vec![false; nodes.len()];
    let mut seen_names = HashSet::new();
    for node in nodes {
        let Node::Code(fields, layout) = node else { continue };
        codes += 1;
        let expected = layout.fields();
        if fields.len() != expected.len() {
            return None;
        }
        for (kind, field) in expected.iter().zip(fields) {
            match kind {
                Field::Bytes | Field::Other => drop(text(field)?),
                Field::Any | Field::Tuple => match nodes.get(*field)? {
                    Node::Items(_) => {}
                    _ => return None,
                },
                Field::Names => {
                    let Node::Items(items) = nodes.get(*field)? else { return None };
                    for item in items {
                        let name = text(item)?;
                        if let Some(seen) = named.get_mut(*item) {
                            *seen = true;
                        }
                        if out.names.len() < TEXTS_MAX && seen_names.insert(name.as_str()) {
                            out.names.push(name.clone());
                        }
                    }
                }
                Field::Source if codes == 1 => out.filename.clone_from(text(field)?),
                Field::Name => {
                    let name = text(field)?;
                    if codes == 1 {
                        out.name.clone_from(name);
                    }
                    if out.functions.len() < TEXTS_MAX {
                        out.functions.push(name.clone());
                    }
                }
                Field::Source => drop(text(field)?),
                Field::Line => {}
            }
        }
    }
    if codes == 0 {
        return None;
    }
    let texts = nodes.iter().zip(named).filter_map(|(node, named)| match node {
        Node::Text(text) if !named && !text.is_empty() => Some(text.clone()),
        _ => None,
    });
    out.texts = texts.take(TEXTS_MAX).collect();
    Some(out)
}
