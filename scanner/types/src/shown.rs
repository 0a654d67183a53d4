use std::fmt;

/// Text an attacker may have chosen, made safe to print: control characters,
/// bidirectional overrides and other invisible characters are escaped
/// (`\u{202e}`), since a file name can hold terminal commands (CWE-150).
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for c in self.0.chars() {
            if is_hidden(c) { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        Ok(())
    }
}

/// Control, bidirectional-format, zero-width and private-use-like characters.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_commands_and_bidi_are_escaped() {
        assert_eq!(Shown("a\u{1b}[2Jb\u{202e}c").to_string(), "a\\u{1b}[2Jb\\u{202e}c");
        assert_eq!(Shown("Übung/模型.gguf").to_string(), "Übung/模型.gguf");
    }
}
