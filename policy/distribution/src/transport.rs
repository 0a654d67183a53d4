//! Between tough, which asks by URL, and a [`Source`], which knows paths.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use tough::{Bytes, Transport, TransportError, TransportErrorKind, TransportStream, async_trait};
use url::Url;

use crate::limits::Limits;
use crate::source::Source;

/// What stands before paths in URLs. These never leave this process.
pub const REPOSITORY: &str = "weighbridge://repository/";
/// Bases that tough joins names to.
pub const METADATA: &str = "weighbridge://repository/metadata/";
pub const TARGETS: &str = "weighbridge://repository/targets/";

const CHUNK_BYTES: usize = 64 << 10;
/// Digits of a SHA-256 digest.
const DIGEST_DIGITS: usize = 64;

/// Carries files of a source to tough, each within the limit of its role.
#[derive(Debug, Clone)]
pub struct Courier {
    source: Arc<dyn Source>,
    limits: Limits,
    last: Arc<Mutex<Option<String>>>,
}

/// More than a limit allows.
#[derive(Debug, thiserror::Error)]
#[error("longer than the {max} bytes that an endpoint reads of it")]
pub struct TooLong {
    max: u64,
}

/// A file that our repositories do not have.
#[derive(Debug, thiserror::Error)]
#[error("it is no file of ours: delegated roles and metadata without a version in its name are not supported")]
pub struct Foreign;

impl Courier {
    pub fn new(source: Arc<dyn Source>, limits: Limits) -> Self {
        Self { source, limits, last: Arc::default() }
    }

    /// The file that was opened last, so the one that an error is about.
    pub fn last(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn opened(&self, path: &str) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.to_owned());
    }

    /// Path in the repository, and how much of it is read.
    fn place(&self, url: &Url) -> Option<(String, u64)> {
        if let Some(name) = url.as_str().strip_prefix(METADATA) {
            return Some((format!("metadata/{name}"), self.metadata_max(name)?));
        }
        let name = url.as_str().strip_prefix(TARGETS)?;
        Some((format!("targets/{}", by_specification(name)?), self.limits.target_bytes))
    }

    fn metadata_max(&self, name: &str) -> Option<u64> {
        if name == "timestamp.json" {
            return Some(self.limits.timestamp_bytes);
        }
        let (version, role) = name.split_once('.')?;
        version.parse::<u64>().ok()?;
        match role {
            "root.json" => Some(self.limits.root_bytes),
            "snapshot.json" => Some(self.limits.snapshot_bytes),
            "targets.json" => Some(self.limits.targets_bytes),
            _ => None,
        }
    }
}

/// tough asks for `DIGEST.a/b`; the specification (6.2) has `a/DIGEST.b`, which
/// other clients ask for.
fn by_specification(name: &str) -> Option<String> {
    let (digest, name) = name.split_at_checked(DIGEST_DIGITS)?;
    let name = name.strip_prefix('.')?;
    Some(on_disk(digest, name))
}

/// Path below `targets/` of the target `name`.
pub fn on_disk(digest: &str, name: &str) -> String {
    match name.rsplit_once('/') {
        Some((folders, file)) => format!("{folders}/{digest}.{file}"),
        None => format!("{digest}.{name}"),
    }
}

#[async_trait]
impl Transport for Courier {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let shown = url.as_str().to_owned();
        let Some((path, max)) = self.place(&url) else {
            self.opened(shown.strip_prefix(REPOSITORY).unwrap_or(&shown));
            return Ok(failing(TransportError::new_with_cause(TransportErrorKind::Other, shown, Foreign)));
        };
        match self.source.open(&path) {
            Ok(reader) => {
                self.opened(&path);
                let chunks = Chunks { reader: Mutex::new(reader), url: shown, left: max, max, done: false };
                Ok(Box::pin(futures::stream::iter(chunks)))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(TransportError::new_with_cause(TransportErrorKind::FileNotFound, shown, e))
            }
            // tough takes any failure to fetch the next root for the end of
            // the chain; a failure to read it, for what it is.
            Err(e) => {
                self.opened(&path);
                Ok(failing(TransportError::new_with_cause(TransportErrorKind::Other, shown, e)))
            }
        }
    }
}

fn failing(error: TransportError) -> TransportStream {
    Box::pin(futures::stream::iter([Err(error)]))
}

struct Chunks {
    /// Never contended: it makes a reader [`Sync`], as streams of tough are.
    reader: Mutex<Box<dyn Read + Send>>,
    url: String,
    left: u64,
    max: u64,
    done: bool,
}

impl Iterator for Chunks {
    type Item = Result<Bytes, TransportError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let reader = self.reader.get_mut().unwrap_or_else(PoisonError::into_inner);
        let read = reader.take(CHUNK_BYTES as u64).read_to_end(&mut chunk);
        let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
            TransportError::new_with_cause(TransportErrorKind::Other, &self.url, cause)
        };
        let length = chunk.len() as u64;
        self.done = read.is_err() || length == 0 || length > self.left;
        match read {
            Err(e) => Some(Err(failed(e.into()))),
            Ok(_) if length > self.left => Some(Err(failed(TooLong { max: self.max }.into()))),
            Ok(_) if length == 0 => None,
            Ok(_) => {
                self.left -= length;
                Some(Ok(Bytes::from(chunk)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_lie_where_the_specification_has_them() {
        let digest = "0".repeat(64);
        assert_eq!(by_specification(&format!("{digest}.a/b/c.toml")), Some(format!("a/b/{digest}.c.toml")));
        assert_eq!(by_specification(&format!("{digest}.c.toml")), Some(format!("{digest}.c.toml")));
        assert_eq!(by_specification("c.toml"), None);
        assert_eq!(by_specification("é"), None);
    }
}
