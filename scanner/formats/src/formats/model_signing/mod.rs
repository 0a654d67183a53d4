//! Model signatures (OpenSSF Model Signing): a Sigstore bundle around an
//! in-toto statement with a digest per file. Only read here; whether it holds
//! is for the verifier to say.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::codec::json;
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

/// Largest bundle read, bytes: a manifest of a hundred thousand files.
const BUNDLE_BYTES_MAX: usize = 16 << 20;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "model-signing",
    name: "model signature",
    extensions: &["sig", "json"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Json(recognise),
    inspect,
    rules: &[],
};

/// A bundle (`application/vnd.dev.sigstore.bundle…`) whose statement is about
/// a model, or that is named as one. Packages are signed with bundles too.
fn recognise(value: &Value, sniff: &Sniff<'_>) -> Confidence {
    let bundle = value
        .get("mediaType")
        .and_then(Value::as_str)
        .is_some_and(|t| t.starts_with("application/vnd.dev.sigstore.bundle"));
    let envelope = value.pointer("/dsseEnvelope/payload").is_some();
    if !bundle || !envelope {
        Confidence::No
    } else if statement(value).is_some_and(|s| is_about_model(&s)) {
        Confidence::Certain
    } else if sniff.name.as_str() == "model.sig" {
        Confidence::Likely
    } else {
        Confidence::No
    }
}

fn is_about_model(statement: &Value) -> bool {
    statement.get("predicateType").and_then(Value::as_str).is_some_and(|t| t.contains("model_signing"))
}

/// The in-toto statement in the envelope.
fn statement(bundle: &Value) -> Option<Value> {
    let payload = bundle.pointer("/dsseEnvelope/payload")?.as_str()?;
    let decoded = STANDARD.decode(payload).ok()?;
    Some(json::parse_bytes(&decoded).ok()?.value)
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let document = json::parse(input, BUNDLE_BYTES_MAX)?;
    if let Some(kind) = document.value.get("mediaType").and_then(Value::as_str) {
        ctx.fact("format_version", kind);
    }
    let statement = statement(&document.value)
        .ok_or_else(|| FormatError::malformed("dsseEnvelope.payload", 0, "not a base64 in-toto statement"))?;
    if let Some(predicate) = statement.get("predicateType").and_then(Value::as_str) {
        ctx.fact("producer", predicate);
    }
    if let Some(name) = statement.pointer("/subject/0/name").and_then(Value::as_str) {
        ctx.fact("name", name);
    }
    let files = statement.pointer("/predicate/resources").or_else(|| statement.get("subject"));
    ctx.fact("signed_files", files.and_then(Value::as_array).map_or(0, Vec::len));
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};
    use weighbridge_types::Verdict;

    use crate::core::testing::{inspect_bytes, survives_damage, verdict};

    fn bundle(predicate: &str) -> Value {
        let statement = json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": predicate,
            "subject": [{"name": "bert", "digest": {"sha256": "00"}}],
            "predicate": {"resources": [{"name": "a", "digest": "00"}, {"name": "b", "digest": "01"}]}});
        json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "verificationMaterial": {},
            "dsseEnvelope": {"payload": STANDARD.encode(statement.to_string()), "payloadType": "application/vnd.in-toto+json"}})
    }

    #[test]
    fn a_signature_says_what_it_covers() {
        let text = bundle("https://model_signing/signature/v1.0").to_string();
        let outcome = inspect_bytes("model.sig", text.as_bytes());
        assert_eq!((outcome.format, verdict(&outcome)), (Some("model-signing"), Verdict::Clean));
        assert_eq!((&outcome.metadata["name"], &outcome.metadata["signed_files"]), (&json!("bert"), &json!(2)));
        survives_damage("model.sig", text.as_bytes());
    }

    #[test]
    fn an_attestation_is_not_taken_for_a_signature_of_a_model() {
        let text = bundle("https://slsa.dev/provenance/v1").to_string();
        assert_eq!(inspect_bytes("pkg.sigstore.json", text.as_bytes()).format, Some("attestation"));
    }
}
