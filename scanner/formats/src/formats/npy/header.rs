//! The header: a Python literal, read by a parser that knows no more than
//! literals (`numpy/lib/format.py`).

use crate::core::{FormatError, Reader};

/// NumPy refuses longer headers unless told otherwise.
const HEADER_BYTES_MAX: usize = 1 << 20;
/// Tuples and lists in each other.
const DEPTH_MAX: u32 = 32;
/// Values in one header.
const VALUES_MAX: u32 = 100_000;

/// A Python literal.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `None`, `True`, `False`
    Word(bool),
    /// A number; none if it does not fit.
    Int(Option<i64>),
    /// Text.
    Text(String),
    /// `(…)` or `[…]`
    Sequence(Vec<Literal>),
    /// `{…}`
    Dict(Vec<(Literal, Literal)>),
}

/// What the header declares.
#[derive(Debug, PartialEq)]
pub struct Header {
    /// Version of the file format.
    pub version: (u8, u8),
    /// Element type as text, for reports.
    pub dtype: String,
    /// Bytes of one element; none if the type is not known.
    pub element_bytes: Option<u64>,
    /// Whether elements are, or hold, Python objects.
    pub objects: bool,
    /// Length of each dimension.
    pub shape: Vec<u64>,
}

impl Header {
    /// Number of elements.
    #[must_use]
    pub fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |n, side| n.checked_mul(*side))
    }
}

/// Why a header was refused.
#[derive(Debug)]
pub enum Refused {
    /// It is damaged.
    Format(FormatError),
    /// It holds an expression: the offending text.
    Expression(String),
}

impl From<FormatError> for Refused {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

/// Reads magic, version and header.
///
/// # Errors
/// [`Refused`] names the field.
pub fn read(r: &mut Reader<'_>) -> Result<Header, Refused> {
    r.magic(b"\x93NUMPY")?;
    let [major, minor] = r.array("version")?;
    let at = r.position();
    let len = match major {
        1 => u64::from(r.u16_le("header length")?),
        2 | 3 => u64::from(r.u32_le("header length")?),
        _ => return Err(FormatError::malformed("version", at - 2, format!("{major}.{minor} is not known")).into()),
    };
    let at = r.position();
    let raw = r.bytes(len, HEADER_BYTES_MAX, "header")?;
    let text = if major == 3 {
        String::from_utf8_lossy(&raw).into_owned()
    } else {
        raw.iter().map(|b| char::from(*b)).collect()
    };
    let bad = |why: &'static str| Refused::Format(FormatError::malformed("header", at, why));
    let literal = Parser::new(&text).document().map_err(|why| match why {
        Bad::Malformed(why) => bad(why),
        Bad::Expression(text) => Refused::Expression(text),
    })?;
    let Literal::Dict(entries) = literal else { return Err(bad("no dictionary")) };
    let field = |name: &str| {
        let mut found = entries.iter().filter(|(k, _)| matches!(k, Literal::Text(t) if t == name));
        found.next_back().map(|(_, v)| v)
    };
    let (Some(descr), Some(Literal::Word(_)), Some(Literal::Sequence(shape))) =
        (field("descr"), field("fortran_order"), field("shape"))
    else {
        return Err(bad("`descr`, `fortran_order` or `shape` is missing or of the wrong kind"));
    };
    let side = |l: &Literal| match l {
        Literal::Int(Some(n)) => u64::try_from(*n).ok(),
        _ => None,
    };
    let shape =
        shape.iter().map(side).collect::<Option<Vec<_>>>().ok_or_else(|| bad("`shape` is no tuple of sizes"))?;
    let element = element(descr, 0).ok_or_else(|| bad("`descr` is no element type"))?;
    Ok(Header {
        version: (major, minor),
        dtype: shown(descr),
        element_bytes: element.bytes,
        objects: element.objects,
        shape,
    })
}

struct Element {
    bytes: Option<u64>,
    objects: bool,
}

/// Size of one element: `'<f8'`, or a list of `(name, type)` and
/// `(name, type, shape)`.
fn element(descr: &Literal, depth: u32) -> Option<Element> {
    if depth > DEPTH_MAX {
        return None;
    }
    match descr {
        Literal::Text(code) => simple(code),
        // A type with a shape of its own.
        Literal::Sequence(parts) if matches!(parts.as_slice(), [Literal::Text(_), Literal::Sequence(_)]) => {
            let [base, Literal::Sequence(shape)] = parts.as_slice() else { return None };
            times(element(base, depth + 1)?, shape)
        }
        Literal::Sequence(fields) => {
            let mut all = Element { bytes: Some(0), objects: false };
            for field in fields {
                let Literal::Sequence(parts) = field else { return None };
                let (kind, shape): (_, &[Literal]) = match parts.as_slice() {
                    [_, kind] => (kind, &[]),
                    [_, kind, Literal::Sequence(shape)] => (kind, shape),
                    [_, kind, side @ Literal::Int(_)] => (kind, std::slice::from_ref(side)),
                    _ => return None,
                };
                let one = times(element(kind, depth + 1)?, shape)?;
                all.objects |= one.objects;
                all.bytes = all.bytes.zip(one.bytes).and_then(|(a, b)| a.checked_add(b));
            }
            Some(all)
        }
        _ => None,
    }
}

fn times(one: Element, shape: &[Literal]) -> Option<Element> {
    let mut bytes = one.bytes;
    for side in shape {
        let Literal::Int(Some(side)) = side else { return None };
        let side = u64::try_from(*side).ok()?;
        bytes = bytes.and_then(|n| n.checked_mul(side));
    }
    Some(Element { bytes, objects: one.objects })
}

fn simple(code: &str) -> Option<Element> {
    let bare = code.trim_start_matches(['<', '>', '|', '=']);
    let kind = bare.chars().next()?;
    let rest = bare.get(kind.len_utf8()..)?;
    let digits = rest.split('[').next()?;
    if kind == 'O' {
        return Some(Element { bytes: Some(8), objects: true });
    }
    let n: u64 = if digits.is_empty() { 1 } else { digits.parse().ok()? };
    let fits = match kind {
        '?' => n == 1,
        'b' => n == 1,
        'i' | 'u' => matches!(n, 1 | 2 | 4 | 8),
        'f' => matches!(n, 2 | 4 | 8 | 12 | 16),
        'c' => matches!(n, 8 | 16 | 24 | 32),
        'm' | 'M' => n == 8,
        'S' | 'a' | 'V' | 'U' => true,
        _ => return None,
    };
    let bytes = if kind == 'U' { n.checked_mul(4)? } else { n };
    fits.then_some(Element { bytes: Some(bytes), objects: false })
}

fn shown(descr: &Literal) -> String {
    match descr {
        Literal::Text(code) => code.clone(),
        Literal::Sequence(fields) => {
            let names: Vec<_> = fields
                .iter()
                .take(16)
                .filter_map(|f| match f {
                    Literal::Sequence(parts) => match parts.as_slice() {
                        [Literal::Text(name), kind, ..] => Some(format!("{name}: {}", shown(kind))),
                        _ => None,
                    },
                    _ => None,
                })
                .collect();
            format!("{{{}}}", names.join(", "))
        }
        _ => "?".into(),
    }
}

enum Bad {
    Malformed(&'static str),
    Expression(String),
}

struct Parser<'a> {
    rest: &'a str,
    values: u32,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text, values: 0 }
    }

    fn document(&mut self) -> Result<Literal, Bad> {
        let value = self.value(0)?;
        self.skip_space();
        if self.rest.is_empty() { Ok(value) } else { Err(self.unexpected()) }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\n', '\r', '\t', '\0']);
    }

    fn eat(&mut self, c: char) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Letters where a literal should be are an expression.
    fn unexpected(&self) -> Bad {
        if self.rest.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '(' | '.' | '@' | '*')) {
            Bad::Expression(self.rest.chars().take(120).collect())
        } else {
            Bad::Malformed("no Python literal")
        }
    }

    fn value(&mut self, depth: u32) -> Result<Literal, Bad> {
        self.values += 1;
        if depth > DEPTH_MAX || self.values > VALUES_MAX {
            return Err(Bad::Malformed("nested too deeply or too long"));
        }
        self.skip_space();
        for (word, value) in [("True", true), ("False", false), ("None", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(Literal::Word(value));
            }
        }
        match self.rest.chars().next() {
            Some('{') => self.dict(depth),
            Some('(') => self.sequence('(', ')', depth),
            Some('[') => self.sequence('[', ']', depth),
            Some('\'' | '"') => self.text().map(Literal::Text),
            Some('u' | 'b') if self.rest.get(1..).is_some_and(|r| r.starts_with(['\'', '"'])) => {
                self.rest = self.rest.get(1..).unwrap_or_default();
                self.text().map(Literal::Text)
            }
            Some('-' | '+' | '0'..='9') => Ok(self.number()),
            _ => Err(self.unexpected()),
        }
    }

    fn dict(&mut self, depth: u32) -> Result<Literal, Bad> {
        self.eat('{');
        let mut entries = Vec::new();
        while !self.eat('}') {
            let key = self.value(depth + 1)?;
            if !self.eat(':') {
                return Err(self.unexpected());
            }
            entries.push((key, self.value(depth + 1)?));
            if !self.eat(',') {
                if self.eat('}') {
                    break;
                }
                return Err(self.unexpected());
            }
        }
        Ok(Literal::Dict(entries))
    }

    fn sequence(&mut self, open: char, close: char, depth: u32) -> Result<Literal, Bad> {
        self.eat(open);
        let mut items = Vec::new();
        let mut comma = false;
        while !self.eat(close) {
            items.push(self.value(depth + 1)?);
            if self.eat(',') {
                comma = true;
            } else if self.eat(close) {
                break;
            } else {
                return Err(self.unexpected());
            }
        }
        // `(x)` is x.
        if open == '(' && !comma && items.len() == 1 {
            return items.pop().ok_or(Bad::Malformed("empty"));
        }
        Ok(Literal::Sequence(items))
    }

    fn text(&mut self) -> Result<String, Bad> {
        let mut chars = self.rest.chars();
        let quote = chars.next().unwrap_or('\'');
        let mut out = String::new();
        loop {
            match chars.next() {
                None => return Err(Bad::Malformed("text without end")),
                Some('\\') => out.extend(chars.next()),
                Some(c) if c == quote => break,
                Some(c) => out.push(c),
            }
        }
        self.rest = chars.as_str();
        Ok(out)
    }

    fn number(&mut self) -> Literal {
        let end = self
            .rest
            .char_indices()
            .find(|(at, c)| !(c.is_ascii_digit() || *at == 0 && matches!(c, '-' | '+')))
            .map_or(self.rest.len(), |(at, _)| at);
        let value = self.rest.get(..end).unwrap_or_default().parse().ok();
        self.rest = self.rest.get(end..).unwrap_or_default();
        // Python 2 wrote `3L`.
        self.rest = self.rest.strip_prefix('L').unwrap_or(self.rest);
        Literal::Int(value)
    }
}
