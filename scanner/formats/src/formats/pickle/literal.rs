//! Text and bytes that stand in the stream, kept by position and read again
//! when something depends on them. A pickle of gigabytes of strings costs no
//! more memory than its structure.

use crate::core::Input;
use crate::formats::pickle::ops::code;

/// Set on literals that name a special method (see [`is_hook`]).
const HOOK: u64 = 1 << 63;

/// Text or bytes in the stream, by the offset of its opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Literal(u64);

impl Literal {
    /// The literal whose opcode stands at `at`.
    #[must_use]
    pub fn new(at: u64, hook: bool) -> Self {
        Self(at & !HOOK | if hook { HOOK } else { 0 })
    }

    /// Where its opcode stands.
    #[must_use]
    pub fn at(self) -> u64 {
        self.0 & !HOOK
    }

    /// Whether its text is the name of a special method.
    #[must_use]
    pub fn is_hook(self) -> bool {
        self.0 & HOOK != 0
    }

    /// Where its raw bytes lie: opcode, start and length. A line is followed
    /// for at most `line_max` bytes.
    #[must_use]
    pub fn span(self, input: &Input, line_max: usize) -> Option<(u8, u64, u64)> {
        let at = self.at();
        let head = input.read_vec(at, 9).ok()?;
        let (&code, operand) = head.split_first()?;
        let (prefix, len) = match code {
            code::SHORT_BINSTRING | code::SHORT_BINBYTES | code::SHORT_BINUNICODE => (1, (*operand.first()?).into()),
            code::BINUNICODE | code::BINBYTES | code::BINSTRING => {
                (4, u32::from_le_bytes(*operand.first_chunk()?).into())
            }
            code::BINUNICODE8 | code::BINBYTES8 | code::BYTEARRAY8 => (8, u64::from_le_bytes(*operand.first_chunk()?)),
            code::STRING | code::UNICODE => {
                let line = input.read_vec(at + 1, line_max.saturating_add(1)).ok()?;
                (0, memchr::memchr(b'\n', &line).unwrap_or(line.len()) as u64)
            }
            _ => return None,
        };
        Some((code, at + 1 + prefix, len))
    }

    /// Its bytes, decoded as the opcode says; at most `max` raw bytes are
    /// read. The flag tells whether that was all.
    #[must_use]
    pub fn bytes(self, input: &Input, max: usize) -> Option<(Vec<u8>, bool)> {
        let (code, start, len) = self.span(input, max)?;
        let want = usize::try_from(len).unwrap_or(usize::MAX).min(max);
        let raw = input.read_vec(start, want).ok()?;
        let whole = raw.len() as u64 == len;
        Some((decoded(code, raw), whole))
    }

    /// Its text; bytes that are not UTF-8 read as Latin-1.
    #[must_use]
    pub fn text(self, input: &Input, max: usize) -> Option<(String, bool)> {
        let (bytes, whole) = self.bytes(input, max)?;
        Some((text_of(bytes), whole))
    }
}

/// UTF-8, else Latin-1.
#[must_use]
pub fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| e.as_bytes().iter().map(|b| char::from(*b)).collect())
}

/// `raw` as the opcode `code` reads it, as UTF-8 or plain bytes.
#[must_use]
pub fn decoded(code: u8, raw: Vec<u8>) -> Vec<u8> {
    match code {
        code::STRING => string_escape(quoted(&raw)),
        code::UNICODE => raw_unicode_escape(&raw),
        _ => raw,
    }
}

/// Special methods: giving an object one of these through its state, or
/// writing them into a class, changes what Python does with it.
#[must_use]
pub fn is_hook(text: &[u8]) -> bool {
    const HOOKS: &[&[u8]] = &[
        b"__setstate__",
        b"__reduce__",
        b"__reduce_ex__",
        b"__getstate__",
        b"__getattr__",
        b"__getattribute__",
        b"__setattr__",
        b"__delattr__",
        b"__class__",
        b"__call__",
        b"__del__",
        b"__init__",
        b"__new__",
        b"__getitem__",
        b"__setitem__",
        b"__missing__",
        b"__contains__",
        b"__hash__",
        b"__eq__",
        b"__repr__",
        b"__str__",
        b"__bool__",
        b"__len__",
        b"__iter__",
        b"__next__",
        b"__enter__",
        b"__exit__",
        b"__code__",
        b"__globals__",
        b"__builtins__",
        b"__import__",
        b"__defaults__",
        b"__kwdefaults__",
        b"__closure__",
        b"__wrapped__",
        b"__subclasshook__",
        b"__instancecheck__",
        b"__bases__",
        b"__init_subclass__",
        b"__set_name__",
        b"__get__",
        b"__set__",
        b"__loader__",
        b"__spec__",
        b"__path__",
    ];
    text.starts_with(b"__") && HOOKS.contains(&text)
}

/// Without the outermost pair of quotes (`STRING` requires them; without, the
/// text is taken as it is).
fn quoted(raw: &[u8]) -> &[u8] {
    let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
    match (raw.first(), raw.last()) {
        (Some(a), Some(b)) if raw.len() >= 2 && a == b && matches!(a, b'\'' | b'"') => {
            raw.get(1..raw.len() - 1).unwrap_or_default()
        }
        _ => raw,
    }
}

/// Whether a STRING line stands in quotes, as it must.
#[must_use]
pub fn is_quoted(raw: &[u8]) -> bool {
    let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
    quoted(raw).len() != raw.len()
}

/// Whether every `\x` is followed by two digits.
#[must_use]
pub fn has_valid_escapes(raw: &[u8]) -> bool {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let escape = rest.get(at + 1..).unwrap_or_default();
        if escape.first() == Some(&b'x') && hex(escape.get(1..3)).is_none() {
            return false;
        }
        rest = escape.get(1..).unwrap_or_default();
    }
    true
}

/// `codecs.escape_decode`: the escapes of a Python bytes literal.
fn string_escape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some((&kind, after)) = rest.split_first() else {
            out.push(b'\\');
            break;
        };
        rest = after;
        match kind {
            b'\n' => {}
            b'\\' | b'\'' | b'"' => out.push(kind),
            b'a' => out.push(7),
            b'b' => out.push(8),
            b't' => out.push(9),
            b'n' => out.push(10),
            b'v' => out.push(11),
            b'f' => out.push(12),
            b'r' => out.push(13),
            b'0'..=b'7' => {
                let more = rest.iter().take(2).take_while(|b| matches!(b, b'0'..=b'7')).count();
                let value = rest.iter().take(more).fold(u32::from(kind - b'0'), |v, b| v * 8 + u32::from(b - b'0'));
                out.push(u8::try_from(value & 0xff).unwrap_or(0));
                rest = rest.get(more..).unwrap_or_default();
            }
            b'x' if hex(rest.get(..2)).is_some() => {
                out.push(hex(rest.get(..2)).and_then(|v| u8::try_from(v).ok()).unwrap_or(0));
                rest = rest.get(2..).unwrap_or_default();
            }
            other => out.extend([b'\\', other]),
        }
    }
    out
}

/// `raw-unicode-escape`: Latin-1 with `\uXXXX` and `\UXXXXXXXX`.
fn raw_unicode_escape(raw: &[u8]) -> Vec<u8> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let digits = match (byte, rest.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => 0,
        };
        match hex(rest.get(1..=digits)).filter(|_| digits > 0) {
            Some(value) => {
                out.push(char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER));
                rest = rest.get(1 + digits..).unwrap_or_default();
            }
            None => out.push(char::from(byte)),
        }
    }
    out.into_bytes()
}

fn hex(digits: Option<&[u8]>) -> Option<u32> {
    let digits = std::str::from_utf8(digits?).ok()?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}
