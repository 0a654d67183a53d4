//! Opening the database, and moving a damaged one aside.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::StateError;
use crate::error::shown;
use crate::folder::{sync_parent, with_suffix};
use crate::schema::{self, Migrated};

/// How long a call waits for another connection, milliseconds.
const BUSY_MS: u64 = 10_000;
/// Databases up to this size are checked page by page at each start; larger
/// ones only after a call met damage, since a check reads all of it.
const CHECK_BYTES_MAX: u64 = 64 << 20;
/// Space that the write-ahead log keeps after a large transaction, bytes.
const LOG_BYTES_MAX: i64 = 64 << 20;
/// Cached pages of one connection, KiB.
const CACHE_KIB: i64 = 8 << 10;

/// Beside the database when a call met damage.
pub(crate) fn suspect(path: &Path) -> PathBuf {
    with_suffix(path, ".suspect")
}

/// A connection that writes, and the schema it came from.
pub(crate) fn writer(path: &Path) -> Result<(Connection, i64), Trouble> {
    plain_file(path)?;
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(Duration::from_millis(BUSY_MS))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_MAX)?;
    connection.pragma_update(None, "cache_size", CACHE_KIB.saturating_neg())?;
    check(&connection, path)?;
    match schema::migrate(&mut connection)? {
        Migrated::From(version) => Ok((connection, version)),
        Migrated::Newer { found, known } => Err(Trouble::Other(StateError::Newer { path: shown(path), found, known })),
    }
}

/// A connection that only reads.
pub(crate) fn reader(path: &Path) -> Result<Connection, StateError> {
    if !path.exists() {
        return Err(StateError::Absent { path: shown(path.parent().unwrap_or(path)) });
    }
    let open = || -> rusqlite::Result<(Connection, Migrated)> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_millis(BUSY_MS))?;
        connection.pragma_update(None, "cache_size", CACHE_KIB.saturating_neg())?;
        let version = schema::version(&connection)?;
        Ok((connection, version))
    };
    match open().map_err(|e| StateError::database("open the state", e))? {
        (connection, Migrated::From(_)) => Ok(connection),
        (_, Migrated::Newer { found, known }) => Err(StateError::Newer { path: shown(path), found, known }),
    }
}

/// Why a database could not be opened.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Its content is damaged, in these words.
    Damaged(String),
    /// Anything else.
    Other(StateError),
}

impl From<rusqlite::Error> for Trouble {
    fn from(e: rusqlite::Error) -> Self {
        match e.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(e.to_string()),
            _ => Self::Other(StateError::database("open the state", e)),
        }
    }
}

impl From<StateError> for Trouble {
    fn from(e: StateError) -> Self {
        Self::Other(e)
    }
}

/// SQLite would follow a link, and wait at a FIFO.
fn plain_file(path: &Path) -> Result<(), StateError> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_file() => Ok(()),
        Ok(_) => {
            let why = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            Err(StateError::file("open", path, why))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(StateError::file("open", path, e)),
    }
}

fn check(connection: &Connection, path: &Path) -> Result<(), Trouble> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
    let small = path.metadata().is_ok_and(|m| m.len() <= CHECK_BYTES_MAX);
    if small || suspect(path).exists() {
        let answer: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if answer != "ok" {
            return Err(Trouble::Damaged(answer));
        }
    }
    match std::fs::remove_file(suspect(path)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StateError::file("remove", &suspect(path), e).into()),
        _ => Ok(()),
    }
}

/// Renames the database and its log out of the way; nothing is deleted.
pub(crate) fn move_aside(path: &Path, now: Timestamp) -> Result<PathBuf, StateError> {
    let stamp = format!(".damaged-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let free = |n: &u32| {
        let suffix = if *n == 0 { stamp.clone() } else { format!("{stamp}-{n}") };
        let to = with_suffix(path, &suffix);
        to.symlink_metadata().is_err().then_some(to)
    };
    let Some(to) = (0..1000).find_map(|n| free(&n)) else {
        let why = io::Error::new(io::ErrorKind::AlreadyExists, "a thousand damaged databases lie beside it");
        return Err(StateError::file("move aside", path, why));
    };
    // The log first: without it the database is merely older, the other way round
    // a new database would be given the old one's log.
    for suffix in ["-wal", "-shm", ""] {
        match std::fs::rename(with_suffix(path, suffix), with_suffix(&to, suffix)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(StateError::file("move aside", path, e)),
            _ => {}
        }
    }
    let _ = std::fs::remove_file(suspect(path));
    sync_parent(path).map_err(|e| StateError::file("move aside", path, e))?;
    Ok(to)
}
