//! What a crash left half done.

use std::ffi::OsStr;

use super::place::{Place, rename_new, same};
use super::take::ctime;
use super::{Entry, EntryId, Method, Phase, Vault, VaultError};
use crate::error::shown;

/// What [`Vault::open`] and [`Vault::recover`] met and did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Entries that are complete now.
    pub finished: Vec<EntryId>,
    /// Entries that were given up: the file is where it was.
    pub undone: Vec<EntryId>,
    /// What it could not settle, by entry or file, and why. It is left as it is.
    pub trouble: Vec<(String, String)>,
}

enum Done {
    Nothing,
    Finished,
    Undone,
}

impl Vault {
    pub(super) fn settle_all(&self) -> Result<Recovery, VaultError> {
        let mut recovery = Recovery::default();
        for id in self.ids()? {
            let done = self.read(&id).and_then(|entry| self.settle(entry));
            match done {
                Ok(Done::Nothing) => {}
                Ok(Done::Finished) => recovery.finished.push(id),
                Ok(Done::Undone) => recovery.undone.push(id),
                Err(e) => recovery.trouble.push((id.to_string(), reason(&e))),
            }
        }
        self.strays(&mut recovery)?;
        Ok(recovery)
    }

    fn settle(&self, entry: Entry) -> Result<Done, VaultError> {
        let here = self.has(&Self::bytes_name(&entry.id))?;
        match (entry.phase, entry.method) {
            (Phase::Held, _) if here => Ok(Done::Nothing),
            (Phase::Held, _) => {
                let why = "its bytes are gone from the vault".to_owned();
                Err(VaultError::Unreadable { id: entry.id.to_string(), why })
            }
            (Phase::Planned, Method::Moved) if here => self.finish_move(entry),
            (Phase::Planned, Method::Moved) => self.drop_entry(&entry.id).map(|()| Done::Undone),
            (Phase::Planned, Method::Copied) => self.undo_copy(&entry.id).map(|()| Done::Undone),
            (Phase::Copied, _) => self.finish_copy(entry),
            (Phase::Restoring, _) => self.finish_restore(entry, here),
            (Phase::Purging, _) => {
                self.drop_bytes(&entry.id)?;
                self.drop_entry(&entry.id).map(|()| Done::Finished)
            }
        }
    }

    fn finish_move(&self, entry: Entry) -> Result<Done, VaultError> {
        let bytes = Self::bytes_name(&entry.id);
        let found = super::place::look(&self.dir, &bytes).map_err(|e| self.io("look at", &entry.id, e))?;
        if found.is_some_and(|m| same(&m, entry.dev, entry.ino)) {
            return self.complete(entry).map(|_| Done::Finished);
        }
        // The rename caught a file that someone had put there just before.
        self.put_back(&entry.id, &Place::strict(&entry.path.0)?).map(|()| Done::Undone)
    }

    fn finish_copy(&self, mut entry: Entry) -> Result<Done, VaultError> {
        match Place::strict(&entry.path.0) {
            Ok(place) => self.remove_original(&entry, &place)?,
            // A folder that is gone took the original with it.
            Err(VaultError::NoFolder { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        entry.phase = Phase::Held;
        self.write(&entry)?;
        Ok(Done::Finished)
    }

    fn remove_original(&self, entry: &Entry, place: &Place) -> Result<(), VaultError> {
        let failed = |e: std::io::Error| VaultError::io("look at", &place.path, e);
        let aside = place.aside(&entry.id).map_err(failed)?;
        if let Some(found) = aside.look().map_err(failed)? {
            return if same(&found, entry.dev, entry.ino) {
                aside.unlink().map_err(|e| VaultError::io("remove", &aside.path, e))
            } else {
                rename_new((&aside.folder, &aside.name), (&place.folder, &place.name))
                    .map_err(|e| VaultError::io("put back", &place.path, e))
            };
        }
        // Only the very file, unchanged: inode numbers come round again.
        match place.look().map_err(failed)? {
            Some(found) if same(&found, entry.dev, entry.ino) && ctime(&found) == entry.ctime => {
                self.detach(entry, place)
            }
            _ => Ok(()),
        }
    }

    fn finish_restore(&self, entry: Entry, here: bool) -> Result<Done, VaultError> {
        let Some(restoring) = entry.restoring.clone() else {
            let why = "it does not say where it was going".to_owned();
            return Err(VaultError::Unreadable { id: entry.id.to_string(), why });
        };
        let arrived = match Place::strict(&restoring.to.0) {
            Ok(place) => place.is(restoring.dev, restoring.ino).unwrap_or(false),
            Err(_) => false,
        };
        // Bytes that left the vault by a rename are where they were going, or
        // were there and have been moved on since.
        if !here || arrived {
            self.drop_bytes(&entry.id)?;
            return self.drop_entry(&entry.id).map(|()| Done::Finished);
        }
        self.stay(entry).map(|()| Done::Undone)
    }

    /// Files that belong to no entry.
    fn strays(&self, recovery: &mut Recovery) -> Result<(), VaultError> {
        for name in self.names()? {
            let text = name.to_string_lossy();
            if text.strip_suffix(".json.new").is_some_and(|id| id.parse::<EntryId>().is_ok()) {
                // An entry that was never in force.
                self.unlink(&name)?;
                continue;
            }
            let id = text.strip_suffix(".file").or_else(|| text.strip_suffix(".part"));
            if let Some(id) = id.and_then(|id| id.parse::<EntryId>().ok())
                && !self.has(&Self::entry_name(&id))?
            {
                recovery.trouble.push((shown(OsStr::new(&name).as_ref()), "it belongs to no entry".to_owned()));
            }
        }
        Ok(())
    }
}

/// The error with what is behind it.
fn reason(error: &VaultError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(e) = source {
        text = format!("{text}: {e}");
        source = e.source();
    }
    text
}
