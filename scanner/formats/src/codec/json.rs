//! JSON (RFC 8259) under limits, keeping what `serde_json` alone would lose:
//! duplicate keys, where the first and the last reader differ.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::codec::python_json;
use crate::core::{FormatError, Input};

/// Most duplicate keys remembered by path.
const DUPLICATES_MAX: usize = 64;
/// Longest path remembered, bytes: every value below a key of megabytes would
/// otherwise copy it.
const PATH_BYTES_MAX: usize = 512;

/// Most values in one document: four times the largest tokenizer's.
const VALUES_MAX: usize = 4_000_000;

/// A parsed document.
#[derive(Debug)]
pub struct Document {
    /// The value; of duplicate keys, the last one, as Python reads it.
    pub value: Value,
    /// Paths (`a.b[3].c`) of keys that occur more than once in their object,
    /// with every value that a later one replaced.
    pub duplicates: Vec<(String, Value)>,
    /// Bytes of the document, trailing white space excluded.
    pub len: u64,
}

/// Parses `input` as one JSON document of at most `max` bytes. Nesting is
/// bounded at 128 by `serde_json`. A byte-order mark is skipped.
///
/// # Errors
/// [`FormatError::Limit`] beyond `max`, [`FormatError::Malformed`] for what is
/// not JSON.
pub fn parse(input: &Input, max: usize) -> Result<Document, FormatError> {
    if input.len() > max as u64 {
        return Err(FormatError::limit("json_bytes_max", max as u64));
    }
    let bytes = input.head(max).map_err(|source| FormatError::Io { offset: 0, source })?;
    parse_bytes(&bytes)
}

/// As [`parse`], for bytes in memory. What only Python takes for JSON is read
/// as Python reads it, its odd numbers as zero.
///
/// # Errors
/// [`FormatError::Malformed`] for what is not JSON.
pub fn parse_bytes(bytes: &[u8]) -> Result<Document, FormatError> {
    let decoded = python_json::utf8(bytes);
    let text = decoded.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&decoded);
    let (value, duplicates) = read(text)
        .or_else(|error| read(&python_json::strict(text)).map_err(|_| error))
        .map_err(|e| FormatError::malformed("json", offset_of(text, e.line(), e.column()), e.to_string()))?;
    Ok(Document { value, duplicates, len: bytes.trim_ascii_end().len() as u64 })
}

fn read(text: &[u8]) -> Result<(Value, Vec<(String, Value)>), serde_json::Error> {
    let seen = Seen::default();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Keep { path: String::new(), seen: &seen }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((value, seen.duplicates.into_inner()))
}

fn offset_of(text: &[u8], line: usize, column: usize) -> u64 {
    let start = memchr::memchr_iter(b'\n', text).nth(line.saturating_sub(2)).map_or(0, |n| n + 1);
    let start = if line <= 1 { 0 } else { start };
    (start + column).min(text.len()) as u64
}

/// `path` with one more step, up to [`PATH_BYTES_MAX`].
fn extended(path: &str, separator: &str, step: &str) -> String {
    let mut out = String::with_capacity(path.len() + separator.len() + step.len().min(PATH_BYTES_MAX));
    out.push_str(path);
    out.push_str(separator);
    let room = PATH_BYTES_MAX.saturating_sub(out.len());
    let end = (0..=room.min(step.len())).rev().find(|n| step.is_char_boundary(*n)).unwrap_or(0);
    out.push_str(step.get(..end).unwrap_or_default());
    out
}

/// Builds a [`Value`] and notes replaced keys on the way.
struct Keep<'a> {
    path: String,
    seen: &'a Seen,
}

/// What is kept over a whole document.
#[derive(Default)]
struct Seen {
    duplicates: RefCell<Vec<(String, Value)>>,
    values: Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Keep<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.seen.values.set(self.seen.values.get() + 1);
        if self.seen.values.get() > VALUES_MAX {
            return Err(serde::de::Error::custom("more values than are read"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keep<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(value) = seq
            .next_element_seed(Keep { path: extended(&self.path, "", &format!("[{}]", out.len())), seen: self.seen })?
        {
            out.push(value);
        }
        // A document of brackets alone would otherwise take 150 times its size.
        out.shrink_to_fit();
        Ok(Value::Array(out))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = extended(&self.path, if self.path.is_empty() { "" } else { "." }, &key);
            let value = map.next_value_seed(Keep { path: path.clone(), seen: self.seen })?;
            if let Some(replaced) = out.insert(key, value) {
                let mut duplicates = self.seen.duplicates.borrow_mut();
                if duplicates.len() < DUPLICATES_MAX {
                    duplicates.push((path, replaced));
                }
            }
        }
        Ok(Value::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_duplicate_wins_and_the_first_is_kept_aside() {
        let doc = parse_bytes(br#"{"a": {"b": 1, "b": 2}}"#).unwrap();
        assert_eq!(doc.value["a"]["b"], 2);
        assert_eq!(doc.duplicates, vec![("a.b".to_owned(), 1.into())]);
    }

    #[test]
    fn depth_and_garbage_are_refused() {
        assert!(parse_bytes("[".repeat(100_000).as_bytes()).is_err());
        assert!(parse_bytes(b"{} x").is_err());
        assert!(parse_bytes(b"").is_err());
    }

    #[test]
    fn what_python_reads_beyond_the_standard_is_read() {
        let doc =
            parse_bytes(br#"{"a": [NaN, -Infinity, Infinity], "b": "NaN \" \ud800 x", "c": "\ud83d\ude00"}"#).unwrap();
        assert_eq!(doc.value["a"].as_array().map(Vec::len), Some(3));
        assert_eq!(doc.value["b"], "NaN \" \u{fffd} x");
        assert_eq!(doc.value["c"], "\u{1f600}");
        for broken in [&b"{\"a\": NaNa}"[..], b"Inf", b"{\"a\": \"\\ud8\"}", b"\"\\ud800\\", b"NaN NaN"] {
            assert!(parse_bytes(broken).is_err());
        }
    }

    #[test]
    fn more_values_than_are_read_are_refused() {
        assert!(parse_bytes(format!("[{}0]", "0,".repeat(VALUES_MAX)).as_bytes()).is_err());
    }

    #[test]
    fn long_keys_are_not_copied_for_every_value_below_them() {
        let doc =
            parse_bytes(format!("{{\"{}\": [{}0]}}", "k".repeat(1 << 22), "0,".repeat(200_000)).as_bytes()).unwrap();
        assert!(doc.duplicates.is_empty());
    }

    #[test]
    fn paths_do_not_grow_quadratically_for_wide_arrays() {
        let doc = parse_bytes(format!("[{}0]", "0,".repeat(200_000)).as_bytes()).unwrap();
        assert_eq!(doc.value.as_array().map(Vec::len), Some(200_001));
    }
}
