//! Bounded reads, and writes that are seen whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::error::{Error, shown};

/// Reads a regular file of at most `max` bytes; no link, no pipe.
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {max} bytes")));
    }
    Ok(bytes)
}

/// Makes a file that was not there.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // Only what was just made here is removed.
        let _ = std::fs::remove_file(path);
    }
    written
}

/// Writes beside and renames.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", mark()));
    let beside = folder.join(name);
    match create(&beside, bytes, 0o644) {
        // Left by a process that was killed: in containers, ids come again.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(&beside)?;
            create(&beside, bytes, 0o644)?;
        }
        created => created?,
    }
    let renamed = std::fs::rename(&beside, path);
    if renamed.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    renamed.and_then(|()| sync_folder(folder))
}

/// Makes a rename or a new file in `folder` last.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// No two calls on this machine give the same at one time.
pub fn mark() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Keeps other processes away from `folder` until dropped.
pub fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join(".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(&path)
        .map_err(|e| Error::write(&path, e))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Busy { path: shown(folder) }),
        Err(e) => Err(Error::write(&path, e.into())),
    }
}

/// Regular files under `folder`, relative, sorted; anything but files and folders
/// is an error that names it.
pub fn tree(folder: &Path, max: u64) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    let mut entries = 0_u64;
    while let Some(inside) = folders.pop() {
        let at = folder.join(&inside);
        for entry in std::fs::read_dir(&at).map_err(|e| Error::read(&at, e))? {
            let entry = entry.map_err(|e| Error::read(&at, e))?;
            entries += 1;
            if entries > max.saturating_mul(4).saturating_add(64) {
                let reason = format!("the folder holds more than {max} files");
                return Err(Error::Unpublishable { path: shown(folder), reason });
            }
            let path = inside.join(entry.file_name());
            let kind = entry.file_type().map_err(|e| Error::read(&at, e))?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                found.push(path);
            } else {
                let what = if kind.is_symlink() { "a symbolic link" } else { "no regular file" };
                let reason = format!("it is {what}; put a regular file there or take it away");
                return Err(Error::Unpublishable { path: shown(&path), reason });
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_of_the_same_id_left_is_no_obstacle() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("f");
        for count in 0..64 {
            std::fs::write(place.path().join(format!(".f.{}-{count}", std::process::id())), "half").unwrap();
        }
        replace(&path, b"whole").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"whole");
        assert!(read(&path, 4).is_err());
    }
}
