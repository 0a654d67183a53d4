//! EC keys: P-256, P-384, P-521 (FIPS 186-5), each with its hash.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, KeyPair};
use pem::{EncodeConfig, LineEnding, Pem};
use sha2::{Digest, Sha256};
use weighbridge_types::Sha256 as Sha256Digest;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};
use x509_cert::spki::SubjectPublicKeyInfoRef;

/// Longest PEM text read, bytes.
const PEM_BYTES_MAX: usize = 1 << 20;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No PEM block of this kind.
    #[error("it holds no `{0}` in PEM form")]
    NoPem(&'static str),
    /// It is protected by a passphrase.
    #[error("it is encrypted; decrypt it first (`openssl pkey -in KEY -out PLAIN`)")]
    Encrypted,
    /// RSA, Ed25519, another curve.
    #[error("it is not an EC key on P-256, P-384 or P-521")]
    Kind,
    /// It is damaged.
    #[error("it is damaged: {0}")]
    Malformed(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    pub(super) fn of(parameters: ObjectIdentifier) -> Option<Self> {
        match parameters.to_string().as_str() {
            "1.2.840.10045.3.1.7" => Some(Self::P256),
            "1.3.132.0.34" => Some(Self::P384),
            "1.3.132.0.35" => Some(Self::P521),
            _ => None,
        }
    }

    fn verifier(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_ASN1,
            Self::P384 => &signature::ECDSA_P384_SHA384_ASN1,
            Self::P521 => &signature::ECDSA_P521_SHA512_ASN1,
        }
    }

    fn signer(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
            Self::P521 => &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
        }
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    curve: Curve,
    point: Vec<u8>,
    spki: Vec<u8>,
}

impl PublicKey {
    /// Reads `-----BEGIN PUBLIC KEY-----`.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let block = block(text, |tag| tag == "PUBLIC KEY")?.ok_or(KeyError::NoPem("PUBLIC KEY"))?;
        Self::from_spki(block.contents())
    }

    /// Reads a DER SubjectPublicKeyInfo (RFC 5480).
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let malformed = |e: x509_cert::der::Error| KeyError::Malformed(e.to_string());
        let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(malformed)?;
        if spki.algorithm.oid != EC_PUBLIC_KEY {
            return Err(KeyError::Kind);
        }
        let parameters = spki.algorithm.parameters.ok_or(KeyError::Kind)?;
        let curve = parameters.decode_as().ok().and_then(Curve::of).ok_or(KeyError::Kind)?;
        let point = spki.subject_public_key.as_bytes().unwrap_or_default().to_vec();
        Ok(Self { curve, point, spki: spki.to_der().map_err(malformed)? })
    }

    /// Whether `signature` (DER) over `message` is this key's.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        signature::UnparsedPublicKey::new(self.curve.verifier(), &self.point).verify(message, signature).is_ok()
    }

    /// As [`Self::verifies`], with SHA-256 whatever the curve: as version 0.2
    /// of the reference signed.
    #[must_use]
    pub fn verifies_legacy(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm = match self.curve {
            Curve::P256 => &signature::ECDSA_P256_SHA256_ASN1,
            Curve::P384 => &signature::ECDSA_P384_SHA256_ASN1,
            Curve::P521 => &signature::ECDSA_P521_SHA256_ASN1,
        };
        signature::UnparsedPublicKey::new(algorithm, &self.point).verify(message, signature).is_ok()
    }

    /// `-----BEGIN PUBLIC KEY-----`
    #[must_use]
    pub fn to_pem(&self) -> String {
        to_pem("PUBLIC KEY", &self.spki)
    }

    /// SHA-256 of the PEM text: how bundles name a key.
    #[must_use]
    pub fn hint(&self) -> String {
        Sha256Digest::new(Sha256::digest(self.to_pem()).into()).to_string()
    }
}

/// A private key.
pub struct PrivateKey(EcdsaKeyPair);

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey([redacted])")
    }
}

impl PrivateKey {
    /// Reads PKCS #8 (RFC 5958) or SEC 1 (RFC 5915) in PEM form.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        if block(text, |tag| tag == "ENCRYPTED PRIVATE KEY")?.is_some() {
            return Err(KeyError::Encrypted);
        }
        let block = block(text, |tag| matches!(tag, "PRIVATE KEY" | "EC PRIVATE KEY"))?
            .ok_or(KeyError::NoPem("PRIVATE KEY"))?;
        if block.headers().iter().any(|(key, value)| key == "Proc-Type" && value.contains("ENCRYPTED")) {
            return Err(KeyError::Encrypted);
        }
        [Curve::P256, Curve::P384, Curve::P521]
            .into_iter()
            .find_map(|curve| EcdsaKeyPair::from_private_key_der(curve.signer(), block.contents()).ok())
            .map(Self)
            .ok_or(KeyError::Kind)
    }

    /// Makes a fresh key on P-256.
    ///
    /// # Errors
    /// If the library refuses, without a reason.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::generate(Curve::P256.signer());
        pair.map(Self).map_err(|_| KeyError::Malformed("none could be made".to_owned()))
    }

    /// Signs `message`; the signature is DER.
    ///
    /// # Errors
    /// If the library refuses, without a reason.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.0.sign(&SystemRandom::new(), message);
        Ok(signature.map_err(|_| KeyError::Malformed("signing failed".to_owned()))?.as_ref().to_vec())
    }

    /// The public half.
    ///
    /// # Errors
    /// If the library cannot encode it.
    pub fn public(&self) -> Result<PublicKey, KeyError> {
        let der = self.0.public_key().as_der().map_err(|_| KeyError::Malformed("no public half".to_owned()))?;
        PublicKey::from_spki(der.as_ref())
    }
}

/// The first PEM block whose tag is wanted. Text around blocks is skipped, as
/// OpenSSL does.
pub(super) fn block(text: &[u8], wanted: impl Fn(&str) -> bool) -> Result<Option<Pem>, KeyError> {
    Ok(blocks(text)?.into_iter().find(|b| wanted(b.tag())))
}

/// A PEM block with the line ends of Unix.
pub(super) fn to_pem(tag: &str, der: &[u8]) -> String {
    pem::encode_config(&Pem::new(tag, der), EncodeConfig::new().set_line_ending(LineEnding::LF))
}

/// All PEM blocks.
pub(super) fn blocks(text: &[u8]) -> Result<Vec<Pem>, KeyError> {
    if text.len() > PEM_BYTES_MAX {
        return Err(KeyError::Malformed("longer than 1 MiB".to_owned()));
    }
    pem::parse_many(text).map_err(|e| KeyError::Malformed(e.to_string()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A new key, and its public half in PEM form.
    pub fn pair() -> (PrivateKey, String) {
        let key = PrivateKey(EcdsaKeyPair::generate(Curve::P256.signer()).unwrap());
        let text = pem::encode(&Pem::new("PUBLIC KEY", key.public().unwrap().spki));
        (key, text)
    }

    #[test]
    fn each_curve_verifies_only_its_own_signatures() {
        let mut keys = Vec::new();
        for curve in [Curve::P256, Curve::P384, Curve::P521] {
            let pair = EcdsaKeyPair::generate(curve.signer()).unwrap();
            let pkcs8 = pair.to_pkcs8v1().unwrap();
            let text = pem::encode(&Pem::new("PRIVATE KEY", pkcs8.as_ref()));
            let text = format!("Text before, as certtool writes it\n{text}");
            keys.push(PrivateKey::from_pem(text.as_bytes()).unwrap());
        }
        for (i, key) in keys.iter().enumerate() {
            let signature = key.sign(b"message").unwrap();
            for (j, other) in keys.iter().enumerate() {
                assert_eq!(other.public().unwrap().verifies(b"message", &signature), i == j);
            }
            assert!(!key.public().unwrap().verifies(b"massage", &signature));
            let text = pem::encode(&Pem::new("PUBLIC KEY", key.public().unwrap().spki));
            assert_eq!(PublicKey::from_pem(text.as_bytes()).unwrap(), key.public().unwrap());
        }
    }

    #[test]
    fn what_is_no_ec_key_is_told_so() {
        assert_eq!(PublicKey::from_pem(b"").unwrap_err(), KeyError::NoPem("PUBLIC KEY"));
        let encrypted = pem::encode(&Pem::new("ENCRYPTED PRIVATE KEY", vec![1, 2, 3]));
        assert_eq!(PrivateKey::from_pem(encrypted.as_bytes()).unwrap_err(), KeyError::Encrypted);
        let garbage = pem::encode(&Pem::new("PUBLIC KEY", vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff]));
        assert!(matches!(PublicKey::from_pem(garbage.as_bytes()).unwrap_err(), KeyError::Malformed(_)));
        assert!(PrivateKey::from_pem(&vec![b' '; PEM_BYTES_MAX + 1]).is_err());
    }
}
