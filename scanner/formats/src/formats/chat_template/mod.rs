//! Chat templates in files of their own (`chat_template.jinja`), and other
//! Jinja templates beside models.

use serde_json::Value;

use crate::codec::{indicators, jinja, yaml};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

/// Largest template read, bytes; the longest published ones stay below 40 KiB.
const TEMPLATE_BYTES_MAX: usize = 1 << 20;

/// Registry entry of chat templates.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "chat-template",
    name: "chat template",
    extensions: &["jinja"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise_chat),
    inspect,
    rules: &[],
};

/// Registry entry of other templates: `additional_chat_templates/*.jinja`.
pub static OTHER: FormatSpec = FormatSpec {
    id: "jinja-template",
    name: "Jinja template",
    extensions: &["jinja", "jinja2", "j2"],
    runs_code: false,
    is_model: false,
    scope: Scope::BesideModel,
    recognise: Recognise::Bytes(recognise_other),
    inspect,
    rules: &[],
};

fn recognise_chat(sniff: &Sniff<'_>) -> Confidence {
    let named = ["chat_template.jinja", "chat_template.jinja2", "chat_template.j2"].contains(&sniff.name.as_str());
    if named && is_text(sniff) { Confidence::Plausible } else { Confidence::No }
}

fn recognise_other(sniff: &Sniff<'_>) -> Confidence {
    if sniff.name.has_extension(&["jinja", "jinja2", "j2"]) && is_text(sniff) {
        Confidence::Plausible
    } else {
        Confidence::No
    }
}

fn is_text(sniff: &Sniff<'_>) -> bool {
    !sniff.head.is_empty() && !sniff.head.contains(&0)
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let bytes = input.head(TEMPLATE_BYTES_MAX).map_err(|source| FormatError::Io { offset: 0, source })?;
    let template = yaml::text(&bytes);
    ctx.fact("chat_template", Value::from(template.as_str()));
    jinja::inspect(ctx, &template, "template");
    indicators::inspect_text(ctx, &template, "template");
    if input.len() > TEMPLATE_BYTES_MAX as u64 {
        return Err(FormatError::limit("template_bytes_max", TEMPLATE_BYTES_MAX as u64));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use weighbridge_types::Verdict;

    use crate::core::testing::{inspect_bytes, verdict};

    #[test]
    fn templates_are_known_by_name_and_kept_as_a_fact() {
        let outcome = inspect_bytes("chat_template.jinja", b"{% for m in messages %}{{ m }}{% endfor %}");
        assert_eq!((outcome.format, verdict(&outcome)), (Some("chat-template"), Verdict::Clean));
        assert!(outcome.metadata.contains_key("chat_template"));
        assert_eq!(inspect_bytes("page.jinja", b"<html>{{ x }}").format, Some("jinja-template"));
        assert_eq!(inspect_bytes("chat_template.jinja", b"\0\0").format, None);
    }

    #[test]
    fn an_oversized_template_is_inspected_as_far_as_it_is_read() {
        let outcome = inspect_bytes("chat_template.jinja", &vec![b' '; 2 << 20]);
        assert_eq!(verdict(&outcome), Verdict::Unknown);
    }
}
