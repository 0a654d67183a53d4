//! What files are judged by beyond what is built in: YARA rules, advisories,
//! trusted signers, known digests. Read from files that a user or a policy
//! repository brings.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use weighbridge_provenance::advisory::{self, osv};
use weighbridge_provenance::origin::{CATALOGUE_BYTES_MAX, Catalogue};
use weighbridge_provenance::signature::{TRUST_BYTES_MAX, TrustConfig};

/// How files of YARA rules and of advisories end.
const RULES: &[&str] = &["yar", "yara"];
const DOCUMENTS: &[&str] = &["json"];
/// Largest YARA file read, bytes.
const RULES_BYTES_MAX: u64 = 16 << 20;
/// Most advisories read from a folder.
const DOCUMENTS_MAX: usize = 10_000;

/// Why one of them cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JudgeError {
    /// A file or folder cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// Which.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// What is in it is not what it should be.
    #[error("{0}")]
    Content(String),
    /// An advisory cannot be used.
    #[error(transparent)]
    Advisory(#[from] advisory::CatalogueError),
}

impl JudgeError {
    fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Read { path, source }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Judges {
    /// YARA rules: where they stand, and their text.
    pub patterns: Vec<(String, String)>,
    /// Which bytes are which revision of which repository.
    pub catalogue: Arc<Catalogue>,
    /// What is known against models.
    pub advisories: Arc<advisory::Catalogue>,
    /// Who is trusted to sign models.
    pub trust: TrustConfig,
}

/// Where they are; what is not named is not there.
#[derive(Debug, Clone, Default)]
pub struct JudgePlaces {
    /// Folder of YARA rules.
    pub patterns: Option<PathBuf>,
    /// Digest catalogue.
    pub catalogue: Option<PathBuf>,
    /// Folder of advisories.
    pub advisories: Option<PathBuf>,
    /// Trust file.
    pub trust: Option<PathBuf>,
}

impl JudgePlaces {
    /// Where a policy repository or bundle in `folder` keeps them.
    #[must_use]
    pub fn of_policy(folder: &Path) -> Self {
        let file = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
        let folder = |name: &str, of: &[&str]| file(name).filter(|path| listed(path, of).is_ok());
        Self {
            patterns: folder("rules", RULES),
            catalogue: file("trust/catalogue.json"),
            advisories: folder("advisories", DOCUMENTS),
            trust: file("trust/trust.toml"),
        }
    }

    /// These, and those of `others` where none is named here.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            patterns: self.patterns.or(others.patterns),
            catalogue: self.catalogue.or(others.catalogue),
            advisories: self.advisories.or(others.advisories),
            trust: self.trust.or(others.trust),
        }
    }

    /// Reads them; advisories count as of `now`.
    ///
    /// # Errors
    /// [`JudgeError`] names the file.
    pub fn read(&self, now: Timestamp) -> Result<Judges, JudgeError> {
        let documents = self.advisories.as_deref().map(documents).transpose()?.unwrap_or_default();
        Ok(Judges {
            patterns: self.patterns.as_deref().map(patterns).transpose()?.unwrap_or_default(),
            catalogue: Arc::new(self.catalogue.as_deref().map(catalogue).transpose()?.unwrap_or_default()),
            advisories: Arc::new(advisory::Catalogue::of_models(&documents, now)?),
            trust: self.trust.as_deref().map(trust).transpose()?.unwrap_or_default(),
        })
    }
}

/// The YARA files directly in `folder`, by name.
fn patterns(folder: &Path) -> Result<Vec<(String, String)>, JudgeError> {
    let files = listed(folder, RULES)?;
    let read = |file: PathBuf| Ok((file.display().to_string(), text(&file, RULES_BYTES_MAX)?));
    files.into_iter().map(read).collect()
}

/// The digest catalogue in `file`.
fn catalogue(file: &Path) -> Result<Catalogue, JudgeError> {
    let bytes = bytes(file, CATALOGUE_BYTES_MAX as u64).map_err(JudgeError::read(file))?;
    Catalogue::parse(&bytes)
        .map_err(|e| JudgeError::Content(format!("the catalogue `{}` cannot be used: {e}", file.display())))
}

/// The advisories (OSV documents) directly in `folder`: where they stand, and
/// their bytes.
///
/// # Errors
/// [`JudgeError`] names the file.
pub fn documents(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, JudgeError> {
    let read = |path: PathBuf| {
        let bytes = bytes(&path, osv::DOCUMENT_BYTES_MAX as u64).map_err(JudgeError::read(&path))?;
        Ok((path.display().to_string(), bytes))
    };
    listed(folder, DOCUMENTS)?.into_iter().map(read).collect()
}

/// The signers in a trust file; the files it names are relative to it.
///
/// # Errors
/// [`JudgeError`] names the file.
pub fn trust(path: &Path) -> Result<TrustConfig, JudgeError> {
    let content = text(path, TRUST_BYTES_MAX)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let read = |name: &str| utf8(bytes(&folder.join(name), TRUST_BYTES_MAX)?);
    TrustConfig::parse(&content, &read).map_err(|e| JudgeError::Content(format!("in `{}`: {e}", path.display())))
}

/// Files directly in `folder` that end in one of `extensions`, in order.
fn listed(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, JudgeError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(JudgeError::read(folder))? {
        let path = entry.map_err(JudgeError::read(folder))?.path();
        if path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)) && path.is_file() {
            files.push(path);
        }
        if files.len() > DOCUMENTS_MAX {
            return Err(JudgeError::Content(format!("more than {DOCUMENTS_MAX} files in `{}`", folder.display())));
        }
    }
    if files.is_empty() {
        let wanted: Vec<String> = extensions.iter().map(|e| format!("*.{e}")).collect();
        return Err(JudgeError::Content(format!("no {} files in `{}`", wanted.join(" or "), folder.display())));
    }
    files.sort();
    Ok(files)
}

fn text(path: &Path, max: u64) -> Result<String, JudgeError> {
    bytes(path, max).and_then(utf8).map_err(JudgeError::read(path))
}

/// Content of at most `max` bytes.
fn bytes(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than may be, so that a longer file is refused.
    File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {max} bytes")));
    }
    Ok(bytes)
}

fn utf8(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.utf8_error()))
}
