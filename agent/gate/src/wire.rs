//! Length-prefixed JSON frames over a Unix socket, descriptors beside them.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest frame either way, bytes: a start with many marks. A path is at
/// most 4,096 bytes, four characters each where they are no text.
pub const FRAME_BYTES_MAX: usize = 256 << 10;
/// Most descriptors beside one frame: the file and the process.
pub const HANDLES_MAX: usize = 2;

/// Sends `message` with descriptors.
pub fn send(socket: &UnixStream, message: &impl Serialize, handles: &[BorrowedFd<'_>]) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    if body.len() > FRAME_BYTES_MAX {
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
pub fn receive<T: DeserializeOwned>(socket: &UnixStream) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
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
    use crate::message::{Refusal, Report};
    use std::ffi::OsStr;
    use std::os::fd::AsFd;
    use std::os::unix::ffi::OsStrExt;
    use weighbridge_platform::file::FileKey;

    #[test]
    fn any_path_and_its_descriptor_travel() {
        let (a, b) = UnixStream::pair().unwrap();
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let key = FileKey { dev: u64::MAX, ino: 1, size: 2, mtime_ns: i64::MIN, ctime_ns: 4 };
        for name in [&b"plain"[..], b"a\nb", b"\xff\xfe/\n", &[0xff; 4_096]] {
            let path = OsStr::from_bytes(name).into();
            let refusal = Refusal { key, pid: 1, uid: None, path, errno: 0 };
            send(&a, &Report::Asked { refusal: refusal.clone(), allowed: true }, &[file.as_fd()]).unwrap();
            let (report, handles) = receive::<Report>(&b).unwrap().unwrap();
            let Report::Asked { refusal: got, .. } = report else { panic!("{report:?}") };
            assert_eq!((got, handles.len()), (refusal, 1));
        }
        drop(a);
        assert!(receive::<Report>(&b).unwrap().is_none());
    }

    #[test]
    fn oversized_and_cut_frames_are_refused() {
        let (a, b) = UnixStream::pair().unwrap();
        (&a).write_all(&u32::MAX.to_le_bytes()).unwrap();
        assert_eq!(receive::<Report>(&b).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let (a, b) = UnixStream::pair().unwrap();
        (&a).write_all(&[9, 0, 0, 0, b'{']).unwrap();
        drop(a);
        assert_eq!(receive::<Report>(&b).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
