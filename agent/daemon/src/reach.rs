//! Opens a file for somebody else: as far as their own rights reach, and the
//! very file that those rights were checked on.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};

/// Opens the regular file at `path` for reading, for `uid`; everything if that
/// is an administrator. No symbolic links on the way: whoever asks resolves
/// them with rights of their own. Groups are not asked for.
///
/// # Errors
/// `EACCES` where `uid` may not pass or read, `ELOOP` for links, `EINVAL` for
/// what is no regular file or no absolute path, and what openat(2) reports.
pub fn open(path: &Path, uid: u32, administrator: bool) -> io::Result<File> {
    use io::ErrorKind::{InvalidInput, PermissionDenied};
    let may = |stat: &Stat, others: u32| administrator || stat.st_uid == uid || stat.st_mode & others != 0;
    let (step, folder) = (OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, OFlags::DIRECTORY);
    let mut at = rustix::fs::openat(CWD, "/", step | folder, Mode::empty())?;
    let mut names = path.components().peekable();
    if names.next() != Some(Component::RootDir) {
        return Err(InvalidInput.into());
    }
    while let Some(name) = names.next() {
        let Component::Normal(name) = name else { return Err(InvalidInput.into()) };
        if !may(&rustix::fs::fstat(&at)?, 0o001) {
            return Err(PermissionDenied.into());
        }
        let flags = if names.peek().is_some() { step | folder } else { step };
        at = rustix::fs::openat(&at, name, flags, Mode::empty())?;
    }
    let stat = rustix::fs::fstat(&at)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if may(&stat, 0o004) => reopen(&at),
        FileType::RegularFile => Err(PermissionDenied.into()),
        FileType::Symlink => Err(rustix::io::Errno::LOOP.into()),
        // A device or pipe is never opened: that alone can do something.
        _ => Err(InvalidInput.into()),
    }
}

/// The same file, for reading.
fn reopen(path: &OwnedFd) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let link = format!("/proc/self/fd/{}", path.as_fd().as_raw_fd());
    Ok(rustix::fs::openat(CWD, link, flags, Mode::empty())?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn rights_links_and_kinds_are_minded() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        let (inner, file) = (root.join("inner"), root.join("inner/m"));
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(&file, "m").unwrap();
        for (path, mode) in [(&root, 0o755), (&inner, 0o755), (&file, 0o644)] {
            set(path, mode);
        }
        std::os::unix::fs::symlink(&file, root.join("link")).unwrap();
        std::os::unix::fs::symlink(&inner, root.join("way")).unwrap();
        let own = rustix::process::getuid().as_raw();
        let other = own + 12_345;
        let reads = |path: &Path, uid, administrator| {
            let mut text = String::new();
            open(path, uid, administrator).and_then(|mut f| f.read_to_string(&mut text)).map(|_| text)
        };
        // Folders above the temporary one let everybody through.
        assert_eq!(reads(&file, other, false).unwrap(), "m");
        for wrong in [root.join("link"), root.join("way/m"), inner.join("../inner/m"), inner.clone(), "m".into()] {
            assert!(reads(&wrong, own, true).is_err(), "{}", wrong.display());
        }
        set(&file, 0o600);
        assert!(reads(&file, other, false).is_err());
        assert!(reads(&file, own, false).is_ok() && reads(&file, other, true).is_ok());
        set(&file, 0o644);
        set(&inner, 0o700);
        assert!(reads(&file, other, false).is_err(), "through a closed folder");
        std::process::Command::new("mkfifo").arg(inner.join("pipe")).status().unwrap();
        assert!(reads(&inner.join("pipe"), own, true).is_err(), "and does not wait");
    }
}
