use std::cell::Cell;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;
use weighbridge_platform::file::FileKey;
use weighbridge_types::{Artifact, Decision, Model, Severity};

use crate::artifacts::{self, Known, StoredArtifact};
use crate::audit::{self, Appender, Entry};
use crate::error::{json, kind as check_kind};
use crate::outbox::{self, OutboxLimits, Queued};
use crate::reported::{self, Unreported};
use crate::requests::{self, NewRequest, Request, RequestState};
use crate::{StateError, facts, models};

/// Facts that the state keeps about itself.
pub(crate) const OWN: &str = "state.";

/// One transaction: all that is done through it lasts, or none of it.
/// [`State::transaction`](crate::State::transaction) makes it.
pub struct Change<'a> {
    pub(crate) db: &'a Connection,
    pub(crate) now: Timestamp,
    pub(crate) limits: OutboxLimits,
    pub(crate) record: Appender<'a>,
    pub(crate) audited: Cell<bool>,
}

impl Change<'_> {
    /// Puts what was learnt of the file at `path` in the inventory, in place of
    /// what was there.
    ///
    /// # Errors
    /// A fact sheet that is too long; what the database reports.
    pub fn put_artifact(
        &self,
        path: &Path,
        key: &FileKey,
        artifact: &Artifact,
        decision: Option<&Decision>,
    ) -> Result<(), StateError> {
        artifacts::put(self.db, self.now, path, key, artifact, decision)
    }

    /// Notes that the file at `path` is still there, unchanged. Says whether the
    /// inventory has it.
    ///
    /// # Errors
    /// What the database reports; likewise below where nothing else is said.
    pub fn seen(&self, path: &Path) -> Result<bool, StateError> {
        artifacts::seen(self.db, self.now, path)
    }

    /// Takes `path` out of the inventory. Says whether it was in.
    ///
    /// # Errors
    /// See [`Self::seen`].
    pub fn remove(&self, path: &Path) -> Result<bool, StateError> {
        artifacts::remove(self.db, path)
    }

    /// Takes out `root` and what lies below, as far as it was not seen since
    /// `since`: what a sweep that began then did not meet. Says how many.
    ///
    /// # Errors
    /// See [`Self::seen`].
    pub fn remove_unseen(&self, root: &Path, since: Timestamp) -> Result<u64, StateError> {
        artifacts::remove_unseen(self.db, root, since)
    }

    /// What the inventory has at `path`, this transaction included.
    ///
    /// # Errors
    /// See [`Self::seen`].
    pub fn artifact(&self, path: &Path) -> Result<Option<StoredArtifact>, StateError> {
        artifacts::get(self.db, path)
    }

    /// As [`Self::artifact`], without the fact sheet.
    ///
    /// # Errors
    /// See [`Self::seen`].
    pub fn known(&self, path: &Path) -> Result<Option<Known>, StateError> {
        artifacts::known(self.db, path)
    }

    /// Replaces the models found below `root`.
    ///
    /// # Errors
    /// See [`Self::seen`].
    pub fn replace_models(&self, root: &Path, models: &[Model]) -> Result<(), StateError> {
        models::replace(self.db, root, models)
    }

    /// Appends to the audit record. The last entry is signed when the
    /// transaction ends.
    ///
    /// # Errors
    /// A `kind` that is no plain name, a `body` longer than
    /// [`audit::BODY_BYTES_MAX`] as JSON.
    pub fn audit(&self, kind: &str, body: &impl Serialize) -> Result<Entry, StateError> {
        check_kind(kind)?;
        let body = json("the audit entry", body, audit::BODY_BYTES_MAX)?;
        self.audited.set(true);
        self.record.append(self.db, self.now, kind, body)
    }

    /// Puts an event in the queue for the console.
    ///
    /// # Errors
    /// A `kind` that is no plain name, a `body` longer than 1 MiB as JSON.
    pub fn enqueue(&self, severity: Severity, kind: &str, body: &impl Serialize) -> Result<Queued, StateError> {
        let body = json("the event", body, outbox::BODY_BYTES_MAX)?;
        outbox::enqueue(self.db, self.now, self.limits, severity, kind, &body)
    }

    /// Forgets events up to the number `up_to`: the console has them. Says how many.
    ///
    /// # Errors
    /// See [`Self::seen`].
    pub fn acknowledge(&self, up_to: i64) -> Result<u64, StateError> {
        outbox::acknowledge(self.db, up_to)
    }

    /// Notes that the console knows `change` under `digest`, or, with none, that
    /// nothing is there any more.
    ///
    /// # Errors
    /// See [`Self::seen`].
    pub fn reported(&self, change: &Unreported, digest: Option<[u8; 32]>) -> Result<(), StateError> {
        reported::reported(self.db, change, digest)
    }

    /// Forgets what the console knows of the inventory: it hears all of it again.
    ///
    /// # Errors
    /// See [`Self::seen`].
    pub fn report_anew(&self) -> Result<(), StateError> {
        reported::anew(self.db)
    }

    /// Files a request and gives its number. Whoever asks again for the same
    /// bytes gets the number of the open request.
    ///
    /// # Errors
    /// Texts that are too long, a user with too many open requests.
    pub fn request(&self, new: &NewRequest) -> Result<i64, StateError> {
        requests::add(self.db, self.now, new)
    }

    /// Answers the open request `id`.
    ///
    /// # Errors
    /// No such request, or one that was answered.
    pub fn settle(&self, id: i64, state: RequestState, by: &str, note: Option<&str>) -> Result<Request, StateError> {
        requests::settle(self.db, self.now, id, state, by, note)
    }

    /// Keeps `value` under `key`. Names that begin with `state.` are ours.
    ///
    /// # Errors
    /// A key that is no plain name, a value longer than 1 MiB as JSON.
    pub fn set_fact(&self, key: &str, value: &impl Serialize) -> Result<(), StateError> {
        if key.starts_with(OWN) {
            return Err(StateError::Kind { kind: key.to_owned(), max: 64 });
        }
        facts::set(self.db, key, value)
    }

    /// Forgets the value under `key`. Says whether there was one.
    ///
    /// # Errors
    /// See [`Self::set_fact`].
    pub fn clear_fact(&self, key: &str) -> Result<bool, StateError> {
        if key.starts_with(OWN) {
            return Err(StateError::Kind { kind: key.to_owned(), max: 64 });
        }
        facts::clear(self.db, key)
    }

    /// The value under `key`.
    ///
    /// # Errors
    /// A value of another shape.
    pub fn fact<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StateError> {
        facts::get(self.db, key)
    }
}
