//! Folders by handle: nothing below is reached through a link, and only
//! regular files are opened.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat};

/// Most entries of one folder looked at.
const ENTRIES_MAX: usize = 200_000;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// An open folder, and what it is called in the report.
pub(super) struct Folder {
    handle: OwnedFd,
    pub path: PathBuf,
}

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Folder,
    File,
}

impl Folder {
    /// Opens a folder that the user named: links in its path count.
    pub fn open(path: &Path, shown: PathBuf) -> io::Result<Self> {
        Ok(Self { handle: openat(CWD, path, FOLDER, Mode::empty())?, path: shown })
    }

    /// Opens a folder in this one, unless it is a link.
    pub fn child(&self, name: &OsStr) -> io::Result<Self> {
        let handle = openat(&self.handle, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(Self { handle, path: self.path.join(name) })
    }

    /// Opens a folder below this one; `path` may begin with `/` and may not
    /// leave it.
    pub fn below(&self, path: &Path) -> io::Result<Self> {
        let mut at = Self { handle: self.handle.try_clone()?, path: self.path.clone() };
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => at = at.child(name)?,
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path leaves its root"));
                }
            }
        }
        Ok(at)
    }

    /// Device and inode.
    pub fn identity(&self) -> io::Result<(u64, u64)> {
        use std::os::unix::fs::MetadataExt;
        let meta = File::from(self.handle.try_clone()?).metadata()?;
        Ok((meta.dev(), meta.ino()))
    }

    /// Folders and regular files in it, by name; whether there are more than
    /// are looked at.
    pub fn entries(&self) -> io::Result<(Vec<(OsString, Kind)>, bool)> {
        let mut out = Vec::new();
        for entry in Dir::read_from(&self.handle)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if out.len() >= ENTRIES_MAX {
                return Ok((out, true));
            }
            let name = OsString::from_vec(name.to_vec());
            let kind = match entry.file_type() {
                // Some file systems do not say.
                FileType::Unknown => self.kind(&name),
                kind => kind,
            };
            match kind {
                FileType::Directory => out.push((name, Kind::Folder)),
                FileType::RegularFile => out.push((name, Kind::File)),
                _ => {}
            }
        }
        out.sort();
        Ok((out, false))
    }

    fn kind(&self, name: &OsStr) -> FileType {
        rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_or(FileType::Unknown, |s| FileType::from_raw_mode(s.st_mode))
    }

    /// Opens a regular file in it. What became a FIFO, device or link in
    /// between is refused without blocking.
    pub fn file(&self, name: &OsStr) -> io::Result<File> {
        let file = File::from(openat(&self.handle, name, FILE, Mode::empty())?);
        if file.metadata()?.is_file() {
            return Ok(file);
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }

    /// The first `max` bytes of a file in it.
    pub fn head(&self, name: &OsStr, max: u64) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        self.file(name)?.take(max).read_to_end(&mut out)?;
        Ok(out)
    }

    /// A whole file in it, of at most `max` bytes.
    pub fn read(&self, name: &OsStr, max: u64) -> io::Result<Vec<u8>> {
        let out = self.head(name, max.saturating_add(1))?;
        if out.len() as u64 > max {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {max} bytes")));
        }
        Ok(out)
    }

    /// Whether it holds a regular file of that name.
    pub fn has_file(&self, name: &str) -> bool {
        self.kind(OsStr::new(name)) == FileType::RegularFile
    }
}
