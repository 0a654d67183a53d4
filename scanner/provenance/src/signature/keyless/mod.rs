//! Keyless signing (Sigstore): a key that lives for one signature, a
//! certificate that binds it to an identity, a public log that remembers it.
//!
//! Nothing here speaks to the network. Each step gives the request to send and
//! takes the response: [`Candidate`], [`Certified`], [`Signed`], a bundle.
//! What comes out is held against a trusted root by [`confirm`], so that no
//! service has to be believed.

mod fulcio;
mod rekor;
mod services;
mod timestamp;
mod token;

use sigstore_verify::crypto::x509::parse_certificate_info;
use sigstore_verify::types::DerCertificate;
use weighbridge_types::Signer;

pub use services::Services;
pub use token::{IdentityToken, TOKEN_BYTES_MAX};

use super::bundle::{Bundle, Logged, payload_type};
use super::key::{KeyError, PrivateKey};
use super::manifest::Manifest;
use super::testimony::{Hearing, hear};
use super::trust::{MethodConfig, SignerConfig, Trust, TrustConfig, TrustError};
use super::{SignatureError, chain, dsse, now};
use crate::parsers::Run;

/// Longest response of a service that is read, bytes.
pub const RESPONSE_BYTES_MAX: usize = 1 << 20;

/// What services and their users hand in, for fuzzing.
pub(crate) const PARSERS: &[(&str, Run)] = &[
    ("sigstore-certificate", |bytes| {
        if let Ok(certificate) = fulcio::certificate(bytes) {
            let _ = (chain::key(&certificate), parse_certificate_info(&DerCertificate::from_bytes(&certificate)));
        }
    }),
    ("sigstore-log-entry", |bytes| drop(rekor::entry(bytes))),
    ("sigstore-services", |bytes| drop(Services::parse(bytes))),
    ("sigstore-timestamp", |bytes| drop(timestamp::confirm(bytes, b"signature", None))),
    ("sigstore-token", |bytes| drop(IdentityToken::parse(&String::from_utf8_lossy(bytes)))),
];

/// Why a model cannot be signed keylessly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeylessError {
    /// The identity token is no token.
    #[error("the identity token {0}")]
    Token(String),
    /// It was valid once.
    #[error("the identity token expired at {0}; fetch a new one right before signing")]
    Expired(jiff::Timestamp),
    /// The list of services cannot be used.
    #[error("the signing configuration {0}")]
    Services(String),
    /// The certificate authority answered something else.
    #[error("the certificate authority's answer is refused: {0}")]
    Certificate(String),
    /// The transparency log answered something else.
    #[error("the transparency log's answer is refused: {0}")]
    Log(String),
    /// The timestamp authority answered something else.
    #[error("the timestamp authority's answer is refused: {0}")]
    Timestamp(String),
    /// The key cannot be made or used.
    #[error("cannot use the key: {0}")]
    Key(#[from] KeyError),
    /// The manifest cannot be written.
    #[error(transparent)]
    Manifest(#[from] SignatureError),
    /// The trusted root is unusable.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The services made a signature that does not verify.
    #[error("the services made a signature that does not verify, so it is not kept: {0}; is this their trusted root?")]
    Unverified(String),
}

/// A key that waits for its certificate.
#[derive(Debug)]
pub struct Candidate<'a> {
    key: PrivateKey,
    token: &'a IdentityToken,
}

impl<'a> Candidate<'a> {
    /// Makes a fresh P-256 key for whoever `token` speaks of.
    ///
    /// # Errors
    /// [`KeylessError::Expired`], or if no key can be made.
    pub fn new(token: &'a IdentityToken) -> Result<Self, KeylessError> {
        token.check(now())?;
        Ok(Self { key: PrivateKey::generate()?, token })
    }

    /// The request for a certificate: JSON for `/api/v2/signingCert`. It holds
    /// the token; do not show it.
    ///
    /// # Errors
    /// If the key cannot sign.
    pub fn certificate_request(&self) -> Result<String, KeylessError> {
        fulcio::request(self.token, &self.key)
    }

    /// Takes the certificate authority's answer.
    ///
    /// # Errors
    /// [`KeylessError::Certificate`] if it certifies somebody or something else.
    pub fn certified(self, response: &[u8]) -> Result<Certified, KeylessError> {
        let failed = |e: &dyn std::fmt::Display| KeylessError::Certificate(e.to_string());
        let certificate = fulcio::certificate(response)?;
        if chain::key(&certificate).map_err(|e| failed(&e))? != self.key.public()? {
            return Err(failed(&"it certifies another key"));
        }
        let info = parse_certificate_info(&DerCertificate::from_bytes(&certificate)).map_err(|e| failed(&e))?;
        let identity = info.identity.ok_or_else(|| failed(&"it names no identity"))?.as_str().to_owned();
        let issuer = info.issuer.ok_or_else(|| failed(&"it names no identity provider"))?;
        self.token.check_certified(&identity, &issuer)?;
        Ok(Certified { key: self.key, certificate, identity, issuer })
    }
}

/// A key with its certificate.
#[derive(Debug)]
pub struct Certified {
    key: PrivateKey,
    certificate: Vec<u8>,
    identity: String,
    issuer: String,
}

impl Certified {
    /// Signs `manifest`. The key is gone afterwards.
    ///
    /// # Errors
    /// If the manifest cannot be written or the key cannot sign.
    pub fn sign(self, manifest: &Manifest) -> Result<Signed, KeylessError> {
        let payload = manifest.statement()?;
        let signature = self.key.sign(&dsse::pae(payload_type(), &payload))?;
        let Self { certificate, identity, issuer, .. } = self;
        Ok(Signed { certificate, identity, issuer, payload, signature })
    }
}

/// A signature that waits to be logged.
#[derive(Debug)]
pub struct Signed {
    certificate: Vec<u8>,
    identity: String,
    issuer: String,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    /// What to log: JSON for Rekor's `/api/v1/log/entries`.
    #[must_use]
    pub fn log_request(&self) -> String {
        rekor::request(&Bundle::envelope_of(&self.payload, &self.signature), &self.certificate)
    }

    /// What to have timestamped: RFC 3161, `application/timestamp-query`.
    #[must_use]
    pub fn timestamp_request(&self) -> Vec<u8> {
        timestamp::request(&self.signature)
    }

    /// Puts the log's answer, and the timestamp authority's if there was one,
    /// into a bundle, and verifies it against `trusted_root` (that of the
    /// public instance if absent). Gives the bundle's text.
    ///
    /// # Errors
    /// [`KeylessError::Unverified`] if the services lied or belong to another
    /// root.
    pub fn bundle(
        &self,
        logged: &[u8],
        timestamp: Option<&[u8]>,
        trusted_root: Option<&str>,
    ) -> Result<(String, Signer), KeylessError> {
        let timestamp = timestamp.map(timestamp::response).transpose()?;
        if let Some(timestamp) = &timestamp {
            timestamp::confirm(timestamp, &self.signature, trusted_root)?;
        }
        let entry = rekor::entry(logged)?;
        let material = Logged { certificate: &self.certificate, entry, timestamp };
        let text = Bundle::text_of_logged(&material, &self.payload, &self.signature);
        let signer = confirm(&text, &self.identity, &self.issuer, trusted_root)?;
        Ok((text, signer))
    }
}

/// Verifies a bundle just made as anyone would later.
fn confirm(text: &str, identity: &str, issuer: &str, trusted_root: Option<&str>) -> Result<Signer, KeylessError> {
    let method = MethodConfig::Sigstore {
        identity: identity.to_owned(),
        identity_provider: issuer.to_owned(),
        trusted_root: trusted_root.map(str::to_owned),
    };
    let config = TrustConfig { signers: vec![SignerConfig { name: None, method }] };
    let testimony = hear(text.as_bytes(), &Trust::new(&config)?, now(), Hearing::default());
    match (testimony.signer, testimony.objection) {
        (Some(signer), None) => Ok(signer),
        (_, objection) => Err(KeylessError::Unverified(objection.map_or_else(String::new, |o| o.reason))),
    }
}

#[cfg(test)]
mod tests;
