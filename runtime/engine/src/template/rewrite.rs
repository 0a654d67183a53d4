//! Puts counting filters into a template's source.
//!
//! `a ~ b` becomes `a|_b ~ b|_b`: `_b` counts and returns its value. So with
//! lists and dictionaries; `+` and slices copy references and are counted by
//! their length (`_s`); operands of `*` must be numbers (`_n`).
//! Long plain text gets a `{{_c(length)}}` inside. The names cannot harm: a
//! template that calls them itself only counts more.

use std::collections::BTreeMap;

use minijinja::machinery::{Span, Token, tokenize};
use minijinja::syntax::SyntaxConfig;

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
    for place in 0..tokens.len() {
        let Some((token, _)) = tokens.get(place) else { break };
        match token {
            Token::TemplateData(text) => plain(source, text, &mut edits)?,
            Token::Tilde => edits.operands(&tokens, place, "|_b"),
            Token::Plus => edits.operands(&tokens, place, "|_s"),
            Token::Mul if !matches!(before(&tokens, place), Some(Token::ParenOpen | Token::Comma)) => {
                edits.operands(&tokens, place, "|_n");
            }
            Token::BracketOpen if follows_value(before(&tokens, place)) && slices(&tokens, place) => {
                edits.wrap(&tokens, base(&tokens, place), place - 1, "|_s)");
            }
            Token::BracketOpen if follows_value(before(&tokens, place)) => {}
            Token::BracketOpen | Token::BraceOpen => {
                edits.wrap(&tokens, place, closing(&tokens, place), "|_b)");
            }
            Token::Ident(name) if matches!(before(&tokens, place), Some(Token::BlockStart)) => {
                let other = match *name {
                    "generation" => "if true",
                    "endgeneration" => "endif",
                    _ => continue,
                };
                if let Some((_, span)) = tokens.get(place) {
                    let edit = edits.at(span.start_offset as usize);
                    (edit.text, edit.drops) = (other.to_owned(), name.len());
                }
            }
            _ => {}
        }
    }
    Ok(edits.apply(source))
}

/// Refuses what would make the compiler use up its stack.
fn check(tokens: &[(Token<'_>, Span)]) -> Result<(), String> {
    let (mut length, mut branches) = (0, 0);
    for (token, _) in tokens {
        length += 1;
        match token {
            Token::VariableStart | Token::BlockStart | Token::TemplateData(_) => length = 0,
            Token::Ident("elif") => branches += 1,
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
            let filters = &mut self.at(end as usize).filters;
            if !filters.contains(filter) {
                filters.push_str(filter);
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

    fn apply(&self, source: &str) -> String {
        let mut made = String::with_capacity(source.len() * 2);
        let mut from = 0;
        for (&at, edit) in &self.0 {
            made.push_str(source.get(from..at).unwrap_or_default());
            for part in [&edit.closes, &edit.filters, &edit.opens, &edit.text] {
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

fn before<'t, 's>(tokens: &'t [(Token<'s>, Span)], place: usize) -> Option<&'t Token<'s>> {
    tokens.get(place.checked_sub(1)?).map(|(token, _)| token)
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

/// Place of the bracket that opens what closes at `place`.
fn opening(tokens: &[(Token<'_>, Span)], place: usize) -> usize {
    let mut open = 0usize;
    for at in (0..=place).rev() {
        match tokens.get(at).map(|(token, _)| token) {
            Some(Token::ParenClose | Token::BracketClose | Token::BraceClose) => open += 1,
            Some(Token::ParenOpen | Token::BracketOpen | Token::BraceOpen) => {
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

/// Place of the first token of what the bracket at `place` looks into.
fn base(tokens: &[(Token<'_>, Span)], place: usize) -> usize {
    let mut last = place.saturating_sub(1);
    loop {
        let token = tokens.get(last).map(|(token, _)| token);
        if matches!(token, Some(Token::ParenClose | Token::BracketClose | Token::BraceClose)) {
            let open = opening(tokens, last);
            if open == 0 || open == last || !follows_value(before(tokens, open)) {
                return open;
            }
            last = open - 1;
        } else if last >= 2 && matches!(before(tokens, last), Some(Token::Dot)) {
            last -= 2;
        } else {
            return last;
        }
    }
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
