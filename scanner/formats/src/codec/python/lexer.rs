//! Tokens of Python source ("Lexical analysis", Python 3 reference), one at a
//! time and in one pass. What Python would refuse is tolerated: an unclosed
//! string ends with its line or the text, unknown characters are skipped.

/// Columns a tab advances to (reference, section 2.1.8).
const TAB_COLUMNS: u32 = 8;
/// Deepest nesting of strings in replacement fields of one f-string.
const FORMAT_DEPTH_MAX: usize = 16;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Identifier or keyword.
    Name,
    /// A number; the value if it is an integer that fits.
    Number(Option<i64>),
    /// A string literal.
    Text(Literal),
    /// An operator or delimiter.
    Op,
    /// The end of a logical line.
    Newline,
    /// The end of the text.
    End,
}

/// The shape of a string literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Literal {
    /// `b"…"`
    pub bytes: bool,
    /// `r"…"`
    pub raw: bool,
    /// `f"…"` or `t"…"`
    pub formatted: bool,
    /// Bytes before the content: prefix and opening quotes.
    pub opening: usize,
    /// Bytes after the content: closing quotes, if there are any.
    pub closing: usize,
}

/// One token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    /// Byte offset in the source.
    pub offset: usize,
    /// Line, from 1.
    pub line: u32,
    /// Column of the logical line's first token, for that token only.
    pub indent: Option<u32>,
}

impl<'a> Token<'a> {
    /// Whether this is the operator or keyword `text`.
    pub fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Name | Kind::Op) && self.text == text
    }

    /// The text between the quotes of a string literal, escapes untouched.
    pub fn content(&self, literal: Literal) -> &'a str {
        let end = self.text.len().saturating_sub(literal.closing);
        self.text.get(literal.opening..end).unwrap_or_default()
    }
}

/// Splits source into tokens.
#[derive(Clone)]
pub(super) struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: u32,
    brackets: u32,
    line_start: bool,
}

impl<'a> Lexer<'a> {
    pub fn new(source: &'a str) -> Self {
        let at = if source.starts_with('\u{feff}') { 3 } else { 0 };
        Self { source, at, line: 1, brackets: 0, line_start: true }
    }

    /// As if `source` stood in brackets: newlines mean nothing. For the
    /// replacement fields of f-strings.
    pub fn expression(source: &'a str, line: u32) -> Self {
        Self { source, at: 0, line, brackets: 1, line_start: false }
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.source.as_bytes().get(self.at + ahead).copied()
    }

    /// The next token; [`Kind::End`] for ever once the text is over.
    pub fn next_token(&mut self) -> Token<'a> {
        let mut column = self.blanks();
        loop {
            let offset = self.at;
            let Some(byte) = self.byte(0) else {
                return self.token(Kind::End, offset, None);
            };
            match byte {
                b'#' => self.comment(),
                b'\n' | b'\r' => {
                    self.newline();
                    if !self.line_start && self.brackets == 0 {
                        self.line_start = true;
                        let mut token = self.token(Kind::Newline, offset, None);
                        token.line = token.line.saturating_sub(1).max(1);
                        return token;
                    }
                }
                b'\\' if matches!(self.byte(1), Some(b'\n' | b'\r')) => {
                    self.at += 1;
                    self.newline();
                }
                _ => {
                    let indent = std::mem::take(&mut self.line_start).then_some(column);
                    let line = self.line;
                    if let Some(kind) = self.lexeme(byte) {
                        let mut token = self.token(kind, offset, indent);
                        token.line = line;
                        return token;
                    }
                    self.line_start = indent.is_some();
                }
            }
            column = self.blanks();
        }
    }

    fn token(&self, kind: Kind, from: usize, indent: Option<u32>) -> Token<'a> {
        let text = self.source.get(from..self.at).unwrap_or_default();
        Token { kind, text, offset: from, line: self.line, indent }
    }

    /// Steps over white space; the column after it.
    fn blanks(&mut self) -> u32 {
        let mut column = 0u32;
        while let Some(byte) = self.byte(0) {
            column = match byte {
                b' ' => column.saturating_add(1),
                b'\t' => (column / TAB_COLUMNS).saturating_add(1).saturating_mul(TAB_COLUMNS),
                0x0c => 0,
                _ => break,
            };
            self.at += 1;
        }
        column
    }

    fn newline(&mut self) {
        if self.byte(0) == Some(b'\r') && self.byte(1) == Some(b'\n') {
            self.at += 1;
        }
        self.at += 1;
        self.line = self.line.saturating_add(1);
    }

    fn comment(&mut self) {
        let rest = self.source.as_bytes().get(self.at..).unwrap_or_default();
        self.at += memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
    }

    /// Consumes one token that is not white space. `None` for a character
    /// that starts none.
    fn lexeme(&mut self, byte: u8) -> Option<Kind> {
        match byte {
            b'"' | b'\'' => Some(self.string(0)),
            b'0'..=b'9' => Some(self.number()),
            b'.' if self.byte(1).is_some_and(|b| b.is_ascii_digit()) => Some(self.number()),
            b'_' | b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => Some(self.name_or_string()),
            b'(' | b'[' | b'{' => {
                self.brackets = self.brackets.saturating_add(1);
                self.at += 1;
                Some(Kind::Op)
            }
            b')' | b']' | b'}' => {
                self.brackets = self.brackets.saturating_sub(1);
                self.at += 1;
                Some(Kind::Op)
            }
            b'!'..=b'~' => {
                self.operator();
                Some(Kind::Op)
            }
            _ => {
                self.at += 1;
                None
            }
        }
    }

    fn operator(&mut self) {
        const LONG: &[&str] = &[
            "...", "**=", "//=", "<<=", ">>=", "->", ":=", "==", "!=", "<=", ">=", "**", "//", "<<", ">>", "+=", "-=",
            "*=", "/=", "%=", "&=", "|=", "^=", "@=",
        ];
        let rest = self.source.as_bytes().get(self.at..).unwrap_or_default();
        self.at += LONG.iter().find(|op| rest.starts_with(op.as_bytes())).map_or(1, |op| op.len());
    }

    fn number(&mut self) -> Kind {
        let start = self.at;
        let mut previous = 0;
        while let Some(byte) = self.byte(0) {
            let exponent_sign = matches!(byte, b'+' | b'-') && matches!(previous, b'e' | b'E') && !self.is_hex(start);
            if !(byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.' || exponent_sign) {
                break;
            }
            previous = byte;
            self.at += 1;
        }
        let text: String =
            self.source.get(start..self.at).unwrap_or_default().chars().take(64).filter(|c| *c != '_').collect();
        let lower = text.to_ascii_lowercase();
        let value = match lower.get(..2) {
            Some("0x") => i64::from_str_radix(lower.get(2..).unwrap_or_default(), 16),
            Some("0o") => i64::from_str_radix(lower.get(2..).unwrap_or_default(), 8),
            Some("0b") => i64::from_str_radix(lower.get(2..).unwrap_or_default(), 2),
            _ => lower.parse(),
        };
        Kind::Number(value.ok())
    }

    fn is_hex(&self, start: usize) -> bool {
        self.source.get(start..).is_some_and(|s| s.starts_with("0x") || s.starts_with("0X"))
    }

    fn name_or_string(&mut self) -> Kind {
        let rest = self.source.get(self.at..).unwrap_or_default();
        let len = rest.find(|c: char| !(c == '_' || c.is_ascii_alphanumeric() || !c.is_ascii())).unwrap_or(rest.len());
        let next = rest.as_bytes().get(len);
        let prefix = rest.get(..len).unwrap_or_default();
        if matches!(next, Some(b'"' | b'\'')) && len <= 2 && prefix.bytes().all(|b| b"rRbBuUfFtT".contains(&b)) {
            return self.string(len);
        }
        self.at += len.max(1);
        Kind::Name
    }

    /// Consumes a string literal with a prefix of `prefix` bytes.
    fn string(&mut self, prefix: usize) -> Kind {
        let start = self.at;
        let has = |letters: &[u8]| {
            self.source.as_bytes().get(start..start + prefix).is_some_and(|p| p.iter().any(|b| letters.contains(b)))
        };
        let (raw, bytes, formatted) = (has(b"rR"), has(b"bB"), has(b"fFtT"));
        let quote = self.byte(prefix).unwrap_or(b'"');
        let triple = self.byte(prefix + 1) == Some(quote) && self.byte(prefix + 2) == Some(quote);
        let quotes = if triple { 3 } else { 1 };
        self.at += prefix + quotes;
        let closed = self.string_body(quote, triple, formatted);
        let closing = if closed { quotes } else { 0 };
        Kind::Text(Literal { bytes, raw, formatted, opening: prefix + quotes, closing })
    }

    /// Consumes up to and with the closing quotes; false if they are missing.
    /// Strings inside replacement fields may repeat the outer quotes (PEP 701).
    fn string_body(&mut self, quote: u8, triple: bool, formatted: bool) -> bool {
        // One entry per open string: its quote, whether triple, and the open
        // braces of the replacement field that is being read, if any.
        let mut open = vec![(quote, triple, 0u32, formatted)];
        while let Some(byte) = self.byte(0) {
            let nests = open.len() < FORMAT_DEPTH_MAX;
            let Some((quote, triple, braces, formatted)) = open.last_mut() else { return true };
            let in_field = *braces > 0;
            match byte {
                b'\\' if !in_field => {
                    self.at += 1;
                    match self.byte(0) {
                        Some(b'\n' | b'\r') => self.newline(),
                        // A backslash does not hide a replacement field.
                        Some(b'{' | b'}') if *formatted => {}
                        _ => self.at += self.char_len(),
                    }
                    continue;
                }
                b'\n' | b'\r' => {
                    if !*triple && !in_field {
                        return false;
                    }
                    self.newline();
                    continue;
                }
                b'{' if *formatted => {
                    if !in_field && self.byte(1) == Some(b'{') {
                        self.at += 1;
                    } else {
                        *braces += 1;
                    }
                }
                b'}' if in_field => *braces -= 1,
                b'"' | b'\'' if in_field && nests => {
                    // PEP 701 nests; before it, the same quote ended the string.
                    let nested_triple = self.byte(1) == Some(byte) && self.byte(2) == Some(byte);
                    self.at += if nested_triple { 2 } else { 0 };
                    open.push((byte, nested_triple, 0, false));
                }
                _ if byte == *quote && !in_field => {
                    let ends = !*triple || self.byte(1) == Some(byte) && self.byte(2) == Some(byte);
                    if ends {
                        self.at += if *triple { 3 } else { 1 };
                        open.pop();
                        if open.is_empty() {
                            return true;
                        }
                        continue;
                    }
                }
                _ => {}
            }
            self.at += self.char_len();
        }
        false
    }

    /// Bytes of the character here.
    fn char_len(&self) -> usize {
        self.source.get(self.at..).and_then(|s| s.chars().next()).map_or(1, char::len_utf8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        let mut lexer = Lexer::new(source);
        let mut out = Vec::new();
        loop {
            let token = lexer.next_token();
            match token.kind {
                Kind::End => return out,
                Kind::Newline => out.push("\n"),
                _ => out.push(token.text),
            }
        }
    }

    #[test]
    fn splits_names_numbers_strings_and_operators() {
        assert_eq!(
            texts("a.b(0x1F, 1e-3) # c\nx**=2"),
            ["a", ".", "b", "(", "0x1F", ",", "1e-3", ")", "\n", "x", "**=", "2"]
        );
    }

    #[test]
    fn newlines_in_brackets_and_after_backslashes_join_lines() {
        assert_eq!(
            texts("f(\n1,\n2)\na = \\\n b\n\n\nc"),
            ["f", "(", "1", ",", "2", ")", "\n", "a", "=", "b", "\n", "c"]
        );
    }

    #[test]
    fn strings_keep_quotes_escapes_and_prefixes_apart() {
        let mut lexer = Lexer::new(r#"rb'a\'' "b\"c" '''d'e''' F"{x['y']}""#);
        let mut contents = Vec::new();
        while let token @ Token { kind: Kind::Text(literal), .. } = lexer.next_token() {
            contents.push((token.content(literal), literal.bytes, literal.raw, literal.formatted));
        }
        assert_eq!(
            contents,
            [
                (r"a\'", true, true, false),
                ("b\\\"c", false, false, false),
                ("d'e", false, false, false),
                ("{x['y']}", false, false, true)
            ]
        );
    }

    #[test]
    fn nested_fields_may_repeat_the_quote() {
        assert_eq!(texts("f\"{x[\"y\"]} {{\" + z"), ["f\"{x[\"y\"]} {{\"", "+", "z"]);
    }

    #[test]
    fn an_unclosed_string_ends_with_its_line() {
        assert_eq!(texts("'abc\nd"), ["'abc", "\n", "d"]);
        assert_eq!(texts("'''abc\nd"), ["'''abc\nd"]);
    }

    #[test]
    fn indentation_is_told_for_the_first_token_of_a_line() {
        let mut lexer = Lexer::new("a\n  b\n\tc");
        let mut indents = Vec::new();
        loop {
            let token = lexer.next_token();
            match token.kind {
                Kind::End => break,
                Kind::Newline => {}
                _ => indents.push((token.text, token.indent, token.line)),
            }
        }
        assert_eq!(indents, [("a", Some(0), 1), ("b", Some(2), 2), ("c", Some(8), 3)]);
    }
}
