use std::borrow::Cow;

/// Why a parser stopped. Each variant names the field, so that a report says
/// where without a debugger.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The content ends inside `field`.
    #[error("`{field}` ends beyond the end of the content (at byte {offset})")]
    Truncated {
        /// The field that does not fit.
        field: Cow<'static, str>,
        /// Where the field starts.
        offset: u64,
    },
    /// `field` holds something its specification forbids.
    #[error("`{field}` is malformed at byte {offset}: {reason}")]
    Malformed {
        /// The field.
        field: Cow<'static, str>,
        /// Where it starts.
        offset: u64,
        /// What is wrong with it.
        reason: Cow<'static, str>,
    },
    /// A named limit of ours was reached; the rest was not inspected.
    #[error("`{limit}` reached ({value}); the rest was not inspected")]
    Limit {
        /// Name of the limit, as in `docs/limitations.md`.
        limit: &'static str,
        /// The limit's value.
        value: u64,
    },
    /// Reading failed underneath us.
    #[error("reading failed at byte {offset}")]
    Io {
        /// Where.
        offset: u64,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl FormatError {
    /// `field`, starting at `offset`, does not fit.
    pub fn truncated(field: impl Into<Cow<'static, str>>, offset: u64) -> Self {
        Self::Truncated { field: field.into(), offset }
    }

    /// `field` at `offset` breaks its specification for `reason`.
    pub fn malformed(field: impl Into<Cow<'static, str>>, offset: u64, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Malformed { field: field.into(), offset, reason: reason.into() }
    }

    /// Our limit named `limit` was reached.
    #[must_use]
    pub fn limit(limit: &'static str, value: u64) -> Self {
        Self::Limit { limit, value }
    }

    /// Byte offset the error speaks of, if it has one.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Truncated { offset, .. } | Self::Malformed { offset, .. } | Self::Io { offset, .. } => Some(*offset),
            Self::Limit { .. } => None,
        }
    }
}
