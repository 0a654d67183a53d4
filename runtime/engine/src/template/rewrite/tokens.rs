//! Where the parts of an expression begin and end, told by its tokens alone.

use minijinja::machinery::{Span, Token};

pub(super) fn before<'t, 's>(tokens: &'t [(Token<'s>, Span)], place: usize) -> Option<&'t Token<'s>> {
    tokens.get(place.checked_sub(1)?).map(|(token, _)| token)
}

/// Whether a bracket after this token looks something up.
pub(super) fn follows_value(token: Option<&Token<'_>>) -> bool {
    const WORDS: [&str; 10] = ["in", "if", "else", "elif", "and", "or", "not", "is", "set", "for"];
    match token {
        Some(Token::Ident(name)) => !WORDS.contains(name),
        Some(Token::Str(_) | Token::String(_) | Token::BracketClose | Token::ParenClose | Token::BraceClose) => true,
        _ => false,
    }
}

/// Place of the bracket that closes the one at `place`.
pub(super) fn closing(tokens: &[(Token<'_>, Span)], place: usize) -> usize {
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
pub(super) fn base(tokens: &[(Token<'_>, Span)], place: usize) -> usize {
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
pub(super) fn slices(tokens: &[(Token<'_>, Span)], place: usize) -> bool {
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
pub(super) fn operand(tokens: &[(Token<'_>, Span)], mut place: usize) -> usize {
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

/// Whether this token alone is a value that costs nothing.
pub(super) fn is_literal(token: Option<&Token<'_>>) -> bool {
    const WORDS: [&str; 6] = ["true", "false", "none", "True", "False", "None"];
    match token {
        Some(Token::Ident(name)) => WORDS.contains(name),
        Some(Token::Str(_) | Token::String(_) | Token::Int(_) | Token::Int128(_) | Token::Float(_)) => true,
        _ => false,
    }
}

/// Whether a comma parts what lies from `first` to `end`, outside of brackets.
pub(super) fn lists(tokens: &[(Token<'_>, Span)], first: usize, end: usize) -> bool {
    let mut open = 0usize;
    for (token, _) in tokens.get(first..end).unwrap_or_default() {
        match token {
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => open += 1,
            Token::ParenClose | Token::BracketClose | Token::BraceClose => open = open.saturating_sub(1),
            Token::Comma if open == 0 => return true,
            _ => {}
        }
    }
    false
}

/// Place of the sign that ends the target of a `set` or `for` at `place`.
pub(super) fn target_end(tokens: &[(Token<'_>, Span)], place: usize, name: &str) -> Option<usize> {
    let mut open = 0usize;
    for (at, (token, _)) in tokens.iter().enumerate().skip(place) {
        match token {
            Token::ParenOpen => open += 1,
            Token::ParenClose => open = open.saturating_sub(1),
            Token::Assign if open == 0 && name == "set" => return Some(at),
            Token::Ident("in") if open == 0 && name == "for" => return Some(at),
            Token::BlockEnd | Token::Pipe => return None,
            _ => {}
        }
    }
    None
}

/// If the token at `place` compares: the place of the last token of its left
/// side. The words of tests (`is in`) are not meant; they count for themselves.
pub(super) fn compares(tokens: &[(Token<'_>, Span)], place: usize) -> Option<usize> {
    let left = place.checked_sub(1)?;
    match tokens.get(place).map(|(token, _)| token)? {
        Token::Eq | Token::Ne | Token::Gt | Token::Gte | Token::Lt | Token::Lte => Some(left),
        Token::Ident("in") => match before(tokens, place)? {
            Token::Dot | Token::Pipe | Token::Ident("is") => None,
            Token::Ident("not") if matches!(before(tokens, left), Some(Token::Ident("is"))) => None,
            Token::Ident("not") => left.checked_sub(1),
            _ => Some(left),
        },
        _ => None,
    }
}

/// Whether the expression around `place` compares anything.
pub(super) fn in_comparison(tokens: &[(Token<'_>, Span)], place: usize) -> bool {
    let inside = |at: &usize| {
        let token = tokens.get(*at).map(|(token, _)| token);
        !matches!(token, None | Some(Token::VariableStart | Token::VariableEnd | Token::BlockStart | Token::BlockEnd))
    };
    let earlier = (0..place).rev().take_while(inside);
    let later = (place..tokens.len()).take_while(inside);
    earlier.chain(later).any(|at| compares(tokens, at).is_some())
}
