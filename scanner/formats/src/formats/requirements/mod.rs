//! What must be installed before a model is used: requirements, conda
//! environments, project files. Installing runs code of every package.

mod lines;
mod rules;
mod sources;
mod toml;

use serde_json::Value;
use weighbridge_types::LinkKind;

use crate::codec::yaml;
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

/// Largest list read, bytes.
const LIST_BYTES_MAX: usize = 1 << 20;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "requirements",
    name: "list of required packages",
    extensions: &[],
    runs_code: false,
    is_model: false,
    scope: Scope::BesideModel,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: &[&rules::COMPROMISED, &rules::UNTRUSTED_SOURCE, &rules::DIRECT_REFERENCE],
};

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Syntax {
    /// One requirement or option of pip per line.
    Lines,
    /// Conda's and MLflow's `dependencies`.
    Conda,
    /// Conda's cousin: BentoML's `python.packages`.
    Bento,
    /// Requirements as quoted strings.
    Toml,
    /// Requirements as indented lines.
    Ini,
}

/// By name: text of this kind has no signature.
fn syntax(name: &str) -> Option<Syntax> {
    match name {
        "conda.yaml" | "conda.yml" | "environment.yaml" | "environment.yml" | "python_env.yaml" => Some(Syntax::Conda),
        "bentofile.yaml" | "bentofile.yml" => Some(Syntax::Bento),
        "pyproject.toml" | "pipfile" => Some(Syntax::Toml),
        "setup.cfg" => Some(Syntax::Ini),
        _ => {
            let stem = name.strip_suffix(".txt").or_else(|| name.strip_suffix(".in"))?;
            let list = stem.starts_with("requirements") || stem.ends_with("requirements") || stem == "constraints";
            list.then_some(Syntax::Lines)
        }
    }
}

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    match syntax(sniff.name.as_str()) {
        // Above other YAML of the same name.
        Some(Syntax::Conda) if sniff.contains(b"dependencies:") => Confidence::Likely,
        Some(Syntax::Bento) if sniff.contains(b"service:") => Confidence::Likely,
        Some(Syntax::Conda | Syntax::Bento) | None => Confidence::No,
        Some(_) if sniff.head.is_empty() || sniff.head.contains(&0) => Confidence::No,
        Some(_) => Confidence::Plausible,
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let bytes = input.head(LIST_BYTES_MAX).map_err(|source| FormatError::Io { offset: 0, source })?;
    let text = yaml::text(&bytes);
    match syntax(ctx.name().as_str()).unwrap_or(Syntax::Lines) {
        Syntax::Lines => lines::each(&text, |line| lines::inspect(ctx, line))?,
        Syntax::Ini => {
            for line in text.lines().filter(|l| l.starts_with([' ', '\t'])) {
                lines::inspect(ctx, line.trim())?;
            }
        }
        Syntax::Toml => toml::inspect(ctx, &text)?,
        Syntax::Bento => bento(ctx, &text)?,
        Syntax::Conda => conda(ctx, &text)?,
    }
    if input.len() > LIST_BYTES_MAX as u64 {
        return Err(FormatError::limit("requirements_bytes_max", LIST_BYTES_MAX as u64));
    }
    Ok(())
}

fn conda(ctx: &mut Inspection<'_>, text: &str) -> Result<(), FormatError> {
    let document = yaml::parse_text(text);
    yaml::inspect(ctx, &document)?;
    let value = document.first();
    for channel in value.get("channels").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        sources::index(ctx, "channels", channel);
    }
    for entry in value.get("dependencies").and_then(Value::as_array).into_iter().flatten() {
        match entry {
            Value::String(requirement) => lines::inspect_conda(ctx, requirement)?,
            Value::Object(map) => {
                for line in map.get("pip").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
                    lines::inspect(ctx, line)?;
                }
            }
            _ => {}
        }
    }
    document.stopped.map_or(Ok(()), Err)
}

/// `bentofile.yaml`: what is installed into the service's image.
fn bento(ctx: &mut Inspection<'_>, text: &str) -> Result<(), FormatError> {
    let document = yaml::parse_text(text);
    yaml::inspect(ctx, &document)?;
    let python = document.first().get("python").unwrap_or(&Value::Null);
    let texts = |key: &str| match python.get(key) {
        Some(Value::String(text)) => vec![text.as_str()],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    for package in texts("packages") {
        lines::inspect(ctx, package)?;
    }
    for key in ["index_url", "extra_index_url", "find_links"] {
        texts(key).into_iter().for_each(|url| sources::index(ctx, key, url));
    }
    texts("trusted_host").into_iter().for_each(|host| sources::trusted_host(ctx, host));
    if let Some(script) = document.first().pointer("/docker/setup_script").and_then(Value::as_str) {
        ctx.link(LinkKind::Code, script);
    }
    document.stopped.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests;
