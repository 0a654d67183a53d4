//! What computed text and bytes would be: pure functions applied to constants,
//! evaluated only when something depends on the result.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use crate::core::Input;
use crate::formats::pickle::heap::{Call, Object, Value};
use crate::formats::pickle::literal;
use crate::formats::pickle::machine::Machine;

/// Longest text followed, bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Longest text read back into bytes.
const CONSTANT_BYTES_MAX: usize = 64 << 20;
/// Values looked at for one result.
const STEPS_MAX: u32 = 2048;
/// Calls in calls.
const DEPTH_MAX: u32 = 16;

impl Machine<'_> {
    /// The text (as UTF-8) or bytes that a value evaluates to, if that can be
    /// known.
    #[must_use]
    pub fn fold(&self, value: Value) -> Option<Vec<u8>> {
        self.folded(value, &mut STEPS_MAX.clone(), 0)
    }

    /// The first bytes of what a value evaluates to.
    #[must_use]
    pub fn fold_prefix(&self, value: Value, max: usize) -> Option<Vec<u8>> {
        match self.heap.resolved(value) {
            Value::Str(text) | Value::Bytes(text) => Some(text.bytes(self.input, max)?.0),
            other => {
                let mut bytes = match self.latin1_argument(other) {
                    Some(text) => latin1(&text.bytes(self.input, 4 * max)?.0),
                    None => self.fold(other)?,
                };
                bytes.truncate(max);
                Some(bytes)
            }
        }
    }

    /// The content of a bytes constant, also one stored as Latin-1 text, and
    /// the offset of its opcode.
    #[must_use]
    pub fn constant(&self, value: Value) -> Option<(u64, Input)> {
        match self.heap.resolved(value) {
            Value::Bytes(bytes) => {
                let (_, start, len) = bytes.span(self.input, 0)?;
                Some((bytes.at(), self.input.slice(start, len)?))
            }
            other => {
                let text = self.latin1_argument(other)?;
                let (text_bytes, whole) = text.bytes(self.input, CONSTANT_BYTES_MAX)?;
                whole.then(|| (text.at(), Input::bytes(latin1(&text_bytes))))
            }
        }
    }

    /// The literal inside `_codecs.encode(text, "latin1")`.
    fn latin1_argument(&self, value: Value) -> Option<literal::Literal> {
        let call = self.heap.call(value)?;
        let name = self.names.get(self.heap.global(call.callee)?)?;
        if !name.is("_codecs", "encode") {
            return None;
        }
        match self.heap.items(call.args)?.kept.first() {
            Some(Value::Str(text)) => Some(*text),
            _ => None,
        }
    }

    fn folded(&self, value: Value, steps: &mut u32, depth: u32) -> Option<Vec<u8>> {
        *steps = steps.checked_sub(1)?;
        if depth > DEPTH_MAX {
            return None;
        }
        match self.heap.resolved(value) {
            Value::Str(text) | Value::Bytes(text) => {
                let (bytes, whole) = text.bytes(self.input, TEXT_BYTES_MAX)?;
                whole.then_some(bytes)
            }
            value => match self.heap.object(value)? {
                Object::Call(call) => self.folded_call(call, steps, depth + 1).filter(|t| t.len() <= TEXT_BYTES_MAX),
                _ => None,
            },
        }
    }

    fn folded_call(&self, call: &Call, steps: &mut u32, depth: u32) -> Option<Vec<u8>> {
        let args = &self.heap.items(call.args)?.kept;
        let arg = |n: usize, steps: &mut u32| self.folded(args.get(n).copied()?, steps, depth);
        let Some(name) = self.heap.global(call.callee).and_then(|id| self.names.get(id)) else {
            return self.folded_method(call, steps, depth);
        };
        match name.canonical() {
            ("operator" | "_operator", "add" | "concat" | "iadd" | "iconcat") => {
                let mut left = arg(0, steps)?;
                left.extend(arg(1, steps)?);
                Some(left)
            }
            ("_codecs" | "codecs", "encode") => {
                let text = arg(0, steps)?;
                let codec = arg(1, steps).unwrap_or_else(|| b"utf-8".to_vec());
                encoded(&text, &codec)
            }
            ("_codecs" | "codecs", "decode") | ("builtins", "bytes.decode") => {
                let bytes = arg(0, steps)?;
                let codec = arg(1, steps).unwrap_or_else(|| b"utf-8".to_vec());
                decoded(&bytes, &codec)
            }
            ("builtins", "str.encode") => arg(0, steps),
            ("builtins", "str") => match args.len() {
                1 => arg(0, steps),
                _ => decoded(&arg(0, steps)?, &arg(1, steps)?),
            },
            ("builtins", "chr") => match args.first()? {
                Value::Int(n) => Some(char::from_u32(u32::try_from(*n).ok()?)?.to_string().into_bytes()),
                _ => None,
            },
            ("builtins", "bytes" | "bytearray") => match self.heap.items(args.first().copied()?) {
                Some(numbers) if numbers.whole() => numbers
                    .kept
                    .iter()
                    .map(|v| match v {
                        Value::Int(n) => u8::try_from(*n).ok(),
                        _ => None,
                    })
                    .collect(),
                _ => arg(0, steps),
            },
            ("builtins", "str.join") => self.joined(&arg(0, steps)?, args.get(1).copied()?, steps, depth),
            ("base64", "b64decode" | "standard_b64decode") | ("binascii", "a2b_base64") => {
                STANDARD.decode(arg(0, steps)?.trim_ascii()).ok()
            }
            ("base64", "urlsafe_b64decode") => URL_SAFE.decode(arg(0, steps)?.trim_ascii()).ok(),
            ("binascii", "unhexlify" | "a2b_hex") | ("base64", "b16decode") => unhexed(&arg(0, steps)?),
            ("zlib", "decompress") => {
                let packed = arg(0, steps)?;
                let mut out = Vec::new();
                let unpacked = flate2::read::ZlibDecoder::new(packed.as_slice());
                unpacked.take(TEXT_BYTES_MAX as u64 + 1).read_to_end(&mut out).ok()?;
                Some(out)
            }
            _ => None,
        }
    }

    /// `"sep".join(list)`, `"text".encode()`: a method looked up by `getattr`
    /// or `attrgetter`, then called.
    fn folded_method(&self, call: &Call, steps: &mut u32, depth: u32) -> Option<Vec<u8>> {
        let lookup = self.heap.call(call.callee)?;
        let (receiver, method) = if let Some(getter) = self.heap.call(lookup.callee) {
            let method = self.heap.items(getter.args)?.kept.first().copied()?;
            (self.heap.items(lookup.args)?.kept.first().copied()?, method)
        } else {
            let args = &self.heap.items(lookup.args)?.kept;
            (args.first().copied()?, args.get(1).copied()?)
        };
        let receiver = self.folded(receiver, steps, depth)?;
        let args = &self.heap.items(call.args)?.kept;
        match self.folded(method, steps, depth)?.as_slice() {
            b"join" => self.joined(&receiver, args.first().copied()?, steps, depth),
            b"encode" | b"decode" | b"__str__" | b"strip" => Some(receiver),
            b"lower" => Some(receiver.to_ascii_lowercase()),
            b"upper" => Some(receiver.to_ascii_uppercase()),
            b"__add__" => {
                let mut out = receiver;
                out.extend(self.folded(args.first().copied()?, steps, depth)?);
                Some(out)
            }
            b"replace" => {
                let (from, to) = (args.first().copied()?, args.get(1).copied()?);
                let (from, to) = (self.folded(from, steps, depth)?, self.folded(to, steps, depth)?);
                let text = String::from_utf8(receiver).ok()?;
                let (from, to) = (String::from_utf8(from).ok()?, String::from_utf8(to).ok()?);
                (text.len() * (to.len() + 1) <= TEXT_BYTES_MAX).then(|| text.replace(&from, &to).into_bytes())
            }
            _ => None,
        }
    }

    fn joined(&self, separator: &[u8], items: Value, steps: &mut u32, depth: u32) -> Option<Vec<u8>> {
        let items = self.heap.items(items).filter(|i| i.whole())?;
        let mut out = Vec::new();
        for (n, item) in items.kept.iter().enumerate() {
            if n > 0 {
                out.extend_from_slice(separator);
            }
            out.extend(self.folded(*item, steps, depth)?);
            if out.len() > TEXT_BYTES_MAX {
                return None;
            }
        }
        Some(out)
    }
}

fn encoded(text: &[u8], codec: &[u8]) -> Option<Vec<u8>> {
    match normal(codec).as_str() {
        "latin1" | "iso88591" => Some(latin1(text)),
        "utf8" | "ascii" | "usascii" => Some(text.to_vec()),
        "rot13" => Some(rot13(text)),
        "hex" => Some(text.iter().flat_map(|b| format!("{b:02x}").into_bytes()).collect()),
        _ => None,
    }
}

fn decoded(bytes: &[u8], codec: &[u8]) -> Option<Vec<u8>> {
    match normal(codec).as_str() {
        "utf8" | "ascii" | "usascii" => Some(bytes.to_vec()),
        "latin1" | "iso88591" => Some(bytes.iter().map(|b| char::from(*b)).collect::<String>().into_bytes()),
        "hex" => unhexed(bytes),
        "base64" => STANDARD.decode(bytes.trim_ascii()).ok(),
        "rot13" => Some(rot13(bytes)),
        _ => None,
    }
}

fn normal(codec: &[u8]) -> String {
    codec.iter().filter(|b| b.is_ascii_alphanumeric()).map(|b| char::from(b.to_ascii_lowercase())).collect()
}

/// UTF-8 text of characters below 256 as single bytes.
#[must_use]
pub fn latin1(text: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(text).chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

fn rot13(text: &[u8]) -> Vec<u8> {
    let turn = |b: u8, base: u8| (b - base + 13) % 26 + base;
    text.iter()
        .map(|b| match b {
            b'a'..=b'z' => turn(*b, b'a'),
            b'A'..=b'Z' => turn(*b, b'A'),
            other => *other,
        })
        .collect()
}

/// Hexadecimal digits as bytes.
#[must_use]
pub fn unhexed(digits: &[u8]) -> Option<Vec<u8>> {
    let digits = std::str::from_utf8(digits.trim_ascii()).ok()?;
    if digits.len() % 2 != 0 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}
