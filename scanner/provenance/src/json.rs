//! JSON from strangers: bounded, and without the doubt of duplicate keys.

use serde::de::IgnoredAny;
use serde_json::Value;
use weighbridge_formats::codec::json;

/// Why a document was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It is longer than it may be.
    #[error("{len} bytes of JSON; at most {max} are read")]
    TooLong {
        /// Its length, bytes.
        len: usize,
        /// The limit, bytes.
        max: usize,
    },
    /// It is not JSON (RFC 8259), or nested deeper than 128 levels.
    #[error("not JSON: {0}")]
    Malformed(String),
    /// A key occurs twice, so that readers differ in what they see.
    #[error("the key `{0}` occurs twice")]
    Duplicate(String),
}

/// Parses one document of at most `max` bytes, strictly: no duplicate keys, no
/// byte-order mark, nothing that only some parsers take.
///
/// # Errors
/// [`JsonError`] says which.
pub fn strict(bytes: &[u8], max: usize) -> Result<Value, JsonError> {
    if bytes.len() > max {
        return Err(JsonError::TooLong { len: bytes.len(), max });
    }
    serde_json::from_slice::<IgnoredAny>(bytes).map_err(|e| JsonError::Malformed(e.to_string()))?;
    let document = json::parse_bytes(bytes).map_err(|e| JsonError::Malformed(e.to_string()))?;
    match document.duplicates.into_iter().next() {
        Some((key, _)) => Err(JsonError::Duplicate(key)),
        None => Ok(document.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_readers_disagree_on() {
        assert_eq!(strict(br#"{"a":1,"a":2}"#, 99), Err(JsonError::Duplicate("a".to_owned())));
        assert!(matches!(strict(b"[NaN]", 99), Err(JsonError::Malformed(_))));
        assert!(matches!(strict(b"[1]", 2), Err(JsonError::TooLong { len: 3, max: 2 })));
        assert!(matches!(strict("[".repeat(10_000).as_bytes(), 99_999), Err(JsonError::Malformed(_))));
        assert!(matches!(strict(b"[1] 2", 99), Err(JsonError::Malformed(_))));
        assert!(strict(br#"{"a":[1,{"b":null}]}"#, 99).is_ok());
    }
}
