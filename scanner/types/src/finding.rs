use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{Rule, Severity, Verdict};

/// One hit of one [`Rule`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Identifier of the rule.
    pub rule: Cow<'static, str>,
    /// How bad it is.
    pub severity: Severity,
    /// What it says of the whole artifact.
    pub verdict: Verdict,
    /// The rule's title.
    pub title: Cow<'static, str>,
    /// The evidence in words: the call, the field, the value.
    pub detail: String,
    /// Byte offset of the evidence: in the file, or in the member's content
    /// where `member` is set.
    pub offset: Option<u64>,
    /// Path inside containers, outermost first, joined by `!/`.
    pub member: Option<String>,
    /// CVE, paper, advisory or specification.
    pub references: Vec<Cow<'static, str>>,
}

impl Finding {
    /// A hit of `rule` with its evidence.
    #[must_use]
    pub fn new(rule: &'static Rule, detail: impl Into<String>) -> Self {
        Self {
            rule: Cow::Borrowed(rule.id),
            severity: rule.severity,
            verdict: rule.verdict,
            title: Cow::Borrowed(rule.title),
            detail: detail.into(),
            offset: None,
            member: None,
            references: rule.references.iter().copied().map(Cow::Borrowed).collect(),
        }
    }

    /// The same finding, at this byte offset.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }
}
