//! Messages between the scanner and its confined workers: length-prefixed
//! JSON frames over a Unix socket, descriptors beside requests.
//!
//! A worker may have been taken over by the file it inspects, so frames from
//! it are bounded and parsed as hostile.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use weighbridge_discovery::Reason;
use weighbridge_provenance::signature::{Attestation, Testimony, TrustConfig};
use weighbridge_sandbox::Confinement;
use weighbridge_types::Artifact;

/// Most jobs, and so descriptors, in one request. The kernel's limit is 253.
pub const JOBS_MAX: usize = 64;
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

/// Sends `message` with descriptors.
///
/// # Errors
/// Whatever the socket reports; `InvalidData` if the message is too large.
pub fn send(socket: &UnixStream, message: &impl Serialize, handles: &[BorrowedFd<'_>]) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    if body.len() > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "message is larger than a frame may be"));
    }
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut frame = Vec::with_capacity(4 + body.len());
    frame.extend_from_slice(&length);
    frame.extend_from_slice(&body);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(JOBS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !handles.is_empty() && !control.push(SendAncillaryMessage::ScmRights(handles)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one request"));
    }
    let sent = rustix::net::sendmsg(socket, &[IoSlice::new(&frame)], &mut control, SendFlags::NOSIGNAL)?;
    (&*socket).write_all(frame.get(sent..).unwrap_or_default())
}

/// Receives one message and the descriptors beside it; `None` when the other
/// side is gone.
///
/// # Errors
/// Whatever the socket reports; `InvalidData` for frames that are too large
/// or no message.
pub fn receive<T: DeserializeOwned>(socket: &UnixStream) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut length = [0; 4];
    let mut handles = Vec::new();
    let mut have = 0;
    while let Some(rest) = length.get_mut(have..).filter(|r| !r.is_empty()) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(JOBS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(rest)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                handles.extend(fds);
            }
        }
        if got.bytes == 0 {
            return if have == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        have += got.bytes;
    }
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame is too large"));
    }
    let mut body = Vec::new();
    Read::take(socket, length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((serde_json::from_slice(&body)?, handles)))
}

#[cfg(test)]
mod tests {
    use super::*;
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
