//! Puts counting filters into a template's source.
//!
//! `a ~ b` becomes `a|_b ~ b|_b`: `_b` counts and returns its value. So with
//! `+`, slices, lists and dictionaries; operands of `*` must be numbers (`_n`).
//! Long plain text gets a `{{_c(length)}}` inside. The names cannot harm: a
//! template that calls them itself only counts more.

use std::collections::BTreeMap;

use minijinja::machinery::{Span, Token, tokenize};
use minijinja::syntax::SyntaxConfig;

/// Longest plain text that is not counted: fuel bounds how often it is said.
const PLAIN_BYTES_MAX: usize = 64;
/// Longest white space; it cannot be counted from inside.
const SPACE_BYTES_MAX: usize = 512;

/// The syntax that Hugging Face transformers reads templates with.
pub(super) fn syntax() -> Result<SyntaxConfig, String> {
    SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(crate::failure::said)
}

/// The source with counting filters, and `generation` blocks as plain ones.
pub(super) fn metered(source: &str) -> Result<String, String> {
    if has_raw(source) {
        return Err("it uses `raw` blocks, which no chat template needs".to_owned());
    }
    let tokens: Vec<(Token<'_>, Span)> = tokenize(source, false, syntax()?)
        .collect::<Result<_, _>>()
        .map_err(crate::failure::said)?;
    let mut edits = Edits::default();
    for place in 0..tokens.len() {
        let Some((token, _)) = tokens.get(place) else { break };
        match token {
            Token::TemplateData(text) => plain(source, text, &mut edits)?,
            Token::Tilde | Token::Plus => {
                edits.insert(end(&tokens, place.checked_sub(1)), "|_b");
                edits.insert(end(&tokens, Some(operand(&tokens, place + 1))), "|_b");
            }
            Token::Mul if !matches!(before(&tokens, place), Some(Token::ParenOpen | Token::Comma)) => {
                edits.insert(end(&tokens, place.checked_sub(1)), "|_n");
                edits.insert(end(&tokens, Some(operand(&tokens, place + 1))), "|_n");
            }
            Token::BracketOpen if follows_value(before(&tokens, place)) && slices(&tokens, place) => {
                edits.insert(end(&tokens, place.checked_sub(1)), "|_b");
            }
            Token::BracketOpen | Token::BraceOpen if !follows_value(before(&tokens, place)) => {
                edits.insert(end(&tokens, Some(closing(&tokens, place))), "|_b");
            }
            Token::Ident(name) if matches!(before(&tokens, place), Some(Token::BlockStart)) => {
                let other = match *name {
                    "generation" => "if true",
                    "endgeneration" => "endif",
                    _ => continue,
                };
                if let Some((_, span)) = tokens.get(place) {
                    edits.replace(span.start_offset as usize, name.len(), other);
                }
            }
            _ => {}
        }
    }
    Ok(edits.apply(source))
}

/// By place: bytes left out there, text put in.
#[derive(Default)]
struct Edits(BTreeMap<usize, (usize, String)>);

impl Edits {
    fn insert(&mut self, at: Option<usize>, text: &str) {
        let Some(at) = at else { return };
        let (_, there) = self.0.entry(at).or_default();
        if !there.contains(text) {
            there.push_str(text);
        }
    }

    fn replace(&mut self, at: usize, length: usize, text: &str) {
        self.0.insert(at, (length, text.to_owned()));
    }

    fn apply(&self, source: &str) -> String {
        let mut made = String::with_capacity(source.len() * 2);
        let mut from = 0;
        for (&at, (length, text)) in &self.0 {
            made.push_str(source.get(from..at).unwrap_or_default());
            made.push_str(text);
            from = at + length;
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
    let offset = (text.as_ptr() as usize).checked_sub(source.as_ptr() as usize);
    edits.insert(offset.map(|offset| offset + at + character.len_utf8()), &format!("{{{{_c({})}}}}", text.len()));
    Ok(())
}

fn before<'t, 's>(tokens: &'t [(Token<'s>, Span)], place: usize) -> Option<&'t Token<'s>> {
    tokens.get(place.checked_sub(1)?).map(|(token, _)| token)
}

fn end(tokens: &[(Token<'_>, Span)], place: Option<usize>) -> Option<usize> {
    tokens.get(place?).map(|(_, span)| span.end_offset as usize)
}

/// Whether a bracket after this token looks something up.
fn follows_value(token: Option<&Token<'_>>) -> bool {
    const WORDS: [&str; 10] = ["in", "if", "else", "elif", "and", "or", "not", "is", "set", "for"];
    match token {
        Some(Token::Ident(name)) => !WORDS.contains(name),
        Some(Token::Str(_) | Token::String(_) | Token::BracketClose | Token::ParenClose | Token::BraceClose) => true,
        _ => false,
    }
}

/// Place of the bracket that closes the one at `place`.
fn closing(tokens: &[(Token<'_>, Span)], place: usize) -> usize {
    let mut open = 0usize;
    for (at, (token, _)) in tokens.iter().enumerate().skip(place) {
        match token {
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => open += 1,
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                open = open.saturating_sub(1);
                if open == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    place
}

/// Whether the brackets at `place` cut a slice.
fn slices(tokens: &[(Token<'_>, Span)], place: usize) -> bool {
    let mut open = 0usize;
    for (token, _) in tokens.get(place..closing(tokens, place)).unwrap_or_default() {
        match token {
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => open += 1,
            Token::ParenClose | Token::BracketClose | Token::BraceClose => open = open.saturating_sub(1),
            Token::Colon if open == 1 => return true,
            _ => {}
        }
    }
    false
}

/// Place of the last token of the operand that begins at `place`: signs, a
/// literal, name or bracket, and what is looked up, called or filtered of it.
fn operand(tokens: &[(Token<'_>, Span)], mut place: usize) -> usize {
    let at = |place: usize| tokens.get(place).map(|(token, _)| token);
    while matches!(at(place), Some(Token::Minus | Token::Plus)) {
        place += 1;
    }
    if matches!(at(place), Some(Token::ParenOpen | Token::BracketOpen | Token::BraceOpen)) {
        place = closing(tokens, place);
    }
    loop {
        match at(place + 1) {
            Some(Token::Dot | Token::Pipe) => place += 2,
            Some(Token::BracketOpen | Token::ParenOpen) => place = closing(tokens, place + 1).max(place + 1),
            Some(Token::Str(_) | Token::String(_)) if matches!(at(place), Some(Token::Str(_) | Token::String(_))) => {
                place += 1;
            }
            _ => return place,
        }
    }
}

fn has_raw(source: &str) -> bool {
    source.split("{%").skip(1).any(|block| {
        let word = block.trim_start_matches(['-', '+']).trim_start();
        word.strip_prefix("raw").is_some_and(|rest| rest.starts_with(|c: char| c.is_whitespace() || "-+%".contains(c)))
    })
}
