//! Puts counting filters into a template's source.
//!
//! `a ~ b` becomes `a|_b ~ b|_b`: `_b` counts and returns its value. So with
//! lists and dictionaries; `+` and slices copy references and are counted by
//! their length (`_s`); operands of `*` must be numbers (`_n`); what is compared
//! or looked up by is walked first (`_q`), and so is what a namespace gets to
//! hold (`_v`), since only there values outlive a turn of a loop.
//! Long plain text gets a `{{_c(length)}}` inside. The names cannot harm: a
//! template that calls them itself only counts more.

mod tokens;

use std::collections::BTreeMap;

use minijinja::machinery::{Span, Token, tokenize};
use minijinja::syntax::SyntaxConfig;

use tokens::{base, before, closing, compares, follows_value, is_literal, lists, operand, slices, target_end};

/// Longest plain text that is not counted: fuel bounds how often it is said.
const PLAIN_BYTES_MAX: usize = 64;
/// Longest white space; it cannot be counted from inside.
const SPACE_BYTES_MAX: usize = 512;

/// Most tokens of one expression; the compiler recurses along it.
const EXPRESSION_TOKENS_MAX: usize = 800;
/// Most `elif` of one template, for the same reason.
const BRANCHES_MAX: usize = 400;

/// The syntax that Hugging Face transformers reads templates with.
pub(super) fn syntax() -> Result<SyntaxConfig, String> {
    SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(crate::failure::said)
}

/// The source with counting filters, and `generation` blocks as plain ones.
pub(super) fn metered(source: &str) -> Result<String, String> {
    if has_raw(source) {
        return Err("it uses `raw` blocks, which no chat template needs".to_owned());
    }
    let tokens: Vec<(Token<'_>, Span)> =
        tokenize(source, false, syntax()?).collect::<Result<_, _>>().map_err(crate::failure::said)?;
    check(&tokens)?;
    let mut edits = Edits::default();
    let mut after = 0;
    for (place, (token, _)) in tokens.iter().enumerate() {
        if let Token::TemplateData(text) = token {
            plain(source, text, &mut edits)?;
        } else if matches!(token, Token::BlockStart) {
            after = block(&tokens, place, &mut edits).unwrap_or(after);
        } else if place >= after {
            after = expression(&tokens, place, &mut edits).unwrap_or(after);
        }
    }
    Ok(edits.apply(source))
}

/// Edits a block as a whole; the place its expressions begin at, if it assigns.
fn block(tokens: &[(Token<'_>, Span)], place: usize, edits: &mut Edits) -> Option<usize> {
    let (Token::Ident(name), span) = tokens.get(place + 1)? else { return None };
    let other = match *name {
        "generation" => "if true",
        "endgeneration" => "endif",
        _ => {
            let end = target_end(tokens, place + 1, name)?;
            let last = end + tokens.iter().skip(end).position(|(token, _)| matches!(token, Token::BlockEnd))?;
            if *name == "set" {
                let held = tokens.get(place..end)?.iter().any(|(token, _)| matches!(token, Token::Dot));
                if held {
                    edits.surround(tokens, end + 1, last - 1, "|_v");
                } else if lists(tokens, end + 1, last) {
                    edits.surround(tokens, end + 1, last - 1, "|_b");
                }
            }
            return Some(end + 1);
        }
    };
    let edit = edits.at(span.start_offset as usize);
    (edit.text, edit.drops) = (other.to_owned(), name.len());
    None
}

/// Edits around the token at `place`; the place to go on at, if some are no
/// expression.
fn expression(tokens: &[(Token<'_>, Span)], place: usize, edits: &mut Edits) -> Option<usize> {
    let (token, _) = tokens.get(place)?;
    match token {
        Token::Tilde => edits.operands(tokens, place, "|_b"),
        Token::Plus => {
            edits.operands(tokens, place, "|_s");
            if tokens::in_comparison(tokens, place) {
                edits.operands(tokens, place, "|_q");
            }
        }
        Token::Mul if !matches!(before(tokens, place), Some(Token::ParenOpen | Token::Comma)) => {
            edits.operands(tokens, place, "|_n");
        }
        Token::BracketOpen if follows_value(before(tokens, place)) => {
            let last = closing(tokens, place);
            if slices(tokens, place) {
                edits.wrap(tokens, base(tokens, place), place - 1, "|_s)");
            } else if last > place + 2 || !is_literal(tokens.get(place + 1).map(|(token, _)| token)) {
                edits.surround(tokens, place + 1, last - 1, "|_q");
            }
        }
        Token::BracketOpen | Token::BraceOpen => edits.wrap(tokens, place, closing(tokens, place), "|_b)"),
        Token::ParenOpen if !follows_value(before(tokens, place)) => {
            let last = closing(tokens, place);
            if matches!(tokens.get(last + 1), Some((Token::Assign, _))) {
                return Some(last);
            }
            if lists(tokens, place + 1, last) {
                edits.wrap(tokens, place, last, "|_b)");
            }
        }
        _ => {
            if let Some(left) = compares(tokens, place) {
                edits.compared(tokens, left, operand(tokens, place + 1), place + 1);
            }
        }
    }
    None
}

/// Refuses what would make the compiler use up its stack.
fn check(tokens: &[(Token<'_>, Span)]) -> Result<(), String> {
    let (mut length, mut branches) = (0, 0);
    for (token, _) in tokens {
        length += 1;
        match token {
            Token::VariableStart | Token::BlockStart | Token::TemplateData(_) => length = 0,
            Token::Ident("elif") => branches += 1,
            Token::Ident("changed") => {
                return Err("it uses `loop.changed`, which no chat template needs".to_owned());
            }
            _ => {}
        }
        if length > EXPRESSION_TOKENS_MAX || branches > BRANCHES_MAX {
            return Err("an expression or a chain of branches in it is too long".to_owned());
        }
    }
    Ok(())
}

/// Changes by place in the source.
#[derive(Default)]
struct Edits(BTreeMap<usize, Edit>);

/// What is put in at one place, in this order, before so many bytes left out.
#[derive(Default)]
struct Edit {
    closes: String,
    filters: String,
    ends: String,
    opens: String,
    text: String,
    drops: usize,
}

impl Edits {
    fn at(&mut self, place: usize) -> &mut Edit {
        self.0.entry(place).or_default()
    }

    /// Filters both operands of the operator at `place`.
    fn operands(&mut self, tokens: &[(Token<'_>, Span)], place: usize, filter: &str) {
        for operand in [place.checked_sub(1), Some(operand(tokens, place + 1))] {
            let Some(end) = operand.and_then(|last| tokens.get(last)).map(|(_, span)| span.end_offset) else {
                continue;
            };
            self.filter(end as usize, filter);
        }
    }

    fn filter(&mut self, end: usize, filter: &str) {
        let filters = &mut self.at(end).filters;
        if !filters.contains(filter) {
            filters.push_str(filter);
        }
    }

    /// Walks both sides of a comparison, unless they are literals.
    fn compared(&mut self, tokens: &[(Token<'_>, Span)], left: usize, right: usize, right_first: usize) {
        for (last, alone) in [(left, true), (right, right == right_first)] {
            let Some((token, span)) = tokens.get(last) else { continue };
            if !(alone && is_literal(Some(token))) {
                self.filter(span.end_offset as usize, "|_q");
            }
        }
    }

    /// Puts the tokens from `first` to `last` in parentheses and filters them.
    fn wrap(&mut self, tokens: &[(Token<'_>, Span)], first: usize, last: usize, closes: &str) {
        if let (Some((_, first)), Some((_, last))) = (tokens.get(first), tokens.get(last)) {
            self.at(first.start_offset as usize).opens.push('(');
            self.at(last.end_offset as usize).closes.push_str(closes);
        }
    }

    /// Filters all from `first` to `last` as one expression.
    fn surround(&mut self, tokens: &[(Token<'_>, Span)], first: usize, last: usize, filter: &str) {
        if let (Some((_, first)), Some((_, last))) = (tokens.get(first), tokens.get(last)) {
            self.at(first.start_offset as usize).opens.push('(');
            self.at(last.end_offset as usize).ends.push_str(&format!("){filter}"));
        }
    }

    fn apply(&self, source: &str) -> String {
        let mut made = String::with_capacity(source.len() * 2);
        let mut from = 0;
        for (&at, edit) in &self.0 {
            made.push_str(source.get(from..at).unwrap_or_default());
            for part in [&edit.closes, &edit.filters, &edit.ends, &edit.opens, &edit.text] {
                made.push_str(part);
            }
            from = at + edit.drops;
        }
        made.push_str(source.get(from..).unwrap_or_default());
        made
    }
}

/// Counts a long text from behind its first visible character, where no rule
/// about white space at its ends can notice.
fn plain(source: &str, text: &str, edits: &mut Edits) -> Result<(), String> {
    if text.len() <= PLAIN_BYTES_MAX {
        return Ok(());
    }
    let Some((at, character)) = text.char_indices().find(|(_, character)| !character.is_whitespace()) else {
        return if text.len() <= SPACE_BYTES_MAX {
            Ok(())
        } else {
            Err(format!("it has {} bytes of white space in a row", text.len()))
        };
    };
    // Where the text lies in the source it was cut from.
    if let Some(offset) = (text.as_ptr() as usize).checked_sub(source.as_ptr() as usize) {
        edits.at(offset + at + character.len_utf8()).text = format!("{{{{_c({})}}}}", text.len());
    }
    Ok(())
}

fn has_raw(source: &str) -> bool {
    source.split("{%").skip(1).any(|block| {
        let word = block.trim_start_matches(['-', '+']).trim_start();
        word.strip_prefix("raw").is_some_and(|rest| rest.starts_with(|c: char| c.is_whitespace() || "-+%".contains(c)))
    })
}
