//! Jinja2's lexical structure (`jinja2/lexer.py`), read tolerantly: what does
//! not fit becomes a token of its own, an open tag ends with the template.

use memchr::{memchr, memchr_iter, memmem};

/// One stretch of a template.
#[derive(Debug)]
pub enum Piece<'t> {
    /// Text outside of tags, put out as it stands.
    Text(&'t str),
    /// `{{ … }}`
    Output(Vec<Token<'t>>),
    /// `{% … %}`
    Statement(Vec<Token<'t>>),
}

/// A token inside a tag.
#[derive(Debug, Clone, PartialEq)]
pub enum Token<'t> {
    /// An identifier or keyword.
    Name(&'t str),
    /// A string literal, escapes resolved.
    Text(String),
    /// An integer literal; larger than 64 bits saturates.
    Integer(i64),
    /// A float literal.
    Float,
    /// An operator or bracket.
    Op(&'t str),
}

/// Splits a template into pieces, in one pass.
pub struct Lexer<'t> {
    rest: &'t str,
    line: usize,
    unclosed: bool,
}

/// Longest first, so that the longest wins.
const OPERATORS: &[&str] = &["**", "//", "==", "!=", "<=", ">="];

impl<'t> Lexer<'t> {
    /// Starts at the first line of `template`.
    pub fn new(template: &'t str) -> Self {
        Self { rest: template, line: 1, unclosed: false }
    }

    /// Line of the next piece.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Whether the template ended inside a tag, comment or string.
    pub fn unclosed(&self) -> bool {
        self.unclosed
    }

    fn advance(&mut self, n: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(n).unwrap_or((self.rest, ""));
        self.line += memchr_iter(b'\n', taken.as_bytes()).count();
        self.rest = rest;
        taken
    }

    /// The start of the next tag and its second character.
    fn next_tag(&self) -> Option<(usize, u8)> {
        let bytes = self.rest.as_bytes();
        memchr_iter(b'{', bytes).find_map(|at| match bytes.get(at + 1) {
            Some(kind @ (b'{' | b'%' | b'#')) => Some((at, *kind)),
            _ => None,
        })
    }

    /// Tokens up to the end of the tag. As in Jinja, the end is only looked
    /// for outside of brackets.
    fn tag(&mut self, end: &str) -> Vec<Token<'t>> {
        let mut tokens = Vec::new();
        let mut brackets = 0u32;
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.advance(blank);
            if brackets == 0 {
                let trimmed = self.rest.strip_prefix(['-', '+']).unwrap_or(self.rest);
                if trimmed.starts_with(end) {
                    self.advance(self.rest.len() - trimmed.len() + end.len());
                    return tokens;
                }
            }
            let Some(first) = self.rest.chars().next() else {
                self.unclosed = true;
                return tokens;
            };
            match first {
                '(' | '[' | '{' => brackets += 1,
                ')' | ']' | '}' => brackets = brackets.saturating_sub(1),
                _ => {}
            }
            let token = self.token(first);
            tokens.push(token);
        }
    }

    fn token(&mut self, first: char) -> Token<'t> {
        if first == '_' || first.is_alphabetic() {
            let n = self.rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(self.rest.len());
            return Token::Name(self.advance(n));
        }
        if first.is_ascii_digit() {
            return self.number();
        }
        if first == '\'' || first == '"' {
            return self.string(first);
        }
        let n = OPERATORS.iter().find(|op| self.rest.starts_with(**op)).map_or(first.len_utf8(), |op| op.len());
        Token::Op(self.advance(n))
    }

    fn number(&mut self) -> Token<'t> {
        let n = self.rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let text = self.advance(n).replace('_', "").to_ascii_lowercase();
        let (digits, radix) = match text.get(..2) {
            Some("0x") => (text.get(2..), 16),
            Some("0o") => (text.get(2..), 8),
            Some("0b") => (text.get(2..), 2),
            _ => (Some(text.as_str()), 10),
        };
        let fraction = self.rest.strip_prefix('.').is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()));
        if fraction {
            let n = 1 + self.rest.get(1..).and_then(|r| r.find(|c: char| !c.is_ascii_alphanumeric())).unwrap_or(0);
            self.advance(n.max(2));
            return Token::Float;
        }
        let Some(digits) = digits.filter(|d| !d.is_empty() && d.chars().all(|c| c.is_digit(radix))) else {
            // `1e9` and the like.
            return Token::Float;
        };
        Token::Integer(i64::from_str_radix(digits, radix).unwrap_or(i64::MAX))
    }

    fn string(&mut self, quote: char) -> Token<'t> {
        let bytes = self.rest.as_bytes();
        let mut at = 1;
        loop {
            match bytes.get(at) {
                None => break,
                Some(b'\\') => at += 2,
                Some(b) if *b == quote as u8 => break,
                Some(_) => at += 1,
            }
        }
        let mut end = at.min(bytes.len());
        while !self.rest.is_char_boundary(end) {
            end += 1;
        }
        let body = self.rest.get(1..end).unwrap_or_default();
        let text = unescaped(body);
        self.advance(end + 1);
        Token::Text(text)
    }

    /// The rest of a `{% raw %}` block, whose start tag was just read.
    fn raw(&mut self) -> &'t str {
        let mut from = 0;
        let bytes = self.rest.as_bytes();
        while let Some(at) = bytes.get(from..).and_then(|b| memmem::find(b, b"{%")) {
            let tag = self.rest.get(from + at + 2..).unwrap_or_default();
            let inner = tag.trim_start_matches(['-', '+']).trim_start();
            if inner.starts_with("endraw") {
                let text = self.advance(from + at);
                let n = self.rest.find("%}").map_or(self.rest.len(), |n| n + 2);
                self.advance(n);
                return text;
            }
            from += at + 2;
        }
        self.unclosed = true;
        self.advance(self.rest.len())
    }
}

impl<'t> Iterator for Lexer<'t> {
    type Item = Piece<'t>;

    fn next(&mut self) -> Option<Piece<'t>> {
        loop {
            let Some((at, kind)) = self.next_tag() else {
                let text = self.advance(self.rest.len());
                return (!text.is_empty()).then_some(Piece::Text(text));
            };
            if at > 0 {
                return Some(Piece::Text(self.advance(at)));
            }
            self.advance(2);
            if kind == b'#' {
                let end = memmem::find(self.rest.as_bytes(), b"#}");
                self.unclosed |= end.is_none();
                self.advance(end.map_or(self.rest.len(), |n| n + 2));
                continue;
            }
            // `-` or `+` right after the start asks for white space control.
            if self.rest.starts_with(['-', '+']) {
                self.advance(1);
            }
            if kind == b'{' {
                return Some(Piece::Output(self.tag("}}")));
            }
            let tokens = self.tag("%}");
            if matches!(tokens.as_slice(), [Token::Name("raw")]) {
                let text = self.raw();
                return Some(Piece::Text(text));
            }
            return Some(Piece::Statement(tokens));
        }
    }
}

/// Resolves the escapes of a Python string literal, which Jinja's are.
fn unescaped(body: &str) -> String {
    if memchr(b'\\', body.as_bytes()).is_none() {
        return body.to_owned();
    }
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        out.push_str(rest.get(..at).unwrap_or_default());
        let escape = rest.get(at + 1..).unwrap_or_default();
        let mut chars = escape.chars();
        let taken = match chars.next() {
            None => 0,
            Some('n') => put(&mut out, '\n', 1),
            Some('t') => put(&mut out, '\t', 1),
            Some('r') => put(&mut out, '\r', 1),
            Some('b') => put(&mut out, '\u{8}', 1),
            Some('f') => put(&mut out, '\u{c}', 1),
            Some('a') => put(&mut out, '\u{7}', 1),
            Some('v') => put(&mut out, '\u{b}', 1),
            Some('\n') => 1,
            Some('x') => 1 + code(&mut out, chars.as_str(), 2, 16),
            Some('u') => 1 + code(&mut out, chars.as_str(), 4, 16),
            Some('U') => 1 + code(&mut out, chars.as_str(), 8, 16),
            Some('N') => 1 + named(&mut out, chars.as_str()),
            Some('0'..='7') => code(&mut out, escape, 3, 8),
            Some(c) => {
                if !matches!(c, '\\' | '\'' | '"') {
                    out.push('\\');
                }
                put(&mut out, c, c.len_utf8())
            }
        };
        rest = escape.get(taken..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

fn put(out: &mut String, c: char, taken: usize) -> usize {
    out.push(c);
    taken
}

/// A character by up to `max` digits; says how many were taken.
fn code(out: &mut String, digits: &str, max: usize, radix: u32) -> usize {
    let n = digits.chars().take(max).take_while(|c| c.is_digit(radix)).count();
    let value = digits.get(..n).and_then(|d| u32::from_str_radix(d, radix).ok());
    out.push(value.and_then(char::from_u32).unwrap_or('\u{fffd}'));
    n
}

/// `\N{LOW LINE}` spells an underscore; other names do not matter here.
fn named(out: &mut String, rest: &str) -> usize {
    let Some(end) = rest.strip_prefix('{').and_then(|r| r.find('}')) else { return 0 };
    let name = rest.get(1..=end).unwrap_or_default();
    out.push(if name.eq_ignore_ascii_case("low line") { '_' } else { '\u{fffd}' });
    end + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(template: &str) -> Vec<String> {
        Lexer::new(template).map(|p| format!("{p:?}")).collect()
    }

    #[test]
    fn tags_end_outside_of_strings_and_brackets() {
        assert_eq!(pieces("{{ '}}' ~ {'a': {'b': 1}} }}x").len(), 2);
        assert_eq!(
            pieces("a{%- if x -%}b{# {{ c }} #}d{% endif %}"),
            [
                r#"Text("a")"#,
                r#"Statement([Name("if"), Name("x")])"#,
                r#"Text("b")"#,
                r#"Text("d")"#,
                r#"Statement([Name("endif")])"#,
            ]
        );
    }

    #[test]
    fn raw_blocks_are_text() {
        assert_eq!(pieces("{% raw %}{{ a }}{% endraw %}b"), [r#"Text("{{ a }}")"#, r#"Text("b")"#]);
    }

    #[test]
    fn escapes_are_those_of_python() {
        assert_eq!(unescaped(r"\x5f\u005f\137\N{LOW LINE}\U0000005f"), "_____");
        assert_eq!(unescaped(r"a\\n\'\d\é"), r"a\n'\d\é");
        assert_eq!(unescaped(r"\x\u12\"), "\u{fffd}\u{12}");
    }

    #[test]
    fn unclosed_tags_and_strings_end_with_the_template() {
        for template in ["{{", "{{ 'a", "{% if 'a\\", "{#", "{{ a }", "{% raw %}x", "{{ 'ä\\"] {
            assert!(pieces(template).len() <= 1, "{template}");
        }
    }
}
