//! Owner, permissions, times and extended attributes.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use weighbridge_types::Shown;

use super::entry::RawBytes;
use super::{Entry, Xattr};

/// Longest list of names, and longest value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`), bytes.
const XATTR_BYTES_MAX: usize = 64 << 10;
/// Most bytes of attributes kept of one file. Moved files keep the rest on disk.
const XATTRS_BYTES_MAX: usize = 2 << 20;
/// An access control list is part of the permissions.
const ACL: &[u8] = b"system.posix_acl_access";

/// The extended attributes of `file`, and how many were left out.
pub(super) fn xattrs(file: &File) -> (Vec<Xattr>, u32) {
    let mut names = vec![0; XATTR_BYTES_MAX];
    let listed = match rustix::fs::flistxattr(file, names.as_mut_slice()) {
        Ok(n) => names.get(..n).unwrap_or_default(),
        Err(Errno::NOTSUP | Errno::NOSYS) => return (Vec::new(), 0),
        Err(_) => return (Vec::new(), 1),
    };
    let (mut kept, mut left_out, mut bytes) = (Vec::new(), 0_u32, 0_usize);
    let mut value = vec![0; XATTR_BYTES_MAX];
    for name in listed.split(|b| *b == 0).filter(|name| !name.is_empty()) {
        let got = rustix::fs::fgetxattr(file, OsStr::from_bytes(name), value.as_mut_slice());
        let content = got
            .ok()
            .and_then(|n| value.get(..n))
            .filter(|v| bytes.saturating_add(name.len()).saturating_add(v.len()) <= XATTRS_BYTES_MAX);
        match content {
            Some(content) => {
                bytes = bytes.saturating_add(name.len()).saturating_add(content.len());
                kept.push(Xattr { name: RawBytes(name.to_vec()), value: RawBytes(content.to_vec()) });
            }
            None => left_out = left_out.saturating_add(1),
        }
    }
    (kept, left_out)
}

/// Makes `file` ours, readable by us alone and no program.
pub(super) fn harden(file: &File) -> io::Result<()> {
    rustix::fs::fchown(file, Some(rustix::process::geteuid()), Some(rustix::process::getegid()))?;
    Ok(rustix::fs::fchmod(file, Mode::RUSR)?)
}

/// Makes `file` what the entry says. Returns the names of extended attributes
/// that this place did not take.
pub(super) fn dress(file: &File, entry: &Entry) -> io::Result<Vec<String>> {
    // The owner first: changing it drops setuid bits and capabilities.
    rustix::fs::fchown(file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))?;
    let (acl, others): (Vec<&Xattr>, Vec<&Xattr>) = entry.xattrs.iter().partition(|x| x.name.0 == ACL);
    let mut refused = Vec::new();
    for xattr in others {
        set(file, xattr, &mut refused);
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode & 0o7777))?;
    for xattr in acl {
        set(file, xattr, &mut refused);
    }
    let spec = |t: super::Time| Timespec { tv_sec: t.s, tv_nsec: t.ns };
    let times = Timestamps { last_access: spec(entry.atime), last_modification: spec(entry.mtime) };
    rustix::fs::futimens(file, &times)?;
    file.sync_all()?;
    Ok(refused)
}

fn set(file: &File, xattr: &Xattr, refused: &mut Vec<String>) {
    let name = OsStr::from_bytes(&xattr.name.0);
    let mut now = vec![0; XATTR_BYTES_MAX];
    // Some (`security.*`) can be read and not set; what is right already need not be.
    let same = rustix::fs::fgetxattr(file, name, now.as_mut_slice())
        .is_ok_and(|n| now.get(..n) == Some(xattr.value.0.as_slice()));
    if !same && rustix::fs::fsetxattr(file, name, &xattr.value.0, XattrFlags::empty()).is_err() {
        refused.push(Shown(&name.to_string_lossy()).to_string());
    }
}
