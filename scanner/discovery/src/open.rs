//! Opening without being led elsewhere.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use weighbridge_formats::{FileName, HEAD_BYTES, Sniff, TAIL_BYTES};

use crate::{Candidate, FileMeta, Reason};

/// Largest companion (source, script, list) looked at, bytes.
const COMPANION_BYTES_MAX: u64 = 16 << 20;
/// Most entries of one folder looked at for companions.
const COMPANIONS_MAX: usize = 10_000;

const FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Opens `path` for reading if it is a regular file and no link. A FIFO or
/// device that takes its place in between is opened without blocking and
/// refused by [`regular`].
pub(crate) fn no_follow(path: &Path) -> io::Result<File> {
    Ok(File::from(rustix::fs::openat(CWD, path, FLAGS, Mode::empty())?))
}

/// The metadata of `file` if it is a regular file.
pub(crate) fn regular(file: &File) -> io::Result<FileMeta> {
    let meta = file.metadata()?;
    if meta.is_file() {
        return Ok(FileMeta::from(&meta));
    }
    let kind = if meta.file_type().is_fifo() { "a FIFO" } else { "not a regular file" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, kind))
}

/// What the first bytes of a file say.
pub(crate) enum Glance {
    /// Worth inspecting.
    Candidate,
    /// Something else.
    Other,
}

/// Looks at the first (and, if some format wants them, last) bytes.
pub(crate) fn glance(file: &File, name: &OsStr) -> io::Result<Glance> {
    thread_local! {
        static HEAD: RefCell<Vec<u8>> = RefCell::new(vec![0; HEAD_BYTES]);
    }
    HEAD.with_borrow_mut(|buf| {
        let n = file.read_at(buf, 0)?;
        let head = buf.get(..n).unwrap_or_default();
        // A short read is the whole file; only longer ones need a stat.
        let len = if n < HEAD_BYTES { n as u64 } else { file.metadata()?.len() };
        let name = FileName::new(&name.to_string_lossy());
        let tail = || tail(file, len).unwrap_or_default();
        let sniff = Sniff::new(head, len, &name, &tail);
        let wanted = weighbridge_formats::triage(&sniff) || weighbridge_formats::claims_model(&name);
        Ok(if wanted { Glance::Candidate } else { Glance::Other })
    })
}

/// Whether the file at `path` is worth inspecting, by its first and last
/// bytes. What cannot be opened is not, unless for want of descriptors or
/// memory: then nobody knows.
#[must_use]
pub fn is_candidate(path: &Path) -> bool {
    use rustix::io::Errno;
    let file = match no_follow(path) {
        Ok(file) => file,
        Err(e) => {
            return [Errno::MFILE, Errno::NFILE, Errno::NOMEM]
                .iter()
                .any(|x| e.raw_os_error() == Some(x.raw_os_error()));
        }
    };
    regular(&file).is_ok() && matches!(glance(&file, path.file_name().unwrap_or_default()), Ok(Glance::Candidate))
}

fn tail(file: &File, len: u64) -> io::Result<Vec<u8>> {
    let mut buf = vec![0; TAIL_BYTES.min(usize::try_from(len).unwrap_or(TAIL_BYTES))];
    let n = file.read_at(&mut buf, len.saturating_sub(TAIL_BYTES as u64))?;
    buf.truncate(n);
    Ok(buf)
}

/// Opens the file at `relative` below `folder`, which another file names.
/// Only plain components count; links on the way are not followed.
///
/// # Errors
/// `InvalidInput` if the path leaves the folder, `FilesystemLoop` if it leads
/// through a link, and whatever opening reports.
pub fn linked(folder: &Path, relative: &str) -> io::Result<Candidate> {
    let relative = Path::new(relative);
    if relative.as_os_str().is_empty() || !relative.components().all(|c| matches!(c, Component::Normal(_))) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path leaves its folder"));
    }
    let base = rustix::fs::openat(CWD, folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let handle = File::from(beneath(&base, relative, Links::Refused)?);
    let meta = regular(&handle)?;
    Ok(Candidate { handle, path: folder.join(relative), meta, also_at: Vec::new(), reason: Reason::Linked })
}

/// Symbolic links on the way to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// An error.
    Refused,
    /// Followed as long as they stay below the starting folder.
    Inside,
}

/// Opens `relative` for reading without leaving `base` (openat2(2)).
#[cfg(target_os = "linux")]
pub(crate) fn beneath(base: &OwnedFd, relative: &Path, links: Links) -> io::Result<OwnedFd> {
    let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut flags = FLAGS;
    match links {
        Links::Refused => resolve |= ResolveFlags::NO_SYMLINKS,
        Links::Inside => flags -= OFlags::NOFOLLOW,
    }
    Ok(rustix::fs::openat2(base, relative, flags, Mode::empty(), resolve)?)
}

/// Opens `relative` for reading without leaving `base`. Without openat2(2) no
/// link can be followed safely, so none is.
#[cfg(not(target_os = "linux"))]
pub(crate) fn beneath(base: &OwnedFd, relative: &Path, _links: Links) -> io::Result<OwnedFd> {
    let mut at = base.try_clone()?;
    let mut components = relative.components().peekable();
    while let Some(component) = components.next() {
        let flags = if components.peek().is_some() { FLAGS | OFlags::DIRECTORY } else { FLAGS };
        at = rustix::fs::openat(&at, component.as_os_str(), flags, Mode::empty())?;
    }
    Ok(at)
}

/// Names in the folder at `relative` below `folder`, at most `max` of them, in
/// order. Links on the way are not followed.
///
/// # Errors
/// As [`linked`].
pub fn names(folder: &Path, relative: &str, max: usize) -> io::Result<Vec<OsString>> {
    let relative = Path::new(relative);
    if !relative.components().all(|c| matches!(c, Component::Normal(_))) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path leaves its folder"));
    }
    let base = rustix::fs::openat(CWD, folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let inside = beneath(&base, relative, Links::Refused)?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(inside)?.take(max.saturating_add(2)) {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." && names.len() < max {
            names.push(name.to_os_string());
        }
    }
    names.sort();
    Ok(names)
}

/// Files in `folder`, and up to `depth` folders below it, that matter only
/// because a model lies beside them: source code, scripts, lists. Inside a
/// Python package (`__init__.py`) source is a program's, not a model's.
#[must_use]
pub fn companions(folder: &Path, depth: u32) -> Vec<Candidate> {
    let mut out = Vec::new();
    let mut seen = 0;
    let mut folders = vec![(folder.to_path_buf(), depth)];
    while let Some((folder, depth)) = folders.pop() {
        if folder.join("__init__.py").exists() {
            continue;
        }
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            seen += 1;
            if seen > COMPANIONS_MAX {
                break;
            }
            let path = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if kind.is_dir() && depth > 0 && !hidden {
                folders.push((path, depth - 1));
            } else if kind.is_file() {
                out.extend(no_follow(&path).ok().and_then(|handle| companion(handle, path, Vec::new())));
            } else if kind.is_symlink()
                && let Some(blob) = crate::hf_cache::blob_of(&path)
            {
                out.extend(no_follow(&blob).ok().and_then(|handle| companion(handle, path, vec![blob])));
            }
        }
    }
    out.sort_by(|a, b| a.path.cmp(&b.path));
    out
}

fn companion(handle: File, path: PathBuf, also_at: Vec<PathBuf>) -> Option<Candidate> {
    let meta = regular(&handle).ok()?;
    if meta.len > COMPANION_BYTES_MAX {
        return None;
    }
    let mut head = vec![0; HEAD_BYTES];
    let n = handle.read_at(&mut head, 0).ok()?;
    let name = FileName::new(&path.file_name()?.to_string_lossy());
    let tail = || tail(&handle, meta.len).unwrap_or_default();
    let wanted = weighbridge_formats::is_companion(&Sniff::new(head.get(..n)?, meta.len, &name, &tail));
    wanted.then_some(Candidate { handle, path, meta, also_at, reason: Reason::Companion })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linked_files_are_never_reached_through_links_or_parents() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("model")).unwrap();
        std::fs::write(dir.path().join("secret"), "s").unwrap();
        std::fs::write(dir.path().join("model/w.bin"), "w").unwrap();
        std::os::unix::fs::symlink("../secret", dir.path().join("model/link")).unwrap();
        std::os::unix::fs::symlink("..", dir.path().join("model/up")).unwrap();
        let model = dir.path().join("model");
        assert!(linked(&model, "w.bin").is_ok());
        for bad in ["../secret", "link", "up/secret", "/etc/hostname", "", "./x/../../secret"] {
            assert!(linked(&model, bad).is_err(), "{bad}");
        }
        assert_eq!(names(dir.path(), "model", 9).unwrap(), ["link", "up", "w.bin"]);
        assert_eq!(names(dir.path(), "model", 1).unwrap().len(), 1);
        for bad in ["up", "../model", "/", "w.bin"] {
            assert!(names(&model, bad, 9).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_fifo_is_refused_without_blocking() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.gguf");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(no_follow(&path).and_then(|f| regular(&f)).is_err());
    }
}
