//! Telling a pickle by its first bytes. Protocols 0 and 1 have no signature
//! (CVE-2025-10155), so their grammar is walked: cheaply, and strictly enough
//! that text and binaries fall out after a few bytes.

use crate::core::{Confidence, FormatError, Input, Reader, Sniff};
use crate::formats::pickle::ops::{self, Op, Operand, code};

/// Extensions under which a pickle without signature and without imports is
/// looked for. Files without extension count too.
const EXTENSIONS: &[&str] = &[
    "pkl", "pickle", "p", "pck", "pcl", "dat", "bin", "joblib", "pt", "pth", "ckpt", "data", "model", "sav", "dill",
    "obj", "db", "cache",
];
/// Extensions that claim a pickle.
const CLAIMS: &[&str] = &["pkl", "pickle", "pck", "joblib", "dill"];
/// Opcodes walked.
const OPS_MAX: u32 = 4096;
/// Opcodes walked behind a signature to tell the format: nothing else gets
/// this far.
const OPS_SIGNED_MAX: u32 = 256;
/// Deepest stack followed.
const STACK_MAX: usize = 4096;

/// What a walk over the first bytes showed.
#[derive(Debug, Default)]
struct Walk {
    /// Opcodes up to the first STOP.
    ops: u32,
    /// Different opcodes, one bit each.
    kinds: [u64; 4],
    protocol: Option<i64>,
    /// Imports, those by GLOBAL and INST with plausible names.
    globals: u32,
    /// Texts that may be names.
    names: u32,
    /// Calls after such an import.
    calls: u32,
    /// Offset after the first STOP.
    stopped: Option<u64>,
    /// The head ended, not the grammar.
    ran_off: bool,
    /// The content itself ended.
    truncated: bool,
}

/// Whether the first bytes are a pickle's.
#[must_use]
pub fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let Some(first) = sniff.head.first() else { return Confidence::No };
    // `PK` would read as a persistent id.
    if !starts_stream(*first) || matches!(sniff.head, [b'P', b'K', 1 | 3 | 5 | 7, ..]) {
        return Confidence::No;
    }
    let signed = *first == code::PROTO;
    let walk = walk(sniff.head, sniff.len, if signed { OPS_SIGNED_MAX } else { OPS_MAX });
    let named = sniff.name.has_extension(EXTENSIONS) || sniff.name.extension().is_none();
    let claimed = sniff.name.has_extension(CLAIMS);
    if signed && matches!(walk.protocol, Some(2..=5)) {
        return walk.with_signature(claimed);
    }
    let ends = walk.stopped.is_some_and(|end| sniff.len.saturating_sub(end) <= 2);
    if walk.calls > 0 || walk.globals > 0 && ends {
        return Confidence::Likely;
    }
    if walk.globals > 0 && walk.ran_off {
        return Confidence::Plausible;
    }
    let different: u32 = walk.kinds.iter().map(|k| k.count_ones()).sum();
    let data = walk.stopped.is_some() && (ends || claimed) && walk.ops >= if claimed { 2 } else { 5 }
        || walk.ran_off && (walk.ops >= 16 && different >= 3 || walk.ops >= 64 && different >= 2);
    let number = walk.ran_off && sniff.head.get(1..).is_some_and(|rest| rest.iter().all(u8::is_ascii_digit));
    if named && (data || number) || claimed && walk.truncated && walk.ops >= 3 {
        return Confidence::Plausible;
    }
    Confidence::No
}

/// Whether a constant of `len` bytes is a pickle beyond doubt: it imports
/// something, or ends exactly at its STOP.
#[must_use]
pub fn is_convincing(head: &[u8], len: u64) -> bool {
    let Some(walk) = walk_from(head, len) else { return false };
    match walk.protocol {
        Some(2..=5) => walk.imports() || walk.stopped == Some(len) && walk.ops >= 3,
        _ => walk.calls > 0 && walk.imports(),
    }
}

/// Whether a pickle that imports something begins here, in the middle of
/// other bytes. Weights are full of places that look like lesser pickles.
#[must_use]
pub fn imports_something(head: &[u8], len: u64) -> bool {
    walk_from(head, len).is_some_and(|walk| walk.imports() && (walk.protocol.is_some() || walk.calls > 0))
}

/// Whether bytes right behind a complete stream may be the next one.
#[must_use]
pub fn may_follow(head: &[u8], len: u64) -> bool {
    let Some(walk) = walk_from(head, len) else { return false };
    match walk.protocol {
        Some(2..=5) => walk.ops >= 3,
        _ => walk.calls > 0 || walk.stopped.is_some() && walk.ops >= 5,
    }
}

fn walk_from(head: &[u8], len: u64) -> Option<Walk> {
    let head = head.get(..4096).unwrap_or(head);
    starts_stream(*head.first()?).then(|| walk(head, len, OPS_MAX))
}

impl Walk {
    /// Whether something is imported under a plausible name.
    fn imports(&self) -> bool {
        self.globals > 0 && self.names >= 2
    }

    /// The first bytes are PROTO and a protocol that exists.
    fn with_signature(&self, claimed: bool) -> Confidence {
        if (self.stopped.is_some() || self.ran_off) && self.ops >= 2 {
            Confidence::Certain
        } else if self.globals > 0 || self.ops >= 6 || self.truncated && self.ops >= 3 {
            Confidence::Likely
        } else if claimed {
            Confidence::Plausible
        } else {
            Confidence::No
        }
    }
}

/// Opcodes that can stand first: those that push something, PROTO, MARK.
fn starts_stream(byte: u8) -> bool {
    matches!(
        byte,
        code::PROTO
            | code::FRAME
            | code::MARK
            | code::GLOBAL
            | code::NONE
            | code::INT
            | code::LONG
            | code::FLOAT
            | code::STRING
            | code::UNICODE
            | code::PERSID
            | code::EMPTY_DICT
            | code::EMPTY_LIST
            | code::EMPTY_TUPLE
            | code::BININT
            | code::BININT1
            | code::BININT2
            | code::BINSTRING
            | code::SHORT_BINSTRING
            | code::BINUNICODE
            | code::BINFLOAT
            | code::BINBYTES
            | code::SHORT_BINBYTES
            | code::EXT1..=code::EXT4
            | code::NEWTRUE..=code::EMPTY_SET
            | code::BYTEARRAY8
            | code::NEXT_BUFFER
    )
}

fn walk(head: &[u8], len: u64, ops_max: u32) -> Walk {
    let input = Input::bytes(head.to_vec());
    let mut r = Reader::new(&input);
    let mut walk = Walk::default();
    let mut stack = Stack::default();
    for _ in 0..ops_max {
        let at = r.position();
        let op = match ops::next(&mut r) {
            Ok(op) => op,
            Err(FormatError::Truncated { .. }) => {
                let goes_on = len > head.len() as u64 && operand_fits(head, at, len);
                walk.ran_off = goes_on && walk.stopped.is_none();
                walk.truncated = !goes_on && at > 0 && walk.stopped.is_none();
                return walk;
            }
            Err(_) => return walk,
        };
        if !stack.accepts(&op) {
            return walk;
        }
        walk.ops += u32::from(walk.stopped.is_none());
        if let Some(kinds) = walk.kinds.get_mut(usize::from(op.code / 64)) {
            *kinds |= 1 << (op.code % 64);
        }
        match (&op.operand, op.code) {
            (Operand::Int(version), code::PROTO) => {
                walk.protocol = walk.protocol.or(Some(*version));
            }
            (Operand::Lines(module, name), code) => {
                if !is_name(module) || !is_name(name) {
                    walk.ops = walk.ops.saturating_sub(1);
                    return walk;
                }
                walk.globals += 1;
                walk.names += 2;
                walk.calls += u32::from(code == code::INST);
            }
            (
                Operand::Span { head, len, .. },
                code::SHORT_BINUNICODE | code::BINUNICODE | code::SHORT_BINSTRING | code::UNICODE,
            ) => {
                walk.names += u32::from(walk.names < 2 && *len > 1 && head.bytes().is_ascii() && is_name(head.bytes()));
            }
            (Operand::Span { start, len, .. }, code::STRING) => {
                let text = usize::try_from(*start).ok().and_then(|s| head.get(s..)).unwrap_or_default();
                let quoted = text.first().is_some_and(|b| matches!(b, b'\'' | b'"')) && *len >= 2;
                if !quoted {
                    return walk;
                }
                walk.names += 1;
            }
            (_, code::STACK_GLOBAL) => walk.globals += 1,
            (_, code::REDUCE | code::OBJ | code::NEWOBJ | code::NEWOBJ_EX | code::BUILD) if walk.globals > 0 => {
                walk.calls += 1;
            }
            (_, code::STOP) => {
                walk.stopped = walk.stopped.or(Some(r.position()));
                // What follows may be the stream that matters.
                stack = Stack::default();
            }
            _ => {}
        }
    }
    walk.ran_off = walk.stopped.is_none();
    walk
}

/// Whether an operand cut off by the end of the head can end inside the
/// content.
fn operand_fits(head: &[u8], at: u64, len: u64) -> bool {
    let op = usize::try_from(at).ok().and_then(|at| head.get(at..)).unwrap_or_default();
    let declared = match op {
        [code::BINUNICODE | code::BINBYTES | code::BINSTRING, rest @ ..] => {
            rest.first_chunk().map(|n| u64::from(u32::from_le_bytes(*n)))
        }
        [code::BINUNICODE8 | code::BINBYTES8 | code::BYTEARRAY8, rest @ ..] => {
            rest.first_chunk().map(|n| u64::from_le_bytes(*n))
        }
        _ => None,
    };
    declared.is_none_or(|n| n <= len.saturating_sub(at))
}

/// Letters, digits, underscores and dots, as module and class names are
/// written; also with blanks around, which only an attacker writes.
fn is_name(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text.trim_ascii()) else { return false };
    !text.is_empty()
        && text.len() <= 256
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'))
}

/// Depth of the stack above each MARK.
#[derive(Debug, Default)]
struct Stack {
    depth: usize,
    marks: Vec<usize>,
}

impl Stack {
    /// Executes an opcode on the depth alone; false if the machine would
    /// stop.
    fn accepts(&mut self, op: &Op) -> bool {
        let (pops, pushes) = match op.code {
            code::PROTO | code::FRAME => (0, 0),
            code::MARK => {
                self.marks.push(std::mem::take(&mut self.depth));
                return self.marks.len() <= STACK_MAX;
            }
            code::POP if self.depth == 0 => return self.back_to_mark().is_some(),
            code::POP_MARK => return self.back_to_mark().is_some(),
            code::POP | code::STOP => (1, 0),
            code::TUPLE | code::LIST | code::DICT | code::FROZENSET | code::INST => {
                if self.back_to_mark().is_none() {
                    return false;
                }
                (0, 1)
            }
            code::OBJ => match self.back_to_mark() {
                Some(items) if items > 0 => (0, 1),
                _ => return false,
            },
            code::APPENDS | code::SETITEMS | code::ADDITEMS => {
                if self.back_to_mark().is_none() {
                    return false;
                }
                (1, 1)
            }
            code::DUP => (1, 2),
            code::PUT | code::BINPUT | code::LONG_BINPUT | code::MEMOIZE | code::READONLY_BUFFER | code::TUPLE1 => {
                (1, 1)
            }
            code::BINPERSID => (1, 1),
            code::TUPLE2 | code::APPEND | code::BUILD | code::REDUCE | code::NEWOBJ | code::STACK_GLOBAL => (2, 1),
            code::TUPLE3 | code::SETITEM | code::NEWOBJ_EX => (3, 1),
            code::NONE
            | code::NEWTRUE
            | code::NEWFALSE
            | code::INT
            | code::LONG
            | code::BININT
            | code::BININT1
            | code::BININT2
            | code::LONG1
            | code::LONG4
            | code::FLOAT
            | code::BINFLOAT
            | code::STRING
            | code::BINSTRING
            | code::SHORT_BINSTRING
            | code::UNICODE
            | code::BINUNICODE
            | code::SHORT_BINUNICODE
            | code::BINUNICODE8
            | code::BINBYTES
            | code::SHORT_BINBYTES
            | code::BINBYTES8
            | code::BYTEARRAY8
            | code::NEXT_BUFFER
            | code::EMPTY_TUPLE
            | code::EMPTY_LIST
            | code::EMPTY_DICT
            | code::EMPTY_SET
            | code::GET
            | code::BINGET
            | code::LONG_BINGET
            | code::GLOBAL
            | code::EXT1
            | code::EXT2
            | code::EXT4
            | code::PERSID => (0, 1),
            _ => return false,
        };
        match self.depth.checked_sub(pops) {
            Some(left) => self.depth = left + pushes,
            None => return false,
        }
        self.depth <= STACK_MAX
    }

    /// Drops everything above the last MARK; gives how much that was.
    fn back_to_mark(&mut self) -> Option<usize> {
        let below = self.marks.pop()?;
        Some(std::mem::replace(&mut self.depth, below))
    }
}
