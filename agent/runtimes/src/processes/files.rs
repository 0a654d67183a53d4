//! Models among the open and mapped files of a process.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use weighbridge_formats::{Confidence, FORMATS, FileName, HEAD_BYTES, Recognise, Scope, Sniff, TAIL_BYTES};
use weighbridge_platform::file::FileKey;

use super::How;
use super::catalogue::CATALOGUE;
use super::mounts::Remote;
use super::procfs::Process;

/// Smallest file that counts as a model by content alone, bytes.
const MODEL_BYTES_MIN: u64 = 1 << 20;
/// Most descriptors of one process looked at.
const DESCRIPTORS_MAX: usize = 8192;
/// Bytes of a memory map that are read: twice the kernel's default of 65,530
/// mappings with short names.
const MAPS_BYTES_MAX: u64 = 16 << 20;
/// Longest line of a memory map: a path and some numbers.
const LINE_BYTES_MAX: u64 = 8192;
/// Most mapped files of one process looked at.
const MAPPED_MAX: usize = 1024;
/// Most models of one process told.
const HELD_MAX: usize = 256;
/// Most sockets of one process remembered.
const SOCKETS_MAX: usize = 4096;
/// Longest look into one process. Files are read cold once and their formats
/// remembered, so that the next look gets further.
const LOOK_MAX: Duration = Duration::from_millis(500);
/// Files whose format is remembered.
const FORMATS_KNOWN_MAX: usize = 32_768;

/// A model that a process holds.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) path: PathBuf,
    /// `None` for what must not be touched.
    pub(super) key: Option<FileKey>,
    pub(super) deleted: bool,
    pub(super) how: How,
    pub(super) format: &'static str,
    pub(super) open_at: Option<PathBuf>,
}

/// What one look into a process found.
#[derive(Debug, Clone, Default)]
pub(super) struct Holdings {
    pub(super) models: Vec<Held>,
    /// Inodes of sockets, sorted.
    pub(super) sockets: Vec<u64>,
    /// The descriptors may not be seen.
    pub(super) denied: bool,
    /// A limit cut something off.
    pub(super) truncated: bool,
}

impl Holdings {
    fn add(&mut self, held: Held) {
        let known = |h: &Held| h.key == held.key && (h.key.is_some() || h.path == held.path);
        if self.models.len() >= HELD_MAX {
            self.truncated = true;
        } else if !self.models.iter().any(known) {
            self.models.push(held);
        }
    }
}

/// Formats of files already seen, so that each is read once.
#[derive(Debug, Default)]
pub(super) struct Formats {
    known: HashMap<FileKey, Option<&'static str>>,
}

/// Looks at all descriptors and mappings of `process`.
pub(super) fn holdings(process: &Process, proc: &Path, remote: &Remote, formats: &mut Formats) -> Holdings {
    let mut out = Holdings::default();
    let end = Instant::now() + LOOK_MAX;
    descriptors(process, proc, remote, formats, end, &mut out);
    maps(process, proc, remote, formats, end, &mut out);
    out.sockets.sort_unstable();
    out.sockets.dedup();
    out
}

fn descriptors(
    process: &Process,
    proc: &Path,
    remote: &Remote,
    formats: &mut Formats,
    end: Instant,
    out: &mut Holdings,
) {
    let Ok((numbers, cut)) = process.names("fd", DESCRIPTORS_MAX) else {
        out.denied = true;
        return;
    };
    out.truncated |= cut;
    for number in numbers {
        if Instant::now() > end {
            out.truncated = true;
            return;
        }
        let name = format!("fd/{number}");
        let Ok(target) = process.link(&name) else { continue };
        let text = target.to_string_lossy();
        if let Some(inode) = text.strip_prefix("socket:[").and_then(|t| t.strip_suffix(']')?.parse().ok()) {
            if out.sockets.len() < SOCKETS_MAX {
                out.sockets.push(inode);
            } else {
                out.truncated = true;
            }
        }
        if !text.starts_with('/') || ["/dev/", "/proc/", "/sys/"].iter().any(|p| text.starts_with(p)) {
            continue;
        }
        let Some(info) = info(process, number) else { continue };
        // Whoever only writes a file downloads or converts it.
        if info.write_only {
            continue;
        }
        if remote.id(info.mount) {
            by_name(target, How::Descriptor).into_iter().for_each(|h| out.add(h));
            continue;
        }
        let at = proc.join(process.pid.to_string()).join(&name);
        let held = process.handle(&name).ok().and_then(|h| formats.held(h, target, How::Descriptor, Some(at)));
        held.into_iter().for_each(|h| out.add(h));
    }
}

struct Info {
    mount: u64,
    write_only: bool,
}

/// `/proc/PID/fdinfo/N`.
fn info(process: &Process, number: u64) -> Option<Info> {
    let raw = process.read(&format!("fdinfo/{number}"), 4096).ok()?;
    let text = String::from_utf8_lossy(&raw);
    let value = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)).map(str::trim);
    let flags = value("flags:").and_then(|f| u32::from_str_radix(f, 8).ok())?;
    Some(Info { mount: value("mnt_id:")?.parse().ok()?, write_only: flags & 3 == 1 })
}

/// A file on a file system that must not be touched: its name is all there is.
fn by_name(path: PathBuf, how: How) -> Option<Held> {
    let extension = path.extension()?.to_string_lossy().to_lowercase();
    let format = FORMATS.iter().find(|f| f.is_model && f.extensions.contains(&extension.as_str()))?.id;
    let known = CATALOGUE.is_model_extension(&extension) && !is_path_file(&path);
    known.then_some(Held { path, key: None, deleted: false, how, format, open_at: None })
}

/// Python reads files of this name when it starts (`site`); PyTorch calls its
/// checkpoints the same.
fn is_path_file(path: &Path) -> bool {
    let installed = |name: &std::ffi::OsStr| name == "site-packages" || name == "dist-packages";
    path.extension().is_some_and(|e| e == "pth") && path.parent().and_then(Path::file_name).is_some_and(installed)
}

/// A mapped file, all its mappings together.
struct Mapped {
    range: String,
    device: String,
    inode: u64,
    path: PathBuf,
    bytes: u64,
}

fn maps(process: &Process, proc: &Path, remote: &Remote, formats: &mut Formats, end: Instant, out: &mut Holdings) {
    let Ok(file) = process.file("maps") else { return };
    let mut mapped: HashMap<(String, u64), Mapped> = HashMap::new();
    let mut reader = BufReader::with_capacity(64 << 10, file.take(MAPS_BYTES_MAX));
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let Some(one) = mapping(&line) else { continue };
        if mapped.len() >= MAPPED_MAX && !mapped.contains_key(&(one.device.clone(), one.inode)) {
            out.truncated = true;
            continue;
        }
        let key = (one.device.clone(), one.inode);
        mapped.entry(key).and_modify(|m| m.bytes = m.bytes.saturating_add(one.bytes)).or_insert(one);
    }
    out.truncated |= reader.get_ref().limit() == 0;
    let mut mapped: Vec<Mapped> = mapped.into_values().filter(|m| m.bytes >= MODEL_BYTES_MIN).collect();
    mapped.sort_by(|a, b| a.path.cmp(&b.path));
    for one in mapped {
        if Instant::now() > end {
            out.truncated = true;
            return;
        }
        if remote.device(&one.device) {
            by_name(one.path, How::Map).into_iter().for_each(|h| out.add(h));
            continue;
        }
        let name = format!("map_files/{}", one.range);
        let at = proc.join(process.pid.to_string()).join(&name);
        // Without privilege only the name is left; it must still lead there.
        let (handle, at) = match process.handle(&name) {
            Ok(handle) => (Some(handle), Some(at)),
            Err(_) => (in_root(process, &one.path).filter(|h| inode(h) == Some(one.inode)), None),
        };
        let held = handle.and_then(|h| formats.held(h, one.path, How::Map, at));
        held.into_iter().for_each(|h| out.add(h));
    }
}

/// A line of `/proc/PID/maps` that maps a file.
fn mapping(line: &[u8]) -> Option<Mapped> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let path_at = line.iter().position(|b| *b == b'/')?;
    let (fields, path) = line.split_at_checked(path_at)?;
    let mut fields = std::str::from_utf8(fields).ok()?.split_ascii_whitespace();
    let range = fields.next()?;
    let (start, end) = range.split_once('-')?;
    let bytes = u64::from_str_radix(end, 16).ok()?.checked_sub(u64::from_str_radix(start, 16).ok()?)?;
    let device = fields.nth(2)?.to_owned();
    let inode = fields.next()?.parse().ok().filter(|i| *i != 0)?;
    let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
    Some(Mapped { range: range.to_owned(), device, inode, path, bytes })
}

fn inode(handle: &OwnedFd) -> Option<u64> {
    rustix::fs::fstat(handle).ok().map(|s| s.st_ino)
}

/// The file at `path` as the process sees it, but only if the kernel has the
/// whole path in memory: a look-up that would wait for a disk, a network or a
/// hostile FUSE server fails instead (`RESOLVE_CACHED`, openat2(2)).
fn in_root(process: &Process, path: &Path) -> Option<OwnedFd> {
    let root = process.handle("root").ok()?;
    let inside = path.strip_prefix("/").unwrap_or(path);
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::CACHED;
    rustix::fs::openat2(root, inside, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), how).ok()
}

/// The file that a command line names, if it can be looked at without waiting.
pub(super) fn named(
    process: &Process,
    cwd: Option<&Path>,
    name: &str,
    remote: &Remote,
    formats: &mut Formats,
) -> Option<Held> {
    let path = if name.starts_with('/') { PathBuf::from(name) } else { cwd?.join(name) };
    let handle = in_root(process, &path)?;
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", handle.as_raw_fd())).ok()?;
    let mount = info.lines().find_map(|l| l.strip_prefix("mnt_id:")?.trim().parse().ok())?;
    if remote.id(mount) { by_name(path, How::CommandLine) } else { formats.held(handle, path, How::CommandLine, None) }
}

impl Formats {
    /// What is behind `handle` if it is a model.
    fn held(&mut self, handle: OwnedFd, path: PathBuf, how: How, open_at: Option<PathBuf>) -> Option<Held> {
        let handle = File::from(handle);
        let meta = handle.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let key = FileKey::from(&meta);
        let deleted = meta.nlink() == 0;
        let path = if deleted { without_suffix(&path) } else { path };
        if is_path_file(&path) {
            return None;
        }
        let name = FileName::new(&path.to_string_lossy());
        let by_extension = name.extension().is_some_and(|e| CATALOGUE.is_model_extension(e));
        if key.size < MODEL_BYTES_MIN && !by_extension {
            return None;
        }
        let format = self.format(&handle, key, &name, by_extension)?;
        Some(Held { path, key: Some(key), deleted, how, format, open_at })
    }

    fn format(&mut self, handle: &File, key: FileKey, name: &FileName, by_extension: bool) -> Option<&'static str> {
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        if self.known.len() >= FORMATS_KNOWN_MAX {
            self.known.clear();
        }
        let format = sniff(handle, key.size, name, by_extension);
        self.known.insert(key, format);
        format
    }
}

fn without_suffix(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    std::ffi::OsStr::from_bytes(bytes.strip_suffix(b" (deleted)").unwrap_or(bytes)).into()
}

/// Format by first and last bytes. `handle` was seen to be a regular file and
/// is opened anew through itself, so nothing can take its place.
fn sniff(handle: &File, len: u64, name: &FileName, by_extension: bool) -> Option<&'static str> {
    let by_name = || {
        let of = |f: &&&weighbridge_formats::FormatSpec| f.is_model && name.has_extension(f.extensions);
        by_extension.then(|| FORMATS.iter().find(of).map_or("model", |f| f.id))
    };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let Ok(file) = rustix::fs::openat(CWD, format!("/proc/self/fd/{}", handle.as_raw_fd()), flags, Mode::empty())
    else {
        return by_name();
    };
    let file = File::from(file);
    let mut head = vec![0; HEAD_BYTES];
    let n = file.read_at(&mut head, 0).unwrap_or(0);
    head.truncate(n);
    let tail = || {
        let mut tail = vec![0; TAIL_BYTES];
        let n = file.read_at(&mut tail, len.saturating_sub(TAIL_BYTES as u64)).unwrap_or(0);
        tail.truncate(n);
        tail
    };
    let sniff = Sniff::new(&head, len, name, &tail);
    by_content(&sniff, by_extension).or_else(|| in_archive(&head)).or_else(by_name)
}

fn by_content(sniff: &Sniff<'_>, by_extension: bool) -> Option<&'static str> {
    let enough = if by_extension { Confidence::Plausible } else { Confidence::Likely };
    let mut best = (Confidence::No, None);
    for spec in FORMATS.iter().filter(|f| f.is_model && f.scope == Scope::Anywhere) {
        // Any program with an archive behind it resembles a llamafile.
        let doubtful = spec.id == "llamafile" && !by_extension;
        if let Recognise::Bytes(recognise) = spec.recognise
            && !doubtful
        {
            let sure = recognise(sniff);
            if sure >= enough && sure > best.0 {
                best = (sure, Some(spec.id));
            }
        }
    }
    best.1
}

/// A ZIP archive whose first member is that of a model: PyTorch and Keras
/// write theirs in a fixed order. The archive itself is not read here.
fn in_archive(head: &[u8]) -> Option<&'static str> {
    let entry = head.strip_prefix(b"PK\x03\x04")?;
    // Local file header: length of the name at 26, the name at 30 (APPNOTE 4.3.7).
    let length = u16::from_le_bytes(*entry.get(22..)?.first_chunk()?);
    let name = entry.get(26..)?.get(..usize::from(length))?;
    let ends = |end: &[&[u8]]| end.iter().any(|e| name.ends_with(e));
    if ends(&[b"/data.pkl", b"/.format_version", b"/byteorder", b"/.data/serialization_id"]) {
        Some("pytorch-zip")
    } else if name == b"metadata.json" {
        Some("keras-zip")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sniffed(content: &[u8], len: u64, name: &str) -> Option<&'static str> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, content).unwrap();
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(len).unwrap();
        let file = File::open(&path).unwrap();
        let name = FileName::new(name);
        let known = name.extension().is_some_and(|e| CATALOGUE.is_model_extension(e));
        sniff(&file, len, &name, known)
    }

    #[test]
    fn models_are_told_by_content_under_any_name() {
        let mib = 2 << 20;
        assert_eq!(sniffed(b"GGUF\x03\0\0\0", mib, "libfoo.so"), Some("gguf"));
        assert_eq!(sniffed(b"\x40\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\"", mib, "x"), Some("safetensors"));
        let mut zip = b"PK\x03\x04".to_vec();
        zip.extend([0; 22]);
        zip.extend([16, 0, 0, 0]);
        zip.extend(b"archive/data.pkl");
        assert_eq!(sniffed(&zip[..30 + 16], mib, "x"), Some("pytorch-zip"));
        assert_eq!(sniffed(&zip[..30 + 5], mib, "x"), None);
        assert_eq!(sniffed(b"PK\x03\x04", mib, "app.jar"), None);
        assert_eq!(sniffed(b"\x7fELF\x02\x01\x01", mib, "libc.so.6"), None);
        assert_eq!(sniffed(b"SQLite format 3\0", mib, "x.db"), None);
        assert_eq!(sniffed(b"", 0, "x.safetensors"), Some("safetensors"));
        assert_eq!(sniffed(&[0; 4096], mib, "zeros"), None);
    }

    #[test]
    fn lines_of_maps_are_read_or_refused() {
        let line = b"7f00-7f10 r--s 00000000 fe:00 77  /a b/c (deleted)\n";
        let one = mapping(line).unwrap();
        assert_eq!((one.bytes, one.inode, one.device.as_str()), (0x10, 77, "fe:00"));
        assert_eq!(one.path, Path::new("/a b/c (deleted)"));
        for bad in ["7f10-7f00 r 0 fe:00 7 /x", "7f00-7f10 r 0 00:00 0 /x", "[heap]", "", "/", "zz-7f r 0 0 1 /x"] {
            assert!(mapping(bad.as_bytes()).is_none(), "{bad}");
        }
        for end in 0..line.len() {
            let _ = mapping(&line[..end]);
        }
    }
}
