//! The certificate authority: Fulcio's API, version 2 (fulcio.proto,
//! `CreateSigningCertificate`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::{IdentityToken, KeylessError, RESPONSE_BYTES_MAX};
use crate::json;
use crate::signature::chain;
use crate::signature::key::PrivateKey;

/// Most certificates in an answer.
const CHAIN_MAX: usize = 10;

pub(super) fn request(token: &IdentityToken, key: &PrivateKey) -> Result<String, KeylessError> {
    let proof = key.sign(token.challenge().as_bytes())?;
    Ok(json!({
        "credentials": { "oidcIdentityToken": token.secret() },
        "publicKeyRequest": {
            "publicKey": { "algorithm": "ECDSA", "content": key.public()?.to_pem() },
            "proofOfPossession": STANDARD.encode(proof),
        },
    })
    .to_string())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    signed_certificate_embedded_sct: Option<Embedded>,
    signed_certificate_detached_sct: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Embedded {
    chain: Chain,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<String>,
}

/// The certificate in an answer, DER. Those above it are in the trusted root.
pub(super) fn certificate(response: &[u8]) -> Result<Vec<u8>, KeylessError> {
    let failed = |e: &dyn std::fmt::Display| KeylessError::Certificate(e.to_string());
    let value = json::strict(response, RESPONSE_BYTES_MAX).map_err(|e| failed(&e))?;
    let answer: Answer = serde_json::from_value(value).map_err(|e| failed(&e))?;
    let chain = match (answer.signed_certificate_embedded_sct, answer.signed_certificate_detached_sct) {
        (Some(embedded), _) => embedded.chain.certificates,
        (None, Some(_)) => return Err(failed(&"the certificate log's promise is not embedded in it")),
        (None, None) => return Err(failed(&"it holds no certificate")),
    };
    match chain.first() {
        Some(leaf) if chain.len() <= CHAIN_MAX => {
            let leaf = chain::from_pem(leaf.as_bytes()).map_err(|e| failed(&e))?;
            leaf.into_iter().next().ok_or_else(|| failed(&"it holds no certificate"))
        }
        _ => Err(failed(&format_args!("it holds {} certificates", chain.len()))),
    }
}
