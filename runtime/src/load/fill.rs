//! One pass over a file: hashed while it is copied into memory.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::mpsc;
use std::thread;

use sha2::{Digest, Sha256 as Hasher};
use weighbridge_inference_wire::Part;
use weighbridge_platform::sealed;
use weighbridge_types::Sha256;

use super::{LoadError, PartSource, SealedPart};

/// Bytes read at a time.
const BLOCK_BYTES: usize = 1 << 20;
/// Blocks between copying and hashing.
const BLOCKS: usize = 4;

/// Copies a part into sealed memory.
pub fn seal(source: PartSource) -> Result<SealedPart, LoadError> {
    let PartSource { role, name, file, sha256: expected } = source;
    let read = |source| LoadError::Read { part: name.clone(), source };
    let size = file.metadata().map_err(read)?.len();
    let mut memory = sealed::create("weighbridge-model").map_err(read)?;
    let (found, copied) = copy(&file, &mut memory, size).map_err(read)?;
    if copied != size {
        return Err(LoadError::Changed { part: name });
    }
    if found != expected {
        return Err(LoadError::Mismatch { part: name, found, expected });
    }
    sealed::seal(&memory).map_err(read)?;
    Ok(SealedPart { part: Part { role, name, size_bytes: size }, memory, sha256: found })
}

/// Copies what there is, at most one byte more than `size`, and hashes the same
/// blocks on another thread. Returns digest and length.
fn copy(from: &File, to: &mut File, size: u64) -> io::Result<(Sha256, u64)> {
    thread::scope(|scope| {
        let (full, filled) = mpsc::sync_channel::<(Vec<u8>, usize)>(BLOCKS);
        let (give_back, empty) = mpsc::channel();
        for _ in 0..BLOCKS {
            // The receiver is in this scope.
            let _ = give_back.send(vec![0; BLOCK_BYTES]);
        }
        let hasher = thread::Builder::new().name("digest".to_owned()).spawn_scoped(scope, move || {
            let mut hasher = Hasher::new();
            for (block, length) in filled {
                hasher.update(block.get(..length).unwrap_or_default());
                // Nobody needs the last ones.
                let _ = give_back.send(block);
            }
            Sha256::new(hasher.finalize().into())
        })?;
        let mut at = 0;
        while at <= size {
            let Ok(mut block) = empty.recv() else { break };
            let most = usize::try_from(size - at).unwrap_or(usize::MAX).saturating_add(1).min(BLOCK_BYTES);
            let length = match from.read_at(block.get_mut(..most).unwrap_or_default(), at) {
                Ok(0) => break,
                Ok(length) => length,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                    drop(full.send((block, 0)));
                    continue;
                }
                Err(e) => return Err(e),
            };
            to.write_all(block.get(..length).unwrap_or_default())?;
            at += length as u64;
            drop(full.send((block, length)));
        }
        drop(full);
        let digest = hasher.join().map_err(|_| io::Error::other("the hashing thread panicked"))?;
        Ok((digest, at))
    })
}

#[cfg(test)]
mod tests {
    use weighbridge_inference_wire::PartRole;

    use super::*;

    fn source(content: &[u8], sha256: Sha256) -> PartSource {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        PartSource { role: PartRole::Data, name: "weights".to_owned(), file, sha256 }
    }

    fn digest(content: &[u8]) -> Sha256 {
        Sha256::new(Hasher::digest(content).into())
    }

    #[test]
    fn the_copy_is_whole_sealed_and_hashed() {
        for length in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 5 * BLOCK_BYTES + 7] {
            let content: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let sealed = seal(source(&content, digest(&content))).unwrap();
            let mut copy = vec![0; length];
            sealed.memory.read_exact_at(&mut copy, 0).unwrap();
            assert!(copy == content && sealed.part.size_bytes == length as u64);
            assert!(sealed.memory.write_at(b"x", 0).is_err() && sealed.memory.set_len(length as u64 + 1).is_err());
        }
    }

    #[test]
    fn other_bytes_are_refused_by_name() {
        let refused = seal(source(b"evil", digest(b"good"))).unwrap_err();
        assert!(refused.to_string().starts_with("`weights` has the digest"), "{refused}");
    }

    #[test]
    fn a_file_that_grew_is_noticed() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 100]).unwrap();
        let mut memory = sealed::create("test").unwrap();
        assert_eq!(copy(&file, &mut memory, 10).unwrap().1, 11);
        assert_eq!(copy(&file, &mut memory, 200).unwrap().1, 100);
    }
}
