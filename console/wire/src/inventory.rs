//! What lies on an endpoint: rows, and a fingerprint of all of them.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256 as Hasher};
use weighbridge_types::{Effect, Severity, Sha256, Verdict};

use crate::WireError;
use crate::limits::{Check, PATH_BYTES_MAX, bytes, entries, name};

/// Most rows in one message.
pub const ROWS_MAX: usize = 5_000;
/// Most rules or policies named with a row.
const NAMES_MAX: usize = 64;

/// A file that is a model, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Where; bytes that are no UTF-8 are replaced.
    pub path: String,
    /// Of its content, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Length.
    pub size_bytes: u64,
    /// Format, as in the registry of formats.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub format: String,
    /// What inspection said.
    pub verdict: Verdict,
    /// Worst of its findings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Rules that found something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// What policy said of its lying there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// Policies that decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// When this path first held a model.
    pub first_seen: Timestamp,
}

/// What changed since the rows whose fingerprint is `base`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// Of the rows before; none: the rows of this message and of those that
    /// follow are all there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Fingerprint>,
    /// Of the rows afterwards.
    pub result: Fingerprint,
    /// Rows that are new or changed; a path is in here once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub put: Vec<ModelFile>,
    /// Paths that hold no model any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
}

/// What a console answers to a [`Delta`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryAnswer {
    /// Of the rows that it knows now.
    pub inventory: Fingerprint,
}

/// Sum of the digests of rows: it follows every change of a row without reading
/// the others, whatever their order. It tells apart what differs by accident;
/// an endpoint that lies about its own rows needs no collision for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Fingerprint([u64; 4]);

impl Fingerprint {
    /// Of all `rows`.
    #[must_use]
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a ModelFile>) -> Self {
        rows.into_iter().fold(Self::default(), |sum, row| sum.with(row.digest()))
    }

    /// With one row more.
    #[must_use]
    pub fn with(self, row: RowDigest) -> Self {
        self.combined(row, u64::wrapping_add)
    }

    /// With one row less.
    #[must_use]
    pub fn without(self, row: RowDigest) -> Self {
        self.combined(row, u64::wrapping_sub)
    }

    fn combined(self, row: RowDigest, how: fn(u64, u64) -> u64) -> Self {
        let mut lanes = self.0;
        for (lane, bytes) in lanes.iter_mut().zip(row.0.as_chunks::<8>().0) {
            *lane = how(*lane, u64::from_le_bytes(*bytes));
        }
        Self(lanes)
    }
}

/// Digest of a row as it was sent: whoever keeps rows keeps this beside them, so
/// that a row can be taken out of a sum whatever became of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowDigest([u8; 32]);

impl RowDigest {
    /// As it was kept.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// To be kept.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl ModelFile {
    /// What counts in a [`Fingerprint`].
    #[must_use]
    pub fn digest(&self) -> RowDigest {
        // Fields that a later version adds do not count: a console that does not
        // know them must come to the same sum.
        let Self { path, sha256, size_bytes, format, verdict, severity, rules, effect, policies, first_seen } = self;
        let counted = (path, sha256, size_bytes, format, verdict, severity, rules, effect, policies, first_seen);
        // Plain data always becomes JSON.
        let json = serde_json::to_vec(&counted).unwrap_or_default();
        RowDigest(Hasher::digest(&json).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|lane| write!(f, "{lane:016x}"))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for Fingerprint {
    type Err = WireError;

    fn from_str(text: &str) -> Result<Self, WireError> {
        let wrong = || WireError::Field { field: "fingerprint", reason: "has not 64 hexadecimal digits".to_owned() };
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut lanes = [0; 4];
        for (n, lane) in lanes.iter_mut().enumerate() {
            let digits = text.get(n * 16..n * 16 + 16).ok_or_else(wrong)?;
            *lane = u64::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(lanes))
    }
}

impl Check for Delta {
    fn check(&self) -> Result<(), WireError> {
        entries("put", &self.put, ROWS_MAX)?;
        entries("removed", &self.removed, ROWS_MAX)?;
        self.removed.iter().try_for_each(|path| bytes("removed", path, PATH_BYTES_MAX))?;
        self.put.iter().try_for_each(ModelFile::check)
    }
}

impl Check for ModelFile {
    fn check(&self) -> Result<(), WireError> {
        bytes("path", &self.path, PATH_BYTES_MAX)?;
        name("format", &self.format)?;
        for (field, names) in [("rules", &self.rules), ("policies", &self.policies)] {
            entries(field, names, NAMES_MAX)?;
            names.iter().try_for_each(|text| name(field, text))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(path: &str, size_bytes: u64) -> ModelFile {
        ModelFile {
            path: path.to_owned(),
            sha256: None,
            size_bytes,
            format: "gguf".to_owned(),
            verdict: Verdict::Clean,
            severity: None,
            rules: Vec::new(),
            effect: None,
            policies: Vec::new(),
            first_seen: Timestamp::UNIX_EPOCH,
        }
    }

    proptest! {
        #[test]
        fn order_and_detours_do_not_matter(sizes in prop::collection::vec(any::<u64>(), 0..20), pivot in any::<usize>()) {
            let rows: Vec<ModelFile> = sizes.iter().enumerate().map(|(n, s)| row(&format!("/m/{n}"), *s)).collect();
            let all = Fingerprint::of(&rows);
            prop_assert_eq!(all, Fingerprint::of(rows.iter().rev()));
            let extra = row("/extra", 1).digest();
            prop_assert_eq!(all.with(extra).without(extra), all);
            if let Some(one) = rows.get(pivot % rows.len().max(1)) {
                let changed = ModelFile { verdict: Verdict::Malicious, ..one.clone() };
                prop_assert_ne!(all.without(one.digest()).with(changed.digest()), all);
            }
            let text = serde_json::to_string(&all).unwrap();
            prop_assert_eq!(serde_json::from_str::<Fingerprint>(&text).unwrap(), all);
        }
    }

    #[test]
    fn what_is_no_fingerprint_is_refused() {
        for bad in ["", "00", &"g".repeat(64), &"0".repeat(65), &"é".repeat(32), &format!("+{}", "0".repeat(63))] {
            assert!(serde_json::from_value::<Fingerprint>(serde_json::json!(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn more_than_may_be_is_refused_by_field() {
        let long = Delta { put: vec![row(&"x".repeat(PATH_BYTES_MAX + 1), 1)], ..Delta::default() };
        assert!(long.check().unwrap_err().to_string().starts_with("`path` has 16385 bytes"));
        let many = Delta { removed: vec![String::new(); ROWS_MAX + 1], ..Delta::default() };
        assert!(many.check().unwrap_err().to_string().starts_with("`removed` has 5001 entries"));
        let named = ModelFile { rules: vec!["r".repeat(257)], ..row("/m", 1) };
        assert!(named.check().is_err());
        assert_eq!(Delta { put: vec![row("/m", 1)], ..Delta::default() }.check(), Ok(()));
    }
}
