//! What is known of an expression without running it: the dotted name it
//! resolves to, its constant value, and where its data came from.

use std::rc::Rc;

use super::lexer::{Literal, Token};

/// Longest dotted name followed.
const PATH_BYTES_MAX: usize = 200;
/// Largest constant computed, bytes or items.
pub(super) const CONSTANT_MAX: usize = 1 << 20;

/// Origins of data, as flags.
pub(super) mod taint {
    /// Came out of a decoder: base64, hex, zlib, marshal, `chr`…
    pub const DECODED: u8 = 1;
    /// Came over the network.
    pub const REMOTE: u8 = 2;
    /// Was read from a file.
    pub const FILE: u8 = 4;
    /// Holds environment variables.
    pub const ENVIRONMENT: u8 = 8;
    /// Was reached through `__globals__`, `__subclasses__` and their like.
    pub const INTROSPECTED: u8 = 16;
    /// Names, or was read from, a place where secrets lie.
    pub const SECRET: u8 = 64;
    /// Has a part that is not known (an f-string with fields, a concatenation).
    pub const PARTIAL: u8 = 32;
}

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Constant {
    Text(String),
    Bytes(Vec<u8>),
    Int(i64),
    /// List, tuple or set display.
    Items(Vec<Value>),
}

/// What is known of an expression.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Value {
    /// Dotted name: `os.system`, `builtins.eval`, `requests.get().text`; a
    /// method of a constant starts with a dot: `.join`.
    pub path: Option<Rc<str>>,
    /// The constant it is.
    pub constant: Option<Rc<Constant>>,
    /// Flags of [`taint`].
    pub taint: u8,
    /// Function or class of the same source.
    pub local: Option<usize>,
}

impl Value {
    pub fn path(path: impl AsRef<str>) -> Self {
        let path = path.as_ref();
        Self { path: (path.len() <= PATH_BYTES_MAX).then(|| path.into()), ..Self::default() }
    }

    pub fn constant(constant: Constant) -> Self {
        Self { constant: Some(Rc::new(constant)), ..Self::default() }
    }

    pub fn tainted(taint: u8) -> Self {
        Self { taint, ..Self::default() }
    }

    pub fn with_taint(mut self, taint: u8) -> Self {
        self.taint |= taint;
        self
    }

    pub fn path_text(&self) -> &str {
        self.path.as_deref().unwrap_or_default()
    }

    pub fn text(&self) -> Option<&str> {
        match self.constant.as_deref() {
            Some(Constant::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Constant text or bytes, as bytes.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self.constant.as_deref() {
            Some(Constant::Text(text)) => Some(text.as_bytes()),
            Some(Constant::Bytes(bytes)) => Some(bytes),
            _ => None,
        }
    }

    pub fn int(&self) -> Option<i64> {
        match self.constant.as_deref() {
            Some(Constant::Int(value)) => Some(*value),
            _ => None,
        }
    }

    pub fn items(&self) -> Option<&[Self]> {
        match self.constant.as_deref() {
            Some(Constant::Items(items)) => Some(items),
            _ => None,
        }
    }

    /// Bytes or items that copying the constant costs.
    pub fn weight(&self) -> usize {
        match self.constant.as_deref() {
            Some(Constant::Text(text)) => text.len(),
            Some(Constant::Bytes(bytes)) => bytes.len(),
            Some(Constant::Items(items)) => items.len().saturating_mul(8),
            Some(Constant::Int(_)) | None => 0,
        }
    }

    /// Flags of [`taint`], those of well-known names included.
    pub fn origin(&self) -> u8 {
        self.taint | if self.path_text() == "os.environ" { taint::ENVIRONMENT } else { 0 }
    }

    /// Either of two values: what both branches of a choice may carry.
    pub fn or(self, other: Self) -> Self {
        let taint = self.taint | other.taint;
        let first = if self.path.is_some() || self.local.is_some() || self.constant.is_some() { self } else { other };
        first.with_taint(taint)
    }

    /// The attribute `name` of this value.
    pub fn attribute(&self, name: &str) -> Self {
        const INTROSPECTION: &[&str] = &[
            "__globals__",
            "__builtins__",
            "__mro__",
            "__bases__",
            "__base__",
            "f_globals",
            "f_builtins",
            "gi_frame",
            "tb_frame",
            "cr_frame",
        ];
        if name == "__subclasses__" && self.taint & taint::INTROSPECTED != 0 {
            return Self::path("object.__subclasses__").with_taint(self.taint);
        }
        let introspects = INTROSPECTION.contains(&name);
        let taint = self.taint | if introspects { taint::INTROSPECTED } else { 0 };
        let out = match (&self.path, &self.constant) {
            (Some(path), _) if !path.starts_with('.') && path.len() + name.len() < PATH_BYTES_MAX => {
                Self::path(format!("{path}.{name}"))
            }
            (_, Some(constant)) => {
                Self { path: Some(format!(".{name}").into()), constant: Some(Rc::clone(constant)), ..Self::default() }
            }
            _ => Self::default(),
        };
        out.with_taint(taint)
    }
}

/// The constant that a string literal without replacement fields stands for.
pub(super) fn literal(token: &Token<'_>, shape: Literal) -> Constant {
    let content = token.content(shape);
    if shape.bytes {
        let bytes = if shape.raw { content.as_bytes().to_vec() } else { unescape(content, true) };
        return Constant::Bytes(bytes);
    }
    if shape.raw || !content.contains('\\') {
        return Constant::Text(content.to_owned());
    }
    Constant::Text(String::from_utf8_lossy(&unescape(content, false)).into_owned())
}

/// Resolves escapes (reference, section 2.4.1.1); unknown ones stay.
fn unescape(content: &str, bytes: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let mut chars = escape.chars();
        chars.next();
        let Some(code) = chars.next() else {
            out.push(b'\\');
            return out;
        };
        rest = chars.as_str();
        let mut number = |digits: usize, radix: u32, from: &'_ str| -> Option<usize> {
            let len = from.bytes().take(digits).take_while(|b| char::from(*b).is_digit(radix)).count();
            let value = u32::from_str_radix(from.get(..len)?, radix).ok()?;
            if bytes {
                out.push(u8::try_from(value & 0xff).unwrap_or_default());
            } else {
                let c = char::from_u32(value).unwrap_or('\u{fffd}');
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Some(len)
        };
        match code {
            '\n' => {}
            '\r' => rest = rest.strip_prefix('\n').unwrap_or(rest),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            '\\' | '\'' | '"' => out.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes()),
            'x' => rest = number(2, 16, rest).and_then(|n| rest.get(n..)).unwrap_or(rest),
            'u' if !bytes => rest = number(4, 16, rest).and_then(|n| rest.get(n..)).unwrap_or(rest),
            'U' if !bytes => rest = number(8, 16, rest).and_then(|n| rest.get(n..)).unwrap_or(rest),
            '0'..='7' => {
                let from = escape.get(1..).unwrap_or_default();
                rest = number(3, 8, from).and_then(|n| from.get(n..)).unwrap_or(rest);
            }
            other => {
                out.push(b'\\');
                out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(unescape(r"\x6fs\163\u0079\n\q", false), b"ossy\n\\q");
        assert_eq!(unescape(r"\xff\0", true), [0xff, 0]);
        assert_eq!(unescape("tail\\", false), b"tail\\");
        assert_eq!(unescape(r"\x", false), b"");
    }
}
