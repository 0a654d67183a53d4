//! The folder of the state, and small files in it that appear whole or not
//! at all.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags};

use crate::StateError;
use crate::error::shown;

/// Makes `dir` if need be, for its owner alone.
pub(crate) fn private(dir: &Path) -> Result<(), StateError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| StateError::file("make", dir, e))?;
    let failed = |e| StateError::file("open", dir, e);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = File::from(rustix::fs::openat(CWD, dir, flags, Mode::empty()).map_err(|e| failed(e.into()))?);
    let meta = open.metadata().map_err(failed)?;
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(StateError::Owner { path: shown(dir), uid: meta.uid() });
    }
    if meta.mode() & 0o077 != 0 {
        open.set_permissions(Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}

/// Held as long as this process writes the state. The kernel lets go of it
/// when the process ends, however it ends.
pub(crate) fn lock(dir: &Path) -> Result<File, StateError> {
    let path = dir.join("state.lock");
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|e| StateError::file("lock", &path, e))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(File::from(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StateError::InUse { path: shown(dir) }),
        Err(e) => Err(StateError::file("lock", &path, e)),
    }
}

/// The bytes of a small regular file; none if it is not there.
pub(crate) fn read_small(path: &Path, max: u64) -> Result<Option<(Vec<u8>, u32)>, StateError> {
    let failed = |e: io::Error| StateError::file("read", path, e);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(e) => return Err(failed(e.into())),
    };
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() || meta.len() > max {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "not a small regular file")));
    }
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some((bytes, meta.mode() & 0o7777)))
}

/// Writes `bytes` to `path` so that a crash leaves the old content or the new.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), StateError> {
    let fresh = with_suffix(path, ".new");
    let write = || -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(CWD, &fresh, flags, mode)?);
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        sync_parent(path)
    };
    write().map_err(|e| StateError::file("write", path, e))
}

/// Makes what happened to names in the folder of `path` last.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// `path` with `suffix` at the end of its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
