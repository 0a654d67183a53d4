//! PMML and the XML attacks it invites: external entities, entity bombs.

use crate::codec::xml_threats;
use crate::core::{FormatError, FormatSpec, Input, Inspection, Recognise, Scope};

mod rules;
#[cfg(test)]
mod tests;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "pmml",
    name: "PMML",
    extensions: &["pmml", "xml"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::XmlRoot("PMML"),
    inspect,
    rules: rules::ALL,
};

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    xml_threats::inspect(ctx, input, |ctx, element| {
        match element.name {
            "PMML" => {
                if let Some(version) = element.attribute("version") {
                    ctx.fact("format_version", version);
                }
            }
            "Application" => {
                if let Some(name) = element.attribute("name") {
                    ctx.fact("producer", name);
                }
            }
            // `<Extension>` is free text that some engines evaluate.
            "Extension" => {
                let text: String = element.attributes().map(|(_, v)| v).collect::<Vec<_>>().join(" ");
                if SCRIPTS.iter().any(|s| text.contains(s)) {
                    ctx.find(&rules::SCRIPT_EXTENSION, element.offset, text);
                }
            }
            name if name.ends_with("Model") && element.depth == 1 => ctx.fact("architecture", name),
            _ => {}
        }
        Ok(())
    })
}

/// Marks of code in an extension.
const SCRIPTS: &[&str] = &[
    "java.lang.Runtime",
    "ProcessBuilder",
    "javax.script",
    "eval(",
    "exec(",
    "system(",
    "subprocess",
    "importlib",
    "__import__",
    "<script",
    "os.popen",
    "Runtime.getRuntime",
];
