//! Model cards: the YAML front matter of a `README.md` beside a model.

use serde_json::Value;

use crate::codec::yaml;
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

/// Bytes within which the front matter must end; the hub allows less.
const FRONT_MATTER_BYTES_MAX: usize = 256 * 1024;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "model-card",
    name: "model card",
    extensions: &[],
    runs_code: false,
    is_model: false,
    scope: Scope::BesideModel,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: &[],
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let front = sniff.text().starts_with(b"---\n") || sniff.text().starts_with(b"---\r\n");
    if sniff.name.as_str() == "readme.md" && front { Confidence::Plausible } else { Confidence::No }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let bytes = input.head(FRONT_MATTER_BYTES_MAX).map_err(|source| FormatError::Io { offset: 0, source })?;
    let text = yaml::text(&bytes);
    let Some((front, _)) = text.trim_start().trim_start_matches("---").split_once("\n---") else { return Ok(()) };
    // Cards are written by hand: syntax errors in them say nothing of a model.
    let document = yaml::parse_text(front);
    yaml::inspect(ctx, &document)?;
    let card = document.first();
    for key in ["license", "license_name", "license_link", "base_model", "pipeline_tag", "library_name", "datasets"] {
        if let Some(value) = card.get(key).filter(|v| v.is_string() || v.is_array()) {
            ctx.fact(key, value.clone());
        }
    }
    if let Some(Value::Array(tags)) = card.get("tags") {
        ctx.fact("tags", tags.clone());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use weighbridge_types::Verdict;

    use crate::core::testing::{inspect_bytes, survives_damage, verdict};

    const CARD: &str = "---\nlicense: apache-2.0\nbase_model: org/base\npipeline_tag: text-generation\ntags: [a, b]\ndatasets: [org/data]\n---\n# Model\n";

    #[test]
    fn the_front_matter_gives_facts() {
        let outcome = inspect_bytes("README.md", CARD.as_bytes());
        assert_eq!((outcome.format, verdict(&outcome)), (Some("model-card"), Verdict::Clean));
        assert_eq!(outcome.metadata["license"], "apache-2.0");
        assert_eq!(outcome.metadata["base_model"], "org/base");
        assert_eq!(outcome.metadata["datasets"][0], "org/data");
        survives_damage("README.md", CARD.as_bytes());
    }

    #[test]
    fn a_readme_without_front_matter_is_no_card() {
        assert_eq!(inspect_bytes("README.md", b"# Title\n").format, None);
        assert_eq!(verdict(&inspect_bytes("README.md", b"---\n: [broken\n---\n")), Verdict::Clean);
    }
}
