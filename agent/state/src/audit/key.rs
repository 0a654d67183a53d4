//! The endpoint's signing key: Ed25519 (RFC 8032), made at the first start.

use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::Mode;

use crate::error::shown;
use crate::{StateError, folder, hex};

/// Name of the private half.
const KEY: &str = "audit.key";
/// Name of the public half.
const PUBLIC: &str = "audit.pub";
/// Longest key file, bytes; ours have about 120.
const KEY_BYTES_MAX: u64 = 4096;
/// `SubjectPublicKeyInfo` of an Ed25519 key up to its 32 bytes (RFC 8410, section 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Signs heads.
pub(crate) struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl Signer {
    /// The key in `dir`; a new one if there is none and `entries`, the number of
    /// entries signed with it so far, is 0.
    pub(crate) fn open(dir: &Path, entries: u64) -> Result<Self, StateError> {
        let path = dir.join(KEY);
        let pair = match folder::read_small(&path, KEY_BYTES_MAX)? {
            Some((_, mode)) if mode & 0o077 != 0 => return Err(StateError::KeyExposed { path: shown(&path), mode }),
            Some((pem, _)) => parse(&pem).ok_or_else(|| StateError::NotAKey { path: shown(&path) })?,
            None if entries > 0 => return Err(StateError::KeyGone { path: shown(&path), entries }),
            None => make(&path)?,
        };
        let public = PublicKey(
            <[u8; 32]>::try_from(pair.public_key().as_ref()).map_err(|_| StateError::NotAKey { path: shown(&path) })?,
        );
        let beside = dir.join(PUBLIC);
        let pem = public.to_pem();
        // Remade when it differs, so that nobody's other key is taken for ours.
        if !folder::read_small(&beside, KEY_BYTES_MAX).is_ok_and(|f| f.is_some_and(|(b, _)| b == pem.as_bytes())) {
            folder::replace(&beside, pem.as_bytes(), Mode::from_raw_mode(0o644))?;
        }
        Ok(Self { pair, public })
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<[u8; 64], StateError> {
        let signature = self.pair.try_sign(message).map_err(|_| StateError::Crypto("sign the head"))?;
        signature.as_ref().try_into().map_err(|_| StateError::Crypto("sign the head"))
    }

    pub(crate) fn public(&self) -> PublicKey {
        self.public
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({}, [redacted])", self.public)
    }
}

fn make(path: &Path) -> Result<Ed25519KeyPair, StateError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| StateError::Crypto("make the audit key"))?;
    let der = pair.to_pkcs8v1().map_err(|_| StateError::Crypto("encode the audit key"))?;
    folder::replace(path, pem("PRIVATE KEY", der.as_ref()).as_bytes(), Mode::RUSR | Mode::WUSR)?;
    Ok(pair)
}

fn parse(text: &[u8]) -> Option<Ed25519KeyPair> {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&unpem("PRIVATE KEY", text)?).ok()
}

/// The public half of an endpoint's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads what [`Self::to_pem`] wrote.
    #[must_use]
    pub fn from_pem(text: &[u8]) -> Option<Self> {
        let der = unpem("PUBLIC KEY", text)?;
        der.strip_prefix(SPKI.as_slice())?.try_into().ok().map(Self)
    }

    /// The public half of the key in the state directory `dir`.
    ///
    /// # Errors
    /// A file that is missing or no such key.
    pub fn read(dir: &Path) -> Result<Self, StateError> {
        let path = dir.join(PUBLIC);
        let file = folder::read_small(&path, KEY_BYTES_MAX)?;
        file.and_then(|(pem, _)| Self::from_pem(&pem)).ok_or_else(|| StateError::NotAKey { path: shown(&path) })
    }

    /// `SubjectPublicKeyInfo` in PEM form, as OpenSSL reads it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem("PUBLIC KEY", &[SPKI.as_slice(), &self.0].concat())
    }

    /// Whether `signature` over `message` was made with the private half.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl std::str::FromStr for PublicKey {
    type Err = ();

    /// 64 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, ()> {
        hex::decode(text).map(Self).ok_or(())
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    // An Ed25519 key of either kind fits one line or two.
    let body = STANDARD.encode(der);
    let (first, rest) = body.split_at_checked(64).unwrap_or((&body, ""));
    let gap = if rest.is_empty() { "" } else { "\n" };
    format!("-----BEGIN {label}-----\n{first}{gap}{rest}\n-----END {label}-----\n")
}

fn unpem(label: &str, text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let body =
        text.strip_prefix(&format!("-----BEGIN {label}-----"))?.strip_suffix(&format!("-----END {label}-----"))?;
    STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let first = Signer::open(dir.path(), 0).unwrap();
        let second = Signer::open(dir.path(), 7).unwrap();
        assert_eq!(first.public(), second.public());
        assert_eq!(PublicKey::read(dir.path()).unwrap(), first.public());
        assert_eq!(dir.path().join(KEY).metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let signature = second.sign(b"head").unwrap();
        assert!(first.public().verifies(b"head", &signature));
        assert!(!first.public().verifies(b"heaD", &signature));
    }

    #[test]
    fn a_key_that_is_gone_or_open_to_others_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Signer::open(dir.path(), 3), Err(StateError::KeyGone { entries: 3, .. })));
        Signer::open(dir.path(), 0).unwrap();
        let path = dir.path().join(KEY);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Signer::open(dir.path(), 3), Err(StateError::KeyExposed { mode: 0o640, .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
        assert!(matches!(Signer::open(dir.path(), 3), Err(StateError::NotAKey { .. })));
    }
}
