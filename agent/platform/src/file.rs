//! Which file it is, and whether it is still the same.

use std::fs::Metadata;
#[cfg(target_os = "linux")]
use std::{fs::File, io, os::fd::AsRawFd};

use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

/// Identity and change marks of a file. Whoever is not root cannot set the
/// change time, so equal keys mean unchanged content, but for writes through
/// a mapping that was there before: see [`settled_key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileKey {
    /// Device (`st_dev`).
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Length, bytes.
    pub size: u64,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Change time, nanoseconds since 1970.
    pub ctime_ns: i64,
}

impl From<&Metadata> for FileKey {
    fn from(meta: &Metadata) -> Self {
        let ns = |s: i64, n: i64| s.saturating_mul(1_000_000_000).saturating_add(n);
        Self {
            dev: meta.dev(),
            ino: meta.ino(),
            size: meta.len(),
            mtime_ns: ns(meta.mtime(), meta.mtime_nsec()),
            ctime_ns: ns(meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// The key of an open file after all that was written to it is in storage.
///
/// A page that is mapped for writing and not yet stored can change without a
/// new change time; once stored, the next write is dated. So take this key,
/// read the file, and believe what was read only if the key is still the same.
/// On tmpfs nothing is stored and this does not help: see [`has_writer`].
///
/// # Errors
/// What fdatasync(2) and fstat(2) report.
#[cfg(target_os = "linux")]
pub fn settled_key(file: &File) -> io::Result<FileKey> {
    file.sync_data()?;
    Ok(FileKey::from(&file.metadata()?))
}

/// Whether anybody has this file open or mapped for writing. Asks for a read
/// lease, which the kernel grants only without writers, and gives it back.
///
/// # Errors
/// What fcntl(2) reports: `EACCES` for files of others without root,
/// `EINVAL` where there are no leases (network file systems).
#[cfg(target_os = "linux")]
pub fn has_writer(file: &File) -> io::Result<bool> {
    let lease = |kind: libc::c_int| {
        // SAFETY: F_SETLEASE takes an integer (fcntl(2)); `file` is open.
        let rc = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) };
        if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    match lease(libc::F_RDLCK) {
        Ok(()) => lease(libc::F_UNLCK).map(|()| false),
        Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => Ok(true),
        Err(e) => Err(e),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::{File, OpenOptions};

    use super::{has_writer, settled_key};
    use crate::mapping::Shared;

    #[test]
    fn a_writer_is_one_until_its_last_mapping_is_gone() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&path, b"content").unwrap();
        let reader = File::open(&path).unwrap();
        assert!(!has_writer(&reader).unwrap());
        let writer = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        assert!(has_writer(&reader).unwrap());
        let mut map = Shared::of(&writer).unwrap();
        drop(writer);
        assert!(has_writer(&reader).unwrap(), "a mapping outlives its descriptor");
        map.set(b'!');
        drop(map);
        assert!(!has_writer(&reader).unwrap());
    }

    #[test]
    fn after_settling_a_write_to_a_mapped_page_changes_the_key() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"content").unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let magic = rustix::fs::fstatfs(&file).unwrap().f_type;
        if magic == 0x0102_1994 {
            return eprintln!("skipped: tmpfs stores nothing");
        }
        let mut map = Shared::of(&file).unwrap();
        map.set(b'1');
        let key = settled_key(&file).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        map.set(b'2');
        assert_ne!(settled_key(&file).unwrap(), key);
    }
}
