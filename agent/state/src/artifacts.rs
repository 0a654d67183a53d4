//! The inventory: files that are models, by path.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use weighbridge_platform::file::FileKey;
use weighbridge_types::{Artifact, Decision, Sha256, Verdict};

use crate::audit;
use crate::error::{Doing, StateError, bound, from_json, json};

/// Longest path kept, bytes; paths beyond the system's `PATH_MAX` exist, below folders.
pub(crate) const PATH_BYTES_MAX: usize = 64 << 10;
/// Longest fact sheet kept of one file, bytes.
const ARTIFACT_BYTES_MAX: usize = 16 << 20;
/// Most rows in one answer.
pub(crate) const PAGE_MAX: usize = 10_000;

const READING: &str = "read the inventory";
const WRITING: &str = "write the inventory";
const COLUMNS: &str = "path, dev, ino, size, mtime_ns, ctime_ns, first_seen, last_seen, artifact, decision";

/// What the inventory holds of one path.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredArtifact {
    /// The path, byte for byte.
    pub path: PathBuf,
    /// The file it was.
    pub key: FileKey,
    /// What was learnt about it.
    pub artifact: Artifact,
    /// What policy said.
    pub decision: Option<Decision>,
    /// When this path first held a model.
    pub first_seen: Timestamp,
    /// When it was last known to be there.
    pub last_seen: Timestamp,
}

/// The part of it that says whether a file must be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The file it was.
    pub key: FileKey,
    /// Digest of its content, where it could be read.
    pub sha256: Option<Sha256>,
    /// What inspection said.
    pub verdict: Verdict,
    /// Whether policy refuses it.
    pub refused: bool,
}

/// Which artifacts are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// All.
    #[default]
    All,
    /// Those with this verdict.
    Verdict(Verdict),
    /// Those that policy refuses.
    Refused,
}

/// How much the inventory holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// By verdict, the harmless first.
    pub by_verdict: Vec<VerdictCount>,
    /// Files.
    pub files: u64,
    /// Sum of their lengths.
    pub bytes: u64,
    /// Files that policy refuses.
    pub refused: u64,
}

/// One line of [`Counts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerdictCount {
    /// Which verdict.
    pub verdict: Verdict,
    /// Files.
    pub files: u64,
    /// Sum of their lengths.
    pub bytes: u64,
}

const VERDICTS: [Verdict; 4] = [Verdict::Clean, Verdict::Unknown, Verdict::Suspicious, Verdict::Malicious];

fn verdict_code(verdict: Verdict) -> i64 {
    match verdict {
        Verdict::Clean => 0,
        Verdict::Unknown => 1,
        Verdict::Suspicious => 2,
        Verdict::Malicious => 3,
    }
}

fn verdict_of(code: i64) -> Result<Verdict, StateError> {
    let known = VERDICTS.into_iter().find(|v| verdict_code(*v) == code);
    known.ok_or_else(|| StateError::Row { what: "a verdict", why: format!("{code} is none") })
}

pub(crate) fn path_bytes(path: &Path) -> Result<&[u8], StateError> {
    let bytes = path.as_os_str().as_bytes();
    bound("the path", bytes.len(), PATH_BYTES_MAX)?;
    Ok(bytes)
}

pub(crate) fn path_of(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// Sizes beyond what SQLite counts do not occur; they are cut, not refused.
fn length(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

pub(crate) fn put(
    db: &Connection,
    now: Timestamp,
    path: &Path,
    key: &FileKey,
    artifact: &Artifact,
    decision: Option<&Decision>,
) -> Result<(), StateError> {
    let text = json("the artifact", artifact, ARTIFACT_BYTES_MAX)?;
    let decided = decision.map(|d| json("the decision", d, ARTIFACT_BYTES_MAX)).transpose()?;
    let mut put = db
        .prepare_cached(
            "INSERT INTO artifacts (path, dev, ino, size, mtime_ns, ctime_ns, sha256, verdict, refused,
                                    first_seen, last_seen, format, artifact, decision)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11, ?12, ?13)
             ON CONFLICT (path) DO UPDATE SET dev = ?2, ino = ?3, size = ?4, mtime_ns = ?5, ctime_ns = ?6,
                 sha256 = ?7, verdict = ?8, refused = ?9, last_seen = ?10, format = ?11, artifact = ?12,
                 decision = ?13",
        )
        .doing(WRITING)?;
    put.execute(params![
        path_bytes(path)?,
        key.dev.cast_signed(),
        key.ino.cast_signed(),
        length(key.size),
        key.mtime_ns,
        key.ctime_ns,
        artifact.sha256.as_ref().map(Sha256::as_bytes),
        verdict_code(artifact.verdict),
        decision.is_some_and(Decision::refuses),
        now.as_microsecond(),
        artifact.format,
        text,
        decided,
    ])
    .doing(WRITING)?;
    Ok(())
}

/// Whether a row was there.
pub(crate) fn run(db: &Connection, sql: &str, params: &[&dyn ToSql]) -> Result<u64, StateError> {
    let changed = db.prepare_cached(sql).and_then(|mut s| s.execute(params)).doing(WRITING)?;
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

pub(crate) fn seen(db: &Connection, now: Timestamp, path: &Path) -> Result<bool, StateError> {
    let path = path_bytes(path)?;
    Ok(run(db, "UPDATE artifacts SET last_seen = ?2 WHERE path = ?1", &[&path, &now.as_microsecond()])? > 0)
}

pub(crate) fn remove(db: &Connection, path: &Path) -> Result<bool, StateError> {
    Ok(run(db, "DELETE FROM artifacts WHERE path = ?1", &[&path_bytes(path)?])? > 0)
}

pub(crate) fn remove_unseen(db: &Connection, root: &Path, since: Timestamp) -> Result<u64, StateError> {
    let root = path_bytes(root)?;
    // What lies below `/a` is from `/a/` up to `/a0`, `0` following `/`.
    let stem = root.strip_suffix(b"/").unwrap_or(root);
    let (low, high) = ([stem, b"/"].concat(), [stem, b"0"].concat());
    run(
        db,
        "DELETE FROM artifacts WHERE (path = ?1 OR (path >= ?2 AND path < ?3)) AND last_seen < ?4",
        &[&root, &low, &high, &since.as_microsecond()],
    )
}

pub(crate) fn get(db: &Connection, path: &Path) -> Result<Option<StoredArtifact>, StateError> {
    select(db, "WHERE path = ?1", &[&path_bytes(path)?]).map(|mut rows| rows.pop())
}

pub(crate) fn by_digest(db: &Connection, digest: &Sha256) -> Result<Vec<StoredArtifact>, StateError> {
    let max = i64::try_from(PAGE_MAX).unwrap_or(i64::MAX);
    select(db, "WHERE sha256 = ?1 ORDER BY path LIMIT ?2", &[digest.as_bytes(), &max])
}

pub(crate) fn by_inode(db: &Connection, dev: u64, ino: u64) -> Result<Vec<StoredArtifact>, StateError> {
    let max = i64::try_from(PAGE_MAX).unwrap_or(i64::MAX);
    let order = "WHERE dev = ?1 AND ino = ?2 ORDER BY path LIMIT ?3";
    select(db, order, &[&dev.cast_signed(), &ino.cast_signed(), &max])
}

pub(crate) fn page(
    db: &Connection,
    filter: Filter,
    after: Option<&Path>,
    limit: usize,
) -> Result<Vec<StoredArtifact>, StateError> {
    let after = path_bytes(after.unwrap_or(Path::new(OsStr::new(""))))?;
    let limit = i64::try_from(limit.min(PAGE_MAX)).unwrap_or(0);
    match filter {
        Filter::All => select(db, "WHERE path > ?1 ORDER BY path LIMIT ?2", &[&after, &limit]),
        Filter::Refused => select(db, "WHERE refused AND path > ?1 ORDER BY path LIMIT ?2", &[&after, &limit]),
        Filter::Verdict(verdict) => select(
            db,
            "WHERE verdict = ?3 AND path > ?1 ORDER BY path LIMIT ?2",
            &[&after, &limit, &verdict_code(verdict)],
        ),
    }
}

fn select(db: &Connection, clause: &str, params: &[&dyn ToSql]) -> Result<Vec<StoredArtifact>, StateError> {
    let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM artifacts {clause}")).doing(READING)?;
    let mut rows = query.query(params).doing(READING)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().doing(READING)? {
        found.push(stored(row)?);
    }
    Ok(found)
}

fn stored(row: &Row<'_>) -> Result<StoredArtifact, StateError> {
    let text: String = row.get(8).doing(READING)?;
    let decision: Option<String> = row.get(9).doing(READING)?;
    Ok(StoredArtifact {
        path: path_of(row.get(0).doing(READING)?),
        key: key(row, 1)?,
        artifact: from_json("an artifact", &text)?,
        decision: decision.map(|d| from_json("a decision", &d)).transpose()?,
        first_seen: audit::time(row.get(6).doing(READING)?)?,
        last_seen: audit::time(row.get(7).doing(READING)?)?,
    })
}

fn key(row: &Row<'_>, first: usize) -> Result<FileKey, StateError> {
    let column = |n: usize| row.get::<_, i64>(first.saturating_add(n)).doing(READING);
    Ok(FileKey {
        dev: column(0)?.cast_unsigned(),
        ino: column(1)?.cast_unsigned(),
        size: column(2)?.cast_unsigned(),
        mtime_ns: column(3)?,
        ctime_ns: column(4)?,
    })
}

pub(crate) fn known(db: &Connection, path: &Path) -> Result<Option<Known>, StateError> {
    let mut query = db
        .prepare_cached(
            "SELECT dev, ino, size, mtime_ns, ctime_ns, sha256, verdict, refused FROM artifacts WHERE path = ?1",
        )
        .doing(READING)?;
    let mut rows = query.query([path_bytes(path)?]).doing(READING)?;
    rows.next().doing(READING)?.map(known_row).transpose()
}

pub(crate) fn known_file(db: &Connection, wanted: &FileKey) -> Result<Option<Known>, StateError> {
    let mut query = db
        .prepare_cached(
            "SELECT dev, ino, size, mtime_ns, ctime_ns, sha256, verdict, refused FROM artifacts
             WHERE dev = ?1 AND ino = ?2 AND size = ?3 AND mtime_ns = ?4 AND ctime_ns = ?5
             ORDER BY refused DESC, verdict DESC LIMIT 1",
        )
        .doing(READING)?;
    let (dev, ino) = (wanted.dev.cast_signed(), wanted.ino.cast_signed());
    let mut rows =
        query.query(params![dev, ino, length(wanted.size), wanted.mtime_ns, wanted.ctime_ns]).doing(READING)?;
    rows.next().doing(READING)?.map(known_row).transpose()
}

pub(crate) fn each_known(db: &Connection, visit: &mut dyn FnMut(PathBuf, Known)) -> Result<(), StateError> {
    let mut query = db
        .prepare("SELECT dev, ino, size, mtime_ns, ctime_ns, sha256, verdict, refused, path FROM artifacts")
        .doing(READING)?;
    let mut rows = query.query([]).doing(READING)?;
    while let Some(row) = rows.next().doing(READING)? {
        visit(path_of(row.get(8).doing(READING)?), known_row(row)?);
    }
    Ok(())
}

fn known_row(row: &Row<'_>) -> Result<Known, StateError> {
    let sha256: Option<[u8; 32]> = row.get(5).doing(READING)?;
    Ok(Known {
        key: key(row, 0)?,
        sha256: sha256.map(Sha256::new),
        verdict: verdict_of(row.get(6).doing(READING)?)?,
        refused: row.get(7).doing(READING)?,
    })
}

pub(crate) fn counts(db: &Connection) -> Result<Counts, StateError> {
    let mut counts = Counts::default();
    for verdict in VERDICTS {
        let (files, bytes, refused): (u64, u64, u64) = db
            .prepare_cached(
                "SELECT coalesce(sum(files), 0), cast(coalesce(total(bytes), 0) AS INTEGER),
                        coalesce(sum(files) FILTER (WHERE refused), 0) FROM artifact_counts WHERE verdict = ?1",
            )
            .and_then(|mut q| {
                q.query_row([verdict_code(verdict)], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).optional()
            })
            .doing(READING)?
            .unwrap_or_default();
        if files > 0 {
            counts.by_verdict.push(VerdictCount { verdict, files, bytes });
        }
        counts.files = counts.files.saturating_add(files);
        counts.bytes = counts.bytes.saturating_add(bytes);
        counts.refused = counts.refused.saturating_add(refused);
    }
    Ok(counts)
}
