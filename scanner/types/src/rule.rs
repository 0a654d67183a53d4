use serde::Serialize;

use crate::{Severity, Verdict};

/// One thing the scanner looks for, with the page a person reads about it
/// (`weighbridge rules explain ID`).
///
/// Rules are constants beside the parser that raises them, so a finding
/// cannot name a rule that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Stable identifier, kebab-case, format first: `gguf-offset-beyond-end`.
    pub id: &'static str,
    /// How bad a hit is.
    pub severity: Severity,
    /// What a hit says of the whole artifact; [`Verdict::Clean`] for notes.
    pub verdict: Verdict,
    /// One line, as it stands in reports.
    pub title: &'static str,
    /// What is looked for, and where.
    pub what: &'static str,
    /// How an attacker uses it, or what it costs.
    pub why: &'static str,
    /// When an honest file has it; how to tell.
    pub false_positives: &'static str,
    /// What the reader should do next.
    pub remedy: &'static str,
    /// CVE, paper, advisory or specification.
    pub references: &'static [&'static str],
}
