use std::io::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use serde::de::DeserializeOwned;
use weighbridge_platform::file::FileKey;
use weighbridge_types::Sha256;

use crate::artifacts::{self, Counts, Filter, Known, StoredArtifact};
use crate::audit::{self, Chain, Entry, Head, PublicKey, Verification};
use crate::error::Doing;
use crate::models::{self, StoredModel};
use crate::outbox::{self, Event, OutboxStatus};
use crate::reported::{self, Unreported};
use crate::requests::{self, Request, RequestState};
use crate::{StateError, database, facts, folder, hex};

/// Name of the database.
pub(crate) const DATABASE: &str = "state.db";
/// Last head that was kept, beside the database: an older database put back in
/// its place does not reach it.
pub(crate) const HEAD: &str = "audit.head";
/// Longest head file, bytes.
const HEAD_BYTES_MAX: u64 = 4096;
/// Fact with the chain's number.
pub(crate) const CHAIN: &str = "state.audit-chain";

/// Reads the state. It sees what was committed, never waits for the writer, and
/// works beside a running daemon ([`View::open`]) as well as in it.
pub struct View {
    dir: PathBuf,
    connection: Mutex<Connection>,
}

impl View {
    /// Opens the state in `dir` for reading only.
    ///
    /// # Errors
    /// No state there, one of a later release, or a damaged one.
    pub fn open(dir: &Path) -> Result<Self, StateError> {
        let connection = Mutex::new(database::reader(&dir.join(DATABASE))?);
        Ok(Self { dir: dir.to_owned(), connection })
    }

    fn read(&self) -> MutexGuard<'_, Connection> {
        // Reading leaves nothing half done that a panic could expose.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of the file at `path`.
    ///
    /// # Errors
    /// What the database reports; likewise below where nothing else is said.
    pub fn artifact(&self, path: &Path) -> Result<Option<StoredArtifact>, StateError> {
        artifacts::get(&self.read(), path)
    }

    /// As [`Self::artifact`], without the fact sheet: says whether the file must
    /// be read again.
    ///
    /// # Errors
    /// See [`Self::artifact`].
    pub fn known(&self, path: &Path) -> Result<Option<Known>, StateError> {
        artifacts::known(&self.read(), path)
    }

    /// What is known of exactly this file in exactly this state, at whatever
    /// path; of several, the worst.
    ///
    /// # Errors
    /// See [`Self::artifact`].
    pub fn known_file(&self, key: &FileKey) -> Result<Option<Known>, StateError> {
        artifacts::known_file(&self.read(), key)
    }

    /// Shows `visit` every path of the inventory with what says whether its file
    /// must be read again: for a sweep, cheaper than asking path by path. Reads on
    /// a connection of its own.
    ///
    /// # Errors
    /// See [`Self::artifact`].
    pub fn each_known(&self, visit: &mut dyn FnMut(PathBuf, Known)) -> Result<(), StateError> {
        artifacts::each_known(&database::reader(&self.dir.join(DATABASE))?, visit)
    }

    /// Artifacts with these bytes, at most 10,000, by path.
    ///
    /// # Errors
    /// See [`Self::artifact`].
    pub fn by_digest(&self, digest: &Sha256) -> Result<Vec<StoredArtifact>, StateError> {
        artifacts::by_digest(&self.read(), digest)
    }

    /// Artifacts that are this inode: a file and its hard links, at most 10,000.
    ///
    /// # Errors
    /// See [`Self::artifact`].
    pub fn by_inode(&self, dev: u64, ino: u64) -> Result<Vec<StoredArtifact>, StateError> {
        artifacts::by_inode(&self.read(), dev, ino)
    }

    /// Up to `limit` artifacts (at most 10,000) whose paths follow `after`, by path.
    ///
    /// # Errors
    /// See [`Self::artifact`].
    pub fn artifacts(
        &self,
        filter: Filter,
        after: Option<&Path>,
        limit: usize,
    ) -> Result<Vec<StoredArtifact>, StateError> {
        artifacts::page(&self.read(), filter, after, limit)
    }

    /// How much the inventory holds.
    ///
    /// # Errors
    /// See [`Self::artifact`].
    pub fn counts(&self) -> Result<Counts, StateError> {
        artifacts::counts(&self.read())
    }

    /// Up to `limit` models (at most 10,000) after the one with the number `after`.
    ///
    /// # Errors
    /// See [`Self::artifact`].
    pub fn models(&self, after: Option<i64>, limit: usize) -> Result<Vec<StoredModel>, StateError> {
        models::page(&self.read(), after, limit)
    }

    /// The oldest `n` events that wait for the console.
    ///
    /// # Errors
    /// See [`Self::artifact`].
    pub fn peek(&self, n: usize) -> Result<Vec<Event>, StateError> {
        outbox::peek(&self.read(), n)
    }

    /// The oldest `n` changes of the inventory (at most 10,000) that no console
    /// has heard of.
    ///
    /// # Errors
    /// See [`Self::artifact`].
    pub fn unreported(&self, n: usize) -> Result<Vec<Unreported>, StateError> {
        reported::unreported(&self.read(), n)
    }

    /// How the queue for the console stands.
    ///
    /// # Errors
    /// See [`Self::artifact`].
    pub fn outbox(&self) -> Result<OutboxStatus, StateError> {
        outbox::status(&self.read())
    }

    /// Up to `limit` requests after the number `after`, of one state or of all.
    ///
    /// # Errors
    /// See [`Self::artifact`].
    pub fn requests(
        &self,
        state: Option<RequestState>,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Request>, StateError> {
        requests::page(&self.read(), state, after, limit)
    }

    /// The value under `key`.
    ///
    /// # Errors
    /// A value of another shape.
    pub fn fact<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StateError> {
        facts::get(&self.read(), key)
    }

    /// Up to `limit` audit entries after `after`, in order.
    ///
    /// # Errors
    /// See [`Self::artifact`].
    pub fn entries(&self, after: u64, limit: usize) -> Result<Vec<Entry>, StateError> {
        audit::entries(&self.read(), after, limit.min(artifacts::PAGE_MAX))
    }

    /// The newest signed head: what a console keeps, to hold the record against.
    ///
    /// # Errors
    /// See [`Self::artifact`].
    pub fn head(&self) -> Result<Option<Head>, StateError> {
        let db = self.read();
        audit::last_head(&db, chain(&db)?)
    }

    /// Checks the audit entries in `range` (`1..=u64::MAX` for all) against the
    /// endpoint's key, the head beside the database, and, if given, a head that
    /// was kept elsewhere. Reads on a connection of its own.
    ///
    /// # Errors
    /// Only what keeps it from looking; whatever is wrong with the record is
    /// [`Verification::Broken`].
    pub fn verify(&self, range: RangeInclusive<u64>, against: Option<&Head>) -> Result<Verification, StateError> {
        let mut db = database::reader(&self.dir.join(DATABASE))?;
        // Before the snapshot begins, so that the record is never behind it.
        let beside = head_beside(&self.dir);
        let db = db.transaction().doing("read the audit record")?;
        let chain = chain(&db)?;
        // A head of another chain beside it is what is left of a record that was moved aside.
        let beside = beside.filter(|head| head.chain == chain);
        let against: Vec<Head> = beside.into_iter().chain(against.cloned()).collect();
        audit::verify(&db, chain, PublicKey::read(&self.dir)?, &range, &against)
    }

    /// Writes the audit entries in `range` to `out` as JSON lines, on to the next
    /// signed head, and says how many. [`audit::verify_export`] checks them.
    ///
    /// # Errors
    /// What the database and `out` report.
    pub fn export(&self, out: &mut dyn Write, range: RangeInclusive<u64>) -> Result<u64, StateError> {
        let mut db = database::reader(&self.dir.join(DATABASE))?;
        let db = db.transaction().doing("read the audit record")?;
        audit::export(&db, chain(&db)?, PublicKey::read(&self.dir)?, &range, out)
    }
}

/// The chain that the record is.
pub(crate) fn chain(db: &Connection) -> Result<Chain, StateError> {
    let text: Option<String> = facts::get(db, CHAIN)?;
    let bytes = text.as_deref().and_then(hex::decode);
    bytes.map(Chain).ok_or(StateError::Row { what: "the number of the audit chain", why: "there is none".to_owned() })
}

/// The head beside the database, if there is a readable one.
pub(crate) fn head_beside(dir: &Path) -> Option<Head> {
    let (bytes, _) = folder::read_small(&dir.join(HEAD), HEAD_BYTES_MAX).ok()??;
    Head::from_json(std::str::from_utf8(&bytes).ok()?)
}
