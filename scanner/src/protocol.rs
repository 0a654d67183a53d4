//! Messages between the scanner and its confined workers: length-prefixed
//! JSON frames over a Unix socket, descriptors beside requests.
//!
//! A worker may have been taken over by the file it inspects, so frames from
//! it are bounded and parsed as hostile.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use weighbridge_discovery::Reason;
use weighbridge_platform::frames;
use weighbridge_provenance::signature::{Attestation, Testimony, TrustConfig};
use weighbridge_sandbox::Confinement;
use weighbridge_types::Artifact;

/// Most jobs, and so descriptors, in one request.
pub const JOBS_MAX: usize = frames::HANDLES_MAX;
/// Largest frame accepted, bytes.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// First frame to a worker: everything it needs before it gives up its rights.
#[derive(Debug, Serialize, Deserialize)]
pub struct Start {
    /// The user's YARA rules: origin for messages, and text.
    pub rules: Vec<(String, String)>,
    /// Look at tensor bytes too.
    pub deep: bool,
    /// Who is trusted to sign models.
    pub trust: TrustConfig,
    /// Go on although the kernel offers no system call filter.
    pub danger_unconfined: bool,
}

/// Files to assess; one descriptor each, in order.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// What is known of each.
    pub jobs: Vec<Job>,
}

/// One file to assess.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// File name, a hint for identification.
    pub name: String,
    /// Why it is inspected.
    pub reason: Reason,
}

/// A frame from a worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// Rules are compiled, rights are gone.
    Ready(Confinement),
    /// It could not start.
    Failed(String),
    /// Still at it: bytes done since the last frame.
    Progress(u64),
    /// One job is done, in the order of the request.
    Done(Box<Assessed>),
}

/// What a worker says of one file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Assessed {
    /// Whether it is, holds, or claims to be a model; if not, only the
    /// format is filled in.
    pub is_model: bool,
    /// Everything learnt; the path is for the scanner to fill in.
    pub artifact: Artifact,
    /// Bytes digested.
    pub hashed: u64,
    /// What it says of other files, if it is a signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub testimony: Option<Box<Testimony>>,
    /// What attestations in it say of other files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attestations: Vec<Attestation>,
}

/// See [`frames::send`].
///
/// # Errors
/// As there.
pub fn send(socket: &UnixStream, message: &impl Serialize, handles: &[BorrowedFd<'_>]) -> io::Result<()> {
    frames::send(socket, message, handles, FRAME_BYTES_MAX)
}

/// See [`frames::receive`].
///
/// # Errors
/// As there.
pub fn receive<T: DeserializeOwned>(socket: &UnixStream) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    frames::receive(socket, FRAME_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;

    #[test]
    fn descriptors_travel_with_their_request() {
        let (a, b) = UnixStream::pair().unwrap();
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let jobs = vec![Job { name: "x".repeat(100_000), reason: Reason::Found }; 2];
        let sender = std::thread::spawn(move || send(&a, &Request { jobs }, &[file.as_fd(), file.as_fd()]));
        let (request, handles): (Request, _) = receive(&b).unwrap().unwrap();
        sender.join().unwrap().unwrap();
        assert_eq!((request.jobs.len(), handles.len()), (2, 2));
        assert!(receive::<Request>(&b).unwrap().is_none(), "the sender is gone");
    }

    #[test]
    fn oversized_frames_are_refused_before_memory_is_reserved() {
        let (a, b) = UnixStream::pair().unwrap();
        (&a).write_all(&u32::MAX.to_le_bytes()).unwrap();
        assert_eq!(receive::<Request>(&b).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
