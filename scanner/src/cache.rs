//! Assessments of files that have not changed since.
//!
//! Whoever can write the cache can make files look clean, so it belongs where
//! only the scanning user can write.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use weighbridge_discovery::FileMeta;
use weighbridge_types::Artifact;
use xxhash_rust::xxh3::xxh3_128;

/// Largest cache read, bytes.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Files modified this shortly before they were assessed are not remembered:
/// a later write could leave the same time stamp.
const RACY_NS: i128 = 2_000_000_000;
/// Time after which what was learnt is written while the scan goes on: one
/// that is killed loses no more.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

/// What was known of files, and what is learnt now.
pub struct Cache {
    path: PathBuf,
    stamp: String,
    known: Memory,
    fresh: Memory,
    started_ns: i128,
    saved_at: Instant,
}

/// Files by their key: a few that are worth inspecting, and all the others.
#[derive(Default, PartialEq)]
struct Memory {
    artifacts: HashMap<u128, Artifact>,
    others: HashSet<u128, BuildHasherDefault<Already>>,
}

/// Keys are hashes already.
#[derive(Default)]
struct Already(u64);

impl Hasher for Already {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (first, _) = bytes.split_first_chunk().unwrap_or((&[0; 8], &[]));
        self.0 = u64::from_le_bytes(*first);
    }
}

/// First line. As many keys of other files follow as it says, 16 bytes each,
/// then a line for each artifact.
#[derive(Serialize, Deserialize)]
struct Header {
    schema: String,
    stamp: String,
    others: u64,
}

#[derive(Serialize, Deserialize)]
struct Record {
    key: String,
    artifact: Artifact,
}

const SCHEMA: &str = "weighbridge.cache/2";
/// Longest first line, bytes.
const HEADER_BYTES_MAX: u64 = 1 << 16;

impl Cache {
    /// Opens the cache at `path`. What was assessed under another `stamp`
    /// (rules, options) does not count; a damaged file is no cache.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn open(path: &Path, stamp: String, now_ns: i128) -> io::Result<Self> {
        let mut cache = Self {
            path: path.to_path_buf(),
            stamp,
            known: Memory::default(),
            fresh: Memory::default(),
            started_ns: now_ns,
            saved_at: Instant::now(),
        };
        match fs::File::open(path) {
            Ok(file) if file.metadata()?.len() <= FILE_BYTES_MAX => {
                cache.known = read(&mut BufReader::new(file), &cache.stamp)?.unwrap_or_default();
            }
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        Ok(cache)
    }

    /// What is known of the file: `Some(None)` if it is not worth inspecting.
    /// It stays known.
    pub fn get(&mut self, path: &Path, meta: &FileMeta) -> Option<Option<Artifact>> {
        let key = key(path, meta);
        if self.known.others.contains(&key) {
            self.fresh.others.insert(key);
            return Some(None);
        }
        let artifact = self.known.artifacts.get(&key)?.clone();
        self.fresh.artifacts.insert(key, artifact.clone());
        Some(Some(artifact))
    }

    /// Remembers the file.
    pub fn put(&mut self, path: &Path, meta: &FileMeta, artifact: Option<Artifact>) {
        if meta.mtime_ns.max(meta.ctime_ns) + RACY_NS >= self.started_ns {
            return;
        }
        let key = key(path, meta);
        match artifact {
            Some(artifact) => drop(self.fresh.artifacts.insert(key, artifact)),
            None => drop(self.fresh.others.insert(key)),
        }
    }

    /// The scan was cut short: what it did not meet stays known.
    pub fn keep_unmet(&mut self) {
        for (key, artifact) in self.known.artifacts.drain() {
            self.fresh.artifacts.entry(key).or_insert(artifact);
        }
        self.fresh.others.extend(self.known.others.drain());
    }

    /// Writes what was learnt so far beside what was known, if that is due. It
    /// is no failure of the scan if that cannot be done.
    pub fn checkpoint(&mut self) {
        if self.saved_at.elapsed() >= CHECKPOINT_EVERY {
            let _ = self.replace(&[&self.fresh, &self.known]);
            self.saved_at = Instant::now();
        }
    }

    /// Writes what was learnt or met again in this scan, in place of the file;
    /// nothing if that is what it holds.
    ///
    /// # Errors
    /// If it cannot be written; the old file stays then.
    pub fn save(&self) -> io::Result<()> {
        if self.fresh == self.known && self.path.exists() {
            return Ok(());
        }
        self.replace(&[&self.fresh])
    }

    /// Writes `memories` in place of the file.
    fn replace(&self, memories: &[&Memory]) -> io::Result<()> {
        let mut name = self.path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.new", std::process::id()));
        let new = self.path.with_file_name(name);
        let written = self.write(memories, &new).and_then(|()| fs::rename(&new, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }

    fn write(&self, memories: &[&Memory], path: &Path) -> io::Result<()> {
        let mut out = io::BufWriter::new(fs::File::create(path)?);
        let others = memories.iter().map(|m| m.others.len() as u64).sum();
        serde_json::to_writer(&mut out, &Header { schema: SCHEMA.to_owned(), stamp: self.stamp.clone(), others })?;
        out.write_all(b"\n")?;
        for key in memories.iter().flat_map(|m| &m.others) {
            out.write_all(&key.to_le_bytes())?;
        }
        for (key, artifact) in memories.iter().flat_map(|m| &m.artifacts) {
            serde_json::to_writer(&mut out, &Record { key: format!("{key:032x}"), artifact: artifact.clone() })?;
            out.write_all(b"\n")?;
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

/// What a cache holds; none if it was written under another stamp, or is no
/// cache at all.
fn read(input: &mut impl BufRead, stamp: &str) -> io::Result<Option<Memory>> {
    let mut line = Vec::new();
    input.by_ref().take(HEADER_BYTES_MAX).read_until(b'\n', &mut line)?;
    let Ok(header) = serde_json::from_slice::<Header>(&line) else { return Ok(None) };
    if header.schema != SCHEMA || header.stamp != stamp {
        return Ok(None);
    }
    let mut memory = Memory::default();
    for _ in 0..header.others {
        let mut key = [0; 16];
        if input.read_exact(&mut key).is_err() {
            return Ok(None);
        }
        memory.others.insert(u128::from_le_bytes(key));
    }
    for line in input.lines() {
        // A line that does not parse is a file not known.
        let Ok(record) = serde_json::from_str::<Record>(&line?) else { continue };
        if let Ok(key) = u128::from_str_radix(&record.key, 16) {
            memory.artifacts.insert(key, record.artifact);
        }
    }
    Ok(Some(memory))
}

/// Path and identity in 128 bits.
fn key(path: &Path, meta: &FileMeta) -> u128 {
    use std::os::unix::ffi::OsStrExt;
    let mut bytes = path.as_os_str().as_bytes().to_vec();
    for n in [i128::from(meta.dev), meta.ino.into(), meta.len.into(), meta.mtime_ns, meta.ctime_ns] {
        bytes.extend_from_slice(&n.to_le_bytes());
    }
    xxh3_128(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(mtime_ns: i128) -> FileMeta {
        FileMeta { dev: 1, ino: 2, len: 3, mtime_ns, ctime_ns: 0, links: 1 }
    }

    #[test]
    fn remembers_across_runs_until_the_rules_or_the_file_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c");
        let file = Path::new("/m");
        let mut cache = Cache::open(&path, "v1".into(), 10 * RACY_NS).unwrap();
        cache.put(file, &meta(5), None);
        cache.put(Path::new("/racy"), &meta(10 * RACY_NS - 1), None);
        cache.save().unwrap();
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        let mut cache = Cache::open(&path, "v1".into(), 0).unwrap();
        assert_eq!(cache.get(file, &meta(5)), Some(None));
        assert_eq!(cache.get(file, &meta(6)), None);
        assert_eq!(cache.get(Path::new("/racy"), &meta(10 * RACY_NS - 1)), None);
        cache.save().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), written, "nothing new is not written");
        assert_eq!(Cache::open(&path, "v2".into(), 0).unwrap().get(file, &meta(5)), None);
        // A checkpoint forgets nothing, and is not written all the time.
        let mut killed = Cache::open(&path, "v1".into(), 10 * RACY_NS).unwrap();
        killed.put(Path::new("/new"), &meta(6), None);
        killed.checkpoint();
        assert_eq!(Cache::open(&path, "v1".into(), 0).unwrap().get(Path::new("/new"), &meta(6)), None);
        killed.saved_at = Instant::now().checked_sub(CHECKPOINT_EVERY).unwrap();
        killed.checkpoint();
        let mut after = Cache::open(&path, "v1".into(), 0).unwrap();
        assert_eq!((after.get(file, &meta(5)), after.get(Path::new("/new"), &meta(6))), (Some(None), Some(None)));
        // What was not met again is forgotten, but by a scan that was cut short.
        let mut cut = Cache::open(&path, "v1".into(), 0).unwrap();
        cut.keep_unmet();
        cut.save().unwrap();
        assert_eq!(Cache::open(&path, "v1".into(), 0).unwrap().get(file, &meta(5)), Some(None));
        Cache::open(&path, "v1".into(), 0).unwrap().save().unwrap();
        assert_eq!(Cache::open(&path, "v1".into(), 0).unwrap().get(file, &meta(5)), None);
    }

    #[test]
    fn a_damaged_cache_is_no_cache() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c");
        let header = |others: u64| format!("{{\"schema\":\"{SCHEMA}\",\"stamp\":\"s\",\"others\":{others}}}\n");
        for text in
            [header(u64::MAX) + "short", header(0) + "{\"key\":\"zz\"}\nnot json", "\u{0}".repeat(99), String::new()]
        {
            fs::write(&path, text).unwrap();
            assert!(Cache::open(&path, "s".into(), 0).unwrap().known == Memory::default());
        }
    }
}
