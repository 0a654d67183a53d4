//! What an import says of itself.

use weighbridge_import::{Manifest, SCHEMA};
use weighbridge_inference_wire::Failure;

use crate::error::{of_model, short};

/// Largest manifest; ours have some KB.
const MANIFEST_BYTES_MAX: usize = 8 << 20;

/// Reads `weighbridge.json`.
///
/// # Errors
/// Bytes that are no manifest of this version's.
pub fn read(bytes: &[u8]) -> Result<Manifest, Failure> {
    if bytes.len() > MANIFEST_BYTES_MAX {
        let size = bytes.len();
        return Err(of_model(format!("`weighbridge.json` has {size} bytes; at most {MANIFEST_BYTES_MAX} are read")));
    }
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(|e| {
        of_model(format!("`weighbridge.json` is no manifest: {}; import the model again", short(&e.to_string())))
    })?;
    if manifest.schema != SCHEMA {
        let (schema, ours) = (manifest.schema, SCHEMA);
        return Err(of_model(format!(
            "`weighbridge.json` has schema {schema}, this version reads {ours}; import again"
        )));
    }
    Ok(manifest)
}

/// The layout that most weights have.
pub fn quantization(manifest: &Manifest) -> String {
    let most = manifest.layouts.iter().max_by_key(|share| share.bytes);
    match most.map_or("", |share| share.layout.as_str()) {
        "q4" | "q4a" => "int4".to_owned(),
        "q8" | "q8h" => "int8".to_owned(),
        other => short(other),
    }
}
