//! Files of the vault's own.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{Entry, EntryId, Vault, VaultError};
use crate::error::shown;

/// Longest entry, bytes.
const ENTRY_BYTES_MAX: usize = 8 << 20;
/// Most entries that are listed.
const ENTRIES_MAX: usize = 1_000_000;

const READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

impl Vault {
    pub(super) fn entry_name(id: &EntryId) -> OsString {
        format!("{id}.json").into()
    }

    pub(super) fn bytes_name(id: &EntryId) -> OsString {
        format!("{id}.file").into()
    }

    pub(super) fn part_name(id: &EntryId) -> OsString {
        format!("{id}.part").into()
    }

    pub(super) fn io(&self, action: &'static str, id: &EntryId, source: impl Into<io::Error>) -> VaultError {
        VaultError::io(action, &self.path.join(id.to_string()), source)
    }

    /// All names in the folder, in order.
    pub(super) fn names(&self) -> Result<Vec<OsString>, VaultError> {
        let failed = |e: Errno| VaultError::io("list", &self.path, e);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.dir).map_err(failed)?.take(ENTRIES_MAX) {
            names.push(OsStr::from_bytes(entry.map_err(failed)?.file_name().to_bytes()).to_owned());
        }
        names.sort();
        Ok(names)
    }

    /// Entries that there are, the oldest first.
    pub(super) fn ids(&self) -> Result<Vec<EntryId>, VaultError> {
        let id = |name: OsString| name.to_str()?.strip_suffix(".json")?.parse().ok();
        Ok(self.names()?.into_iter().filter_map(id).collect())
    }

    pub(super) fn read(&self, id: &EntryId) -> Result<Entry, VaultError> {
        let file = match rustix::fs::openat(&self.dir, Self::entry_name(id), READ, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Err(VaultError::NoEntry { id: id.to_string() }),
            Err(e) => return Err(self.io("open", id, e)),
        };
        let unreadable = |why: String| VaultError::Unreadable { id: id.to_string(), why };
        let mut bytes = Vec::new();
        let max = u64::try_from(ENTRY_BYTES_MAX).unwrap_or(u64::MAX);
        file.take(max).read_to_end(&mut bytes).map_err(|e| self.io("read", id, e))?;
        let entry: Entry = serde_json::from_slice(&bytes).map_err(|e| unreadable(e.to_string()))?;
        if entry.version != 1 {
            return Err(unreadable(format!("its form {} is of a later release", entry.version)));
        }
        if entry.id != *id {
            return Err(unreadable("it is that of another".to_owned()));
        }
        Ok(entry)
    }

    /// Writes the entry so that a crash leaves the one before or this one.
    pub(super) fn write(&self, entry: &Entry) -> Result<(), VaultError> {
        let id = &entry.id;
        let text = serde_json::to_vec_pretty(entry).map_err(|e| self.io("write", id, io::Error::other(e)))?;
        if text.len() > ENTRY_BYTES_MAX {
            let path = entry.path.to_string();
            return Err(VaultError::TooLong { path, bytes: text.len(), max: ENTRY_BYTES_MAX });
        }
        let fresh = OsString::from(format!("{id}.json.new"));
        let write = || -> io::Result<()> {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&self.dir, &fresh, flags, Mode::RUSR | Mode::WUSR)?;
            let mut file = File::from(file);
            file.write_all(&text)?;
            file.sync_all()?;
            rustix::fs::renameat(&self.dir, &fresh, &self.dir, Self::entry_name(id))?;
            self.dir.sync_all()
        };
        write().map_err(|e| {
            let _ = self.unlink(&fresh);
            self.io("write", id, e)
        })
    }

    pub(super) fn open_bytes(&self, id: &EntryId) -> Result<File, VaultError> {
        let file = rustix::fs::openat(&self.dir, Self::bytes_name(id), READ, Mode::empty());
        file.map(File::from).map_err(|e| self.io("open", id, e))
    }

    pub(super) fn has(&self, name: &OsStr) -> Result<bool, VaultError> {
        let found = super::place::look(&self.dir, name);
        Ok(found.map_err(|e| VaultError::io("look at", &self.path.join(name), e))?.is_some())
    }

    pub(super) fn drop_bytes(&self, id: &EntryId) -> Result<(), VaultError> {
        self.unlink(&Self::bytes_name(id))?;
        self.sync()
    }

    /// Removes what is written down of an entry whose bytes are elsewhere by now.
    pub(super) fn drop_entry(&self, id: &EntryId) -> Result<(), VaultError> {
        self.unlink(&Self::entry_name(id))?;
        self.sync()
    }

    /// Removes `name`; it need not be there.
    pub(super) fn unlink(&self, name: &OsStr) -> Result<(), VaultError> {
        match rustix::fs::unlinkat(&self.dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(VaultError::Io { action: "remove", path: shown(&self.path.join(name)), source: e.into() }),
        }
    }

    pub(super) fn sync(&self) -> Result<(), VaultError> {
        self.dir.sync_all().map_err(|e| VaultError::io("write", &self.path, e))
    }
}
