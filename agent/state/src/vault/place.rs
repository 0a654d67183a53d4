//! A name in an open folder.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use super::{EntryId, VaultError};
use crate::error::shown;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a folder to work in; the folder itself may not be a link.
pub(super) fn open_folder(path: &Path) -> io::Result<File> {
    Ok(File::from(rustix::fs::openat(CWD, path, FOLDER | OFlags::NOFOLLOW, Mode::empty())?))
}

/// Where a file is, or goes.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: File,
    pub(super) name: OsString,
    /// As given.
    pub(super) path: PathBuf,
}

impl Place {
    /// Where `path` leads. Links to the folder are followed: whoever takes a file
    /// knows it by its inode, not by its path.
    pub(super) fn of(path: &Path) -> Result<Self, VaultError> {
        Self::open(path, |folder| Ok(rustix::fs::openat(CWD, folder, FOLDER, Mode::empty())?))
            .map_err(|e| e.unwrap_or_else(|e| VaultError::io("open the folder of", path, e)))
    }

    /// The same for putting a file there: a link on the way would let whoever
    /// made it choose the place.
    pub(super) fn strict(path: &Path) -> Result<Self, VaultError> {
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        Self::open(path, |folder| Ok(rustix::fs::openat2(CWD, folder, FOLDER, Mode::empty(), resolve)?))
            .map_err(|e| e.unwrap_or_else(|source| VaultError::NoFolder { path: shown(path), source }))
    }

    fn open(
        path: &Path,
        open: impl FnOnce(&Path) -> io::Result<rustix::fd::OwnedFd>,
    ) -> Result<Self, Result<VaultError, io::Error>> {
        let not_a_path = || Ok(VaultError::NotAPath { path: shown(path) });
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(not_a_path()) };
        let ends_in_slash = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        if !path.is_absolute() || ends_in_slash {
            return Err(not_a_path());
        }
        let folder = File::from(open(parent).map_err(Err)?);
        Ok(Self { folder, name: name.to_owned(), path: path.to_owned() })
    }

    /// The path with links resolved, as the kernel has it.
    pub(super) fn resolved(&self) -> PathBuf {
        let link = format!("/proc/self/fd/{}", self.folder.as_raw_fd());
        match std::fs::read_link(link) {
            Ok(folder) if folder.is_absolute() => folder.join(&self.name),
            _ => self.path.clone(),
        }
    }

    /// What the name stands for: not followed, not opened.
    pub(super) fn look(&self) -> io::Result<Option<Metadata>> {
        look(&self.folder, &self.name)
    }

    /// Whether the name stands for exactly this inode.
    pub(super) fn is(&self, dev: u64, ino: u64) -> io::Result<bool> {
        Ok(self.look()?.is_some_and(|m| same(&m, dev, ino)))
    }

    /// The name beside it under which a file waits for its end.
    pub(super) fn aside(&self, id: &EntryId) -> io::Result<Self> {
        let name = OsString::from(format!(".weighbridge-{id}"));
        let path = self.path.with_file_name(&name);
        Ok(Self { folder: self.folder.try_clone()?, name, path })
    }

    pub(super) fn unlink(&self) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty())?)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.folder.sync_all()
    }
}

pub(super) fn same(meta: &Metadata, dev: u64, ino: u64) -> bool {
    (meta.dev(), meta.ino()) == (dev, ino)
}

pub(super) fn look(folder: &File, name: &OsStr) -> io::Result<Option<Metadata>> {
    match rustix::fs::openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(found) => File::from(found).metadata().map(Some),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Renames, and fails with `EEXIST` rather than replace anything.
pub(super) fn rename_new(from: (&File, &OsStr), to: (&File, &OsStr)) -> Result<(), Errno> {
    match rustix::fs::renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE) {
        // Filesystems without the flag: a second name, then one less.
        Err(Errno::INVAL | Errno::NOSYS) => {
            rustix::fs::linkat(from.0, from.1, to.0, to.1, AtFlags::empty())?;
            rustix::fs::unlinkat(from.0, from.1, AtFlags::empty())
        }
        done => done,
    }
}
