//! Whether a record is whole.

use std::fmt;
use std::ops::RangeInclusive;

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};
use weighbridge_types::Sha256;

use super::{Chain, Entry, HEAD_ENTRIES_MAX, Head, PublicKey};
use crate::error::{Doing, StateError};

/// What a check of the record found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// Nothing was changed, left out, put in, moved or cut off.
    Whole(Verified),
    /// Something was.
    Broken(Broken),
}

/// A record that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Entries looked at.
    pub entries: u64,
    /// Signed heads among them, all good.
    pub heads: u64,
    /// Last entry looked at; 0 if there is none.
    pub last: u64,
    /// Entries whose time is before that of the entry before: the clock was set back.
    pub clock_back: u64,
    /// The first of these.
    pub clock_back_at: Option<u64>,
}

/// Where and how a record is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The first entry that does not fit.
    pub seq: u64,
    /// What is wrong there.
    pub what: Fault,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}: {}", self.seq, self.what)
    }
}

/// What can be wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Another entry, or the end, stands where this one must be.
    Missing,
    /// Its content does not have its hash.
    Altered,
    /// It does not follow the entry before it.
    Unlinked,
    /// The head on it is not signed with the endpoint's key, or speaks of another entry.
    Head,
    /// No head covers it.
    Unsigned,
    /// A head from elsewhere speaks of another entry with this number.
    OtherThanHead,
    /// A head speaks of this entry, and the record ends before it.
    CutOff {
        /// Entry the head speaks of.
        head: u64,
    },
    /// The head to hold it against belongs to another chain.
    OtherChain,
    /// The head to hold it against is not signed with the endpoint's key.
    ForgedHead,
    /// Not in the form that this record has.
    Form(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is missing"),
            Self::Altered => f.write_str("it was altered after it was written"),
            Self::Unlinked => f.write_str("it does not follow the entry before it"),
            Self::Head => f.write_str("its head is not signed with the endpoint's key"),
            Self::Unsigned => f.write_str("no signed head covers it"),
            Self::OtherThanHead => f.write_str("a signed head speaks of another entry with this number"),
            Self::CutOff { head } => write!(f, "the record ends before it, and a signed head reaches to {head}"),
            Self::OtherChain => f.write_str("the head given belongs to another chain: the record was begun anew"),
            Self::ForgedHead => f.write_str("the head given is not signed with the endpoint's key"),
            Self::Form(why) => write!(f, "it is not in the form of the record: {why}"),
        }
    }
}

/// Fields of one entry as they are found.
pub(crate) struct Found<'a> {
    pub(crate) seq: u64,
    pub(crate) at_us: i64,
    pub(crate) kind: &'a [u8],
    pub(crate) body: &'a [u8],
    pub(crate) previous: Sha256,
    pub(crate) hash: Sha256,
}

/// Takes a record entry by entry.
pub(crate) struct Checker<'a> {
    chain: Chain,
    key: PublicKey,
    against: &'a [Head],
    next: u64,
    previous: Sha256,
    last_at: Option<i64>,
    unsigned: u64,
    done: Verified,
}

impl<'a> Checker<'a> {
    /// For entries from `from` on, the one before having the hash `previous`.
    /// Heads in `against` come from elsewhere.
    pub(crate) fn new(
        chain: Chain,
        key: PublicKey,
        from: u64,
        previous: Sha256,
        against: &'a [Head],
    ) -> Result<Self, Broken> {
        for head in against {
            let broken = |what| Err(Broken { seq: head.seq, what });
            if head.chain != chain {
                return broken(Fault::OtherChain);
            }
            if !signed(head, key) {
                return broken(Fault::ForgedHead);
            }
        }
        let done = Verified { entries: 0, heads: 0, last: from.saturating_sub(1), clock_back: 0, clock_back_at: None };
        Ok(Self { chain, key, against, next: from, previous, last_at: None, unsigned: 0, done })
    }

    pub(crate) fn entry(&mut self, found: &Found<'_>) -> Result<(), Broken> {
        let broken = |what| Err(Broken { seq: self.next, what });
        if found.seq != self.next {
            return broken(Fault::Missing);
        }
        if Entry::digest(found.seq, found.at_us, found.kind, found.body, &found.previous) != found.hash {
            return broken(Fault::Altered);
        }
        if found.previous != self.previous {
            return broken(Fault::Unlinked);
        }
        if self.against.iter().any(|h| h.seq == found.seq && h.hash != found.hash) {
            return broken(Fault::OtherThanHead);
        }
        self.unsigned = self.unsigned.saturating_add(1);
        if self.unsigned > HEAD_ENTRIES_MAX {
            return broken(Fault::Unsigned);
        }
        if self.last_at.is_some_and(|last| found.at_us < last) {
            self.done.clock_back = self.done.clock_back.saturating_add(1);
            self.done.clock_back_at.get_or_insert(found.seq);
        }
        self.last_at = Some(found.at_us);
        self.previous = found.hash;
        self.done.last = found.seq;
        self.done.entries = self.done.entries.saturating_add(1);
        self.next = found.seq.saturating_add(1);
        Ok(())
    }

    /// The head that stands at the entry just taken.
    pub(crate) fn head(&mut self, head: &Head) -> Result<(), Broken> {
        let sound = head.chain == self.chain
            && head.seq == self.done.last
            && head.hash == self.previous
            && signed(head, self.key);
        if !sound {
            return Err(Broken { seq: self.done.last, what: Fault::Head });
        }
        self.unsigned = 0;
        self.done.heads = self.done.heads.saturating_add(1);
        Ok(())
    }

    /// The record ends here. With `to_end` it must be signed to its last entry and
    /// reach every head there is, `reach` being the highest beside the record.
    pub(crate) fn finish(self, to_end: bool, reach: u64) -> Result<Verified, Broken> {
        if to_end {
            let reach = self.against.iter().map(|h| h.seq).max().unwrap_or(0).max(reach);
            if reach > self.done.last {
                return Err(Broken { seq: self.next, what: Fault::CutOff { head: reach } });
            }
            if self.unsigned > 0 {
                return Err(Broken { seq: self.done.last, what: Fault::Unsigned });
            }
        }
        Ok(self.done)
    }
}

fn signed(head: &Head, key: PublicKey) -> bool {
    key.verifies(&Head::message(head.chain, head.seq, head.at.as_microsecond(), &head.hash), &head.signature)
}

/// Checks the record in the database.
pub(crate) fn verify(
    db: &Connection,
    chain: Chain,
    key: PublicKey,
    range: &RangeInclusive<u64>,
    against: &[Head],
) -> Result<Verification, StateError> {
    Ok(match run(db, chain, key, range, against)? {
        Ok(verified) => Verification::Whole(verified),
        Err(broken) => Verification::Broken(broken),
    })
}

fn run(
    db: &Connection,
    chain: Chain,
    key: PublicKey,
    range: &RangeInclusive<u64>,
    against: &[Head],
) -> Result<Result<Verified, Broken>, StateError> {
    const DOING: &str = "read the audit record";
    let from = (*range.start()).max(1);
    let last: i64 = db.query_row("SELECT coalesce(max(seq), 0) FROM audit", [], |r| r.get(0)).doing(DOING)?;
    let reach: i64 = db.query_row("SELECT coalesce(max(seq), 0) FROM heads", [], |r| r.get(0)).doing(DOING)?;
    let (last, reach) = (u64::try_from(last).unwrap_or(0), u64::try_from(reach).unwrap_or(0));
    let to_end = *range.end() >= last;
    let previous = if from == 1 {
        chain.start()
    } else {
        let before = db.query_row("SELECT hash FROM audit WHERE seq = ?1", [signed_seq(from.saturating_sub(1))], |r| {
            r.get::<_, [u8; 32]>(0)
        });
        match before {
            Ok(hash) => Sha256::new(hash),
            Err(_) => return Ok(Err(Broken { seq: from.saturating_sub(1), what: Fault::Missing })),
        }
    };
    let mut checker = match Checker::new(chain, key, from, previous, against) {
        Ok(checker) => checker,
        Err(broken) => return Ok(Err(broken)),
    };
    let mut query = db
        .prepare(
            "SELECT a.seq, a.at, a.kind, a.body, a.previous, a.hash, h.at, h.hash, h.signature
             FROM audit a LEFT JOIN heads h ON h.seq = a.seq WHERE a.seq BETWEEN ?1 AND ?2 ORDER BY a.seq",
        )
        .doing(DOING)?;
    let mut rows = query.query(params![signed_seq(from), signed_seq(*range.end())]).doing(DOING)?;
    while let Some(row) = rows.next().doing(DOING)? {
        if let Err(broken) = check_row(&mut checker, chain, row) {
            return Ok(Err(broken));
        }
    }
    Ok(checker.finish(to_end, reach))
}

fn signed_seq(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn check_row(checker: &mut Checker<'_>, chain: Chain, row: &Row<'_>) -> Result<(), Broken> {
    let seq = checker.next;
    let form = |why: &str| Broken { seq, what: Fault::Form(why.to_owned()) };
    let at = row.get_ref(1).ok().and_then(|v| v.as_i64().ok()).ok_or_else(|| form("its time is no number"))?;
    let number = row.get::<_, u64>(0).map_err(|_| form("its number is none"))?;
    let found = Found {
        seq: number,
        at_us: at,
        kind: bytes(row, 2).ok_or_else(|| form("its kind is no text"))?,
        body: bytes(row, 3).ok_or_else(|| form("its body is no text"))?,
        previous: hash(row, 4).ok_or_else(|| form("the hash of the entry before is none"))?,
        hash: hash(row, 5).ok_or_else(|| form("its hash is none"))?,
    };
    checker.entry(&found)?;
    if matches!(row.get_ref(6), Ok(ValueRef::Null)) {
        return Ok(());
    }
    let head = (|| {
        let at = Timestamp::from_microsecond(row.get(6).ok()?).ok()?;
        let signature = bytes(row, 8)?.try_into().ok()?;
        Some(Head { chain, seq: number, at, hash: hash(row, 7)?, signature })
    })();
    checker.head(&head.ok_or(Broken { seq, what: Fault::Head })?)
}

fn bytes<'r>(row: &'r Row<'_>, column: usize) -> Option<&'r [u8]> {
    match row.get_ref(column).ok()? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes),
        _ => None,
    }
}

fn hash(row: &Row<'_>, column: usize) -> Option<Sha256> {
    Some(Sha256::new(bytes(row, column)?.try_into().ok()?))
}
