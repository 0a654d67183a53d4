//! Quarantine: files out of reach, and back byte for byte.
//!
//! A vault is a folder for its owner alone, root. Of each file it holds two
//! things: `ID.file`, the bytes, mode 0400, and `ID.json`, the [`Entry`] that
//! says what the file was and how to bring it back. The entry is on disk before
//! anything happens to the file and says at each step how far it came, so that
//! [`Vault::open`] can finish or undo what a crash cut short: either the
//! original is in place, or the entry is complete.
//!
//! A file is moved where that is one rename. Across filesystems, and where the
//! file has further hard links, it is copied, the copy read back and compared,
//! and only then the name removed.
//!
//! Not kept: the change time, which no one can set; inode flags (`chattr`); the
//! bond to other hard links. Whoever holds the file open keeps what they have:
//! stop them first.

mod attributes;
mod copy;
mod entry;
mod error;
mod place;
mod recover;
mod restore;
mod store;
mod take;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::FlockOperation;

pub use entry::{Entry, EntryId, Method, Phase, RawBytes, RawPath, Reason, Time, Xattr};
pub use error::VaultError;
pub use recover::Recovery;
pub use restore::Restored;

/// Largest file whose digest is taken, bytes: ten minutes' reading. A larger one
/// (a sparse file may claim exabytes) is moved without; it is not copied.
pub const DIGEST_BYTES_MAX: u64 = 1 << 40;

/// Stands for all entries: nothing else may be under way.
const RECOVERY: &str = "recovery";

/// The files in quarantine. Threads share it; a second process may read it.
#[derive(Debug)]
pub struct Vault {
    dir: File,
    path: PathBuf,
    bytes_max: u64,
    /// Entries that are being worked on, and the bytes that each still needs.
    busy: Mutex<BTreeMap<EntryId, u64>>,
    recovery: Recovery,
}

/// What the vault takes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Files in it.
    pub entries: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes it may take up.
    pub bytes_max: u64,
}

/// What [`Vault::list`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// Entries, the oldest first.
    pub entries: Vec<Entry>,
    /// Entries that cannot be read, and why.
    pub unreadable: Vec<(String, String)>,
}

impl Vault {
    /// Opens the vault in `dir`, which is made if need be, and finishes or undoes
    /// what a crash cut short; [`Self::recovery`] tells of that. It takes at most
    /// `bytes_max` bytes on disk; nothing is ever deleted to make room.
    ///
    /// # Errors
    /// A folder that cannot be made, or is someone else's.
    pub fn open(dir: &Path, bytes_max: u64) -> Result<Self, VaultError> {
        crate::folder::private(dir).map_err(|source| VaultError::Folder { source: Box::new(source) })?;
        let open = place::open_folder(dir).map_err(|e| VaultError::io("open", dir, e))?;
        let (busy, recovery) = (Mutex::new(BTreeMap::new()), Recovery::default());
        let mut vault = Self { dir: open, path: dir.to_owned(), bytes_max, busy, recovery };
        // Another process that is at work looks after its own half steps.
        let recovered = match vault.recover() {
            Ok(recovered) => recovered,
            Err(VaultError::InUse { .. }) => Recovery::default(),
            Err(e) => return Err(e),
        };
        vault.recovery = recovered;
        Ok(vault)
    }

    /// What was found half done when it was opened.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Finishes or undoes what failed half-way, on a full disk say: what
    /// [`Self::open`] does, without opening it anew.
    ///
    /// # Errors
    /// An entry that is being worked on; a folder that cannot be read.
    pub fn recover(&self) -> Result<Recovery, VaultError> {
        let _turn = self.turn(&RECOVERY.parse()?, 0)?;
        self.settle_all()
    }

    /// All entries.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn list(&self) -> Result<Listing, VaultError> {
        let mut listing = Listing { entries: Vec::new(), unreadable: Vec::new() };
        for id in self.ids()? {
            match self.read(&id) {
                Ok(entry) => listing.entries.push(entry),
                Err(e) => listing.unreadable.push((id.to_string(), e.to_string())),
            }
        }
        Ok(listing)
    }

    /// The entry `id`.
    ///
    /// # Errors
    /// No such entry, or one that cannot be read.
    pub fn get(&self, id: &EntryId) -> Result<Entry, VaultError> {
        self.read(id)
    }

    /// The stored bytes of `id`, to look at.
    ///
    /// # Errors
    /// No such entry, or bytes that are gone.
    pub fn bytes(&self, id: &EntryId) -> Result<File, VaultError> {
        self.open_bytes(id)
    }

    /// Deletes the entry `id` and its bytes for good. Blocks on disk are freed,
    /// not overwritten.
    ///
    /// # Errors
    /// No such entry, or one that is in the middle of something.
    pub fn purge(&self, id: &EntryId) -> Result<Entry, VaultError> {
        let _turn = self.turn(id, 0)?;
        let entry = self.read(id)?;
        if !matches!(entry.phase, Phase::Held | Phase::Purging) {
            return Err(VaultError::Unfinished { id: id.to_string() });
        }
        let mut going = entry.clone();
        going.phase = Phase::Purging;
        self.write(&going)?;
        step("purging");
        self.drop_bytes(id)?;
        step("purged");
        self.drop_entry(id)?;
        Ok(entry)
    }

    /// What it takes up.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn usage(&self) -> Result<Usage, VaultError> {
        let mut usage = Usage { entries: 0, bytes: 0, bytes_max: self.bytes_max };
        for id in self.ids()? {
            usage.entries = usage.entries.saturating_add(1);
            if let Ok(meta) = self.open_bytes(&id).and_then(|f| f.metadata().map_err(|e| self.io("read", &id, e))) {
                usage.bytes = usage.bytes.saturating_add(meta.blocks().saturating_mul(512));
            }
        }
        Ok(usage)
    }

    /// Claims the entry `id`, and `needed` bytes of room for it. Threads work on
    /// different entries at once, since one may take minutes to read; of processes
    /// only one changes anything.
    fn turn(&self, id: &EntryId, needed: u64) -> Result<Turn<'_>, VaultError> {
        let mut busy = self.busy();
        let alone = |id: &EntryId| id.to_string() == RECOVERY;
        if busy.contains_key(id) || busy.keys().any(alone) || (alone(id) && !busy.is_empty()) {
            return Err(VaultError::Busy { id: id.to_string() });
        }
        if needed > 0 {
            let (used, under_way) = (self.usage()?.bytes, busy.values().fold(0, |a: u64, b| a.saturating_add(*b)));
            let used = used.saturating_add(under_way);
            if used.saturating_add(needed) > self.bytes_max {
                return Err(VaultError::Full { needed, used, max: self.bytes_max });
            }
        }
        if busy.is_empty() {
            match rustix::fs::flock(&self.dir, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(VaultError::InUse { path: crate::error::shown(&self.path) });
                }
                Err(e) => return Err(VaultError::io("lock", &self.path, e)),
            }
        }
        busy.insert(id.clone(), needed);
        Ok(Turn { vault: self, id: id.clone() })
    }

    fn busy(&self) -> MutexGuard<'_, BTreeMap<EntryId, u64>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Turn<'a> {
    vault: &'a Vault,
    id: EntryId,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut busy = self.vault.busy();
        busy.remove(&self.id);
        if busy.is_empty() {
            // The lock goes with the descriptor at the latest.
            let _ = rustix::fs::flock(&self.vault.dir, FlockOperation::Unlock);
        }
    }
}

/// Marks a point that a crash may hit. Tests die there.
#[cfg(not(test))]
fn step(_: &str) {}

#[cfg(test)]
fn step(name: &str) {
    if std::env::var("WEIGHBRIDGE_TEST_DIE_AT").is_ok_and(|at| at == name) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
}
