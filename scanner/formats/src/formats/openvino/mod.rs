//! OpenVINO IR: an XML graph, weights in a file of the same stem.

use crate::codec::xml_threats::{self, Element};
use crate::core::{FormatError, FormatSpec, Input, Inspection, Recognise, Scope};
use weighbridge_types::LinkKind;

mod rules;
#[cfg(test)]
mod tests;

/// Operation sets that ship with the runtime.
const OPSETS: &[&str] = &["opset", "ie_internal_opset", "experimental"];

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "openvino",
    name: "OpenVINO IR",
    extensions: &["xml"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::XmlRoot("net"),
    inspect,
    rules: rules::ALL,
};

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    if let Some(stem) = ctx.name().as_str().strip_suffix(".xml").map(str::to_owned) {
        ctx.link(LinkKind::ExternalData, &format!("{stem}.bin"));
    }
    let mut layers = 0u64;
    let mut custom = 0u32;
    let walked = xml_threats::inspect(ctx, input, |ctx, element| {
        match element.name {
            "net" if element.depth == 0 => {
                for (key, fact) in [("name", "name"), ("version", "format_version")] {
                    if let Some(value) = element.attribute(key) {
                        ctx.fact(fact, value);
                    }
                }
            }
            "layer" => {
                layers += 1;
                layer(ctx, element, &mut custom);
            }
            "data" => data(ctx, element),
            _ => {}
        }
        for (key, value) in element.attributes() {
            if is_library(&value) {
                ctx.find(&rules::LIBRARY_PATH, element.offset, format!("{}: {key}=\"{value}\"", element.name));
            }
        }
        Ok(())
    });
    ctx.fact("layers", layers);
    walked
}

fn layer(ctx: &mut Inspection<'_>, element: &Element<'_>, custom: &mut u32) {
    let version = element.attribute("version").unwrap_or_default();
    if !version.is_empty() && !OPSETS.iter().any(|o| version.starts_with(o)) && *custom < 20 {
        *custom += 1;
        let kind = element.attribute("type").unwrap_or_default();
        ctx.find(&rules::CUSTOM_OPERATION, element.offset, format!("{kind} of `{version}`"));
    }
}

/// Offsets into the weights: the loader adds them without the file at hand.
fn data(ctx: &mut Inspection<'_>, element: &Element<'_>) {
    for (key, value) in element.attributes() {
        if value.contains("../")
            || value.contains("..\\")
            || value.starts_with(['/', '\\'])
            || value.get(1..3) == Some(":\\")
        {
            ctx.find(&rules::FILE_PATH, element.offset, format!("{key}=\"{value}\""));
        }
    }
    let number = |key| element.attribute(key).map(|v| v.parse::<u64>());
    if let (Some(offset), Some(size)) = (number("offset"), number("size")) {
        let fits = matches!((&offset, &size), (Ok(o), Ok(s)) if o.checked_add(*s).is_some_and(|end| end < 1 << 40));
        if !fits {
            ctx.find(&rules::BAD_RANGE, element.offset, "offset or size is negative, absurd or no number");
        }
    }
}

/// Whether a value names a native library by path.
fn is_library(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    (lower.ends_with(".so") || lower.ends_with(".dll") || lower.ends_with(".dylib")) && lower.contains(['/', '\\'])
}
