//! Frames between the daemon and its gate.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use serde::Serialize;
use serde::de::DeserializeOwned;
use weighbridge_platform::frames;

/// Largest frame either way, bytes: a start with many marks. A path is at
/// most 4,096 bytes, four characters each where they are no text.
pub const FRAME_BYTES_MAX: usize = 256 << 10;

/// See [`frames::send`].
pub fn send(socket: &UnixStream, message: &impl Serialize, handles: &[BorrowedFd<'_>]) -> io::Result<()> {
    frames::send(socket, message, handles, FRAME_BYTES_MAX)
}

/// See [`frames::receive`].
pub fn receive<T: DeserializeOwned>(socket: &UnixStream) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    frames::receive(socket, FRAME_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Refusal, Report};
    use std::ffi::OsStr;
    use std::io::Write;
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
