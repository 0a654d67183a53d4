//! Sigstore bundles (protobuf-specs `sigstore_bundle.proto`, version 0.3) as
//! OpenSSF Model Signing 1.0 uses them: one DSSE envelope around one in-toto
//! statement.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use weighbridge_types::SigningMethod;

use super::SignatureError;
use crate::json;

/// Longest bundle read, bytes: a manifest of a hundred thousand files.
pub const BUNDLE_BYTES_MAX: usize = 16 << 20;
/// Most certificates in a chain.
const CHAIN_MAX: usize = 10;
/// Most timestamps over one signature.
const TIMESTAMPS_MAX: usize = 10;

const TIMESTAMPS: &str = "verificationMaterial.timestampVerificationData";

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// How the versions before wrote it; their structure is the same.
const MEDIA_TYPES_OLD: &[&str] = &[
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
];
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// A parsed bundle. Nothing in it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// What the signature is to be verified with.
    pub material: Material,
    /// Type of the payload, always that of in-toto statements.
    pub payload_type: String,
    /// The statement as it was signed.
    pub payload: Vec<u8>,
    /// The one signature.
    pub signature: Vec<u8>,
    /// RFC 3161 timestamps over the signature, DER.
    pub timestamps: Vec<Vec<u8>>,
    /// The text it was parsed from.
    pub text: String,
}

/// What identifies the signer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Material {
    /// A key, by name or in full.
    Key {
        /// SHA-256 of its PEM form.
        hint: Option<String>,
    },
    /// DER certificates, the signer's first.
    Chain(Vec<Vec<u8>>),
    /// A short-lived certificate and log entries, read by the keyless verifier.
    Sigstore {
        /// The certificate, DER.
        certificate: Vec<u8>,
    },
}

impl Material {
    /// The method this material belongs to.
    #[must_use]
    pub fn method(&self) -> SigningMethod {
        match self {
            Self::Key { .. } => SigningMethod::Key,
            Self::Chain(_) => SigningMethod::Certificate,
            Self::Sigstore { .. } => SigningMethod::Sigstore,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMaterial {
    public_key: Option<RawKey>,
    x509_certificate_chain: Option<RawChain>,
    certificate: Option<RawBytes>,
    tlog_entries: Option<Vec<Value>>,
    timestamp_verification_data: Option<RawTimestamps>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTimestamps {
    #[serde(default)]
    rfc3161_timestamps: Vec<RawTimestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTimestamp {
    signed_timestamp: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawKey {
    hint: Option<String>,
    raw_bytes: Option<String>,
}

#[derive(Deserialize)]
struct RawChain {
    certificates: Vec<RawBytes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBytes {
    raw_bytes: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEnvelope {
    payload: String,
    payload_type: String,
    signatures: Vec<RawSignature>,
}

#[derive(Deserialize)]
struct RawSignature {
    sig: String,
}

impl Bundle {
    /// Parses the text of a bundle.
    ///
    /// # Errors
    /// [`SignatureError`] names the field.
    pub fn parse(bytes: &[u8]) -> Result<Self, SignatureError> {
        let mut value = json::strict(bytes, BUNDLE_BYTES_MAX)?;
        let media_type = value.get("mediaType").and_then(Value::as_str).unwrap_or_default().to_owned();
        if media_type != MEDIA_TYPE && !MEDIA_TYPES_OLD.contains(&media_type.as_str()) {
            return Err(match media_type.strip_prefix("application/vnd.dev.sigstore.bundle") {
                Some(_) => SignatureError::Unsupported(format!("the bundle version `{media_type}`")),
                None => SignatureError::field("mediaType", format!("is `{media_type}`, not that of a Sigstore bundle")),
            });
        }
        let mut take = |field: &str| value.get_mut(field).map_or(Value::Null, Value::take);
        let envelope: RawEnvelope = typed("dsseEnvelope", take("dsseEnvelope"))?;
        let material: RawMaterial = typed("verificationMaterial", take("verificationMaterial"))?;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(SignatureError::field(
                "dsseEnvelope.payloadType",
                format!("is `{}`, not `{PAYLOAD_TYPE}`", envelope.payload_type),
            ));
        }
        let [signature] = envelope.signatures.as_slice() else {
            return Err(SignatureError::field(
                "dsseEnvelope.signatures",
                format!("holds {} signatures instead of one", envelope.signatures.len()),
            ));
        };
        let timestamps = material.timestamp_verification_data.as_ref().map_or(&[][..], |t| &t.rfc3161_timestamps);
        if timestamps.len() > TIMESTAMPS_MAX {
            return Err(SignatureError::field(TIMESTAMPS, format!("holds {} timestamps", timestamps.len())));
        }
        let timestamps =
            timestamps.iter().map(|t| decoded(TIMESTAMPS, &t.signed_timestamp)).collect::<Result<_, _>>()?;
        Ok(Self {
            timestamps,
            material: self::material(material)?,
            payload_type: envelope.payload_type,
            payload: decoded("dsseEnvelope.payload", &envelope.payload)?,
            signature: decoded("dsseEnvelope.signatures[0].sig", &signature.sig)?,
            // Strict JSON is UTF-8.
            text: String::from_utf8_lossy(bytes).into_owned(),
        })
    }

    /// Writes a bundle signed with a key or a chain.
    #[must_use]
    pub fn text_of(material: &Material, payload: &[u8], signature: &[u8]) -> String {
        let raw = |bytes: &[u8]| STANDARD.encode(bytes);
        let material = match material {
            Material::Key { hint } => serde_json::json!({ "publicKey": { "hint": hint }, "tlogEntries": [] }),
            Material::Chain(chain) => {
                let chain: Vec<Value> = chain.iter().map(|c| serde_json::json!({ "rawBytes": raw(c) })).collect();
                serde_json::json!({ "x509CertificateChain": { "certificates": chain }, "tlogEntries": [] })
            }
            Material::Sigstore { certificate } => {
                serde_json::json!({ "certificate": { "rawBytes": raw(certificate) } })
            }
        };
        Self::text_with(&material, payload, signature)
    }

    /// Writes a bundle signed keylessly.
    pub(super) fn text_of_logged(logged: &Logged<'_>, payload: &[u8], signature: &[u8]) -> String {
        let mut material = serde_json::json!({
            "certificate": { "rawBytes": STANDARD.encode(logged.certificate) },
            "tlogEntries": [logged.entry],
        });
        if let (Some(timestamp), Some(fields)) = (&logged.timestamp, material.as_object_mut()) {
            let timestamps = serde_json::json!([{ "signedTimestamp": STANDARD.encode(timestamp) }]);
            fields
                .insert("timestampVerificationData".to_owned(), serde_json::json!({ "rfc3161Timestamps": timestamps }));
        }
        Self::text_with(&material, payload, signature)
    }

    /// The envelope alone.
    pub(super) fn envelope_of(payload: &[u8], signature: &[u8]) -> Value {
        serde_json::json!({
            "payload": STANDARD.encode(payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{ "sig": STANDARD.encode(signature), "keyid": "" }],
        })
    }

    fn text_with(material: &Value, payload: &[u8], signature: &[u8]) -> String {
        let bundle = serde_json::json!({
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": material,
            "dsseEnvelope": Self::envelope_of(payload, signature),
        });
        format!("{bundle:#}\n")
    }
}

/// What a keyless bundle says of its signer.
pub(super) struct Logged<'a> {
    /// The certificate, DER.
    pub certificate: &'a [u8],
    /// The log's entry (ProtoJSON).
    pub entry: Value,
    /// A timestamp over the signature, DER.
    pub timestamp: Option<Vec<u8>>,
}

/// Type of the payload of every bundle made or accepted here.
#[must_use]
pub fn payload_type() -> &'static str {
    PAYLOAD_TYPE
}

fn typed<T: serde::de::DeserializeOwned>(field: &'static str, value: Value) -> Result<T, SignatureError> {
    if value.is_null() {
        return Err(SignatureError::field(field, "is missing"));
    }
    serde_json::from_value(value).map_err(|e| SignatureError::field(field, format!("is malformed: {e}")))
}

fn decoded(field: &'static str, text: &str) -> Result<Vec<u8>, SignatureError> {
    STANDARD.decode(text).map_err(|e| SignatureError::field(field, format!("is not base64: {e}")))
}

fn material(raw: RawMaterial) -> Result<Material, SignatureError> {
    const FIELD: &str = "verificationMaterial";
    let logged = raw.tlog_entries.is_some_and(|entries| !entries.is_empty());
    match (raw.public_key, raw.x509_certificate_chain, raw.certificate) {
        (Some(key), None, None) if key.hint.is_some() || key.raw_bytes.is_some() => {
            Ok(Material::Key { hint: key.hint.filter(|h| !h.is_empty()) })
        }
        (None, Some(chain), None) => {
            if chain.certificates.is_empty() || chain.certificates.len() > CHAIN_MAX {
                return Err(SignatureError::field(
                    "verificationMaterial.x509CertificateChain",
                    format!("holds {} certificates; 1 to {CHAIN_MAX} are expected", chain.certificates.len()),
                ));
            }
            let chain = chain
                .certificates
                .iter()
                .map(|c| decoded("verificationMaterial.x509CertificateChain.certificates", &c.raw_bytes))
                .collect::<Result<Vec<_>, _>>()?;
            // Before version 0.3 keyless bundles held a chain, too.
            match chain.first() {
                Some(leaf) if logged => Ok(Material::Sigstore { certificate: leaf.clone() }),
                _ => Ok(Material::Chain(chain)),
            }
        }
        (None, None, Some(certificate)) => {
            if !logged {
                return Err(SignatureError::field(
                    "verificationMaterial.tlogEntries",
                    "is empty; a short-lived certificate needs a transparency log entry",
                ));
            }
            Ok(Material::Sigstore { certificate: decoded("verificationMaterial.certificate", &certificate.raw_bytes)? })
        }
        (None, None, None) => Err(SignatureError::field(FIELD, "names no signer")),
        _ => Err(SignatureError::field(FIELD, "does not name exactly one signer")),
    }
}
