use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use tough::async_trait;
use tough::key_source::KeySource;
use tough::schema::decoded::{Decoded, Hex};
use tough::schema::key::Key;
use tough::sign::{Sign, parse_keypair};

use crate::error::Error;

const PEM_TAG: &str = "PRIVATE KEY";

type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Kinds of keys that tough signs with and that we make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyType {
    /// RFC 8032; small, no randomness needed to sign.
    #[default]
    Ed25519,
    /// NIST P-256 with SHA-256, where a rule book asks for it.
    EcdsaP256,
}

/// A private key (PKCS #8).
#[derive(Clone)]
pub struct PrivateKey {
    der: Vec<u8>,
    public: Key,
    id: Decoded<Hex>,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("id", &self.id).field("der", &"[redacted]").finish()
    }
}

impl PrivateKey {
    pub fn generate(kind: KeyType) -> Result<Self, Error> {
        let rng = SystemRandom::new();
        let unspecified = |_| Error::Sign("no key could be made".to_owned());
        let document = match kind {
            KeyType::Ed25519 => Ed25519KeyPair::generate_pkcs8v1(&rng).map_err(unspecified)?,
            KeyType::EcdsaP256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &rng).map_err(unspecified)?
            }
        };
        let made = Self::from_der(document.as_ref().to_vec());
        made.ok_or_else(|| Error::Sign("the key that was made cannot be read".to_owned()))
    }

    fn from_der(der: Vec<u8>) -> Option<Self> {
        let public = parse_keypair(&der).ok()?.tuf_key();
        let id = public.key_id().ok()?;
        Some(Self { der, public, id })
    }

    pub fn from_pem(text: &[u8]) -> Option<Self> {
        let pem = pem::parse(text).ok().filter(|p| p.tag() == PEM_TAG)?;
        Self::from_der(pem.into_contents())
    }

    pub fn to_pem(&self) -> String {
        pem::encode_config(
            &pem::Pem::new(PEM_TAG, self.der.clone()),
            pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
        )
    }

    pub fn id(&self) -> &Decoded<Hex> {
        &self.id
    }

    pub fn public(&self) -> &Key {
        &self.public
    }

    /// As tough takes keys.
    pub fn source(&self) -> Box<dyn KeySource> {
        Box::new(self.clone())
    }
}

/// tough's own source of keys in files reads PEM for RSA alone.
#[async_trait]
impl KeySource for PrivateKey {
    async fn as_sign(&self) -> Result<Box<dyn Sign>, Cause> {
        Ok(Box::new(parse_keypair(&self.der)?))
    }

    async fn write(&self, _: &str, _: &str) -> Result<(), Cause> {
        Err("keys are not written back".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file_and_never_prints_itself() {
        for kind in [KeyType::Ed25519, KeyType::EcdsaP256] {
            let key = PrivateKey::generate(kind).unwrap();
            let read = PrivateKey::from_pem(key.to_pem().as_bytes()).unwrap();
            assert_eq!((read.id(), read.public()), (key.id(), key.public()));
            assert!(format!("{key:?}").contains("[redacted]"));
        }
        assert!(PrivateKey::from_pem(b"").is_none());
        assert!(PrivateKey::from_pem(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").is_none());
    }
}
