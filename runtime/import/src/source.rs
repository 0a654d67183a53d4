use sha2::{Digest, Sha256};
use weighbridge_formats::Input;

use crate::ImportError;
use crate::error::Name;
use crate::manifest::{FileEntry, hex};

/// Bytes hashed at a time.
const HASH_WINDOW_BYTES: usize = 1 << 20;

/// One open file of a model.
#[derive(Debug)]
pub struct Part {
    /// Name within the model's folder; never opened, only matched.
    pub name: String,
    /// The bytes.
    pub input: Input,
    /// Its SHA-256 where the caller knows it for exactly these bytes; computed
    /// otherwise, which costs one more read.
    pub sha256: Option<[u8; 32]>,
}

/// The files of one model: a GGUF file (or its splits), or a safetensors
/// folder in the layout of the Hugging Face hub.
#[derive(Debug, Default)]
pub struct Source {
    parts: Vec<Part>,
}

impl Source {
    /// A source without files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the open file `name`; of two with one name, the first counts.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, input: Input) -> Self {
        self.push(Part { name: name.into(), input, sha256: None });
        self
    }

    /// Adds a part.
    pub fn push(&mut self, part: Part) {
        if self.get(&part.name).is_none() {
            self.parts.push(part);
        }
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|p| p.name == name)
    }

    /// The whole of `name`, if it is there, at most `bytes_max` long.
    pub(crate) fn bytes(&self, name: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, ImportError> {
        let Some(part) = self.get(name) else { return Ok(None) };
        let named = || Name::new(name);
        if part.input.len() > bytes_max as u64 {
            return Err(ImportError::TooLarge { part: named(), bytes_max: bytes_max as u64 });
        }
        let bytes = part.input.head(bytes_max).map_err(|source| ImportError::Read { part: named(), source })?;
        Ok(Some(bytes))
    }

    /// As [`Self::bytes`], as JSON.
    pub(crate) fn json(&self, name: &str, bytes_max: usize) -> Result<Option<serde_json::Value>, ImportError> {
        let Some(bytes) = self.bytes(name, bytes_max)? else { return Ok(None) };
        let value = serde_json::from_slice(&bytes).map_err(|e| ImportError::malformed(name, e.to_string()))?;
        Ok(Some(value))
    }
}

impl Part {
    /// What the manifest says of it.
    pub(crate) fn entry(&self) -> Result<FileEntry, ImportError> {
        let digest = match self.sha256 {
            Some(known) => known,
            None => self.digest()?,
        };
        Ok(FileEntry { name: self.name.clone(), size_bytes: self.input.len(), sha256: hex(&digest) })
    }

    fn digest(&self) -> Result<[u8; 32], ImportError> {
        let mut hash = Sha256::new();
        let mut window = vec![0; HASH_WINDOW_BYTES];
        let mut at = 0;
        while at < self.input.len() {
            let fail = |source| ImportError::Read { part: Name::new(&self.name), source };
            let n = self.input.read_at(at, &mut window).map_err(fail)?;
            if n == 0 {
                return Err(fail(std::io::ErrorKind::UnexpectedEof.into()));
            }
            hash.update(window.get(..n).unwrap_or_default());
            at += n as u64;
        }
        Ok(hash.finalize().into())
    }
}
