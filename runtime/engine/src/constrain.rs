//! Grammars that an answer must follow, as masks over the vocabulary.
//!
//! A schema or grammar is an attacker's program. Its size and nesting are
//! bounded here; what it makes of itself while it is compiled and at each
//! token is bounded by llguidance's limits, set below.

use std::sync::{Arc, OnceLock};

use llguidance::api::{ParserLimits, TopLevelGrammar};
use llguidance::toktrie::{ApproximateTokEnv, SimpleVob, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};
use weighbridge_inference_wire::{Constraint, Failure, FailureKind};

use crate::failure::{failed, guarded, invalid, said};
use crate::text::Text;

/// Largest schema, expression or grammar.
const SOURCE_BYTES_MAX: usize = 256 * 1024;
/// Deepest nesting of brackets; the compiler recurses.
const NESTING_MAX: usize = 64;
/// Longest token a mask can allow.
const TOKEN_BYTES_MAX: usize = 255;
/// The field of requests a constraint comes from.
const FIELD: &str = "response_format";

fn limits() -> ParserLimits {
    ParserLimits {
        // About 20 ms to compile, 7 ms to mask, in the worst case.
        initial_lexer_fuel: 1_000_000,
        step_lexer_fuel: 100_000,
        step_max_items: 50_000,
        max_items_in_row: 2_000,
        // 1 to 2 KB each.
        max_lexer_states: 20_000,
        max_grammar_size: 200_000,
        precompute_large_lexemes: false,
        verbose_errors: false,
    }
}

/// Compiles constraints for one vocabulary; made once per model.
pub struct Grammars {
    text: Arc<Text>,
    vocabulary: usize,
    factory: OnceLock<Result<ParserFactory, String>>,
}

impl Grammars {
    /// For a model with that many logits. The work of reading the vocabulary is
    /// done at the first constraint.
    #[must_use]
    pub fn new(text: Arc<Text>, vocabulary: usize) -> Self {
        Self { text, vocabulary, factory: OnceLock::new() }
    }

    /// The constraint, ready for an answer; `None` if all is allowed.
    ///
    /// # Errors
    /// [`FailureKind::Invalid`] in field `response_format` for what cannot be
    /// compiled within the limits.
    pub fn constrain(&self, constraint: &Constraint) -> Result<Option<Grammar>, Failure> {
        let grammar = match constraint {
            Constraint::Free => return Ok(None),
            Constraint::Json => TopLevelGrammar::from_json_schema(json!({"type": "object"})),
            Constraint::Schema(schema) => {
                check_schema(schema)?;
                TopLevelGrammar::from_json_schema(schema.clone())
            }
            Constraint::Regex(regex) => {
                check_source(regex)?;
                TopLevelGrammar::from_regex(regex)
            }
            Constraint::Grammar(lark) => {
                check_source(lark)?;
                TopLevelGrammar::from_lark(lark.clone())
            }
        };
        self.compile(grammar, FIELD).map(Some)
    }

    /// A grammar of ours around schemas of a request.
    ///
    /// # Errors
    /// [`FailureKind::Invalid`] in `field`.
    pub fn lark(&self, lark: String, schemas: &[&Value], field: &str) -> Result<Grammar, Failure> {
        for schema in schemas {
            check_schema(schema).map_err(|failure| Failure { field: Some(field.to_owned()), ..failure })?;
        }
        self.compile(TopLevelGrammar::from_lark(lark), field)
    }

    fn compile(&self, grammar: TopLevelGrammar, field: &str) -> Result<Grammar, Failure> {
        let factory =
            self.factory.get_or_init(|| guarded(|| factory(&self.text, self.vocabulary)).and_then(|made| made));
        let factory = factory.as_ref().map_err(|why| {
            failed(FailureKind::Unsupported, format!("this model's vocabulary cannot be constrained: {why}"))
        })?;
        let parser =
            guarded(|| factory.create_parser(grammar)).and_then(|made| made.map_err(|why| said(format!("{why:#}"))));
        let parser = parser.map_err(|why| invalid(field, format!("`{field}` cannot be followed: {why}")))?;
        let mut matcher = Matcher::new(Ok(parser));
        if let Some(why) = matcher.get_error() {
            return Err(invalid(field, format!("`{field}` cannot be followed: {}", said(why))));
        }
        // The worst is known before a token is written.
        matcher
            .compute_mask_or_eos()
            .map_err(|why| invalid(field, format!("`{field}` allows no answer or is too complex: {}", said(why))))?;
        Ok(Grammar { matcher, mask: None })
    }
}

/// A constraint while one answer follows it.
#[derive(Clone)]
pub struct Grammar {
    matcher: Matcher,
    mask: Option<SimpleVob>,
}

impl Grammar {
    /// Tokens that may come next, a bit each. Ends are among them exactly when
    /// the text so far is complete.
    ///
    /// # Errors
    /// Limits were met at this place of the text.
    pub fn mask(&mut self) -> Result<&[u32], Failure> {
        let mask = self.matcher.compute_mask_or_eos().map_err(|why| {
            invalid(FIELD, format!("the constraint became too complex to follow; simplify it: {}", said(why)))
        })?;
        Ok(self.mask.insert(mask).as_slice())
    }

    /// Goes on by a token that [`Grammar::mask`] allowed. True if the text is
    /// complete and nothing can follow.
    ///
    /// # Errors
    /// The token was not allowed, or limits were met.
    pub fn accept(&mut self, token: u32) -> Result<bool, Failure> {
        self.matcher.consume_token(token).map_err(|why| {
            invalid(FIELD, format!("the answer cannot follow the constraint any further; simplify it: {}", said(why)))
        })?;
        Ok(self.matcher.is_stopped())
    }
}

fn factory(text: &Text, vocabulary: usize) -> Result<ParserFactory, String> {
    if !text.writes() {
        return Err("its tokens have no bytes of their own".to_owned());
    }
    let size = u32::try_from(vocabulary).map_err(|_| "it is too large".to_owned())?;
    let end = *text.ends().first().ok_or("no token ends an answer")?;
    let words: Vec<Vec<u8>> = (0..size).map(|token| word(text, token)).collect();
    let trie = TokTrie::from(&TokRxInfo::new(size, end), &words).with_eos_tokens(text.ends());
    let env: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    let mut factory = ParserFactory::new_simple(&env).map_err(said)?;
    factory.quiet();
    *factory.limits_mut() = limits();
    Ok(factory)
}

/// Bytes as the trie wants them: special tokens are marked; what says nothing
/// gets a name nobody writes.
fn word(text: &Text, token: u32) -> Vec<u8> {
    let bytes = text.bytes(token);
    if text.is_special(token) || bytes.is_empty() || bytes.len() > TOKEN_BYTES_MAX {
        let mut marked = vec![TokTrie::SPECIAL_TOKEN_MARKER];
        marked.extend_from_slice(format!("<[{token}]>").as_bytes());
        return marked;
    }
    bytes.to_vec()
}

fn check_schema(schema: &Value) -> Result<(), Failure> {
    if is_deep(schema) {
        return Err(invalid(FIELD, format!("the schema is nested deeper than {NESTING_MAX}; flatten it with `$ref`")));
    }
    let size = schema.to_string().len();
    if size > SOURCE_BYTES_MAX {
        return Err(invalid(FIELD, format!("the schema has {size} bytes; at most {SOURCE_BYTES_MAX} fit")));
    }
    strings(schema).try_for_each(check_source)
}

/// Whether a value is nested deeper than anything here follows it.
pub(crate) fn is_deep(value: &Value) -> bool {
    depth(value) > NESTING_MAX
}

/// Nesting, looked at no deeper than matters.
fn depth(value: &Value) -> usize {
    fn below(value: &Value, left: usize) -> usize {
        if left == 0 {
            return 0;
        }
        match value {
            Value::Array(items) => 1 + items.iter().map(|item| below(item, left - 1)).max().unwrap_or(0),
            Value::Object(fields) => 1 + fields.values().map(|field| below(field, left - 1)).max().unwrap_or(0),
            _ => 0,
        }
    }
    below(value, NESTING_MAX + 1)
}

/// Regular expressions in a schema.
fn strings(schema: &Value) -> impl Iterator<Item = &str> {
    fn gather<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| gather(item, found)),
            Value::Object(fields) => {
                for (name, field) in fields {
                    match field {
                        Value::String(text) if name == "pattern" => found.push(text),
                        Value::Object(patterns) if name == "patternProperties" => {
                            found.extend(patterns.keys().map(String::as_str));
                            gather(field, found);
                        }
                        _ => gather(field, found),
                    }
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    gather(schema, &mut found);
    found.into_iter()
}

/// Refuses sources that would make a recursive compiler use up its stack.
fn check_source(source: &str) -> Result<(), Failure> {
    if source.len() > SOURCE_BYTES_MAX {
        let size = source.len();
        return Err(invalid(FIELD, format!("the expression has {size} bytes; at most {SOURCE_BYTES_MAX} fit")));
    }
    let (mut open, mut deepest) = (0usize, 0);
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    // Brackets in quotes count too: better refuse once too often.
    if deepest > NESTING_MAX {
        return Err(invalid(FIELD, format!("the expression is nested deeper than {NESTING_MAX}; simplify it")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
