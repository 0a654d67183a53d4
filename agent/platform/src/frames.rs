//! Length-prefixed JSON frames over a Unix socket, descriptors beside them
//! (unix(7), `SCM_RIGHTS`). Whoever receives names the largest frame; nothing
//! is reserved for a larger one.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Most descriptors beside one frame. The kernel's limit is 253.
pub const HANDLES_MAX: usize = 64;

/// Sends `message` with descriptors.
///
/// # Errors
/// Whatever the socket reports; `InvalidInput` for a message of more than
/// `bytes_max` bytes or too many descriptors.
pub fn send(
    socket: &UnixStream,
    message: &impl Serialize,
    handles: &[BorrowedFd<'_>],
    bytes_max: usize,
) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    if body.len() > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "message is larger than a frame may be"));
    }
    let mut frame = Vec::with_capacity(4 + body.len());
    frame.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    frame.extend_from_slice(&body);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDLES_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !handles.is_empty() && !control.push(SendAncillaryMessage::ScmRights(handles)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
    }
    let sent = loop {
        match rustix::net::sendmsg(socket, &[IoSlice::new(&frame)], &mut control, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    (&*socket).write_all(frame.get(sent..).unwrap_or_default())
}

/// Receives one message and the descriptors beside it; `None` when the other
/// side is gone.
///
/// # Errors
/// Whatever the socket reports; `InvalidData` for frames of more than
/// `bytes_max` bytes and for what is no message.
pub fn receive<T: DeserializeOwned>(socket: &UnixStream, bytes_max: usize) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut length = [0; 4];
    let mut handles = Vec::new();
    let mut have = 0;
    while let Some(rest) = length.get_mut(have..).filter(|r| !r.is_empty()) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDLES_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let got = match rustix::net::recvmsg(socket, &mut [IoSliceMut::new(rest)], &mut control, flags) {
            Err(rustix::io::Errno::INTR) => continue,
            // Killed with frames of ours unread.
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            other => other?,
        };
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
    if length > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame is too large"));
    }
    let mut body = Vec::new();
    Read::take(socket, length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((serde_json::from_slice(&body)?, handles)))
}
