use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, open, openat};

/// Where a repository is read from. A directory today; HTTP is one more
/// implementation.
///
/// What it gives is not believed. It should give up by itself on a peer that
/// sends nothing for long; lengths are bounded by whoever reads.
pub trait Source: fmt::Debug + Send + Sync {
    /// Opens a file of the repository, such as `metadata/timestamp.json`. Paths
    /// are relative, of plain ASCII names joined by `/`, without `.` and `..`.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if, and only if, there is no such file.
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>>;
}

/// A repository in a folder. Links in it are not followed, and only regular
/// files are read.
#[derive(Debug, Clone)]
pub struct Directory {
    path: PathBuf,
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::DIRECTORY);
const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

impl Directory {
    /// The repository at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl Source for Directory {
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        let mut folder = open(&self.path, FOLDER, Mode::empty())?;
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        for part in folders.split('/').filter(|p| !p.is_empty()) {
            folder = openat(&folder, part, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
        }
        let file = File::from(openat(&folder, name, FILE, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Box::new(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_pipes_and_folders_are_not_read() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        std::fs::create_dir(at("d")).unwrap();
        std::fs::write(at("d/f"), "x").unwrap();
        std::os::unix::fs::symlink("f", at("d/link")).unwrap();
        std::os::unix::fs::symlink("d", at("folder-link")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        let source = Directory::new(place.path());
        assert!(source.open("d/f").is_ok());
        for path in ["d", "d/link", "folder-link/f", "pipe"] {
            assert!(source.open(path).is_err_and(|e| e.kind() != io::ErrorKind::NotFound), "{path}");
        }
        assert!(source.open("d/none").is_err_and(|e| e.kind() == io::ErrorKind::NotFound));
    }
}
