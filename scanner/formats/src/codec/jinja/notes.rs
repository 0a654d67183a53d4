//! What was noticed in one template.

use weighbridge_types::Rule;

use crate::codec::jinja::names;
use crate::codec::jinja::prose::{self, Offence};
use crate::codec::jinja::rules;
use crate::codec::jinja::scope::Trigger;

/// Hits kept per rule; one more says nothing new.
const HITS_PER_RULE_MAX: usize = 3;

/// A hit and the line it is on.
pub struct Hit {
    /// Which rule.
    pub rule: &'static Rule,
    /// Line of the template, from 1.
    pub line: usize,
    /// The evidence in words.
    pub evidence: String,
}

/// Collects what expressions and statements notice.
#[derive(Default)]
pub struct Notes {
    /// Hits so far.
    pub hits: Vec<Hit>,
    /// Line of the current tag.
    pub line: usize,
    /// String literals of the current tag that it puts out or stores.
    pub literals: Vec<String>,
    /// Conditions inside the current tag.
    pub conditions: Vec<Trigger>,
    /// Functions called in the current tag.
    pub called: Vec<String>,
    /// The current tag puts out language that is stored elsewhere.
    pub speaks: bool,
    /// Something was nested too deeply to follow.
    pub too_complex: bool,
}

impl Notes {
    /// Forgets the last tag and starts one on `line`.
    pub fn begin(&mut self, line: usize) {
        self.line = line;
        self.literals.clear();
        self.conditions.clear();
        self.called.clear();
        self.speaks = false;
    }

    /// Notes a hit on the current line.
    pub fn hit(&mut self, rule: &'static Rule, evidence: impl Into<String>) {
        let evidence = evidence.into();
        let same = self.hits.iter().filter(|h| std::ptr::eq(h.rule, rule)).count();
        if same < HITS_PER_RULE_MAX && !self.hits.iter().any(|h| std::ptr::eq(h.rule, rule) && h.evidence == evidence) {
            self.hits.push(Hit { rule, line: self.line, evidence });
        }
    }

    /// Judges an identifier inside a tag.
    pub fn check_name(&mut self, name: &str) {
        if names::leads_out(name).is_some_and(|found| found == name) {
            self.hit(&rules::SANDBOX_ESCAPE, format!("names `{name}`"));
        }
    }

    /// Judges a string literal inside a tag.
    pub fn check_text(&mut self, text: &str) {
        if let Some(name) = names::leads_out(text) {
            self.hit(&rules::SANDBOX_ESCAPE, format!("the string `{}` names `{name}`", prose::shortened(text)));
        } else if names::is_fragment(text) {
            self.hit(&rules::OBFUSCATED, format!("the string `{text}` is a piece of a double-underscore name"));
        }
        if let Some(code) = names::code_in_text(text) {
            self.hit(&rules::FORBIDDEN_CALL, format!("the string `{}` holds code: `{code}`", prose::shortened(text)));
        }
    }

    /// Judges a string put together out of pieces.
    pub fn check_built(&mut self, text: &str) {
        if let Some(name) = names::leads_out(text) {
            self.hit(&rules::SANDBOX_ESCAPE, format!("puts `{name}` together out of pieces"));
        }
        if let Some(code) = names::code_in_text(text) {
            self.hit(&rules::FORBIDDEN_CALL, format!("puts code together out of pieces: `{code}`"));
        }
    }

    /// Judges language that the template puts out.
    pub fn check_prose(&mut self, text: &str) {
        for offence in prose::offences(text) {
            match offence {
                Offence::Instruction(phrase) => self.hit(&rules::INJECTED_INSTRUCTION, format!("says `{phrase}`")),
                Offence::Markup(markup) => self.hit(&rules::ACTIVE_MARKUP, format!("puts out `{markup}`")),
                Offence::Invisible(c) => {
                    self.hit(&rules::INVISIBLE_TEXT, format!("puts out U+{:04X}", u32::from(c)));
                }
                Offence::Blob(blob) => self.hit(&rules::ENCODED_BLOB, format!("puts out `{blob}`")),
            }
        }
    }
}
