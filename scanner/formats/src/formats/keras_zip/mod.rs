//! Keras 3 archives (`.keras`): `config.json`, `metadata.json`, weights as
//! HDF5 or NumPy arrays, assets.

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::codec::zip::{self, Listing};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope};
use crate::formats::keras_config::{CONFIG_BYTES_MAX, RULES, inspect_part, record_model};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "keras-zip",
    name: "Keras archive",
    extensions: &["keras"],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Zip(recognise),
    inspect,
    // Those of its weights and of archives stand with them.
    rules: RULES,
};

const CONFIG: &str = "config.json";
const METADATA: &str = "metadata.json";

fn recognise(listing: &Listing) -> Confidence {
    if listing.get(CONFIG).is_none() {
        return Confidence::No;
    }
    let weights = listing
        .members
        .iter()
        .any(|m| m.name.starts_with("model") && (m.name.ends_with(".weights.h5") || m.name.ends_with(".weights.npz")));
    match (weights, listing.get(METADATA).is_some()) {
        (true, _) => Confidence::Certain,
        (false, true) => Confidence::Likely,
        (false, false) => Confidence::No,
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let listing = Listing::read(input)?;
    zip::report_anomalies(ctx, input, &listing)?;
    // Python's `zipfile` opens the last of several; all are looked at.
    for member in listing.members.iter().filter(|m| m.name == CONFIG || m.name == METADATA) {
        let (content, stopped) = match listing.open(ctx, input, member) {
            Ok(opened) => opened,
            Err(error) => {
                ctx.stopped(&error);
                continue;
            }
        };
        if let Some(error) = stopped {
            ctx.stopped(&error);
        }
        let part = if member.name == CONFIG { config } else { metadata };
        part(ctx, &content)?;
    }
    zip::inspect_members(ctx, input, &listing, |m| m.name != CONFIG && m.name != METADATA && !m.name.ends_with('/'))
}

fn config(ctx: &mut Inspection<'_>, content: &Input) -> Result<(), FormatError> {
    let document = part(ctx, CONFIG, content)?;
    record_model(ctx, &document);
    Ok(())
}

fn metadata(ctx: &mut Inspection<'_>, content: &Input) -> Result<(), FormatError> {
    let document = part(ctx, METADATA, content)?;
    if let Some(version) = document.get("keras_version").and_then(Value::as_str) {
        ctx.fact("keras_version", version);
        ctx.fact("producer", format!("Keras {version}"));
    }
    Ok(())
}

/// Inspects the JSON of member `name`; one that is none is a finding.
fn part(ctx: &mut Inspection<'_>, name: &str, content: &Input) -> Result<Value, FormatError> {
    ctx.within(name, content, |ctx, content| {
        let read = bytes(content).and_then(|bytes| inspect_part(ctx, &bytes, name));
        read.or_else(|error| match error {
            FormatError::Limit { limit: "work_max", .. } => Err(error),
            error => {
                ctx.stopped(&error);
                Ok(Value::Null)
            }
        })
    })
}

fn bytes(content: &Input) -> Result<Vec<u8>, FormatError> {
    if content.len() > CONFIG_BYTES_MAX as u64 {
        return Err(FormatError::limit("keras_config_bytes_max", CONFIG_BYTES_MAX as u64));
    }
    content.head(CONFIG_BYTES_MAX).map_err(|source| FormatError::Io { offset: 0, source })
}
