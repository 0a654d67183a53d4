//! Entries, heads, and how they are hashed and kept.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256 as Hasher};
use weighbridge_types::Sha256;

use super::{HEAD_ENTRIES_MAX, HEAD_SECONDS_MAX, Signer};
use crate::error::{Doing, StateError};
use crate::hex;

/// First byte of what is hashed for an entry (compare RFC 6962, section 2.1: a
/// leaf can never pass for anything else).
const ENTRY: u8 = 0;
/// First byte of what is signed for a head.
const HEAD: u8 = 1;
/// First byte of what is hashed to begin a chain.
const START: u8 = 2;

/// Which chain an entry is in: 16 random bytes, drawn when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain(pub(crate) [u8; 16]);

impl Chain {
    pub(crate) fn draw() -> Result<Self, StateError> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| StateError::Crypto("draw random bytes"))?;
        Ok(Self(bytes))
    }

    /// Stands before the first entry.
    pub(crate) fn start(self) -> Sha256 {
        Encoder::new(START, "weighbridge-audit-start/1").bytes(&self.0).hash()
    }
}

impl std::fmt::Display for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

/// One thing that was decided or done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place: 1 is the first, and none is left out.
    pub seq: u64,
    /// What the clock said, to the microsecond. Clocks jump; `seq` is the order.
    pub at: Timestamp,
    /// `decision`, `quarantine.taken`, …
    pub kind: String,
    /// JSON, exactly as hashed.
    pub body: String,
    /// Hash of the entry before.
    pub previous: Sha256,
    /// Hash of all of the above.
    pub hash: Sha256,
}

impl Entry {
    pub(crate) fn digest(seq: u64, at_us: i64, kind: &[u8], body: &[u8], previous: &Sha256) -> Sha256 {
        Encoder::new(ENTRY, "weighbridge-audit-entry/1")
            .number(seq)
            .number(at_us.cast_unsigned())
            .bytes(kind)
            .bytes(body)
            .bytes(previous.as_bytes())
            .hash()
    }
}

/// A signed statement that the chain up to `seq` is this one and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Which chain.
    pub chain: Chain,
    /// Last entry it speaks of.
    pub seq: u64,
    /// When it was signed.
    pub at: Timestamp,
    /// Hash of that entry.
    pub hash: Sha256,
    /// Ed25519 signature.
    pub signature: [u8; 64],
}

impl Head {
    /// The bytes that are signed.
    pub(crate) fn message(chain: Chain, seq: u64, at_us: i64, hash: &Sha256) -> Vec<u8> {
        Encoder::new(HEAD, "weighbridge-audit-head/1")
            .bytes(&chain.0)
            .number(seq)
            .number(at_us.cast_unsigned())
            .bytes(hash.as_bytes())
            .0
    }

    /// One line of JSON, as in an export, for a console to keep.
    #[must_use]
    pub fn to_json(&self) -> String {
        super::export::head_line(self)
    }

    /// Reads what [`Self::to_json`] wrote.
    #[must_use]
    pub fn from_json(line: &str) -> Option<Self> {
        super::export::parse_head(line)
    }
}

/// Numbers are 8 bytes, big-endian; strings have their length before them.
struct Encoder(Vec<u8>);

impl Encoder {
    fn new(domain: u8, label: &str) -> Self {
        Self(vec![domain]).bytes(label.as_bytes())
    }

    fn number(mut self, n: u64) -> Self {
        self.0.extend(n.to_be_bytes());
        self
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        let mut this = self.number(bytes.len() as u64);
        this.0.extend(bytes);
        this
    }

    fn hash(self) -> Sha256 {
        Sha256::new(Hasher::digest(self.0).into())
    }
}

/// A head that was signed in a transaction.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) head: Head,
    /// Whether it stays when the next one comes.
    pub(crate) kept: bool,
}

/// Writes the record inside a transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appender<'a> {
    pub(crate) chain: Chain,
    pub(crate) signer: &'a Signer,
}

impl Appender<'_> {
    /// Adds one entry. `seal` must follow before the transaction ends.
    pub(crate) fn append(self, db: &Connection, now: Timestamp, kind: &str, body: String) -> Result<Entry, StateError> {
        const DOING: &str = "write the audit record";
        let last = last(db)?;
        let (seq, previous) = match last {
            Some((seq, hash)) => (seq.saturating_add(1), hash),
            None => (1, self.chain.start()),
        };
        let at_us = now.as_microsecond();
        let hash = Entry::digest(seq, at_us, kind.as_bytes(), body.as_bytes(), &previous);
        db.prepare_cached("INSERT INTO audit (seq, at, kind, body, previous, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
            .and_then(|mut insert| {
                insert.execute(params![seq, at_us, kind, body, previous.as_bytes(), hash.as_bytes()])
            })
            .doing(DOING)?;
        if seq.saturating_sub(last_kept(db)?.map_or(0, |(kept, _)| kept)) >= HEAD_ENTRIES_MAX {
            self.sign(db, now, seq, hash, true)?;
        }
        let at = Timestamp::from_microsecond(at_us).unwrap_or(now);
        Ok(Entry { seq, at, kind: kind.to_owned(), body, previous, hash })
    }

    /// Signs the last entry. The head before it goes, unless it is one to keep.
    pub(crate) fn seal(self, db: &Connection, now: Timestamp, keep: bool) -> Result<Option<Sealed>, StateError> {
        let Some((seq, hash)) = last(db)? else { return Ok(None) };
        let kept = last_kept(db)?;
        if kept.is_some_and(|(kept, _)| kept == seq) {
            // Signed for good while it was appended.
            let head = last_head(db, self.chain)?;
            return Ok(head.map(|head| Sealed { head, kept: true }));
        }
        let due = kept.is_none_or(|(seq_kept, at)| {
            let age = now.duration_since(at);
            // A clock that went back counts as due, too.
            seq.saturating_sub(seq_kept) >= HEAD_ENTRIES_MAX
                || age >= SignedDuration::from_secs(HEAD_SECONDS_MAX)
                || age.is_negative()
        });
        let keep = keep || due;
        Ok(Some(Sealed { head: self.sign(db, now, seq, hash, keep)?, kept: keep }))
    }

    fn sign(self, db: &Connection, now: Timestamp, seq: u64, hash: Sha256, keep: bool) -> Result<Head, StateError> {
        const DOING: &str = "sign the audit record";
        let at_us = now.as_microsecond();
        let signature = self.signer.sign(&Head::message(self.chain, seq, at_us, &hash))?;
        db.prepare_cached("DELETE FROM heads WHERE NOT kept AND seq <= ?1")
            .and_then(|mut delete| delete.execute([seq]))
            .doing(DOING)?;
        db.prepare_cached("INSERT OR REPLACE INTO heads (seq, at, hash, signature, kept) VALUES (?1, ?2, ?3, ?4, ?5)")
            .and_then(|mut insert| insert.execute(params![seq, at_us, hash.as_bytes(), signature, keep]))
            .doing(DOING)?;
        let at = Timestamp::from_microsecond(at_us).unwrap_or(now);
        Ok(Head { chain: self.chain, seq, at, hash, signature })
    }
}

fn last(db: &Connection) -> Result<Option<(u64, Sha256)>, StateError> {
    db.prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
        .and_then(|mut q| q.query_row([], |r| Ok((r.get(0)?, Sha256::new(r.get(1)?)))).optional())
        .doing("read the audit record")
}

fn last_kept(db: &Connection) -> Result<Option<(u64, Timestamp)>, StateError> {
    let row: Option<(u64, i64)> = db
        .prepare_cached("SELECT seq, at FROM heads WHERE kept ORDER BY seq DESC LIMIT 1")
        .and_then(|mut q| q.query_row([], |r| Ok((r.get(0)?, r.get(1)?))).optional())
        .doing("read the heads of the audit record")?;
    Ok(row.map(|(seq, at)| (seq, Timestamp::from_microsecond(at).unwrap_or(Timestamp::MIN))))
}

/// How many entries there are.
pub(crate) fn count(db: &Connection) -> Result<u64, StateError> {
    Ok(last(db)?.map_or(0, |(seq, _)| seq))
}

/// The newest signed head.
pub(crate) fn last_head(db: &Connection, chain: Chain) -> Result<Option<Head>, StateError> {
    let row: Option<(u64, i64, [u8; 32], [u8; 64])> = db
        .prepare_cached("SELECT seq, at, hash, signature FROM heads ORDER BY seq DESC LIMIT 1")
        .and_then(|mut q| q.query_row([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))).optional())
        .doing("read the heads of the audit record")?;
    let Some((seq, at, hash, signature)) = row else { return Ok(None) };
    Ok(Some(Head { chain, seq, at: time(at)?, hash: Sha256::new(hash), signature }))
}

/// Up to `limit` entries after `after`, in order.
pub(crate) fn entries(db: &Connection, after: u64, limit: usize) -> Result<Vec<Entry>, StateError> {
    type Row = (u64, i64, String, String, [u8; 32], [u8; 32]);
    const DOING: &str = "read the audit record";
    let mut query = db
        .prepare_cached("SELECT seq, at, kind, body, previous, hash FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2")
        .doing(DOING)?;
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let rows = query
        .query_map(params![after, i64::try_from(limit).unwrap_or(i64::MAX)], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?))
        })
        .doing(DOING)?;
    rows.map(|row| {
        let (seq, at, kind, body, previous, hash): Row = row.doing(DOING)?;
        Ok(Entry { seq, at: time(at)?, kind, body, previous: Sha256::new(previous), hash: Sha256::new(hash) })
    })
    .collect()
}

pub(crate) fn time(us: i64) -> Result<Timestamp, StateError> {
    Timestamp::from_microsecond(us).map_err(|e| StateError::Row { what: "a time", why: e.to_string() })
}
