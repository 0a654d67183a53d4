//! UBJSON (<https://ubjson.org>, Draft 12) as XGBoost writes it. Numbers are
//! kept for the arrays that link the nodes of trees, and counted elsewhere.

use serde_json::{Map, Value};

use crate::core::{FormatError, Input, Inspection, Reader};

/// Deepest nesting; models need nine.
const DEPTH_MAX: u32 = 64;
/// Longest key or text.
const TEXT_BYTES_MAX: usize = 16 << 20;
/// Numbers kept over the whole document.
const NUMBERS_MAX: u64 = 2_000_000;
/// Values kept over the whole document.
const VALUES_MAX: u64 = 4_000_000;
/// Arrays whose numbers are kept.
const LINKS: &[&str] = &["left_children", "right_children", "version"];

/// Reads one document; tells where it ends.
pub fn read(ctx: &mut Inspection<'_>, input: &Input) -> Result<(Value, u64), FormatError> {
    let mut parser = Parser { r: Reader::new(input), numbers: 0, values: 0 };
    let marker = parser.r.u8("marker")?;
    let value = parser.value(ctx, marker, "", 0)?;
    Ok((value, parser.r.position()))
}

struct Parser<'a> {
    r: Reader<'a>,
    numbers: u64,
    values: u64,
}

impl Parser<'_> {
    fn value(&mut self, ctx: &mut Inspection<'_>, marker: u8, key: &str, depth: u32) -> Result<Value, FormatError> {
        ctx.work(1)?;
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(FormatError::limit("ubjson_values_max", VALUES_MAX));
        }
        if depth > DEPTH_MAX {
            return Err(FormatError::limit("ubjson_depth_max", DEPTH_MAX.into()));
        }
        Ok(match marker {
            b'{' => self.object(ctx, depth)?,
            b'[' => self.array(ctx, key, depth)?,
            b'S' => Value::String(self.text("text")?),
            b'Z' => Value::Null,
            b'T' => Value::Bool(true),
            b'F' => Value::Bool(false),
            _ => self.number(marker)?,
        })
    }

    fn object(&mut self, ctx: &mut Inspection<'_>, depth: u32) -> Result<Value, FormatError> {
        let mut out = Map::new();
        loop {
            if self.r.peek(1)? == b"}" {
                self.r.skip(1, "end of object")?;
                return Ok(Value::Object(out));
            }
            let at = self.r.position();
            let key = self.text("key")?;
            let marker = self.r.u8("marker")?;
            let value = self.value(ctx, marker, &key, depth + 1)?;
            if out.insert(key, value).is_some() {
                ctx.find(&super::rules::DUPLICATE_KEY, at, "a key of the document");
            }
        }
    }

    /// `[`, perhaps `$` and a type, perhaps `#` and a count.
    fn array(&mut self, ctx: &mut Inspection<'_>, key: &str, depth: u32) -> Result<Value, FormatError> {
        let mut kind = None;
        if self.r.peek(1)? == b"$" {
            self.r.skip(1, "array type")?;
            kind = Some(self.r.u8("array type")?);
        }
        let mut count = None;
        if self.r.peek(1)? == b"#" {
            self.r.skip(1, "array count")?;
            count = Some(self.length("array count")?);
        }
        match (kind, count) {
            (Some(kind), Some(count)) => self.typed(ctx, key, kind, count),
            (Some(_), None) => Err(FormatError::malformed("array", self.r.position(), "a type without a count")),
            (None, _) => self.untyped(ctx, key, count, depth),
        }
    }

    fn typed(&mut self, ctx: &mut Inspection<'_>, key: &str, kind: u8, count: u64) -> Result<Value, FormatError> {
        let at = self.r.position();
        let width = width(kind).ok_or_else(|| FormatError::malformed("array type", at, "no number"))?;
        self.r.check_count(count, u64::MAX, width, "array count")?;
        if !LINKS.contains(&key) || self.numbers.saturating_add(count) > NUMBERS_MAX {
            self.r.skip(count * width, "array")?;
            return Ok(Value::Null);
        }
        self.numbers += count;
        ctx.work(count)?;
        let mut out = Vec::new();
        for _ in 0..count {
            out.push(self.number(kind)?);
        }
        Ok(Value::Array(out))
    }

    fn untyped(
        &mut self,
        ctx: &mut Inspection<'_>,
        key: &str,
        count: Option<u64>,
        depth: u32,
    ) -> Result<Value, FormatError> {
        if let Some(count) = count {
            self.r.check_count(count, u64::MAX, 1, "array count")?;
        }
        let mut out = Vec::new();
        let mut read = 0;
        loop {
            if count.is_some_and(|count| read >= count) {
                return Ok(Value::Array(out));
            }
            let marker = self.r.u8("marker")?;
            if count.is_none() && marker == b']' {
                return Ok(Value::Array(out));
            }
            read += 1;
            out.push(self.value(ctx, marker, key, depth + 1)?);
        }
    }

    fn text(&mut self, field: &'static str) -> Result<String, FormatError> {
        let len = self.length(field)?;
        Ok(String::from_utf8_lossy(&self.r.bytes(len, TEXT_BYTES_MAX, field)?).into_owned())
    }

    fn length(&mut self, field: &'static str) -> Result<u64, FormatError> {
        let at = self.r.position();
        let marker = self.r.u8(field)?;
        let number = self.number(marker)?;
        number.as_u64().ok_or_else(|| FormatError::malformed(field, at, "no length"))
    }

    fn number(&mut self, marker: u8) -> Result<Value, FormatError> {
        let r = &mut self.r;
        Ok(match marker {
            b'i' => i8::from_be_bytes(r.array("number")?).into(),
            b'U' | b'C' => r.u8("number")?.into(),
            b'I' => i16::from_be_bytes(r.array("number")?).into(),
            b'l' => r.i32_be("number")?.into(),
            b'L' => r.i64_be("number")?.into(),
            b'd' => f32::from_be_bytes(r.array("number")?).into(),
            b'D' => r.f64_be("number")?.into(),
            _ => return Err(FormatError::malformed("marker", r.position(), format!("type {marker:#04x}"))),
        })
    }
}

fn width(kind: u8) -> Option<u64> {
    Some(match kind {
        b'i' | b'U' | b'C' => 1,
        b'I' => 2,
        b'l' | b'd' => 4,
        b'L' | b'D' => 8,
        _ => return None,
    })
}
