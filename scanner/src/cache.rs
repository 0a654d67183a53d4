//! Assessments of files that have not changed since.
//!
//! Whoever can write the cache can make files look clean, so it belongs where
//! only the scanning user can write.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use weighbridge_discovery::FileMeta;
use weighbridge_types::Artifact;
use xxhash_rust::xxh3::xxh3_128;

/// Largest cache read, bytes.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Files modified this shortly before they were assessed are not remembered:
/// a later write could leave the same time stamp.
const RACY_NS: i128 = 2_000_000_000;

/// What was known of files, and what is learnt now.
pub struct Cache {
    path: PathBuf,
    stamp: String,
    known: HashMap<u128, Option<Artifact>>,
    fresh: HashMap<u128, Option<Artifact>>,
    started_ns: i128,
}

#[derive(Serialize, Deserialize)]
struct Header {
    schema: String,
    stamp: String,
}

#[derive(Serialize, Deserialize)]
struct Record {
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact: Option<Artifact>,
}

const SCHEMA: &str = "weighbridge.cache/1";

impl Cache {
    /// Opens the cache at `path`. What was assessed under another `stamp`
    /// (rules, options) does not count; a damaged file is no cache.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn open(path: &Path, stamp: String, now_ns: i128) -> io::Result<Self> {
        let mut cache =
            Self { path: path.to_path_buf(), stamp, known: HashMap::new(), fresh: HashMap::new(), started_ns: now_ns };
        let text = match fs::metadata(path) {
            Ok(meta) if meta.len() <= FILE_BYTES_MAX => fs::read_to_string(path)?,
            Ok(_) => return Ok(cache),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(cache),
            Err(e) => return Err(e),
        };
        let mut lines = text.lines();
        let header: Option<Header> = lines.next().and_then(|l| serde_json::from_str(l).ok());
        if header.is_some_and(|h| h.schema == SCHEMA && h.stamp == cache.stamp) {
            // A line that does not parse is a file not known.
            cache.known = lines
                .filter_map(|l| serde_json::from_str::<Record>(l).ok())
                .filter_map(|r| Some((u128::from_str_radix(&r.key, 16).ok()?, r.artifact)))
                .collect();
        }
        Ok(cache)
    }

    /// What is known of the file: `Some(None)` if it is not worth inspecting.
    pub fn get(&self, path: &Path, meta: &FileMeta) -> Option<&Option<Artifact>> {
        self.known.get(&key(path, meta))
    }

    /// Remembers the file.
    pub fn put(&mut self, path: &Path, meta: &FileMeta, artifact: Option<Artifact>) {
        if meta.mtime_ns.max(meta.ctime_ns) + RACY_NS < self.started_ns {
            self.fresh.insert(key(path, meta), artifact);
        }
    }

    /// Writes what was learnt or met again in this scan, in place of the file.
    ///
    /// # Errors
    /// If it cannot be written; the old file stays then.
    pub fn save(&self) -> io::Result<()> {
        let mut name = self.path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.new", std::process::id()));
        let new = self.path.with_file_name(name);
        let written = (|| {
            let mut out = io::BufWriter::new(fs::File::create(&new)?);
            serde_json::to_writer(&mut out, &Header { schema: SCHEMA.to_owned(), stamp: self.stamp.clone() })?;
            for (key, artifact) in &self.fresh {
                out.write_all(b"\n")?;
                serde_json::to_writer(&mut out, &Record { key: format!("{key:032x}"), artifact: artifact.clone() })?;
            }
            out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            fs::rename(&new, &self.path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }
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
        let cache = Cache::open(&path, "v1".into(), 0).unwrap();
        assert_eq!(cache.get(file, &meta(5)), Some(&None));
        assert_eq!(cache.get(file, &meta(6)), None);
        assert_eq!(cache.get(Path::new("/racy"), &meta(10 * RACY_NS - 1)), None);
        assert_eq!(Cache::open(&path, "v2".into(), 0).unwrap().get(file, &meta(5)), None);
    }

    #[test]
    fn a_damaged_cache_is_no_cache() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c");
        fs::write(&path, "{\"schema\":\"weighbridge.cache/1\",\"stamp\":\"s\"}\n{\"key\":\"zz\"}\nnot json").unwrap();
        assert!(Cache::open(&path, "s".into(), 0).unwrap().known.is_empty());
    }
}
