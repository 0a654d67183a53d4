//! The record as JSON lines, to be checked without the database.
//!
//! One `chain` line, then `entry` lines in order, each followed by its `head`
//! line where it has one. A line has one form only: a checker that writes what
//! it read gets the same bytes.

use std::io::{BufRead, Read, Write};
use std::ops::RangeInclusive;

use jiff::Timestamp;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use weighbridge_types::Sha256;

use super::check::{Checker, Found};
use super::{BODY_BYTES_MAX, Broken, Chain, Entry, Fault, Head, PublicKey, Verification, Verified};
use crate::error::{Doing, StateError};
use crate::hex;

/// Longest line: a body in which every byte is escaped, and the rest.
const LINE_BYTES_MAX: u64 = 6 * BODY_BYTES_MAX as u64 + 4096;
/// Entries read from the database at a time.
const PAGE: usize = 64;

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line {
    Chain { version: u32, chain: String, public_key: String, from: u64, after: Sha256 },
    Entry { seq: u64, at: String, kind: String, body: String, previous: Sha256, hash: Sha256 },
    Head { chain: String, seq: u64, at: String, hash: Sha256, signature: String },
}

impl Line {
    fn of_entry(entry: Entry) -> Self {
        let Entry { seq, at, kind, body, previous, hash } = entry;
        Self::Entry { seq, at: at.to_string(), kind, body, previous, hash }
    }

    fn of_head(head: &Head) -> Self {
        let (chain, signature) = (head.chain.to_string(), hex::encode(&head.signature));
        Self::Head { chain, seq: head.seq, at: head.at.to_string(), hash: head.hash, signature }
    }

    /// Strings and numbers always have a JSON form.
    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Only the one form that [`Self::text`] writes.
    fn parse(text: &str) -> Result<Self, String> {
        let line: Self = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if line.text() == text { Ok(line) } else { Err("it is written differently than we write it".to_owned()) }
    }
}

pub(super) fn head_line(head: &Head) -> String {
    Line::of_head(head).text()
}

pub(super) fn parse_head(text: &str) -> Option<Head> {
    match Line::parse(text.trim_end()).ok()? {
        Line::Head { chain, seq, at, hash, signature } => head(&chain, seq, &at, hash, &signature),
        _ => None,
    }
}

fn head(chain: &str, seq: u64, at: &str, hash: Sha256, signature: &str) -> Option<Head> {
    let (chain, at) = (Chain(hex::decode(chain)?), time(at)?);
    Some(Head { chain, seq, at, hash, signature: hex::decode(signature)? })
}

/// Times have one form, too, and no more digits than are hashed.
fn time(text: &str) -> Option<Timestamp> {
    let at: Timestamp = text.parse().ok()?;
    (at.to_string() == text && at.subsec_nanosecond() % 1000 == 0).then_some(at)
}

/// Writes the entries in `range`, on to the next that has a head, and all heads. `db` must stand in one read
/// transaction. Returns how many entries went out.
pub(crate) fn export(
    db: &Connection,
    chain: Chain,
    key: PublicKey,
    range: &RangeInclusive<u64>,
    out: &mut dyn Write,
) -> Result<u64, StateError> {
    let from = (*range.start()).max(1);
    let mut line =
        |line: Line| writeln!(out, "{}", line.text()).map_err(|source| StateError::Export { action: "write", source });
    let mut after = from.saturating_sub(1);
    let before = match super::entries(db, after.saturating_sub(1), 1)?.pop() {
        Some(entry) if entry.seq == after => entry.hash,
        _ => chain.start(),
    };
    line(Line::Chain { version: 1, chain: chain.to_string(), public_key: key.to_string(), from, after: before })?;
    let mut written: u64 = 0;
    loop {
        let page = super::entries(db, after, PAGE)?;
        if page.is_empty() {
            return Ok(written);
        }
        for entry in page {
            after = entry.seq;
            line(Line::of_entry(entry))?;
            written = written.saturating_add(1);
            if let Some(head) = head_at(db, chain, after)? {
                line(Line::of_head(&head))?;
                if after >= *range.end() {
                    return Ok(written);
                }
            }
        }
    }
}

fn head_at(db: &Connection, chain: Chain, seq: u64) -> Result<Option<Head>, StateError> {
    use rusqlite::OptionalExtension;
    let row: Option<(i64, [u8; 32], [u8; 64])> = db
        .prepare_cached("SELECT at, hash, signature FROM heads WHERE seq = ?1")
        .and_then(|mut q| q.query_row([seq], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).optional())
        .doing("read the heads of the audit record")?;
    let Some((at, hash, signature)) = row else { return Ok(None) };
    Ok(Some(Head { chain, seq, at: super::chain::time(at)?, hash: Sha256::new(hash), signature }))
}

/// Checks an export against the endpoint's public key and, better, against a
/// head that was kept elsewhere. Needs neither database nor network.
///
/// An export may be cut off at any head; without `against`, that is not seen.
/// One that begins past entry 1 is whole from there on.
///
/// # Errors
/// Only what reading reports; whatever is wrong with the record is
/// [`Verification::Broken`].
pub fn verify_export(
    reader: &mut dyn BufRead,
    key: PublicKey,
    against: Option<&Head>,
) -> Result<Verification, StateError> {
    let mut lines = Lines { reader, number: 0 };
    Ok(match check(&mut lines, key, against)? {
        Ok(verified) => Verification::Whole(verified),
        Err(broken) => Verification::Broken(broken),
    })
}

fn check(
    lines: &mut Lines<'_>,
    key: PublicKey,
    against: Option<&Head>,
) -> Result<Result<Verified, Broken>, StateError> {
    let form = |seq: u64, why: String| Ok(Err(Broken { seq, what: Fault::Form(why) }));
    let against = against.cloned();
    let first = match lines.next()? {
        Some(Ok(line)) => line,
        Some(Err(why)) => return form(0, why),
        None => return form(0, "it is empty".to_owned()),
    };
    let Line::Chain { version: 1, chain, public_key, from, after } = first else {
        return form(0, "it does not begin with a `chain` line of version 1".to_owned());
    };
    let Some(chain) = hex::decode(&chain).map(Chain) else {
        return form(0, "its chain is no number of 32 digits".to_owned());
    };
    if public_key.parse() != Ok(key) {
        return form(0, format!("it says it was signed with the key `{public_key}`, and you gave `{key}`"));
    }
    if from == 0 || (from == 1 && after != chain.start()) {
        return Ok(Err(Broken { seq: 1, what: Fault::Unlinked }));
    }
    let mut checker = match Checker::new(chain, key, from, after, against.as_slice()) {
        Ok(checker) => checker,
        Err(broken) => return Ok(Err(broken)),
    };
    let mut seq = from;
    while let Some(line) = lines.next()? {
        let checked = match line {
            Err(why) => return form(seq, why),
            Ok(Line::Chain { .. }) => return form(seq, "a second `chain` line".to_owned()),
            Ok(Line::Entry { seq: number, at, kind, body, previous, hash }) => {
                let Some(at) = time(&at) else { return form(seq, "its time is none".to_owned()) };
                let (kind, body) = (kind.as_bytes(), body.as_bytes());
                seq = number.saturating_add(1);
                checker.entry(&Found { seq: number, at_us: at.as_microsecond(), kind, body, previous, hash })
            }
            Ok(Line::Head { chain, seq, at, hash, signature }) => match head(&chain, seq, &at, hash, &signature) {
                Some(head) => checker.head(&head),
                None => return form(seq, "its head is none".to_owned()),
            },
        };
        if let Err(broken) = checked {
            return Ok(Err(broken));
        }
    }
    Ok(checker.finish(true, 0))
}

/// Lines of bounded length.
struct Lines<'a> {
    reader: &'a mut dyn BufRead,
    number: u64,
}

impl Lines<'_> {
    /// The next line; why it is none of ours; or the end.
    fn next(&mut self) -> Result<Option<Result<Line, String>>, StateError> {
        let mut bytes = Vec::new();
        let mut limited = Read::take(&mut *self.reader, LINE_BYTES_MAX);
        limited.read_until(b'\n', &mut bytes).map_err(|source| StateError::Export { action: "read", source })?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.number = self.number.saturating_add(1);
        let number = self.number;
        let Some((b'\n', line)) = bytes.split_last() else {
            return Ok(Some(Err(format!("line {number} is too long, or cut off"))));
        };
        let text = std::str::from_utf8(line).map_err(|e| e.to_string());
        Ok(Some(text.and_then(Line::parse).map_err(|why| format!("line {number}: {why}"))))
    }
}
