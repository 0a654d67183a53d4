//! Opcodes and their operands (CPython `Lib/pickletools.py`), decoded without
//! executing anything. Text and blobs are left where they are.

use crate::core::{FormatError, Reader};

/// Longest line looked at for a number or a name, bytes; the rest is skipped.
const LINE_KEPT_MAX: usize = 4096;
/// Longest operand of LONG1 and LONG4 kept, bytes.
const LONG_KEPT_MAX: u64 = 64;

/// Opcode bytes, named as in `pickletools`.
pub mod code {
    pub const MARK: u8 = b'(';
    pub const STOP: u8 = b'.';
    pub const POP: u8 = b'0';
    pub const POP_MARK: u8 = b'1';
    pub const DUP: u8 = b'2';
    pub const FLOAT: u8 = b'F';
    pub const INT: u8 = b'I';
    pub const BININT: u8 = b'J';
    pub const BININT1: u8 = b'K';
    pub const LONG: u8 = b'L';
    pub const BININT2: u8 = b'M';
    pub const NONE: u8 = b'N';
    pub const PERSID: u8 = b'P';
    pub const BINPERSID: u8 = b'Q';
    pub const REDUCE: u8 = b'R';
    pub const STRING: u8 = b'S';
    pub const BINSTRING: u8 = b'T';
    pub const SHORT_BINSTRING: u8 = b'U';
    pub const UNICODE: u8 = b'V';
    pub const BINUNICODE: u8 = b'X';
    pub const APPEND: u8 = b'a';
    pub const BUILD: u8 = b'b';
    pub const GLOBAL: u8 = b'c';
    pub const DICT: u8 = b'd';
    pub const EMPTY_DICT: u8 = b'}';
    pub const APPENDS: u8 = b'e';
    pub const GET: u8 = b'g';
    pub const BINGET: u8 = b'h';
    pub const INST: u8 = b'i';
    pub const LONG_BINGET: u8 = b'j';
    pub const LIST: u8 = b'l';
    pub const EMPTY_LIST: u8 = b']';
    pub const OBJ: u8 = b'o';
    pub const PUT: u8 = b'p';
    pub const BINPUT: u8 = b'q';
    pub const LONG_BINPUT: u8 = b'r';
    pub const SETITEM: u8 = b's';
    pub const TUPLE: u8 = b't';
    pub const EMPTY_TUPLE: u8 = b')';
    pub const SETITEMS: u8 = b'u';
    pub const BINFLOAT: u8 = b'G';
    pub const BINBYTES: u8 = b'B';
    pub const SHORT_BINBYTES: u8 = b'C';
    pub const PROTO: u8 = 0x80;
    pub const NEWOBJ: u8 = 0x81;
    pub const EXT1: u8 = 0x82;
    pub const EXT2: u8 = 0x83;
    pub const EXT4: u8 = 0x84;
    pub const TUPLE1: u8 = 0x85;
    pub const TUPLE2: u8 = 0x86;
    pub const TUPLE3: u8 = 0x87;
    pub const NEWTRUE: u8 = 0x88;
    pub const NEWFALSE: u8 = 0x89;
    pub const LONG1: u8 = 0x8a;
    pub const LONG4: u8 = 0x8b;
    pub const SHORT_BINUNICODE: u8 = 0x8c;
    pub const BINUNICODE8: u8 = 0x8d;
    pub const BINBYTES8: u8 = 0x8e;
    pub const EMPTY_SET: u8 = 0x8f;
    pub const ADDITEMS: u8 = 0x90;
    pub const FROZENSET: u8 = 0x91;
    pub const NEWOBJ_EX: u8 = 0x92;
    pub const STACK_GLOBAL: u8 = 0x93;
    pub const MEMOIZE: u8 = 0x94;
    pub const FRAME: u8 = 0x95;
    pub const BYTEARRAY8: u8 = 0x96;
    pub const NEXT_BUFFER: u8 = 0x97;
    pub const READONLY_BUFFER: u8 = 0x98;
}

/// The first bytes of text or bytes, to notice words and payloads without
/// reading them again.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Head {
    bytes: [u8; HEAD_BYTES],
    len: u8,
}

/// Bytes kept in a [`Head`].
pub const HEAD_BYTES: usize = 24;

impl Head {
    fn new(from: &[u8]) -> Self {
        let mut bytes = [0; HEAD_BYTES];
        let len = from.len().min(HEAD_BYTES);
        if let (Some(to), Some(from)) = (bytes.get_mut(..len), from.get(..len)) {
            to.copy_from_slice(from);
        }
        Self { bytes, len: u8::try_from(len).unwrap_or(0) }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }
}

/// The operand of one opcode.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// None, or one that was skipped.
    None,
    /// A number.
    Int(i64),
    /// A number of more than 64 bits, as text; empty if too long to keep.
    Big(String),
    /// A floating-point number.
    Float(f64),
    /// Text or bytes in the stream, without length prefix or newline.
    Span {
        /// Where it starts.
        start: u64,
        /// Its length in bytes.
        len: u64,
        /// The first bytes.
        head: Head,
    },
    /// A line.
    Line(Vec<u8>),
    /// Two lines: module and name.
    Lines(Vec<u8>, Vec<u8>),
}

/// One decoded opcode.
#[derive(Debug, Clone, PartialEq)]
pub struct Op {
    /// Its byte.
    pub code: u8,
    /// Where it stands.
    pub at: u64,
    /// Its operand.
    pub operand: Operand,
}

/// Decodes the opcode at the reader's position. An unknown byte gives an
/// [`Op`] without operand; the machine refuses it.
///
/// # Errors
/// [`FormatError::Truncated`] where the operand ends beyond the content,
/// [`FormatError::Malformed`] where every unpickler refuses it.
pub fn next(r: &mut Reader<'_>) -> Result<Op, FormatError> {
    let at = r.position();
    let code = r.u8("opcode")?;
    let operand = match code {
        code::PROTO | code::BININT1 | code::BINGET | code::BINPUT | code::EXT1 => {
            Operand::Int(r.u8("one-byte operand")?.into())
        }
        code::BININT2 | code::EXT2 => Operand::Int(r.u16_le("two-byte operand")?.into()),
        code::BININT | code::EXT4 => Operand::Int(r.i32_le("four-byte operand")?.into()),
        code::LONG_BINGET | code::LONG_BINPUT => Operand::Int(r.u32_le("four-byte operand")?.into()),
        code::FRAME => Operand::Int(i64::try_from(r.u64_le("frame length")?).unwrap_or(i64::MAX)),
        code::BINFLOAT => Operand::Float(r.f64_be("float")?),
        code::INT => int(&line(r, "INT line")?.0, at)?,
        code::LONG => long(&line(r, "LONG line")?.0),
        code::FLOAT => float(&line(r, "FLOAT line")?.0, at)?,
        code::GET | code::PUT => memo_index(&line(r, "memo index")?.0, at)?,
        code::PERSID => Operand::Line(line(r, "persistent id")?.0),
        code::STRING | code::UNICODE => {
            let start = r.position();
            let (kept, len) = line(r, "text line")?;
            Operand::Span { start, len, head: Head::new(&kept) }
        }
        code::GLOBAL | code::INST => {
            let module = line(r, "module name")?.0;
            Operand::Lines(module, line(r, "global name")?.0)
        }
        code::LONG1 => {
            let n = r.u8("LONG1 length")?.into();
            long_bytes(r, n)?
        }
        code::LONG4 => {
            let n = r.i32_le("LONG4 length")?;
            let n = u64::try_from(n).map_err(|_| FormatError::malformed("LONG4 length", at, "negative"))?;
            long_bytes(r, n)?
        }
        _ => match length(r, code, at)? {
            Some(len) => {
                let start = r.position();
                let want = usize::try_from(len).unwrap_or(usize::MAX).min(HEAD_BYTES);
                let head = Head::new(r.peek(want)?);
                r.skip(len, "text or bytes")?;
                Operand::Span { start, len, head }
            }
            None => Operand::None,
        },
    };
    Ok(Op { code, at, operand })
}

/// The length prefix of text and byte opcodes.
fn length(r: &mut Reader<'_>, code: u8, at: u64) -> Result<Option<u64>, FormatError> {
    Ok(Some(match code {
        code::SHORT_BINSTRING | code::SHORT_BINBYTES | code::SHORT_BINUNICODE => r.u8("length")?.into(),
        code::BINUNICODE | code::BINBYTES => r.u32_le("length")?.into(),
        code::BINSTRING => u64::try_from(r.i32_le("length")?)
            .map_err(|_| FormatError::malformed("BINSTRING length", at, "negative"))?,
        code::BINUNICODE8 | code::BINBYTES8 | code::BYTEARRAY8 => r.u64_le("length")?,
        _ => return Ok(None),
    }))
}

/// A line: what is kept of it, and its whole length without the newline.
fn line(r: &mut Reader<'_>, field: &'static str) -> Result<(Vec<u8>, u64), FormatError> {
    let start = r.position();
    let mut kept = Vec::new();
    let mut len = 0u64;
    loop {
        let window = r.peek(64 * 1024)?;
        if window.is_empty() {
            return Err(FormatError::truncated(field, start));
        }
        let newline = memchr::memchr(b'\n', window);
        let part = newline.and_then(|n| window.get(..n)).unwrap_or(window);
        let room = LINE_KEPT_MAX - kept.len();
        kept.extend(part.iter().take(room));
        len += part.len() as u64;
        let step = part.len() as u64 + u64::from(newline.is_some());
        r.skip(step, field)?;
        if newline.is_some() {
            return Ok((kept, len));
        }
    }
}

/// INT: `00` and `01` are booleans in protocol 0 and 1, everything else is a
/// number with the prefixes Python and C know.
fn int(text: &[u8], at: u64) -> Result<Operand, FormatError> {
    match long(text) {
        Operand::Big(digits) if digits.is_empty() && text.len() < LINE_KEPT_MAX => {
            Err(FormatError::malformed("INT", at, "not a number"))
        }
        operand => Ok(operand),
    }
}

/// LONG: the suffix `L` may be missing. What is no number is an empty
/// [`Operand::Big`].
fn long(text: &[u8]) -> Operand {
    let text = text.trim_ascii();
    let text = text.strip_suffix(b"L").unwrap_or(text);
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix(b"+").unwrap_or(text)),
    };
    let (radix, digits) = match digits.get(..2).map(<[u8]>::to_ascii_lowercase).as_deref() {
        Some(b"0x") => (16, digits.get(2..).unwrap_or_default()),
        Some(b"0o") => (8, digits.get(2..).unwrap_or_default()),
        Some(b"0b") => (2, digits.get(2..).unwrap_or_default()),
        _ => (10, digits),
    };
    let Ok(digits) = std::str::from_utf8(digits) else { return Operand::Big(String::new()) };
    let digits: String = digits.chars().filter(|c| *c != '_').collect();
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return Operand::Big(String::new());
    }
    match i64::from_str_radix(&digits, radix) {
        Ok(n) if negative => Operand::Int(-n),
        Ok(n) => Operand::Int(n),
        Err(_) if !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix)) => {
            Operand::Big(if digits.len() > 100 { String::new() } else { digits })
        }
        Err(_) => Operand::Big(String::new()),
    }
}

fn float(text: &[u8], at: u64) -> Result<Operand, FormatError> {
    let text = std::str::from_utf8(text.trim_ascii()).unwrap_or_default();
    match text.parse::<f64>() {
        Ok(value) => Ok(Operand::Float(value)),
        // Python allows underscores and longer digits than are kept here.
        Err(_) if text.len() > 32 || text.contains('_') => Ok(Operand::Float(f64::NAN)),
        Err(_) => Err(FormatError::malformed("FLOAT", at, "not a number")),
    }
}

fn memo_index(text: &[u8], at: u64) -> Result<Operand, FormatError> {
    match long(text) {
        Operand::Int(n) if n >= 0 => Ok(Operand::Int(n)),
        _ => Err(FormatError::malformed("memo index", at, "not a number from 0 on")),
    }
}

/// LONG1 and LONG4: little-endian two's complement.
fn long_bytes(r: &mut Reader<'_>, n: u64) -> Result<Operand, FormatError> {
    if n > LONG_KEPT_MAX {
        r.skip(n, "long integer")?;
        return Ok(Operand::Big(String::new()));
    }
    let bytes = r.bytes(n, 64, "long integer")?;
    if bytes.len() > 8 {
        let hex: String = bytes.iter().rev().map(|b| format!("{b:02x}")).collect();
        return Ok(Operand::Big(format!("0x{hex}")));
    }
    let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
    let mut wide = [fill; 8];
    wide.iter_mut().zip(&bytes).for_each(|(to, from)| *to = *from);
    Ok(Operand::Int(i64::from_le_bytes(wide)))
}
