use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::Timestamp;
use rustix::fs::{CWD, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::mount::MountFlags;

use super::*;

const MIB: u64 = 1 << 20;

fn now() -> Timestamp {
    Timestamp::from_second(1_770_000_000).unwrap()
}

fn why() -> Reason {
    let policies = vec!["deny-pickles".to_owned()];
    Reason { text: "a pickle that runs programs".to_owned(), policies, ..Reason::default() }
}

fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

/// A tmpfs of its own, so that it is another device than the temporary folder.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn new(at: &Path, options: &str) -> Option<Self> {
        if !root() {
            return None;
        }
        std::fs::create_dir_all(at).unwrap();
        let data = std::ffi::CString::new(options).unwrap();
        match rustix::mount::mount("tmpfs", at, "tmpfs", MountFlags::empty(), data.as_c_str()) {
            Ok(()) => Some(Self(at.to_owned())),
            Err(e) => {
                eprintln!("skipped: cannot mount a tmpfs: {e}");
                None
            }
        }
    }

    fn read_only(&self) {
        let flags = MountFlags::RDONLY;
        rustix::mount::mount_remount(&self.0, flags, c"").unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

/// Everything about a file that must come back.
#[derive(Debug, PartialEq)]
struct Look {
    digest: Vec<u8>,
    uid: u32,
    gid: u32,
    mode: u32,
    mtime: (i64, i64),
    atime: (i64, i64),
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

fn look(path: &Path) -> Look {
    let meta = path.symlink_metadata().unwrap();
    let file = File::from(
        rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::NOATIME | OFlags::NOFOLLOW, Mode::empty()).unwrap(),
    );
    let (mut xattrs, left_out) = attributes::xattrs(&file);
    assert_eq!(left_out, 0);
    xattrs.sort_by(|a, b| a.name.0.cmp(&b.name.0));
    Look {
        digest: copy::digest(&file, None).unwrap().as_bytes().to_vec(),
        uid: meta.uid(),
        gid: meta.gid(),
        mode: meta.mode(),
        mtime: (meta.mtime(), meta.mtime_nsec()),
        atime: (meta.atime(), meta.atime_nsec()),
        xattrs: xattrs.into_iter().map(|x| (x.name.0, x.value.0)).collect(),
    }
}

/// An access control list: owner rw, user 1234 r, group r, mask r, other none.
fn acl() -> Vec<u8> {
    let mut raw = 2_u32.to_le_bytes().to_vec();
    for (tag, perm, id) in
        [(1_u16, 6_u16, u32::MAX), (2, 4, 1234), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)]
    {
        raw.extend(tag.to_le_bytes());
        raw.extend(perm.to_le_bytes());
        raw.extend(id.to_le_bytes());
    }
    raw
}

/// A file with everything that could get lost. Opened before its times are set.
fn precious(path: &Path, setuid: bool) -> File {
    std::fs::write(path, b"\x80\x04cposix\nsystem\n".repeat(5000)).unwrap();
    let file = File::open(path).unwrap();
    rustix::fs::fsetxattr(&file, "user.origin", b"https://example.com/\0\xff", XattrFlags::empty()).unwrap();
    rustix::fs::fsetxattr(&file, "user.empty", b"", XattrFlags::empty()).unwrap();
    rustix::fs::fchown(&file, Some(Uid::from_raw(65534)), Some(Gid::from_raw(65534))).unwrap();
    if setuid {
        file.set_permissions(Permissions::from_mode(0o6755)).unwrap();
    } else {
        rustix::fs::fsetxattr(&file, "system.posix_acl_access", &acl(), XattrFlags::empty()).unwrap();
    }
    let spec = |s, ns| Timespec { tv_sec: s, tv_nsec: ns };
    let times = Timestamps { last_access: spec(1_500_000_000, 123_456_789), last_modification: spec(-5, 987_654_321) };
    rustix::fs::futimens(&file, &times).unwrap();
    file
}

fn there_and_back(place: &Path, vault: &Path) {
    for setuid in [false, true] {
        let path = place.join(OsString::from_vec(b"a\nname \xff\xfe \x1b[2J.pkl".to_vec()));
        let handle = precious(&path, setuid);
        let before = look(&path);
        let vault = Vault::open(vault, 100 * MIB).unwrap();
        let entry = vault.quarantine(&handle, &path, why(), now()).unwrap();
        assert_eq!(path.symlink_metadata().unwrap_err().kind(), std::io::ErrorKind::NotFound);
        assert_eq!(entry.sha256.unwrap().as_bytes().as_slice(), before.digest);
        assert_eq!(entry.path.0, path);
        assert_eq!(entry.phase, Phase::Held);
        assert_eq!(vault.list().unwrap().entries.as_slice(), std::slice::from_ref(&entry));

        let stored = vault.bytes(&entry.id).unwrap().metadata().unwrap();
        assert_eq!((stored.mode() & 0o7777, stored.uid(), stored.gid()), (0o400, 0, 0));
        assert!(vault.usage().unwrap().bytes >= before.digest.len() as u64);

        let restored = vault.restore(&entry.id, None).unwrap();
        assert_eq!(restored.left_out, Vec::<String>::new());
        assert_eq!(look(&path), before);
        assert_eq!(vault.list().unwrap().entries, []);
        assert_eq!(vault.usage().unwrap().bytes, 0);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_file_comes_back_whole_on_the_same_device() {
    let dir = tempfile::tempdir().unwrap();
    if !root() {
        return;
    }
    there_and_back(dir.path(), &dir.path().join("vault"));
}

#[test]
fn a_file_comes_back_whole_across_devices() {
    let dir = tempfile::tempdir().unwrap();
    let Some(other) = Tmpfs::new(&dir.path().join("other"), "size=64m") else { return };
    there_and_back(&other.0, &dir.path().join("vault"));
    there_and_back(dir.path(), &other.0.join("vault"));
}

#[test]
fn holes_stay_holes_across_devices() {
    let dir = tempfile::tempdir().unwrap();
    let Some(other) = Tmpfs::new(&dir.path().join("other"), "size=64m") else { return };
    let path = other.0.join("sparse.gguf");
    let file = File::create_new(&path).unwrap();
    file.set_len(1 << 30).unwrap();
    file.write_all_at(b"GGUF", 0).unwrap();
    file.write_all_at(b"middle", 700 * MIB).unwrap();
    let vault = Vault::open(&dir.path().join("vault"), 100 * MIB).unwrap();
    let handle = File::open(&path).unwrap();
    let entry = vault.quarantine(&handle, &path, why(), now()).unwrap();
    assert_eq!((entry.method, entry.size), (Method::Copied, 1 << 30));
    assert!(vault.usage().unwrap().bytes <= MIB, "the copy is not sparse");
    vault.restore(&entry.id, None).unwrap();
    let back = File::open(&path).unwrap();
    assert_eq!(back.metadata().unwrap().len(), 1 << 30);
    assert!(back.metadata().unwrap().blocks() * 512 <= MIB);
    let mut middle = [0; 6];
    back.read_exact_at(&mut middle, 700 * MIB).unwrap();
    assert_eq!(&middle, b"middle");
}

#[test]
fn a_path_that_names_another_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::open(&dir.path().join("vault"), MIB).unwrap();
    let path = dir.path().join("model.bin");
    std::fs::write(&path, b"evil").unwrap();
    let handle = File::open(&path).unwrap();

    std::fs::rename(&path, dir.path().join("elsewhere")).unwrap();
    assert!(matches!(vault.quarantine(&handle, &path, why(), now()), Err(VaultError::Replaced { .. })));
    std::fs::write(&path, b"innocent").unwrap();
    assert!(matches!(vault.quarantine(&handle, &path, why(), now()), Err(VaultError::Replaced { .. })));
    std::fs::remove_file(&path).unwrap();
    symlink(dir.path().join("elsewhere"), &path).unwrap();
    assert!(matches!(
        vault.quarantine(&handle, &path, why(), now()),
        Err(VaultError::Kind { what: "a symbolic link", .. })
    ));
    assert_eq!(std::fs::read(dir.path().join("elsewhere")).unwrap(), b"evil");
    assert_eq!(vault.list().unwrap().entries, []);
}

#[test]
fn folders_fifos_and_relative_paths_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::open(&dir.path().join("vault"), MIB).unwrap();
    let folder = File::open(dir.path()).unwrap();
    let taken = vault.quarantine(&folder, dir.path(), why(), now());
    assert!(matches!(taken, Err(VaultError::Kind { what: "a folder", .. })));
    let fifo = dir.path().join("fifo");
    rustix::fs::mknodat(CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let handle = File::from(rustix::fs::openat(CWD, &fifo, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap());
    let taken = vault.quarantine(&handle, &fifo, why(), now());
    assert!(matches!(taken, Err(VaultError::Kind { what: "a FIFO", .. })));
    let path = dir.path().join("m");
    std::fs::write(&path, b"m").unwrap();
    let taken = vault.quarantine(&File::open(&path).unwrap(), Path::new("m"), why(), now());
    assert!(matches!(taken, Err(VaultError::NotAPath { .. })));
}

#[test]
fn nothing_is_overwritten_and_no_link_followed_by_a_restore() {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::open(&dir.path().join("vault"), MIB).unwrap();
    let place = dir.path().canonicalize().unwrap().join("place");
    std::fs::create_dir(&place).unwrap();
    let path = place.join("model.bin");
    std::fs::write(&path, b"evil").unwrap();
    let entry = vault.quarantine(&File::open(&path).unwrap(), &path, why(), now()).unwrap();

    std::fs::write(&path, b"new").unwrap();
    assert!(matches!(vault.restore(&entry.id, None), Err(VaultError::Exists { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    std::fs::remove_file(&path).unwrap();
    symlink("nowhere", &path).unwrap();
    assert!(matches!(vault.restore(&entry.id, None), Err(VaultError::Exists { .. })));

    std::fs::rename(&place, dir.path().join("moved")).unwrap();
    assert!(matches!(vault.restore(&entry.id, None), Err(VaultError::NoFolder { .. })));
    std::fs::create_dir(dir.path().join("trap")).unwrap();
    symlink(dir.path().join("trap"), &place).unwrap();
    assert!(matches!(vault.restore(&entry.id, None), Err(VaultError::NoFolder { .. })));
    assert_eq!(std::fs::read_dir(dir.path().join("trap")).unwrap().count(), 0);

    let stored = vault.bytes(&entry.id).unwrap().metadata().unwrap();
    assert_eq!(stored.mode() & 0o7777, 0o400, "it stays locked away");
    let to = dir.path().canonicalize().unwrap().join("to");
    vault.restore(&entry.id, Some(&to)).unwrap();
    assert_eq!(std::fs::read(to).unwrap(), b"evil");
}

#[test]
fn bytes_that_were_changed_in_the_vault_are_not_restored() {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::open(&dir.path().join("vault"), MIB).unwrap();
    let path = dir.path().join("model.bin");
    std::fs::write(&path, b"evil").unwrap();
    // Whoever has the file open for writing keeps that through a rename.
    let writer = File::options().write(true).open(&path).unwrap();
    let entry = vault.quarantine(&File::open(&path).unwrap(), &path, why(), now()).unwrap();
    writer.write_all_at(b"l", 3).unwrap();
    writer.write_all_at(b"X", 0).unwrap();
    assert!(matches!(vault.restore(&entry.id, None), Err(VaultError::Digest { .. })));
    assert!(!path.exists());
    assert_eq!(vault.get(&entry.id).unwrap(), entry);
}

#[test]
fn a_hard_link_elsewhere_is_told_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::open(&dir.path().join("vault"), MIB).unwrap();
    let (path, other) = (dir.path().join("model.bin"), dir.path().join("other.bin"));
    std::fs::write(&path, b"evil").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    std::fs::hard_link(&path, &other).unwrap();
    let reason = Reason { also_at: vec![RawPath::from(other.as_path())], ..why() };
    let entry = vault.quarantine(&File::open(&path).unwrap(), &path, reason, now()).unwrap();
    assert_eq!((entry.links, entry.method), (2, Method::Copied));
    assert!(entry.note.as_ref().unwrap().contains("1 further hard link"));
    assert_eq!(vault.get(&entry.id).unwrap().reason.also_at, [RawPath(other.clone())]);
    let meta = other.metadata().unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.nlink()), (0o640, 1));
    assert!(!path.exists());
    let second = vault.quarantine(&File::open(&other).unwrap(), &other, why(), now()).unwrap();
    vault.restore(&entry.id, None).unwrap();
    vault.restore(&second.id, None).unwrap();
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o640);
    assert_eq!(std::fs::read(other).unwrap(), b"evil");
}

#[test]
fn a_read_only_place_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let Some(other) = Tmpfs::new(&dir.path().join("other"), "size=1m") else { return };
    let vault = Vault::open(&dir.path().join("vault"), MIB).unwrap();
    let path = other.0.join("model.bin");
    std::fs::write(&path, b"evil").unwrap();
    let mine = dir.path().join("mine.bin");
    std::fs::write(&mine, b"evil").unwrap();
    let entry = vault.quarantine(&File::open(&mine).unwrap(), &mine, why(), now()).unwrap();
    other.read_only();
    let handle = File::open(&path).unwrap();
    assert!(matches!(vault.quarantine(&handle, &path, why(), now()), Err(VaultError::ReadOnly { .. })));
    assert!(path.exists());
    let to = other.0.join("to.bin");
    assert!(matches!(vault.restore(&entry.id, Some(&to)), Err(VaultError::ReadOnly { .. })));
    assert_eq!(vault.list().unwrap().entries, [entry]);
}

#[test]
fn a_full_vault_and_a_full_disk_leave_the_file_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.bin");
    std::fs::write(&path, vec![7; 3 << 20]).unwrap();
    let handle = File::open(&path).unwrap();
    let small = Vault::open(&dir.path().join("small"), MIB).unwrap();
    let taken = small.quarantine(&handle, &path, why(), now());
    assert!(matches!(taken, Err(VaultError::Full { used: 0, max: MIB, .. })));

    let Some(other) = Tmpfs::new(&dir.path().join("other"), "size=2m") else { return };
    let full = Vault::open(&other.0.join("vault"), 100 * MIB).unwrap();
    let taken = full.quarantine(&handle, &path, why(), now());
    assert!(matches!(taken, Err(VaultError::Io { action: "copy", .. })), "{taken:?}");
    assert_eq!(std::fs::read(&path).unwrap(), vec![7; 3 << 20]);
    assert_eq!(std::fs::read_dir(other.0.join("vault")).unwrap().count(), 0, "half a copy stayed");
    std::fs::write(&path, b"small").unwrap();
    full.quarantine(&File::open(&path).unwrap(), &path, why(), now()).unwrap();
}

#[test]
fn what_a_full_disk_left_half_done_is_finished_once_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Tmpfs::new(&dir.path().join("disk"), "size=2m") else { return };
    let vault = Vault::open(&disk.0.join("vault"), 100 * MIB).unwrap();
    let path = disk.0.join("model.bin");
    std::fs::write(&path, vec![7; 1 << 20]).unwrap();
    let handle = File::open(&path).unwrap();
    // Room for the first writing of the entry, and none for the second beside it.
    let filler = File::create(disk.0.join("filler")).unwrap();
    let mut at = 0;
    while filler.write_all_at(&[1; 4096], at).is_ok() {
        at += 4096;
    }
    filler.set_len(at - 4096).unwrap();
    let taken = vault.quarantine(&handle, &path, why(), now());
    let Err(VaultError::Begun { id, .. }) = taken else { panic!("{taken:?}") };
    let id: EntryId = id.parse().unwrap();
    assert!(!path.exists());
    assert!(matches!(vault.restore(&id, None), Err(VaultError::Unfinished { .. })));
    assert!(matches!(vault.purge(&id), Err(VaultError::Unfinished { .. })));
    filler.set_len(0).unwrap();
    assert_eq!(vault.recover().unwrap().finished, std::slice::from_ref(&id));
    vault.restore(&id, None).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), vec![7; 1 << 20]);
}

#[test]
fn purge_deletes_and_names_are_only_names() {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::open(&dir.path().join("vault"), MIB).unwrap();
    let path = dir.path().join("model.bin");
    std::fs::write(&path, b"evil").unwrap();
    let entry = vault.quarantine(&File::open(&path).unwrap(), &path, why(), now()).unwrap();
    assert!("../model".parse::<EntryId>().is_err());
    assert!("".parse::<EntryId>().is_err());
    vault.purge(&entry.id).unwrap();
    assert!(matches!(vault.get(&entry.id), Err(VaultError::NoEntry { .. })));
    assert_eq!(std::fs::read_dir(dir.path().join("vault")).unwrap().count(), 0);
}

#[test]
fn entries_of_others_making_are_told_and_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("vault");
    drop(Vault::open(&folder, MIB).unwrap());
    std::fs::write(folder.join("a.json"), b"{\"version\":1").unwrap();
    std::fs::write(folder.join("b.file"), b"orphan").unwrap();
    symlink("/etc/passwd", folder.join("c.json")).unwrap();
    let vault = Vault::open(&folder, MIB).unwrap();
    assert_eq!(vault.list().unwrap().unreadable.len(), 2);
    assert_eq!(vault.recovery().trouble.len(), 3, "{:?}", vault.recovery());
    assert_eq!(std::fs::read(folder.join("b.file")).unwrap(), b"orphan");
}

/// Not a test by itself: takes, restores or purges, and dies where it is told to.
#[test]
#[ignore = "the victim of `a_crash_at_any_step…`"]
fn victim() {
    let Some(work) = std::env::var_os("WEIGHBRIDGE_TEST_VICTIM") else { return };
    let work = PathBuf::from(work);
    let vault = Vault::open(&work.join("vault"), 100 * MIB).unwrap();
    let path = work.join("place/model.pkl");
    if path.exists() {
        vault.quarantine(&File::open(&path).unwrap(), &path, why(), now()).unwrap();
    } else {
        let id = vault.list().unwrap().entries.first().unwrap().id.clone();
        if work.join("purge").exists() { vault.purge(&id).map(|_| ()) } else { vault.restore(&id, None).map(|_| ()) }
            .unwrap();
    }
}

fn die_at(step: &str, work: &Path) {
    use std::os::unix::process::ExitStatusExt;
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "vault::tests::victim", "--ignored", "--quiet"])
        .env("WEIGHBRIDGE_TEST_DIE_AT", step)
        .env("WEIGHBRIDGE_TEST_VICTIM", work)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(9), "it never came to `{step}`");
}

/// Kills at `step` while taking; afterwards the file is in place or complete.
fn crash_taking(step: &str, work: &Path, out_of_reach: bool) {
    let path = work.join("place/model.pkl");
    drop(precious(&path, true));
    let before = look(&path);
    die_at(step, work);
    let vault = Vault::open(&work.join("vault"), 100 * MIB).unwrap();
    assert_eq!(vault.recovery().trouble, [], "after dying at `{step}`");
    let entries = vault.list().unwrap().entries;
    assert_eq!((path.exists(), entries.len()), if out_of_reach { (false, 1) } else { (true, 0) }, "at `{step}`");
    for entry in entries {
        assert_eq!(entry.phase, Phase::Held);
        assert_eq!(vault.bytes(&entry.id).unwrap().metadata().unwrap().mode() & 0o7777, 0o400);
        vault.restore(&entry.id, None).unwrap();
    }
    let mut after = look(&path);
    if !out_of_reach {
        // It was read in its place, which is an access.
        after.atime = before.atime;
    }
    assert_eq!(after, before, "after dying at `{step}`");
    assert_eq!(std::fs::read_dir(work.join("vault")).unwrap().count(), 0, "left over after `{step}`");
    assert_eq!(std::fs::read_dir(work.join("place")).unwrap().count(), 1, "left over after `{step}`");
    std::fs::remove_file(path).unwrap();
}

/// Kills at `step` while restoring; afterwards the file is back or still held.
fn crash_restoring(step: &str, work: &Path, back: bool) {
    let path = work.join("place/model.pkl");
    let handle = precious(&path, true);
    let before = look(&path);
    let vault = Vault::open(&work.join("vault"), 100 * MIB).unwrap();
    vault.quarantine(&handle, &path, why(), now()).unwrap();
    drop(vault);
    die_at(step, work);
    let vault = Vault::open(&work.join("vault"), 100 * MIB).unwrap();
    assert_eq!(vault.recovery().trouble, [], "after dying at `{step}`");
    let entries = vault.list().unwrap().entries;
    assert_eq!((path.exists(), entries.len()), if back { (true, 0) } else { (false, 1) }, "at `{step}`");
    for entry in entries {
        assert_eq!(vault.bytes(&entry.id).unwrap().metadata().unwrap().mode() & 0o7777, 0o400);
        vault.restore(&entry.id, None).unwrap();
    }
    assert_eq!(look(&path), before, "after dying at `{step}`");
    assert_eq!(std::fs::read_dir(work.join("vault")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(work.join("place")).unwrap().count(), 1);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_crash_at_any_step_leaves_the_file_or_a_whole_entry() {
    let dir = tempfile::tempdir().unwrap();
    if !root() {
        return;
    }
    let work = dir.path().canonicalize().unwrap();
    std::fs::create_dir(work.join("place")).unwrap();
    for (step, out_of_reach) in [("planned", false), ("moved", true), ("hardened", true), ("held", true)] {
        crash_taking(step, &work, out_of_reach);
    }
    for (step, back) in [("dressed", false), ("out", true), ("emptied", true)] {
        crash_restoring(step, &work, back);
    }
    let path = work.join("place/model.pkl");
    for step in ["purging", "purged"] {
        let handle = precious(&path, true);
        let vault = Vault::open(&work.join("vault"), 100 * MIB).unwrap();
        vault.quarantine(&handle, &path, why(), now()).unwrap();
        drop(vault);
        std::fs::write(work.join("purge"), b"").unwrap();
        die_at(step, &work);
        let vault = Vault::open(&work.join("vault"), 100 * MIB).unwrap();
        assert_eq!(vault.recovery().finished.len(), 1);
        assert_eq!(std::fs::read_dir(work.join("vault")).unwrap().count(), 0, "left over after `{step}`");
    }
}

#[test]
fn a_crash_at_any_step_across_devices_does_too() {
    let dir = tempfile::tempdir().unwrap();
    let work = dir.path().canonicalize().unwrap();
    let Some(_other) = Tmpfs::new(&work.join("place"), "size=64m") else { return };
    for step in ["planned", "copying", "copied", "placed"] {
        crash_taking(step, &work, false);
    }
    for step in ["committed", "aside", "unlinked", "held"] {
        crash_taking(step, &work, true);
    }
    for (step, back) in [("dressed", false), ("out", true), ("emptied", true)] {
        crash_restoring(step, &work, back);
    }
}

#[test]
fn recovery_removes_no_file_that_took_the_originals_place() {
    let dir = tempfile::tempdir().unwrap();
    let work = dir.path().canonicalize().unwrap();
    let Some(_other) = Tmpfs::new(&work.join("place"), "size=64m") else { return };
    let path = work.join("place/model.pkl");
    drop(precious(&path, true));
    die_at("committed", &work);
    std::fs::rename(&path, work.join("place/kept")).unwrap();
    std::fs::write(&path, b"innocent").unwrap();
    let vault = Vault::open(&work.join("vault"), 100 * MIB).unwrap();
    assert_eq!(vault.recovery().finished.len(), 1);
    assert_eq!(std::fs::read(&path).unwrap(), b"innocent");
    // The same inode, written since: not what was copied.
    std::fs::remove_file(&path).unwrap();
    drop(precious(&path, true));
    die_at("committed", &work);
    std::fs::write(&path, b"rewritten").unwrap();
    drop(vault);
    Vault::open(&work.join("vault"), 100 * MIB).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"rewritten");
}

#[test]
fn one_process_changes_the_vault_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.bin");
    std::fs::write(&path, b"evil").unwrap();
    let (first, second) = (Vault::open(dir.path().join("v").as_path(), MIB).unwrap(), dir.path().join("v"));
    let second = Vault::open(&second, MIB).unwrap();
    let large: EntryId = "large".parse().unwrap();
    let turn = first.turn(&large, MIB / 2).unwrap();
    let taken = second.quarantine(&File::open(&path).unwrap(), &path, why(), now());
    assert!(matches!(taken, Err(VaultError::InUse { .. })));
    // Other threads go on, with other entries and within the room that is left.
    assert!(matches!(first.turn(&large, 0), Err(VaultError::Busy { .. })));
    assert!(matches!(first.turn(&"other".parse().unwrap(), MIB), Err(VaultError::Full { .. })));
    assert!(matches!(first.recover(), Err(VaultError::Busy { .. })));
    let entry = first.quarantine(&File::open(&path).unwrap(), &path, why(), now()).unwrap();
    assert!(matches!(second.purge(&entry.id), Err(VaultError::InUse { .. })));
    drop(turn);
    assert_eq!(first.recover().unwrap(), Recovery::default());
    second.purge(&entry.id).unwrap();
}

#[test]
fn entries_read_back_byte_for_byte() {
    let name = OsString::from_vec(b"/x/\xff\n\x1b".to_vec());
    let path = RawPath(PathBuf::from(&name));
    let text = serde_json::to_string(&path).unwrap();
    assert!(!text.contains('\u{1b}'));
    let back: RawPath = serde_json::from_str(&text).unwrap();
    assert_eq!(back.0.as_os_str().as_bytes(), name.as_bytes());
}

/// `cargo test -p weighbridge-state -- --ignored --nocapture gigabyte`
#[test]
#[ignore = "writes a gigabyte; prints how fast"]
fn a_gigabyte_there_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let Some(other) = Tmpfs::new(&dir.path().join("other"), "size=2g") else { return };
    for (what, vault) in [("moved", dir.path().join("vault")), ("copied", other.0.join("vault"))] {
        let path = dir.path().join("model.bin");
        std::fs::write(&path, vec![7; 1 << 30]).unwrap();
        let handle = File::open(&path).unwrap();
        let vault = Vault::open(&vault, 4096 * MIB).unwrap();
        let start = std::time::Instant::now();
        let entry = vault.quarantine(&handle, &path, why(), now()).unwrap();
        eprintln!("{what}: in {:?}", start.elapsed());
        let start = std::time::Instant::now();
        vault.restore(&entry.id, None).unwrap();
        eprintln!("{what}: out {:?}", start.elapsed());
    }
    let path = dir.path().join("small.pkl");
    let vault = Vault::open(&dir.path().join("vault"), MIB).unwrap();
    let start = std::time::Instant::now();
    for _ in 0..100 {
        std::fs::write(&path, b"small").unwrap();
        let entry = vault.quarantine(&File::open(&path).unwrap(), &path, why(), now()).unwrap();
        vault.purge(&entry.id).unwrap();
    }
    eprintln!("small: in and purged {:?} each", start.elapsed() / 100);
}
