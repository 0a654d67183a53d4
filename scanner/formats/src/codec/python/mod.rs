//! Python source, analysed without running it: which calls it makes, under
//! whatever names, when they run, and where the data they work on comes from.
//!
//! One linear pass learns the names a source binds, a second notes its calls.
//! Nothing is executed and no grammar is enforced: text that Python would
//! refuse gives whatever can be read in it.

mod calls;
mod danger;
mod eval;
mod judge;
mod lexer;
mod noted;
pub mod rules;
mod value;
mod walk;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use noted::Place;
use walk::{Known, Walker};

pub use danger::Danger;
pub use judge::{Trust, inspect, report};

/// What a call of the function `path` (`os.system`) can do, if it matters.
#[must_use]
pub fn danger_of(path: &str) -> Option<Danger> {
    danger::classify(path)
}

/// Longest source analysed, bytes; what lies beyond is reported.
pub const SOURCE_BYTES_MAX: usize = 2 << 20;
/// Bytes of constants computed for each byte of source.
const BUDGET_FACTOR: usize = 4;
/// Bytes of constants computed for any source.
const BUDGET_BASE: usize = 8 << 20;

/// When a statement runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Under `if __name__ == "__main__":` only.
    Script,
    /// When somebody calls the function.
    Function,
    /// When a loader or server calls a hook it knows by name: `__init__` of a
    /// derived class, `initialize`, `forward`, `_load_pyfunc`.
    Hook,
    /// When the module is imported: top level, class bodies, decorators, and
    /// functions called from there.
    Import,
}

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// What is called, resolved through imports and assignments:
    /// `os.system`, `builtins.eval`, `requests.get().json`.
    pub name: String,
    /// Line, from 1.
    pub line: u32,
    /// Byte offset in the source.
    pub offset: u64,
    /// When it runs.
    pub reach: Reach,
    /// What it can do, if it matters.
    pub danger: Option<Danger>,
    /// Its first argument, if that is constant text or a list of it; parts
    /// that are not known stand as `_`.
    pub argument: Option<String>,
    /// Where its arguments come from.
    pub origin: Origin,
    /// The line it stands in, cut.
    pub evidence: String,
}

impl Call {
    /// Whether importing the module makes the call.
    #[must_use]
    pub fn at_import(&self) -> bool {
        self.reach == Reach::Import
    }
}

/// Where the arguments of a call come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    /// Out of a decoder: base64, hex, zlib, marshal, `chr`.
    pub decoded: bool,
    /// Over the network.
    pub remote: bool,
    /// Out of a file.
    pub file: bool,
    /// Some part is not known before it runs.
    pub partial: bool,
}

/// One import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Dotted name; relative imports start with dots.
    pub module: String,
    /// Line, from 1.
    pub line: u32,
}

/// Constant bytes that the source deserialises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// How.
    pub kind: PayloadKind,
    /// Line, from 1.
    pub line: u32,
    /// The bytes, decoded.
    pub bytes: Vec<u8>,
}

/// How a [`Payload`] is deserialised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadKind {
    /// `pickle.loads` and its like.
    Pickle,
    /// `marshal.loads`.
    Marshal,
}

/// What a source does.
#[derive(Debug, Clone, Default)]
pub struct Analysis {
    /// Calls in the order of the text.
    pub calls: Vec<Call>,
    /// Imports in the order of the text.
    pub imports: Vec<Import>,
    /// Constants handed to deserialisers.
    pub payloads: Vec<Payload>,
    /// Places of secrets named in strings, with their lines.
    pub secrets: Vec<(&'static str, u32)>,
    /// Whether a limit left something out.
    pub incomplete: bool,
}

impl Analysis {
    /// Calls that can do `danger`.
    pub fn dangers(&self, danger: Danger) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(move |c| c.danger == Some(danger))
    }
}

/// `source` with letters that Python takes for ASCII ones in names written as
/// such: full-width and mathematical forms (PEP 3131: names are compared in
/// normal form KC). Texts and comments may change with them, which hides
/// nothing.
fn folded(source: &str) -> Cow<'_, str> {
    let fold = |c: char| {
        let code = u32::from(c);
        let ascii = match code {
            0xff10..=0xff19 | 0xff21..=0xff3a | 0xff3f | 0xff41..=0xff5a => code - 0xfee0,
            // Bold, italic, script, Fraktur, double-struck, sans-serif, monospace:
            // thirteen alphabets of capitals and small letters.
            0x1d400..=0x1d6a3 => {
                let letter = (code - 0x1d400) % 52;
                if letter < 26 { u32::from('A') + letter } else { u32::from('a') + letter - 26 }
            }
            _ => return c,
        };
        char::from_u32(ascii).unwrap_or(c)
    };
    if source.is_ascii() || source.chars().all(|c| fold(c) == c) {
        return Cow::Borrowed(source);
    }
    Cow::Owned(source.chars().map(fold).collect())
}

/// Analyses `source`. Time and memory are linear in its length, of which at
/// most [`SOURCE_BYTES_MAX`] is looked at.
#[must_use]
pub fn analyse(source: &str) -> Analysis {
    let mut end = source.len().min(SOURCE_BYTES_MAX);
    while !source.is_char_boundary(end) {
        end -= 1;
    }
    let text = &folded(source.get(..end).unwrap_or_default());
    let budget = text.len().saturating_mul(BUDGET_FACTOR).saturating_add(BUDGET_BASE);
    let nothing = Known::default();
    let mut first = Walker::new(text, &nothing, budget, 0);
    first.run();
    let known = std::mem::take(&mut first.learnt);
    let mut second = Walker::new(text, &known, budget, 0);
    second.run();
    let reaches = second.noted.reaches();
    let noted = second.noted;
    let calls = noted.calls.into_iter().map(|raw| {
        let reach = match raw.place {
            Place::Module => Reach::Import,
            Place::MainGuard => Reach::Script,
            Place::Def(def) => reaches.get(def).copied().unwrap_or(Reach::Function),
        };
        Call {
            name: raw.name,
            line: raw.line,
            offset: raw.offset as u64,
            reach,
            danger: raw.danger,
            argument: raw.argument,
            origin: Origin {
                decoded: raw.origin & value::taint::DECODED != 0,
                remote: raw.origin & value::taint::REMOTE != 0,
                file: raw.origin & value::taint::FILE != 0,
                partial: raw.origin & value::taint::PARTIAL != 0,
            },
            evidence: raw.evidence,
        }
    });
    Analysis {
        calls: calls.collect(),
        imports: noted.imports,
        payloads: noted.payloads,
        secrets: noted.secrets,
        incomplete: noted.dropped || end < source.len(),
    }
}
