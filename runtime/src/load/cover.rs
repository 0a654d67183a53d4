//! Whether what was approved is what is to be served.

use std::io::Read;

use serde::Deserialize;
use weighbridge_inference_wire::PartRole;
use weighbridge_policy::Approved;
use weighbridge_types::Sha256;

use super::{LoadError, SealedPart};

/// Largest manifest; ours have some KB.
const MANIFEST_BYTES_MAX: u64 = 8 << 20;

/// What counts here of `weighbridge.json`.
#[derive(Deserialize)]
struct Manifest {
    source: Source,
    files: Vec<Listed>,
}

#[derive(Deserialize)]
struct Source {
    parts: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    size_bytes: u64,
    sha256: Sha256,
}

/// Every part must be covered by `approved`; or the model was imported, the
/// files it was made of are covered, and its manifest lists every part. An
/// `imported` digest says which manifest the import had. A manifest need not be
/// covered itself where all that it lists is: it says sizes, special tokens and
/// defaults of sampling. Some parts of a model can be checked before the others
/// are there, if its manifest is among them.
///
/// # Errors
/// [`LoadError::NotApproved`] and [`LoadError::Import`] name the part.
pub fn check(parts: &[&SealedPart], approved: &Approved, imported: Option<&Sha256>) -> Result<(), LoadError> {
    let is_stranger = |p: &SealedPart| !approved.covers(&p.sha256);
    let others = || parts.iter().filter(|p| p.part.role != PartRole::Manifest);
    let Some(stranger) = parts.iter().find(|p| is_stranger(p)) else { return Ok(()) };
    let model = || approved.model().to_owned();
    let not_approved = |part: &str, digest| LoadError::NotApproved { model: model(), part: part.to_owned(), digest };
    let wrong = |reason: String| LoadError::Import { model: model(), reason };
    let Some(file) = parts.iter().find(|p| p.part.role == PartRole::Manifest) else {
        return Err(not_approved(&stranger.part.name, stranger.sha256));
    };
    if imported.is_some_and(|digest| *digest != file.sha256) {
        return Err(wrong("its manifest is not the one that was written at import".to_owned()));
    }
    let manifest = read(file).map_err(|why| wrong(format!("its manifest cannot be read: {why}")))?;
    if manifest.source.parts.is_empty() {
        return Err(wrong("its manifest names no files that it was made of".to_owned()));
    }
    let source = manifest.source.parts.iter().find(|p| !approved.covers(&p.sha256));
    if let Some(part) = source.filter(|_| others().any(|p| is_stranger(p)) || others().next().is_none()) {
        return Err(not_approved(&part.name, part.sha256));
    }
    for part in others() {
        let listed = manifest.files.iter().find(|f| f.name == part.part.name);
        if !listed.is_some_and(|f| f.sha256 == part.sha256 && f.size_bytes == part.part.size_bytes) {
            return Err(wrong(format!("`{}` is not as its manifest lists it", part.part.name)));
        }
    }
    Ok(())
}

fn read(file: &SealedPart) -> Result<Manifest, String> {
    use std::os::unix::fs::FileExt;
    /// Reads at its own position: the handle's is shared with others.
    struct At<'a>(&'a std::fs::File, u64);
    impl Read for At<'_> {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            let n = self.0.read_at(to, self.1)?;
            self.1 += n as u64;
            Ok(n)
        }
    }
    if file.part.size_bytes > MANIFEST_BYTES_MAX {
        return Err(format!("it has more than {MANIFEST_BYTES_MAX} bytes"));
    }
    let mut bytes = Vec::new();
    At(&file.memory, 0).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    serde_json::from_slice(&bytes).map_err(|e| e.to_string())
}
