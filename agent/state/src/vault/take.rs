//! Into the vault.

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;

use super::place::{Place, rename_new, same};
use super::{DIGEST_BYTES_MAX, Entry, EntryId, Method, Phase, RawPath, Reason, Time, Vault, VaultError};
use super::{attributes, copy, step};
use crate::error::{bound, shown};

impl Vault {
    /// Takes the file of `handle`, open for reading, away from `path`, which must
    /// still name it. On return it is in the vault and nowhere else, but for
    /// further hard links ([`Entry::links`], [`Entry::note`]).
    ///
    /// Reads the file once where it can be moved and three times where it must
    /// be copied. The handle's position is left as it was.
    ///
    /// # Errors
    /// A path that names something else by now, a full vault, a full disk, a
    /// read-only place: the file is where it was. After [`VaultError::Begun`] it
    /// is in the vault, and the next start completes its entry.
    pub fn quarantine(&self, handle: &File, path: &Path, reason: Reason, now: Timestamp) -> Result<Entry, VaultError> {
        let meta = handle.metadata().map_err(|e| VaultError::io("look at", path, e))?;
        regular(&meta, path)?;
        let place = Place::of(path)?;
        place_holds(&place, &meta)?;
        writable(&place)?;
        let mut entry = plan(handle, &meta, &place, reason, now)?;
        let _turn = self.turn(&entry.id, meta.blocks().saturating_mul(512))?;
        if entry.method == Method::Moved && self.dir.metadata().is_ok_and(|d| d.dev() != meta.dev()) {
            entry.method = Method::Copied;
        }
        self.write(&entry)?;
        step("planned");
        if entry.method == Method::Moved && self.moved(&mut entry, &place)? {
            return self.complete(entry.clone()).map_err(|source| VaultError::Begun {
                path: shown(path),
                id: entry.id.to_string(),
                source: Box::new(source),
            });
        }
        self.copied(&mut entry, handle, &meta, &place).inspect_err(|_| {
            // What stays behind if this fails, too, the next start removes.
            let _ = self.undo_copy(&entry.id);
        })?;
        self.detached(entry, &place)
    }

    /// One rename; says `false` if that takes a copy instead.
    fn moved(&self, entry: &mut Entry, place: &Place) -> Result<bool, VaultError> {
        let bytes = Self::bytes_name(&entry.id);
        match rename_new((&place.folder, &place.name), (&self.dir, &bytes)) {
            Ok(()) => {}
            Err(Errno::XDEV) => {
                // The same device seen through another mount.
                entry.method = Method::Copied;
                self.write(entry)?;
                return Ok(false);
            }
            Err(e) => {
                self.drop_entry(&entry.id)?;
                return Err(VaultError::io("move", &place.path, e));
            }
        }
        step("moved");
        let found = super::place::look(&self.dir, &bytes).map_err(|e| self.io("look at", &entry.id, e))?;
        if !found.is_some_and(|m| same(&m, entry.dev, entry.ino)) {
            self.put_back(&entry.id, place)?;
            return Err(VaultError::Replaced { path: shown(&place.path) });
        }
        // From here on it is out of reach; what fails now, the next start does.
        let _ = place.sync();
        Ok(true)
    }

    /// Undoes a rename that caught another file.
    pub(super) fn put_back(&self, id: &EntryId, place: &Place) -> Result<(), VaultError> {
        let bytes = Self::bytes_name(id);
        rename_new((&self.dir, &bytes), (&place.folder, &place.name))
            .map_err(|e| VaultError::io("put back", &place.path, e))?;
        self.drop_entry(id)
    }

    /// Hardens and reads what was moved.
    pub(super) fn complete(&self, mut entry: Entry) -> Result<Entry, VaultError> {
        let id = entry.id.clone();
        let stored = self.open_bytes(&id)?;
        attributes::harden(&stored).map_err(|e| self.io("lock away", &id, e))?;
        step("hardened");
        self.sync()?;
        entry.size = stored.metadata().map_err(|e| self.io("look at", &id, e))?.len();
        if entry.size <= DIGEST_BYTES_MAX {
            entry.sha256 = Some(copy::digest(&stored, None).map_err(|e| self.io("read", &id, e))?);
        }
        entry.phase = Phase::Held;
        self.write(&entry)?;
        step("held");
        Ok(entry)
    }

    /// A checked copy in the vault; the original is untouched.
    fn copied(&self, entry: &mut Entry, handle: &File, meta: &Metadata, place: &Place) -> Result<(), VaultError> {
        if meta.len() > DIGEST_BYTES_MAX {
            let path = shown(&place.path);
            return Err(VaultError::TooLarge { path, bytes: meta.len(), max: DIGEST_BYTES_MAX });
        }
        let failed = |e: std::io::Error| VaultError::io("copy", &place.path, e);
        let part = Self::part_name(&entry.id);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let to = rustix::fs::openat(&self.dir, &part, flags, Mode::RUSR).map_err(|e| failed(e.into()))?;
        let to = File::from(to);
        step("copying");
        let digest = copy::digest(handle, Some(&to)).map_err(failed)?;
        to.sync_all().map_err(failed)?;
        let after = handle.metadata().map_err(failed)?;
        if stamp(&after) != stamp(meta) {
            return Err(VaultError::Changed { path: shown(&place.path) });
        }
        // Out of the page cache, as far as the system lets go, so that the disk is asked.
        let _ = rustix::fs::fadvise(&to, 0, None, rustix::fs::Advice::DontNeed);
        if copy::digest(&to, None).map_err(failed)? != digest {
            return Err(VaultError::CopyDiffers { path: shown(&place.path) });
        }
        step("copied");
        rename_new((&self.dir, &part), (&self.dir, &Self::bytes_name(&entry.id))).map_err(|e| failed(e.into()))?;
        step("placed");
        entry.sha256 = Some(digest);
        entry.phase = Phase::Copied;
        self.write(entry)?;
        step("committed");
        Ok(())
    }

    /// Removes the original of a complete copy, and nothing else: whatever has
    /// its name by now is put aside, looked at, and put back if it is another.
    fn detached(&self, mut entry: Entry, place: &Place) -> Result<Entry, VaultError> {
        if let Err(source) = self.detach(&entry, place) {
            // An original that is stuck beside its name has left its place already.
            if place.aside(&entry.id).and_then(|aside| aside.look()).is_ok_and(|found| found.is_none()) {
                self.undo_copy(&entry.id)?;
                return Err(source);
            }
            let (path, id) = (shown(&place.path), entry.id.to_string());
            return Err(VaultError::Begun { path, id, source: Box::new(source) });
        }
        entry.phase = Phase::Held;
        self.write(&entry).map_err(|source| VaultError::Begun {
            path: shown(&place.path),
            id: entry.id.to_string(),
            source: Box::new(source),
        })?;
        step("held");
        Ok(entry)
    }

    pub(super) fn detach(&self, entry: &Entry, place: &Place) -> Result<(), VaultError> {
        let failed = |e: std::io::Error| VaultError::io("remove", &place.path, e);
        let found = place.look().map_err(failed)?;
        if !found.is_some_and(|m| same(&m, entry.dev, entry.ino) && ctime(&m) == entry.ctime) {
            return Err(VaultError::Replaced { path: shown(&place.path) });
        }
        let aside = place.aside(&entry.id).map_err(failed)?;
        rename_new((&place.folder, &place.name), (&aside.folder, &aside.name)).map_err(|e| failed(e.into()))?;
        step("aside");
        if !aside.is(entry.dev, entry.ino).map_err(failed)? {
            rename_new((&aside.folder, &aside.name), (&place.folder, &place.name)).map_err(|e| failed(e.into()))?;
            return Err(VaultError::Replaced { path: shown(&place.path) });
        }
        if let Err(e) = aside.unlink() {
            let _ = rename_new((&aside.folder, &aside.name), (&place.folder, &place.name));
            return Err(failed(e));
        }
        step("unlinked");
        // It is gone; that it is gone for good after a power cut is worth trying.
        let _ = place.sync();
        Ok(())
    }

    /// Forgets a copy whose original stays.
    pub(super) fn undo_copy(&self, id: &EntryId) -> Result<(), VaultError> {
        self.unlink(&Self::part_name(id))?;
        self.drop_bytes(id)?;
        self.drop_entry(id)
    }
}

fn regular(meta: &Metadata, path: &Path) -> Result<(), VaultError> {
    let kind = meta.file_type();
    let what = match kind {
        _ if kind.is_file() => return Ok(()),
        _ if kind.is_dir() => "a folder",
        _ if kind.is_symlink() => "a symbolic link",
        _ if kind.is_fifo() => "a FIFO",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(VaultError::Kind { path: shown(path), what })
}

fn place_holds(place: &Place, meta: &Metadata) -> Result<(), VaultError> {
    let found = place.look().map_err(|e| VaultError::io("look at", &place.path, e))?;
    match found {
        Some(found) if same(&found, meta.dev(), meta.ino()) => Ok(()),
        Some(found) if !found.is_file() => regular(&found, &place.path),
        _ => Err(VaultError::Replaced { path: shown(&place.path) }),
    }
}

fn writable(place: &Place) -> Result<(), VaultError> {
    let stat = rustix::fs::fstatvfs(&place.folder).map_err(|e| VaultError::io("look at", &place.path, e))?;
    if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(VaultError::ReadOnly { path: shown(&place.path) });
    }
    Ok(())
}

fn plan(
    handle: &File,
    meta: &Metadata,
    place: &Place,
    mut reason: Reason,
    now: Timestamp,
) -> Result<Entry, VaultError> {
    let words = serde_json::to_vec(&(&reason.text, &reason.policies, &reason.detail)).map_or(0, |text| text.len());
    bound("the reason", words, super::entry::REASON_BYTES_MAX).map_err(|_| VaultError::TooLong {
        path: shown(&place.path),
        bytes: words,
        max: super::entry::REASON_BYTES_MAX,
    })?;
    let mut room = super::entry::REASON_BYTES_MAX;
    reason.also_at.retain(|path| {
        let fits = path.len() <= room;
        room = if fits { room.saturating_sub(path.len()) } else { 0 };
        fits
    });
    let (xattrs, xattrs_left_out) = attributes::xattrs(handle);
    let links = meta.nlink();
    let note = (links > 1).then(|| {
        let others = links.saturating_sub(1);
        format!("the same bytes are still reachable at {others} further hard link(s); take those, too")
    });
    Ok(Entry {
        version: 1,
        id: EntryId::draw(now)?,
        phase: Phase::Planned,
        taken_at: now,
        path: RawPath(place.resolved()),
        given: RawPath(place.path.clone()),
        reason,
        method: if links > 1 { Method::Copied } else { Method::Moved },
        dev: meta.dev(),
        ino: meta.ino(),
        ctime: ctime(meta),
        size: meta.len(),
        sha256: None,
        uid: meta.uid(),
        gid: meta.gid(),
        mode: meta.mode() & 0o7777,
        atime: Time { s: meta.atime(), ns: meta.atime_nsec() },
        mtime: Time { s: meta.mtime(), ns: meta.mtime_nsec() },
        xattrs,
        xattrs_left_out,
        links,
        note,
        restoring: None,
    })
}

pub(super) fn ctime(meta: &Metadata) -> Time {
    Time { s: meta.ctime(), ns: meta.ctime_nsec() }
}

/// Changes when the content does.
fn stamp(meta: &Metadata) -> (u64, i64, i64, Time) {
    (meta.len(), meta.mtime(), meta.mtime_nsec(), ctime(meta))
}
