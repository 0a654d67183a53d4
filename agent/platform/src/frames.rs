//! Length-prefixed JSON frames over a Unix socket, descriptors beside them
//! (unix(7), `SCM_RIGHTS`). Whoever receives names the largest frame; nothing
//! is reserved for a larger one.

use std::io::{self, BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
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

/// Bytes read at a time.
const READ_BYTES: usize = 64 << 10;

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
    let mut frame = Vec::new();
    append(&mut frame, message, bytes_max)?;
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

/// Adds the frame of `message` to others that are sent with it.
///
/// # Errors
/// `InvalidInput` for a message of more than `bytes_max` bytes; nothing of it is
/// added then.
pub fn append(frames: &mut Vec<u8>, message: &impl Serialize, bytes_max: usize) -> io::Result<()> {
    let start = frames.len();
    frames.extend_from_slice(&[0; 4]);
    let written = serde_json::to_writer(&mut *frames, message);
    let length = frames.len() - start - 4;
    if written.is_err() || length > bytes_max {
        frames.truncate(start);
        written?;
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "message is larger than a frame may be"));
    }
    if let Some(head) = frames.get_mut(start..start + 4) {
        head.copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    }
    Ok(())
}

/// Reads frames beside which no descriptors come, as many at a time as there
/// are. Descriptors that come all the same are lost.
#[derive(Debug)]
pub struct Reader<'a> {
    socket: BufReader<&'a UnixStream>,
    bytes_max: usize,
}

impl<'a> Reader<'a> {
    /// Of frames of at most `bytes_max` bytes.
    #[must_use]
    pub fn new(socket: &'a UnixStream, bytes_max: usize) -> Self {
        Self { socket: BufReader::with_capacity(READ_BYTES, socket), bytes_max }
    }

    /// The next message; `None` when the other side is gone.
    ///
    /// # Errors
    /// As [`receive`].
    pub fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        match self.socket.fill_buf() {
            Ok([]) => return Ok(None),
            // Killed with frames of ours unread.
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => drop(other?),
        }
        let mut length = [0; 4];
        self.socket.read_exact(&mut length)?;
        let body = body(&mut self.socket, length, self.bytes_max)?;
        Ok(Some(serde_json::from_slice(&body)?))
    }
}

/// What follows a frame's `length`.
fn body(from: &mut impl Read, length: [u8; 4], bytes_max: usize) -> io::Result<Vec<u8>> {
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame is too large"));
    }
    let mut body = Vec::new();
    from.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(body)
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
    let mut socket = socket;
    let body = body(&mut socket, length, bytes_max)?;
    Ok(Some((serde_json::from_slice(&body)?, handles)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(messages: &[&str]) -> Vec<u8> {
        let mut frames = Vec::new();
        messages.iter().for_each(|message| append(&mut frames, message, 64).unwrap());
        frames
    }

    #[test]
    fn frames_that_come_together_are_read_one_by_one() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        send(&ours, &"first", &[], 64).unwrap();
        (&ours).write_all(&frames(&["second", "", "third"])).unwrap();
        drop(ours);
        let mut reader = Reader::new(&theirs, 64);
        for expected in ["first", "second", "", "third"] {
            assert_eq!(reader.receive::<String>().unwrap().as_deref(), Some(expected));
        }
        assert_eq!(reader.receive::<String>().unwrap(), None);
    }

    #[test]
    fn nothing_is_added_of_what_is_too_large() {
        let mut some = frames(&["a"]);
        let refused = append(&mut some, &"x".repeat(63), 64).unwrap_err();
        assert_eq!((refused.kind(), some), (io::ErrorKind::InvalidInput, frames(&["a"])));
    }

    #[test]
    fn halves_large_frames_and_nonsense_are_errors() {
        let whole = frames(&["whole"]);
        for (bytes, kind) in [
            (whole.get(..3).unwrap(), io::ErrorKind::UnexpectedEof),
            (whole.get(..7).unwrap(), io::ErrorKind::UnexpectedEof),
            (&[65, 0, 0, 0, b'"'], io::ErrorKind::InvalidData),
            (&[1, 0, 0, 0, b'x'], io::ErrorKind::InvalidData),
        ] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            (&ours).write_all(bytes).unwrap();
            drop(ours);
            assert_eq!(Reader::new(&theirs, 64).receive::<String>().unwrap_err().kind(), kind, "{bytes:?}");
        }
    }
}
