//! Who this endpoint is to its console, on disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::{Deserialize, Serialize};
use weighbridge_console_wire::{Enrolled, Renewal};

use crate::client::Answer;
use crate::trust::{key_digest, mutual};
use crate::{Address, Client, ReportError};

const KEY: &str = "key.pem";
const NEXT_KEY: &str = "key.next.pem";
const ABOUT: &str = "console.json";
/// Largest file read; ours have some KB.
const BYTES_MAX: u64 = 256 << 10;

/// A folder with key, certificate, and whom they are for.
#[derive(Debug, Clone)]
pub struct Identity {
    folder: PathBuf,
    about: About,
}

/// Everything but the key, in one file: it changes as a whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct About {
    address: String,
    /// SHA-256 of the authority's key, as the token named it, hexadecimal.
    authority: String,
    #[serde(flatten)]
    enrolled: Enrolled,
    /// SHA-256 of the key that the certificate is for: after a renewal that was
    /// cut short, it says which of two keys counts.
    key: String,
}

impl Identity {
    /// The identity in `folder`; none if this endpoint is not enrolled.
    ///
    /// # Errors
    /// [`ReportError::File`], [`ReportError::Identity`].
    pub fn open(folder: &Path) -> Result<Option<Self>, ReportError> {
        let Some(text) = read(&folder.join(ABOUT))? else { return Ok(None) };
        let damaged = |reason: String| ReportError::Identity { path: folder.to_owned(), reason };
        let about = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
        Ok(Some(Self { folder: folder.to_owned(), about }))
    }

    /// Keeps what `address` answered to a request with the key in `folder`.
    pub(crate) fn keep(
        folder: &Path,
        address: &Address,
        authority: [u8; 32],
        enrolled: Enrolled,
    ) -> Result<Self, ReportError> {
        let key = hex(&certified(&enrolled).ok_or_else(|| strange("no certificate came"))?);
        let about = About { address: address.to_string(), authority: hex(&authority), enrolled, key };
        let identity = Self { folder: folder.to_owned(), about };
        identity.authority()?;
        identity.write()?;
        Ok(identity)
    }

    /// Number of this endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.about.enrolled.endpoint
    }

    /// Where the console is.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.about.address
    }

    /// Until when the certificate is good.
    #[must_use]
    pub fn expires(&self) -> jiff::Timestamp {
        self.about.enrolled.expires
    }

    /// Speaks to the console as this endpoint.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn client(&self) -> Result<Client, ReportError> {
        let path = || self.folder.clone();
        let key = self.key()?;
        let chain = &self.about.enrolled.certificates;
        let config = mutual(&self.authority()?, chain, &key);
        Client::new(self.address().parse()?, config.map_err(|reason| ReportError::Identity { path: path(), reason })?)
    }

    /// Asks for the next certificate, for a new key, over `client`; whoever uses
    /// it afterwards makes a new client.
    ///
    /// # Errors
    /// [`ReportError`]; the old certificate is kept then.
    pub fn renew(&mut self, client: &mut Client) -> Result<(), ReportError> {
        let next = self.folder.join(NEXT_KEY);
        let key = match read(&next)? {
            // One that was asked for and never answered.
            Some(key) => key,
            None => new_key(&next)?,
        };
        let renewed = client.tell::<Enrolled>("renew", &Renewal { request: request(&key)? })?;
        let Answer::Done(enrolled) = renewed else { return Err(strange("it does not renew")) };
        if enrolled.endpoint != self.about.enrolled.endpoint {
            return Err(strange("it takes this endpoint for another"));
        }
        let digest = certified(&enrolled).ok_or_else(|| strange("no certificate came"))?;
        let about = About { enrolled, key: hex(&digest), ..self.about.clone() };
        let renewed = Self { folder: self.folder.clone(), about };
        renewed.authority()?;
        // From here on the new key counts, also if the renaming is cut short.
        renewed.write()?;
        let old = self.folder.join(KEY);
        fs::rename(&next, &old).map_err(|source| ReportError::File { action: "write", path: old, source })?;
        *self = renewed;
        Ok(())
    }

    /// The key that the certificate is for, PEM.
    fn key(&self) -> Result<String, ReportError> {
        for name in [KEY, NEXT_KEY] {
            if let Some(key) = read(&self.folder.join(name))?
                && public_digest(&key).is_some_and(|digest| hex(&digest) == self.about.key)
            {
                return Ok(key);
            }
        }
        let reason = "the key of its certificate is not there".to_owned();
        Err(ReportError::Identity { path: self.folder.clone(), reason })
    }

    /// The authority's certificate, PEM: the one among those that came whose key
    /// the token named.
    fn authority(&self) -> Result<String, ReportError> {
        let chain = &self.about.enrolled.certificates;
        let all = CertificateDer::pem_slice_iter(chain.as_bytes());
        let named = |c: &CertificateDer<'_>| key_digest(c).is_some_and(|digest| hex(&digest) == self.about.authority);
        let position = all.flatten().position(|c| named(&c)).ok_or_else(|| strange("its authority is another"))?;
        let blocks = chain.split_inclusive("-----END CERTIFICATE-----");
        blocks.map(str::trim).nth(position).map(str::to_owned).ok_or_else(|| strange("its authority is another"))
    }

    fn write(&self) -> Result<(), ReportError> {
        let text = serde_json::to_string_pretty(&self.about).unwrap_or_default();
        whole(&self.folder.join(ABOUT), text.as_bytes())
    }
}

/// The key in `folder` that a token is asked with, made if there is none; PEM.
pub fn own_key(folder: &Path) -> Result<String, ReportError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| ReportError::File { action: "make", path: folder.to_owned(), source })?;
    let path = folder.join(KEY);
    match read(&path)? {
        Some(key) => Ok(key),
        None => new_key(&path),
    }
}

/// PKCS #10 for `key`, PEM.
pub fn request(key: &str) -> Result<String, ReportError> {
    let made = KeyPair::from_pem(key).and_then(|key| CertificateParams::default().serialize_request(&key)?.pem());
    made.map_err(|e| ReportError::Answer(format!("this endpoint's key cannot be used: {e}")))
}

fn new_key(path: &Path) -> Result<String, ReportError> {
    let key = KeyPair::generate().map_err(|e| ReportError::Answer(e.to_string()))?.serialize_pem();
    whole(path, key.as_bytes())?;
    Ok(key)
}

fn public_digest(key: &str) -> Option<[u8; 32]> {
    use rcgen::PublicKeyData;
    use sha2::{Digest, Sha256};
    let key = KeyPair::from_pem(key).ok()?;
    Some(Sha256::digest(key.subject_public_key_info()).into())
}

/// Digest of the key that a certificate is for.
fn certified(enrolled: &Enrolled) -> Option<[u8; 32]> {
    key_digest(&CertificateDer::from_pem_slice(enrolled.certificates.as_bytes()).ok()?)
}

fn strange(what: &str) -> ReportError {
    ReportError::Answer(what.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whole or not at all, also where the power fails; for the owner alone.
fn whole(path: &Path, content: &[u8]) -> Result<(), ReportError> {
    let written = || {
        let new = path.with_extension("new");
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    written().map_err(|source| ReportError::File { action: "write", path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Option<String>, ReportError> {
    let mut text = String::new();
    match File::open(path).and_then(|f| f.take(BYTES_MAX).read_to_string(&mut text)) {
        Ok(_) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ReportError::File { action: "read", path: path.to_owned(), source }),
    }
}
