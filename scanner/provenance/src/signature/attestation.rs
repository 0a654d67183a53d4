//! In-toto attestations other than model signatures: SLSA provenance, test
//! results, scans. They say something of files by digest; here is read what,
//! and who says it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use weighbridge_types::{Sha256, Shown};

use super::bundle::Bundle;
use super::testimony::{self, Hearing, Objection};
use super::trust::{Trust, TrustedMethod};
use super::{SignatureError, dsse};
use crate::json;

/// Longest file read, bytes.
pub const ATTESTATION_BYTES_MAX: usize = 4 << 20;
/// Most attestations in one file.
const LINES_MAX: usize = 256;
/// Most subjects of one attestation.
const SUBJECTS_MAX: usize = 10_000;
/// Longest text kept of a field.
const TEXT_MAX: usize = 256;

/// One attestation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// SHA-256 of the files it speaks of.
    pub subjects: Vec<Sha256>,
    /// What kind of statement it is.
    pub predicate_type: String,
    /// Who or what built the files, where it says so.
    pub builder: Option<String>,
    /// Who signed, if that is somebody trusted.
    pub signer: Option<String>,
    /// Why it is not believed.
    pub objection: Option<Objection>,
}

/// Reads the attestations in a file: one JSON document, or one a line. Those
/// that cannot be read are left out: they say nothing of any file.
#[must_use]
pub fn attestations(bytes: &[u8], trust: &Trust, now: Timestamp) -> Vec<Attestation> {
    let whole = json::strict(bytes, ATTESTATION_BYTES_MAX).ok();
    let documents: Vec<&[u8]> = match whole {
        Some(_) => vec![bytes],
        None => bytes.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()).take(LINES_MAX).collect(),
    };
    documents.into_iter().filter_map(|document| attestation(document, trust, now)).collect()
}

fn attestation(bytes: &[u8], trust: &Trust, now: Timestamp) -> Option<Attestation> {
    let value = json::strict(bytes, ATTESTATION_BYTES_MAX).ok()?;
    let bundled = value.get("dsseEnvelope").is_some();
    let envelope = if bundled { value.get("dsseEnvelope")? } else { &value };
    let payload = STANDARD.decode(envelope.get("payload")?.as_str()?).ok()?;
    let statement = json::strict(&payload, ATTESTATION_BYTES_MAX).ok()?;
    let standing = if bundled { of_bundle(bytes, trust, now) } else { of_envelope(envelope, &payload, trust) };
    let (signer, objection) = match standing {
        Ok(signer) => (Some(signer), None),
        Err(error) => (None, Some(Objection::from(&error))),
    };
    let subjects = statement.get("subject")?.as_array()?.iter().take(SUBJECTS_MAX);
    let digest = |subject: &Value| subject.pointer("/digest/sha256")?.as_str()?.parse().ok();
    let text = |pointer: &str| statement.pointer(pointer).and_then(Value::as_str).map(short);
    Some(Attestation {
        subjects: subjects.filter_map(digest).collect(),
        predicate_type: text("/predicateType")?,
        // SLSA 1.0, and 0.2.
        builder: text("/predicate/runDetails/builder/id").or_else(|| text("/predicate/builder/id")),
        signer,
        objection,
    })
}

fn of_bundle(bytes: &[u8], trust: &Trust, now: Timestamp) -> Result<String, SignatureError> {
    let bundle = Bundle::parse(bytes)?;
    testimony::standing(&bundle, trust, now, Hearing::default()).map(|signer| signer.name.unwrap_or(signer.identity))
}

/// A bare envelope can only be checked with keys.
fn of_envelope(envelope: &Value, payload: &[u8], trust: &Trust) -> Result<String, SignatureError> {
    let payload_type = envelope.get("payloadType").and_then(Value::as_str).unwrap_or_default();
    let message = dsse::pae(payload_type, payload);
    let signatures = envelope.get("signatures").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let signatures: Vec<Vec<u8>> =
        signatures.iter().take(8).filter_map(|s| STANDARD.decode(s.get("sig")?.as_str()?).ok()).collect();
    for trusted in &trust.signers {
        if let TrustedMethod::Key(key) = &trusted.method
            && signatures.iter().any(|s| key.verifies(&message, s))
        {
            return Ok(trusted.name.clone().unwrap_or_else(|| key.hint()));
        }
    }
    Err(SignatureError::NobodyTrusted {
        method: "a key",
        identity: "an unnamed key".to_owned(),
        hint: "`--trust FILE`",
    })
}

fn short(text: &str) -> String {
    Shown(&text.chars().take(TEXT_MAX).collect::<String>()).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::key::tests::pair;
    use super::super::trust::{MethodConfig, SignerConfig, TrustConfig};
    use super::*;
    use serde_json::json;

    #[test]
    fn bare_envelopes_are_believed_if_a_trusted_key_signed_them() {
        let (private, public) = pair();
        let statement = json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
            "subject": [{"name": "w", "digest": {"sha256": "ab".repeat(32)}}, {"name": "x", "digest": {"sha512": "00"}}],
            "predicate": {"runDetails": {"builder": {"id": "https://builder.example/1"}}}});
        let payload = statement.to_string().into_bytes();
        let signature = private.sign(&dsse::pae("application/vnd.in-toto+json", &payload)).unwrap();
        let envelope = json!({"payloadType": "application/vnd.in-toto+json", "payload": STANDARD.encode(&payload),
            "signatures": [{"sig": STANDARD.encode(signature)}]})
        .to_string();
        let two_lines = format!("{envelope}\n{envelope}\n");
        let signers = vec![SignerConfig { name: Some("us".to_owned()), method: MethodConfig::Key { pem: public } }];
        let trust = Trust::new(&TrustConfig { signers }).unwrap();
        let heard = attestations(two_lines.as_bytes(), &trust, super::super::now());
        assert_eq!(heard.len(), 2);
        assert_eq!((heard[0].signer.as_deref(), heard[0].subjects.len()), (Some("us"), 1));
        assert_eq!(heard[0].builder.as_deref(), Some("https://builder.example/1"));
        let nobody = Trust::new(&TrustConfig::default()).unwrap();
        let heard = attestations(envelope.as_bytes(), &nobody, super::super::now());
        assert!(heard[0].objection.as_ref().unwrap().unknown);
        assert!(attestations(b"{\"payload\": 1}\nx", &nobody, super::super::now()).is_empty());
    }
}
