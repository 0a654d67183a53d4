//! Reading a file once: its digest, and a copy with the same holes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use sha2::{Digest, Sha256 as Hasher};
use weighbridge_types::Sha256;

/// Read at a time, bytes.
const CHUNK: usize = 1 << 20;

/// The digest of `from`, which is copied to `to`, if given. The position of
/// `from` is moved and set back.
pub(super) fn digest(from: &File, to: Option<&File>) -> io::Result<Sha256> {
    let position = rustix::fs::tell(from)?;
    let digest = read(from, to);
    rustix::fs::seek(from, SeekFrom::Start(position))?;
    digest
}

fn read(from: &File, to: Option<&File>) -> io::Result<Sha256> {
    let size = from.metadata()?.len();
    let mut buffer = vec![0; CHUNK];
    let mut hasher = Hasher::new();
    let mut at = 0;
    while at < size {
        let (start, end) = next_data(from, at, size)?;
        zeros(&mut hasher, start.saturating_sub(at));
        at = start;
        while at < end {
            let want = usize::try_from(end.saturating_sub(at)).unwrap_or(CHUNK).min(CHUNK);
            let n = from.read_at(buffer.get_mut(..want).unwrap_or_default(), at)?;
            let bytes = buffer.get(..n).unwrap_or_default();
            if bytes.is_empty() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read"));
            }
            hasher.update(bytes);
            if let Some(to) = to {
                to.write_all_at(bytes, at)?;
            }
            at = at.saturating_add(u64::try_from(n).unwrap_or(u64::MAX));
        }
    }
    if let Some(to) = to {
        to.set_len(size)?;
    }
    Ok(Sha256::new(hasher.finalize().into()))
}

/// The next stretch of data from `at` on; empty at `size` if only a hole is left.
fn next_data(file: &File, at: u64, size: u64) -> io::Result<(u64, u64)> {
    let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok((size, size)),
        // Filesystems that know no holes.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok((at, size)),
        Err(e) => return Err(e.into()),
    };
    let end = rustix::fs::seek(file, SeekFrom::Hole(start)).unwrap_or(size);
    // The file may be changing under us; what is returned always leads forward.
    let start = start.clamp(at, size);
    Ok((start, if end > start { end.min(size) } else { size }))
}

fn zeros(hasher: &mut Hasher, mut n: u64) {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    while n > 0 {
        let some = usize::try_from(n).unwrap_or(ZEROS.len()).min(ZEROS.len());
        hasher.update(ZEROS.get(..some).unwrap_or(&ZEROS));
        n = n.saturating_sub(u64::try_from(some).unwrap_or(u64::MAX));
    }
}
