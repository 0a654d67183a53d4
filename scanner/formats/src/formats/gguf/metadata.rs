//! Key-value pairs (GGUF specification, `gguf_metadata_kv_t`).

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use crate::core::{FormatError, Inspection};
use crate::formats::gguf::rules;
use crate::formats::gguf::source::Source;

/// Longest key of the specification, bytes.
const KEY_BYTES_MAX: usize = 65_535;
/// Longest string kept as a value, bytes; longer ones are stepped over.
const TEXT_BYTES_MAX: u64 = 16 * 1024;
/// Longest chat template inspected, bytes.
const TEMPLATE_BYTES_MAX: usize = 1 << 20;
/// Most chat templates kept of one file.
const TEMPLATES_MAX: usize = 64;
/// Most pairs kept.
const ENTRIES_KEPT_MAX: usize = 2048;
/// Most elements kept of an array of strings.
const ITEMS_KEPT_MAX: u64 = 16;
/// Deepest nesting of arrays any writer makes, with room.
const NESTING_MAX: u32 = 3;
/// Most elements the reference loader reads (`GGUF_MAX_ARRAY_ELEMENTS`).
const ARRAY_LOADER_MAX: u64 = 1 << 30;
/// Longest array of booleans whose values are looked at.
const BOOLS_CHECKED_MAX: u64 = 1 << 16;

/// A value worth keeping.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Any unsigned integer.
    Unsigned(u64),
    /// Any signed integer.
    Signed(i64),
    /// Any float.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A short string.
    Text(String),
    /// The first strings of an array of short strings.
    Texts(Vec<String>),
    /// Any other array: how many elements it has.
    Count(u64),
    /// A long string that was stepped over.
    Long,
}

/// The pairs of one file.
#[derive(Debug, Default)]
pub struct Metadata {
    entries: Vec<(String, Type, Value)>,
    /// Where the elements of each kept array lie.
    pub arrays: Vec<ArrayAt>,
    /// Chat templates, by the key that holds them.
    pub templates: Vec<(String, String)>,
}

/// Elements of an array in the file.
#[derive(Debug)]
pub struct ArrayAt {
    /// The pair's key.
    pub key: String,
    /// Type of each element.
    pub item: Type,
    /// Elements.
    pub count: u64,
    /// Offset of the first in the file.
    pub at: u64,
}

/// Type ids of values (`enum gguf_metadata_value_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// 8 to 64 bits, by width.
    Unsigned(u8),
    /// 8 to 64 bits, by width.
    Signed(u8),
    /// 32 or 64 bits.
    Float(u8),
    /// One byte.
    Bool,
    /// Length and bytes.
    Text,
    /// Type, count and elements.
    Array,
}

impl Type {
    fn of(id: u32) -> Option<Self> {
        Some(match id {
            0 => Self::Unsigned(1),
            1 => Self::Signed(1),
            2 => Self::Unsigned(2),
            3 => Self::Signed(2),
            4 => Self::Unsigned(4),
            5 => Self::Signed(4),
            6 => Self::Float(4),
            7 => Self::Bool,
            8 => Self::Text,
            9 => Self::Array,
            10 => Self::Unsigned(8),
            11 => Self::Signed(8),
            12 => Self::Float(8),
            _ => return None,
        })
    }

    /// Bytes of a value; of strings and arrays, the least there can be.
    fn bytes_min(self, width: u64) -> u64 {
        match self {
            Self::Unsigned(n) | Self::Signed(n) | Self::Float(n) => n.into(),
            Self::Bool => 1,
            Self::Text => width,
            Self::Array => width + 4,
        }
    }
}

impl Metadata {
    /// Reads `count` pairs. What was read before an error stays.
    ///
    /// # Errors
    /// Whatever stops the parse.
    pub fn read(&mut self, ctx: &mut Inspection<'_>, s: &mut Source<'_>, count: u64) -> Result<(), FormatError> {
        let hasher = RandomState::new();
        let mut seen = HashSet::new();
        for _ in 0..count {
            ctx.work(1)?;
            let at = s.r.position();
            let key = key(ctx, s)?;
            if !seen.insert(hasher.hash_one(&key)) {
                ctx.find(&rules::DUPLICATE_NAME, at, format!("the key `{key}` occurs again"));
            }
            let kind = value_type(ctx, s, &key)?;
            let value = self.value(ctx, s, &key, kind)?;
            if self.entries.len() < ENTRIES_KEPT_MAX {
                self.entries.push((key, kind, value));
            }
        }
        Ok(())
    }

    /// Whether there are no pairs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|(k, ..)| k == key).map(|(.., v)| v)
    }

    /// The text of `key`.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer of `key`, if it is not negative.
    #[must_use]
    pub fn unsigned(&self, key: &str) -> Option<u64> {
        match *self.get(key)? {
            Value::Unsigned(n) => Some(n),
            Value::Signed(n) => u64::try_from(n).ok(),
            _ => None,
        }
    }

    /// The type and value of `key`.
    #[must_use]
    pub fn typed(&self, key: &str) -> Option<(Type, &Value)> {
        self.entries.iter().find(|(k, ..)| k == key).map(|(_, t, v)| (*t, v))
    }

    fn value(
        &mut self,
        ctx: &mut Inspection<'_>,
        s: &mut Source<'_>,
        key: &str,
        kind: Type,
    ) -> Result<Value, FormatError> {
        let at = s.r.position();
        Ok(match kind {
            Type::Unsigned(width) => Value::Unsigned(integer(s, width)?),
            Type::Signed(width) => Value::Signed(sign_extended(integer(s, width)?, width)),
            Type::Float(4) => Value::Float(f32::from_bits(s.u32("value")?).into()),
            Type::Float(_) => Value::Float(f64::from_bits(s.u64("value")?)),
            Type::Bool => {
                let byte = s.r.u8("value")?;
                if byte > 1 {
                    ctx.find(&rules::INVALID_BOOL, at, format!("`{key}` is {byte}"));
                }
                Value::Bool(byte != 0)
            }
            Type::Text => self.text_value(ctx, s, key)?,
            Type::Array => self.array(ctx, s, key)?,
        })
    }

    fn text_value(&mut self, ctx: &mut Inspection<'_>, s: &mut Source<'_>, key: &str) -> Result<Value, FormatError> {
        let at = s.r.position();
        if is_template(key) {
            let (text, utf8) = s.string(ctx, TEMPLATE_BYTES_MAX, "chat template")?;
            check_utf8(ctx, at, key, utf8);
            if self.templates.len() < TEMPLATES_MAX {
                self.templates.push((key.to_owned(), text));
            }
            return Ok(Value::Long);
        }
        let len = s.string_len(ctx, "string value")?;
        if len > TEXT_BYTES_MAX {
            s.r.skip(len, "string value")?;
            return Ok(Value::Long);
        }
        let text = String::from_utf8(s.r.bytes(len, usize::MAX, "string value")?);
        check_utf8(ctx, at, key, text.is_ok());
        Ok(Value::Text(text.unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())))
    }

    fn array(&mut self, ctx: &mut Inspection<'_>, s: &mut Source<'_>, key: &str) -> Result<Value, FormatError> {
        let (item, count) = array_head(ctx, s, key)?;
        if self.arrays.len() < ENTRIES_KEPT_MAX {
            self.arrays.push(ArrayAt { key: key.to_owned(), item, count, at: s.r.position() });
        }
        if item == Type::Text && (is_template(key) || count <= ITEMS_KEPT_MAX) {
            return self.texts(ctx, s, key, count);
        }
        // Arrays yet to be read: elements left at each level, outermost first.
        let mut open = vec![skip_items(ctx, s, key, item, count)?];
        while let Some(left) = open.last_mut() {
            let Some(next) = left.checked_sub(1) else {
                open.pop();
                continue;
            };
            *left = next;
            ctx.work(1)?;
            let at = s.r.position();
            let (item, count) = array_head(ctx, s, key)?;
            if open.len() as u64 >= NESTING_MAX.into() {
                ctx.find(&rules::ARRAY_NESTING, at, format!("`{key}` nests arrays deeper than {NESTING_MAX}"));
                return Err(FormatError::malformed("array", at, "nested too deeply"));
            }
            open.push(skip_items(ctx, s, key, item, count)?);
        }
        Ok(Value::Count(count))
    }

    fn texts(
        &mut self,
        ctx: &mut Inspection<'_>,
        s: &mut Source<'_>,
        key: &str,
        count: u64,
    ) -> Result<Value, FormatError> {
        let mut kept = Vec::new();
        for _ in 0..count {
            ctx.work(1)?;
            match self.text_value(ctx, s, key)? {
                Value::Text(text) if kept.len() as u64 <= ITEMS_KEPT_MAX => kept.push(text),
                _ => {}
            }
        }
        Ok(Value::Texts(kept))
    }
}

/// Whether `key` holds Jinja: `tokenizer.chat_template`, its named variants
/// and whatever else calls itself a template.
fn is_template(key: &str) -> bool {
    key.starts_with("tokenizer.chat_template") || key.ends_with("chat_template") || key.ends_with("prompt_template")
}

fn check_utf8(ctx: &mut Inspection<'_>, at: u64, key: &str, utf8: bool) {
    // Tokens and merges are arbitrary bytes; everything else is UTF-8.
    if !utf8 && !key.starts_with("tokenizer.ggml.") {
        ctx.find(&rules::NOT_UTF8, at, format!("the value of `{key}`"));
    }
}

fn key(ctx: &mut Inspection<'_>, s: &mut Source<'_>) -> Result<String, FormatError> {
    let at = s.r.position();
    let (key, utf8) = s.string(ctx, KEY_BYTES_MAX, "key")?;
    if !utf8 {
        ctx.find(&rules::NOT_UTF8, at, format!("the key `{key}`"));
    }
    if key.is_empty() {
        ctx.find(&rules::BAD_NAME, at, "an empty key");
    } else if key.chars().any(rules::is_deceptive) {
        ctx.find(&rules::BAD_NAME, at, format!("the key `{key}`"));
    }
    Ok(key)
}

fn value_type(ctx: &mut Inspection<'_>, s: &mut Source<'_>, key: &str) -> Result<Type, FormatError> {
    let at = s.r.position();
    let id = s.u32("value type")?;
    Type::of(id).ok_or_else(|| {
        ctx.find(&rules::INVALID_TYPE, at, format!("`{key}` has value type {id}"));
        FormatError::malformed("value type", at, format!("{id} is none of 0 to 12"))
    })
}

fn array_head(ctx: &mut Inspection<'_>, s: &mut Source<'_>, key: &str) -> Result<(Type, u64), FormatError> {
    let item = value_type(ctx, s, key)?;
    let at = s.r.position();
    let count = s.count("array length")?;
    let fits = count.checked_mul(item.bytes_min(s.width())).is_some_and(|bytes| bytes <= s.r.remaining());
    if count > ARRAY_LOADER_MAX && !fits {
        ctx.find(&rules::ABSURD_LENGTH, at, format!("`{key}` has {count} elements; {} bytes follow", s.r.remaining()));
    }
    if !fits {
        return Err(FormatError::truncated("array", at));
    }
    Ok((item, count))
}

/// Steps over the elements of an array, unless they are arrays themselves:
/// then says how many.
fn skip_items(
    ctx: &mut Inspection<'_>,
    s: &mut Source<'_>,
    key: &str,
    item: Type,
    count: u64,
) -> Result<u64, FormatError> {
    match item {
        Type::Array => return Ok(count),
        Type::Text => {
            ctx.work(count)?;
            for _ in 0..count {
                let len = s.string_len(ctx, "array element")?;
                s.r.skip(len, "array element")?;
            }
        }
        Type::Bool if count <= BOOLS_CHECKED_MAX => {
            let at = s.r.position();
            let bytes = s.r.bytes(count, usize::MAX, "array element")?;
            if let Some(byte) = bytes.iter().find(|b| **b > 1) {
                ctx.find(&rules::INVALID_BOOL, at, format!("an element of `{key}` is {byte}"));
            }
        }
        fixed => {
            let bytes = count.saturating_mul(fixed.bytes_min(s.width()));
            s.r.skip(bytes, "array")?;
        }
    }
    Ok(0)
}

fn integer(s: &mut Source<'_>, width: u8) -> Result<u64, FormatError> {
    Ok(match width {
        1 => s.r.u8("value")?.into(),
        2 if s.big_endian => s.r.u16_be("value")?.into(),
        2 => s.r.u16_le("value")?.into(),
        4 => s.u32("value")?.into(),
        _ => s.u64("value")?,
    })
}

fn sign_extended(value: u64, width: u8) -> i64 {
    let unused = 64 - 8 * u32::from(width);
    (value << unused).cast_signed() >> unused
}
