//! The timestamp authority (RFC 3161).

use sha2::{Digest, Sha256};
use sigstore_verify::trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};
use sigstore_verify::types::{SignatureBytes, TimestampToken};

use super::KeylessError;

/// Longest answer kept in a bundle, bytes.
const BYTES_MAX: usize = 64 << 10;
/// `TimeStampReq` of version 1 for a SHA-256, up to the digest.
const REQUEST_HEAD: &[u8] = &[
    0x30, 57, 0x02, 1, 1, // TimeStampReq, version
    0x30, 49, 0x30, 13, 0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 0x05, 0, // id-sha256
    0x04, 32, // hashedMessage
];
/// `certReq`: yes.
const REQUEST_TAIL: &[u8] = &[0x01, 1, 0xff];

/// Asks for a time for `signature`. There is no nonce: no older answer fits a
/// signature that has just been made.
pub(super) fn request(signature: &[u8]) -> Vec<u8> {
    [REQUEST_HEAD, &Sha256::digest(signature), REQUEST_TAIL].concat()
}

/// The answer as it goes into a bundle: whole.
pub(super) fn response(bytes: &[u8]) -> Result<Vec<u8>, KeylessError> {
    if bytes.len() > BYTES_MAX {
        return Err(KeylessError::Timestamp(format!("it is {} bytes long; at most {BYTES_MAX} are kept", bytes.len())));
    }
    Ok(bytes.to_vec())
}

/// Verifies the answer for `signature` with the authorities of `trusted_root`:
/// a verifier would pass over a timestamp it cannot place.
pub(super) fn confirm(bytes: &[u8], signature: &[u8], trusted_root: Option<&str>) -> Result<(), KeylessError> {
    let failed = |e: &dyn std::fmt::Display| KeylessError::Timestamp(e.to_string());
    let root = TrustedRoot::from_json(trusted_root.unwrap_or(SIGSTORE_PRODUCTION_TRUSTED_ROOT));
    let root = root.map_err(|e| failed(&format_args!("the trusted root is unusable: {e}")))?;
    let (token, signature) = (TimestampToken::from_bytes(bytes), SignatureBytes::from_bytes(signature));
    let mut last = failed(&"the trusted root names no timestamp authority");
    for authority in root.tsa_authorities() {
        match sigstore_verify::tsa::verify_timestamp_for_authority(&token, &signature, &authority) {
            Ok(_) => return Ok(()),
            Err(error) => last = failed(&error),
        }
    }
    Err(last)
}
