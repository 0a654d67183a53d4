//! Attestations beside a model: DSSE envelopes and Sigstore bundles around
//! in-toto statements, one a file or one a line. Only recognised and counted
//! here; who signed them is for the verifier to say.

use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

/// Largest file looked at, bytes.
const BYTES_MAX: usize = 4 << 20;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "attestation",
    name: "in-toto attestation",
    extensions: &[],
    runs_code: false,
    is_model: false,
    scope: Scope::BesideModel,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: &[],
};

/// By name and by the keys every envelope has near its start.
fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let name = sniff.name.as_str();
    let named =
        [".intoto.json", ".intoto.jsonl", ".att", ".att.json", ".sigstore", ".sigstore.json", ".attestation.json"]
            .iter()
            .any(|end| name.ends_with(end))
            || matches!(name, "attestations.jsonl" | "provenance.json" | "multiple.intoto.jsonl");
    let enveloped = sniff.contains(b"\"payloadType\"") || sniff.contains(b"\"dsseEnvelope\"");
    let object = sniff.head.trim_ascii_start().first() == Some(&b'{');
    if named && enveloped && object { Confidence::Plausible } else { Confidence::No }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    if input.len() > BYTES_MAX as u64 {
        return Err(FormatError::limit("attestation_bytes_max", BYTES_MAX as u64));
    }
    let bytes = input.head(BYTES_MAX).map_err(|source| FormatError::Io { offset: 0, source })?;
    let envelopes = memchr::memmem::find_iter(&bytes, b"\"payloadType\"").count();
    ctx.fact("envelopes", envelopes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::core::testing::{inspect_bytes, survives_damage};

    #[test]
    fn envelopes_are_recognised_by_name_and_keys() {
        let text = br#"{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"sig":""}]}"#;
        let outcome = inspect_bytes("model.gguf.intoto.jsonl", text);
        assert_eq!((outcome.format, &outcome.metadata["envelopes"]), (Some("attestation"), &1.into()));
        assert_ne!(inspect_bytes("notes.json", text).format, Some("attestation"));
        assert_ne!(inspect_bytes("x.intoto.json", b"plain text").format, Some("attestation"));
        survives_damage("model.gguf.intoto.jsonl", text);
    }
}
