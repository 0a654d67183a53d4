//! What `weighbridge status` and its like say to the daemon: one line of JSON
//! each way over a Unix socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::DaemonError;

/// Longest question, bytes.
pub(crate) const QUESTION_BYTES_MAX: u64 = 1 << 20;
/// Longest answer, bytes.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// Time for an answer: `why` may have to hash a file.
const PATIENCE: Duration = Duration::from_secs(600);

/// A question. Paths travel as they are shown; bytes that are no UTF-8 are
/// given by their hexadecimal form in `raw`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Question {
    /// How the daemon is.
    Status,
    /// Models on this machine.
    Models,
    /// What runs, which models it holds, which GPUs it uses.
    Runtimes,
    /// Downloads that run or ran lately.
    Downloads,
    /// What happened lately, newest last.
    Events {
        /// At most so many.
        limit: u32,
    },
    /// What is known of a file, and why it is decided as it is.
    Why {
        /// The file.
        path: RawPath,
        /// What is to be done with it.
        action: weighbridge_policy::Action,
    },
    /// Ask for a file to be approved.
    Request {
        /// The file.
        path: RawPath,
        /// Why.
        reason: String,
    },
    /// What is in quarantine.
    Quarantined,
    /// Bring a file back.
    Restore {
        /// Which.
        id: String,
        /// To another place.
        to: Option<RawPath>,
    },
    /// Delete a file in quarantine for good.
    Purge {
        /// Which.
        id: String,
    },
    /// Check the audit chain.
    AuditVerify,
    /// Write the audit chain to a file.
    AuditExport {
        /// The file; it must not exist.
        to: RawPath,
    },
}

/// A path, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawPath(String);

impl RawPath {
    /// An absolute path.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        use std::os::unix::ffi::OsStrExt;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let bytes = path.as_os_str().as_bytes();
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.starts_with("hex:") => Self(text.to_owned()),
            _ => Self(bytes.iter().fold("hex:".to_owned(), |out, b| format!("{out}{b:02x}"))),
        }
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        use std::os::unix::ffi::OsStringExt;
        let Some(hex) = self.0.strip_prefix("hex:") else { return PathBuf::from(&self.0) };
        let digits: Vec<u8> = hex.bytes().filter_map(|b| char::from(b).to_digit(16)?.try_into().ok()).collect();
        let bytes = digits.chunks_exact(2).map(|pair| pair.iter().fold(0_u8, |n, d| n.wrapping_mul(16) | d));
        PathBuf::from(std::ffi::OsString::from_vec(bytes.collect()))
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// As the question asks.
    Done(Value),
    /// No, and why.
    Refused(String),
}

/// Asks the daemon that listens on `socket`.
///
/// # Errors
/// [`DaemonError::Unreachable`], or [`DaemonError::Refused`] with its reason.
pub fn ask(socket: &Path, question: &Question) -> Result<Value, DaemonError> {
    let unreachable = |source: io::Error| DaemonError::Unreachable { path: socket.display().to_string(), source };
    let answer = try_ask(socket, question).map_err(unreachable)?;
    match answer {
        Answer::Done(value) => Ok(value),
        Answer::Refused(reason) => Err(DaemonError::Refused(reason)),
    }
}

fn try_ask(socket: &Path, question: &Question) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = Vec::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_until(b'\n', &mut answer)?;
    Ok(serde_json::from_slice(&answer)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn paths_travel_byte_for_byte() {
        for bytes in [b"/a b/\n".as_slice(), b"/\xff\xfe", b"/hex:00", "/käse".as_bytes()] {
            let path = Path::new(OsStr::from_bytes(bytes));
            let sent = serde_json::to_string(&RawPath::of(path)).unwrap();
            assert_eq!(serde_json::from_str::<RawPath>(&sent).unwrap().path(), path);
        }
    }
}
