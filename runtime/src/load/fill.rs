//! One pass over a file: hashed while it is copied into memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::mpsc;
use std::thread;

use sha2::{Digest, Sha256 as Hasher};
use weighbridge_platform::sealed::Filling;
use weighbridge_types::Sha256;

use super::{LoadError, Measured, SealedPart};

/// Most blocks copied and not hashed: they stay in the processor's caches.
const BLOCKS_AHEAD: usize = 4;

/// Copies a part into sealed memory.
pub fn seal(source: Measured) -> Result<SealedPart, LoadError> {
    let Measured { part, file, sha256: expected } = source;
    let read = |source| LoadError::Read { part: part.name.clone(), source };
    let mut filling = Filling::create("weighbridge-model", part.size_bytes).map_err(read)?;
    let Some(found) = copy(&file, &mut filling, part.size_bytes).map_err(read)? else {
        return Err(LoadError::Changed { part: part.name });
    };
    if found != expected {
        return Err(LoadError::Mismatch { part: part.name, found, expected });
    }
    let memory = filling.seal().map_err(read)?;
    Ok(SealedPart { part, memory, sha256: found })
}

/// Copies all of a file of `size` bytes and hashes the same bytes, where they
/// lie now, on another thread. None if it has another length.
fn copy(from: &File, to: &mut Filling, size: u64) -> io::Result<Option<Sha256>> {
    thread::scope(|scope| {
        let (full, filled) = mpsc::sync_channel::<&[u8]>(BLOCKS_AHEAD);
        let hasher = thread::Builder::new().name("digest".to_owned()).spawn_scoped(scope, move || {
            let mut hasher = Hasher::new();
            filled.iter().for_each(|block| hasher.update(block));
            Sha256::new(hasher.finalize().into())
        })?;
        let mut at = 0;
        for block in to.blocks() {
            let block = block?;
            match from.read_exact_at(block, at) {
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                other => other?,
            }
            at += block.len() as u64;
            // It hashes until this ends.
            let _ = full.send(block);
        }
        drop(full);
        let digest = hasher.join().map_err(|_| io::Error::other("the hashing thread panicked"))?;
        let grew = from.read_at(&mut [0], size)? > 0;
        Ok((!grew).then_some(digest))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use weighbridge_inference_wire::{Part, PartRole};

    use super::*;

    fn source(content: &[u8], sha256: Sha256) -> Measured {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        let part = Part { role: PartRole::Data, name: "weights".to_owned(), size_bytes: content.len() as u64 };
        Measured { part, file, sha256 }
    }

    fn digest(content: &[u8]) -> Sha256 {
        Sha256::new(Hasher::digest(content).into())
    }

    #[test]
    fn the_copy_is_whole_sealed_and_hashed() {
        let block = Filling::BLOCK_BYTES;
        for length in [0, 1, block - 1, block, 5 * block + 7] {
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
    fn a_file_of_another_length_is_noticed() {
        for length in [2 << 20, 99, 101] {
            let mut changed = source(&vec![7; length], digest(&vec![7; length]));
            changed.part.size_bytes = 100;
            let refused = seal(changed).unwrap_err();
            assert!(refused.to_string().starts_with("`weights` changed while it was read"), "{length}: {refused}");
        }
    }
}
