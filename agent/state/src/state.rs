use std::cell::Cell;
use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};
use rustix::fs::Mode;
use serde_json::json;

use crate::audit::{self, Appender, Chain, Head, PublicKey, Sealed, Signer};
use crate::change::Change;
use crate::database::{self, Trouble};
use crate::error::{Doing, shown};
use crate::view::{CHAIN, DATABASE, HEAD, chain, head_beside};
use crate::{OutboxLimits, StateError, View, facts, folder};

/// Fact that stands while a process writes the state.
const RUNNING: &str = "state.running";

/// The state of this endpoint, open for writing. One process has it at a time;
/// threads share it. What [`Self::transaction`] returned from lasts through a
/// power cut. Reading goes through [`View`], which it derefs to.
pub struct State {
    dir: PathBuf,
    view: View,
    writer: Mutex<Connection>,
    signer: Signer,
    chain: Chain,
    limits: OutboxLimits,
    opening: Opening,
    _lock: File,
}

/// What was met when the state was opened. Tell it to whoever should know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opening {
    /// There was no state before.
    pub created: bool,
    /// The database was damaged: it was moved aside and a new one begun.
    pub damaged: Option<Damage>,
    /// The process before did not close the state: it was killed, or power went.
    pub unclean: bool,
    /// The database ends before the head that was kept beside it: an older one
    /// was put in its place, or its end was cut off.
    pub rolled_back: Option<Head>,
    /// Schema of an earlier release that was brought forward.
    pub migrated_from: Option<i64>,
}

/// A database that could not be used any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where it lies now.
    pub moved_to: PathBuf,
    /// What SQLite says of it.
    pub reason: String,
}

impl State {
    /// Opens the state in `dir`, which is made if need be.
    ///
    /// # Errors
    /// A folder of someone else, a state that another process writes or a later
    /// release wrote, a missing signing key. A damaged database is not an error:
    /// [`Self::opening`] tells of it.
    pub fn open(dir: &Path) -> Result<Self, StateError> {
        Self::open_at(dir, OutboxLimits::default(), Timestamp::now())
    }

    /// As [`Self::open`], with other bounds for the queue and the time given.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_at(dir: &Path, limits: OutboxLimits, now: Timestamp) -> Result<Self, StateError> {
        folder::private(dir)?;
        let lock = folder::lock(dir)?;
        let path = dir.join(DATABASE);
        let (mut connection, schema, damaged) = open_or_renew(&path, now)?;
        let created = schema == 0;
        let migrated_from = (schema > 0).then_some(schema).filter(|_| schema < current(&connection));
        let signer = Signer::open(dir, audit::count(&connection)?)?;
        let beside = head_beside(dir);
        let (chain, mut opening) = begin(&mut connection, &signer, now, beside, damaged)?;
        opening.created = created && opening.damaged.is_none();
        opening.migrated_from = migrated_from;
        let view = View::open(dir)?;
        let writer = Mutex::new(connection);
        let state = Self { dir: dir.to_owned(), view, writer, signer, chain, limits, opening, _lock: lock };
        state.seal(now)?;
        Ok(state)
    }

    /// What was met when it was opened.
    #[must_use]
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// The public half of the key that signs the audit record.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.signer.public()
    }

    /// Runs `f`; what it did through [`Change`] lasts as a whole when this
    /// returns, or is undone if `f` fails.
    ///
    /// # Errors
    /// What `f` returns; what committing reports, a full disk say.
    pub fn transaction<T>(
        &self,
        now: Timestamp,
        f: impl FnOnce(&Change<'_>) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let mut writer = self.write();
        let done = run(&mut writer, now, self.limits, self.record(), f);
        let (value, sealed) = done.inspect_err(|e| self.suspect(e))?;
        self.keep(sealed.as_ref(), &writer);
        Ok(value)
    }

    /// Signs the end of the audit record for good, so that it cannot be cut off
    /// unseen. Call it now and then when little happens.
    ///
    /// # Errors
    /// What the database reports.
    pub fn seal(&self, now: Timestamp) -> Result<Option<Head>, StateError> {
        let mut writer = self.write();
        let sealed = seal(&mut writer, now, self.record()).inspect_err(|e| self.suspect(e))?;
        self.keep(sealed.as_ref(), &writer);
        Ok(sealed.map(|s| s.head))
    }

    /// Seals the record and notes that this end was in order. Dropping the state
    /// without it is told at the next start.
    ///
    /// # Errors
    /// What the database reports.
    pub fn close(self, now: Timestamp) -> Result<(), StateError> {
        self.transaction(now, |t| facts::clear(t.db, RUNNING).map(|_| ()))?;
        self.seal(now)?;
        Ok(())
    }

    fn record(&self) -> Appender<'_> {
        Appender { chain: self.chain, signer: &self.signer }
    }

    fn write(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction has rolled it back.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The copy beside the database may lag, never lead; so a failure is no error.
    /// Holding the writer keeps two threads from writing it at once.
    fn keep(&self, sealed: Option<&Sealed>, _writer: &MutexGuard<'_, Connection>) {
        if let Some(Sealed { head, kept: true }) = sealed {
            let line = format!("{}\n", head.to_json());
            let _ = folder::replace(&self.dir.join(HEAD), line.as_bytes(), Mode::RUSR | Mode::WUSR);
        }
    }

    /// Has the next start check every page, if `error` speaks of damage.
    fn suspect(&self, error: &StateError) {
        if matches!(error, StateError::Damaged { .. }) {
            let _ = std::fs::write(database::suspect(&self.dir.join(DATABASE)), b"");
        }
    }
}

impl Deref for State {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

fn open_or_renew(path: &Path, now: Timestamp) -> Result<(Connection, i64, Option<Damage>), StateError> {
    match database::writer(path) {
        Ok((connection, schema)) => Ok((connection, schema, None)),
        Err(Trouble::Other(e)) => Err(e),
        Err(Trouble::Damaged(reason)) => {
            let damage = Damage { moved_to: database::move_aside(path, now)?, reason };
            match database::writer(path) {
                Ok((connection, schema)) => Ok((connection, schema, Some(damage))),
                Err(Trouble::Other(e)) => Err(e),
                Err(Trouble::Damaged(why)) => {
                    Err(StateError::file("make", path, std::io::Error::new(std::io::ErrorKind::InvalidData, why)))
                }
            }
        }
    }
}

fn current(connection: &Connection) -> i64 {
    connection.query_row("PRAGMA user_version", [], |r| r.get(0)).unwrap_or(0)
}

/// Begins the record if there is none, and notes in it what was met.
fn begin(
    connection: &mut Connection,
    signer: &Signer,
    now: Timestamp,
    beside: Option<Head>,
    damaged: Option<Damage>,
) -> Result<(Chain, Opening), StateError> {
    let known: Option<String> = facts::get(connection, CHAIN)?;
    let chain = if known.is_some() { chain(connection)? } else { Chain::draw()? };
    let record = Appender { chain, signer };
    let opened = run(connection, now, OutboxLimits::default(), record, |t| {
        let mut opening = Opening { damaged, ..Opening::default() };
        if known.is_none() {
            facts::set(t.db, CHAIN, &chain.to_string())?;
            let predecessor = beside.as_ref().map(Head::to_json);
            let damage = opening.damaged.as_ref().map(|d| json!({"moved_to": shown(&d.moved_to), "reason": d.reason}));
            t.audit(
                "audit.started",
                &json!({"public_key": signer.public().to_string(), "predecessor": predecessor, "damaged": damage}),
            )?;
        } else if let Some(head) = beside.filter(|h| h.chain == chain) {
            let last = audit::count(t.db)?;
            if head.seq > last {
                t.audit("audit.rolled-back", &json!({"last": last, "head": head.to_json()}))?;
                opening.rolled_back = Some(head);
            }
        }
        opening.unclean = facts::get::<String>(t.db, RUNNING)?.is_some();
        facts::set(t.db, RUNNING, &now.to_string())?;
        Ok(opening)
    });
    Ok((chain, opened?.0))
}

fn run<T>(
    connection: &mut Connection,
    now: Timestamp,
    limits: OutboxLimits,
    record: Appender<'_>,
    f: impl FnOnce(&Change<'_>) -> Result<T, StateError>,
) -> Result<(T, Option<Sealed>), StateError> {
    const DOING: &str = "write the state";
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(DOING)?;
    let change = Change { db: &tx, now, limits, record, audited: Cell::new(false) };
    let value = f(&change)?;
    let sealed = if change.audited.get() { record.seal(&tx, now, false)? } else { None };
    tx.commit().doing(DOING)?;
    Ok((value, sealed))
}

fn seal(connection: &mut Connection, now: Timestamp, record: Appender<'_>) -> Result<Option<Sealed>, StateError> {
    const DOING: &str = "sign the audit record";
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(DOING)?;
    let sealed = record.seal(&tx, now, true)?;
    tx.commit().doing(DOING)?;
    Ok(sealed)
}
