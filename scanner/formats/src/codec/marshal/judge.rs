use std::collections::HashSet;
use std::fmt;
use std::sync::OnceLock;

use weighbridge_rules::marshal::{NAMES, TEXTS};

use super::parse::Code;

/// Most names and texts shown as evidence.
const SHOWN_MAX: usize = 12;
/// Longest text shown as evidence, characters.
const SHOWN_CHARS_MAX: usize = 120;

/// Why code is dangerous.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Danger {
    names: Vec<String>,
    texts: Vec<String>,
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |items: &[String]| {
            let items = items.iter().take(SHOWN_MAX);
            items
                .map(|t| format!("`{}`", t.chars().take(SHOWN_CHARS_MAX).collect::<String>()))
                .collect::<Vec<_>>()
                .join(", ")
        };
        match (self.names.is_empty(), self.texts.is_empty()) {
            (false, false) => write!(f, "names {} and holds the text {}", shown(&self.names), shown(&self.texts)),
            (false, true) => write!(f, "names {}", shown(&self.names)),
            _ => write!(f, "holds the text {}", shown(&self.texts)),
        }
    }
}

/// What `code` reaches for; `None` if nothing gives it away.
pub(super) fn judge(code: &Code) -> Option<Danger> {
    let tables = tables();
    let mut names: Vec<String> = code.names.iter().filter(|n| tables.strong.contains(n.as_str())).cloned().collect();
    let weak: Vec<String> = code.names.iter().filter(|n| tables.weak.contains(n.as_str())).cloned().collect();
    let mut texts: Vec<String> =
        code.texts.iter().filter(|t| tables.fragments.iter().any(|part| t.contains(part))).cloned().collect();
    if !weak.is_empty() {
        // `getattr(x, "system")` hides the name among the constants.
        texts.extend(code.texts.iter().filter(|t| tables.strong.contains(t.as_str())).cloned());
    }
    if names.is_empty() && texts.is_empty() && weak.len() < 2 {
        return None;
    }
    names.extend(weak);
    Some(Danger { names, texts })
}

/// What a module reaches for that no honest one does: commands that open
/// shells or fetch and run something, and packed text that is run as code.
pub(super) fn judge_module(code: &Code) -> Option<Danger> {
    const STARTERS: &[&str] =
        &["system", "popen", "Popen", "run", "call", "check_output", "check_call", "exec", "eval"];
    const COMMANDS: &[&str] = &["/dev/tcp/", "bash -i", "nc -e ", "ncat -e ", "| sh -", "| bash -", "powershell -e"];
    const ENDINGS: &[&str] = &["| sh", "|sh", "| bash", "|bash"];
    const UNPACKERS: &[&str] =
        &["b64decode", "b32decode", "b85decode", "a85decode", "fromhex", "unhexlify", "decompress"];
    const PACKED_CHARS_MIN: usize = 120;
    let named = |table: &[&str]| code.names.iter().filter(|n| table.contains(&n.as_str())).cloned().collect::<Vec<_>>();
    let starters = named(STARTERS);
    let unpackers = named(UNPACKERS);
    let is_packed = |t: &&String| {
        t.len() >= PACKED_CHARS_MIN && t.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
    };
    let is_command =
        |t: &&String| COMMANDS.iter().any(|c| t.contains(c)) || ENDINGS.iter().any(|end| t.trim_end().ends_with(end));
    // Documentation speaks of commands too; it is indented.
    let commands = code.texts.iter().filter(is_command).filter(|t| !t.contains("\n    "));
    let mut texts: Vec<String> = commands.cloned().collect();
    if !unpackers.is_empty() && starters.iter().any(|n| n == "exec" || n == "eval") {
        texts.extend(code.texts.iter().filter(is_packed).cloned());
    }
    if starters.is_empty() || texts.is_empty() {
        return None;
    }
    Some(Danger { names: [starters, unpackers].concat(), texts })
}

/// The first piece of `text`, source or a command, that gives danger away.
#[must_use]
pub fn danger_in_text(text: &str) -> Option<&'static str> {
    // Most texts are single words, and no word is a command.
    if text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !text.contains("__") {
        return None;
    }
    tables().fragments.iter().find(|part| text.contains(**part)).copied()
}

struct Tables {
    strong: HashSet<&'static str>,
    weak: HashSet<&'static str>,
    fragments: Vec<&'static str>,
}

fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| {
        let lines = |text: &'static str| text.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
        Tables {
            strong: lines(NAMES).filter(|l| !l.starts_with('?')).collect(),
            weak: lines(NAMES).filter_map(|l| l.strip_prefix("? ")).collect(),
            fragments: lines(TEXTS).collect(),
        }
    })
}

/// The first dangerous name or piece of text in bytes that are no readable
/// code object.
#[must_use]
pub fn danger_in_bytes(bytes: &[u8]) -> Option<String> {
    /// Shorter names turn up in random bytes.
    const NAME_CHARS_MIN: usize = 4;
    let text = String::from_utf8_lossy(bytes);
    if let Some(piece) = danger_in_text(&text) {
        return Some(piece.to_owned());
    }
    let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    names.filter(|n| n.len() >= NAME_CHARS_MIN).find(|n| tables().strong.contains(n)).map(str::to_owned)
}
