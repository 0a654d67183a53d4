//! YARA rules over content: our own from `rules/yara`, and the user's.

use std::borrow::Cow;
use std::cell::RefCell;

use weighbridge_formats::{ContentMatch, ContentScanner};
use weighbridge_types::{Finding, Severity, Verdict};
use yara_x::{Compiler, MetaValue, Rules, SourceCode};

/// Matches reported per rule and window.
const OFFSETS_PER_RULE_MAX: usize = 1;

/// A YARA rule that does not compile.
#[derive(Debug, thiserror::Error)]
#[error("cannot compile YARA rules `{origin}`:\n{message}")]
pub struct PatternError {
    origin: String,
    message: String,
}

/// Compiled rules.
pub struct Patterns(Rules);

impl Patterns {
    /// Compiles our rules and `extra` (origin for messages, text).
    ///
    /// # Errors
    /// [`PatternError`] with the compiler's report.
    pub fn compile(extra: &[(String, String)]) -> Result<Self, PatternError> {
        let mut compiler = Compiler::new();
        let own = weighbridge_rules::YARA.iter().map(|(origin, text)| (*origin, *text));
        for (origin, text) in own.chain(extra.iter().map(|(o, t)| (o.as_str(), t.as_str()))) {
            compiler.new_namespace(origin);
            compiler
                .add_source(SourceCode::from(text).with_origin(origin))
                .map_err(|e| PatternError { origin: origin.to_owned(), message: e.to_string() })?;
        }
        Ok(Self(compiler.build()))
    }

    /// A scanner over these rules; one is enough for a process.
    #[must_use]
    pub fn scanner(&self) -> PatternScanner<'_> {
        PatternScanner(RefCell::new(yara_x::Scanner::new(&self.0)))
    }

    /// Every rule as a finding without evidence, for `weighbridge rules`.
    pub fn pages(&self) -> impl Iterator<Item = PatternPage> {
        self.0.iter().map(|rule| {
            let meta = |key| text(rule.metadata(), key).unwrap_or_default();
            let hit = finding(rule.identifier(), rule.metadata());
            PatternPage {
                id: hit.rule.into_owned(),
                severity: hit.severity,
                verdict: hit.verdict,
                title: hit.title.into_owned(),
                why: meta("why"),
                false_positives: meta("false_positives"),
                references: hit.references.into_iter().map(Cow::into_owned).collect(),
            }
        })
    }
}

/// What `weighbridge rules explain` shows of a YARA rule.
#[derive(Debug, Clone)]
pub struct PatternPage {
    /// `yara-` and the rule's name in kebab-case.
    pub id: String,
    /// From `meta: severity`.
    pub severity: Severity,
    /// From `meta: verdict`.
    pub verdict: Verdict,
    /// From `meta: description`.
    pub title: String,
    /// From `meta: why`.
    pub why: String,
    /// From `meta: false_positives`.
    pub false_positives: String,
    /// From `meta: reference`.
    pub references: Vec<String>,
}

/// Runs [`Patterns`] over windows of content.
pub struct PatternScanner<'r>(RefCell<yara_x::Scanner<'r>>);

impl ContentScanner for PatternScanner<'_> {
    fn scan(&self, window: &[u8], _base: u64, _total: u64) -> Vec<ContentMatch> {
        let mut scanner = self.0.borrow_mut();
        let Ok(results) = scanner.scan(window) else { return Vec::new() };
        let mut out = Vec::new();
        for rule in results.matching_rules() {
            let mut hit = finding(rule.identifier(), rule.metadata());
            let mut evidence: Vec<(usize, String)> = Vec::new();
            for pattern in rule.patterns() {
                for found in pattern.matches().take(OFFSETS_PER_RULE_MAX) {
                    let shown =
                        String::from_utf8_lossy(found.data().get(..found.data().len().min(120)).unwrap_or_default())
                            .into_owned();
                    evidence.push((found.range().start, format!("{} = `{shown}`", pattern.identifier())));
                }
            }
            evidence.sort();
            hit.offset = evidence.first().map(|(at, _)| *at as u64);
            hit.detail = evidence.into_iter().take(4).map(|(_, text)| text).collect::<Vec<_>>().join(", ");
            hit.detail = weighbridge_types::Shown(&hit.detail).to_string();
            out.push(ContentMatch { finding: hit });
        }
        out
    }
}

/// The finding a rule's metadata describes.
fn finding<'a>(identifier: &str, meta: impl Iterator<Item = (&'a str, MetaValue<'a>)>) -> Finding {
    let mut hit = Finding {
        rule: Cow::Owned(format!("yara-{}", identifier.to_lowercase().replace('_', "-"))),
        severity: Severity::Medium,
        verdict: Verdict::Suspicious,
        title: Cow::Owned(format!("content matches the YARA rule {identifier}")),
        detail: String::new(),
        offset: None,
        member: None,
        references: Vec::new(),
    };
    for (key, value) in meta {
        let MetaValue::String(value) = value else { continue };
        match key {
            "severity" => hit.severity = value.parse().unwrap_or(hit.severity),
            "verdict" => {
                hit.verdict = match value {
                    "clean" => Verdict::Clean,
                    "malicious" => Verdict::Malicious,
                    _ => Verdict::Suspicious,
                }
            }
            "description" => hit.title = Cow::Owned(value.to_owned()),
            "reference" => hit.references.push(Cow::Owned(value.to_owned())),
            _ => {}
        }
    }
    hit
}

fn text<'a>(mut meta: impl Iterator<Item = (&'a str, MetaValue<'a>)>, wanted: &str) -> Option<String> {
    meta.find_map(|(key, value)| match value {
        MetaValue::String(s) if key == wanted => Some(s.to_owned()),
        _ => None,
    })
}
