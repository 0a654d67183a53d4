//! Back out of the vault.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::entry::Restoring;
use super::place::{Place, rename_new};
use super::{Entry, EntryId, Phase, RawPath, Vault, VaultError};
use super::{attributes, copy, step};
use crate::error::shown;

/// A file that is back.
#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    /// Where it is.
    pub path: PathBuf,
    /// What the vault held.
    pub entry: Entry,
    /// Extended attributes that this place did not take.
    pub left_out: Vec<String>,
}

impl Vault {
    /// Brings `id` back to where it was, or to the absolute path `to`: bytes,
    /// owner, permissions, extended attributes and times. The digest is checked
    /// first. The folder must be there; nothing is overwritten, no link followed.
    ///
    /// # Errors
    /// Something at the place, a missing folder, bytes that were changed: the
    /// entry stays in the vault.
    pub fn restore(&self, id: &EntryId, to: Option<&Path>) -> Result<Restored, VaultError> {
        let _turn = self.turn(id, 0)?;
        let entry = self.read(id)?;
        if entry.phase != Phase::Held {
            return Err(VaultError::Unfinished { id: id.to_string() });
        }
        let place = Place::strict(to.unwrap_or(&entry.path.0))?;
        if place.look().map_err(|e| VaultError::io("look at", &place.path, e))?.is_some() {
            return Err(VaultError::Exists { path: shown(&place.path) });
        }
        let stored = self.open_bytes(id)?;
        self.unchanged(&entry, &stored)?;
        let left_out = match self.send_back(&entry, &stored, &place) {
            Ok(left_out) => left_out,
            Err(e) => {
                // What this leaves undone, the next start undoes.
                let _ = self.stay(entry.clone());
                return Err(e);
            }
        };
        step("out");
        let _ = place.sync();
        self.drop_bytes(id)?;
        step("emptied");
        self.drop_entry(id)?;
        Ok(Restored { path: place.path, entry, left_out })
    }

    fn unchanged(&self, entry: &Entry, stored: &File) -> Result<(), VaultError> {
        // Without a digest the length is all there is.
        let Some(taken) = entry.sha256 else {
            let size = stored.metadata().map_err(|e| self.io("look at", &entry.id, e))?.len();
            let (taken, found) = (format!("{} bytes", entry.size), format!("{size} bytes"));
            let id = entry.id.to_string();
            return if taken == found { Ok(()) } else { Err(VaultError::Digest { id, taken, found }) };
        };
        let found = copy::digest(stored, None).map_err(|e| self.io("read", &entry.id, e))?;
        if found != taken {
            let (taken, found) = (taken.to_string(), found.to_string());
            return Err(VaultError::Digest { id: entry.id.to_string(), taken, found });
        }
        Ok(())
    }

    fn send_back(&self, entry: &Entry, stored: &File, place: &Place) -> Result<Vec<String>, VaultError> {
        let failed = |e: std::io::Error| VaultError::io("restore", &place.path, e);
        let meta = stored.metadata().map_err(failed)?;
        let there = place.folder.metadata().map_err(failed)?;
        if meta.dev() == there.dev() {
            self.plan_restore(entry, place, meta.dev(), meta.ino())?;
            let left_out = attributes::dress(stored, entry).map_err(failed)?;
            step("dressed");
            match rename_new((&self.dir, &Self::bytes_name(&entry.id)), (&place.folder, &place.name)) {
                Ok(()) => return Ok(left_out),
                Err(Errno::EXIST) => return Err(VaultError::Exists { path: shown(&place.path) }),
                // The same device seen through another mount.
                Err(Errno::XDEV) => attributes::harden(stored).map_err(failed)?,
                Err(e) => return Err(failed(e.into())),
            }
        }
        self.copy_back(entry, stored, place)
    }

    fn copy_back(&self, entry: &Entry, stored: &File, place: &Place) -> Result<Vec<String>, VaultError> {
        let failed = |e: std::io::Error| VaultError::io("restore", &place.path, e);
        if entry.size > super::DIGEST_BYTES_MAX {
            let max = super::DIGEST_BYTES_MAX;
            return Err(VaultError::TooLarge { path: shown(&place.path), bytes: entry.size, max });
        }
        self.plan_restore(entry, place, 0, 0)?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let aside = place.aside(&entry.id).map_err(failed)?;
        let (fresh, nameless) = match rustix::fs::openat(&place.folder, ".", flags | OFlags::TMPFILE, mode) {
            Ok(fresh) => (fresh, true),
            // Filesystems that know no nameless files.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {
                let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
                (rustix::fs::openat(&place.folder, &aside.name, flags, mode).map_err(|e| failed(e.into()))?, false)
            }
            Err(e) => return Err(failed(e.into())),
        };
        let fresh = File::from(fresh);
        let digest = copy::digest(stored, Some(&fresh)).map_err(failed)?;
        fresh.sync_all().map_err(failed)?;
        let _ = rustix::fs::fadvise(&fresh, 0, None, rustix::fs::Advice::DontNeed);
        if entry.sha256 != Some(digest) || copy::digest(&fresh, None).map_err(failed)? != digest {
            return Err(VaultError::CopyDiffers { path: shown(&place.path) });
        }
        let left_out = attributes::dress(&fresh, entry).map_err(failed)?;
        let meta = fresh.metadata().map_err(failed)?;
        self.plan_restore(entry, place, meta.dev(), meta.ino())?;
        step("dressed");
        let named = if nameless {
            rustix::fs::linkat(&fresh, "", &place.folder, &place.name, AtFlags::EMPTY_PATH)
        } else {
            rename_new((&aside.folder, &aside.name), (&place.folder, &place.name))
        };
        match named {
            Ok(()) => Ok(left_out),
            Err(Errno::EXIST) => Err(VaultError::Exists { path: shown(&place.path) }),
            Err(e) => Err(failed(e.into())),
        }
    }

    fn plan_restore(&self, entry: &Entry, place: &Place, dev: u64, ino: u64) -> Result<(), VaultError> {
        let restoring = Some(Restoring { to: RawPath(place.path.clone()), dev, ino });
        self.write(&Entry { phase: Phase::Restoring, restoring, ..entry.clone() })
    }

    /// Back to being held, after a restore that did not come off.
    pub(super) fn stay(&self, mut entry: Entry) -> Result<(), VaultError> {
        let now = self.read(&entry.id)?;
        if let Some(place) = now.restoring.as_ref().and_then(|r| Place::strict(&r.to.0).ok())
            && let Ok(aside) = place.aside(&entry.id)
            && aside.look().is_ok_and(|found| found.is_some())
        {
            aside.unlink().map_err(|e| VaultError::io("remove", &aside.path, e))?;
        }
        attributes::harden(&self.open_bytes(&entry.id)?).map_err(|e| self.io("lock away", &entry.id, e))?;
        entry.phase = Phase::Held;
        entry.restoring = None;
        self.write(&entry)
    }
}
