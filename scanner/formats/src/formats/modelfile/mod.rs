//! Ollama Modelfiles: what a model is built from, its template and its system
//! prompt. Templates are Go's, which run no code.

mod parse;
mod rules;

use weighbridge_types::LinkKind;

use crate::codec::{indicators, yaml};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

/// Largest Modelfile read, bytes; licences are pasted into them.
const MODELFILE_BYTES_MAX: usize = 1 << 20;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "modelfile",
    name: "Ollama Modelfile",
    extensions: &["modelfile"],
    runs_code: false,
    is_model: false,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: &[&rules::REMOTE_BASE],
};

/// Named like one, with the `FROM` that each has.
fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let name = sniff.name.as_str();
    let named = name == "modelfile" || name.starts_with("modelfile.") || sniff.name.has_extension(&["modelfile"]);
    let from = || {
        sniff.head.split(|b| *b == b'\n').any(|line| {
            let word = line.trim_ascii_start().get(..5).unwrap_or_default();
            word.eq_ignore_ascii_case(b"FROM ")
        })
    };
    if named && !sniff.head.contains(&0) && from() { Confidence::Likely } else { Confidence::No }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let bytes = input.head(MODELFILE_BYTES_MAX).map_err(|source| FormatError::Io { offset: 0, source })?;
    for instruction in parse::instructions(&yaml::text(&bytes)) {
        ctx.work(1)?;
        let value = instruction.value.as_str();
        match instruction.name.as_str() {
            "FROM" => {
                ctx.fact("base_model", value);
                from(ctx, LinkKind::BaseModel, "FROM", value);
            }
            "ADAPTER" => from(ctx, LinkKind::ExternalData, "ADAPTER", value),
            "TEMPLATE" => ctx.fact("template", value),
            "SYSTEM" => {
                ctx.fact("system", value);
                indicators::inspect_text(ctx, value, "SYSTEM");
            }
            "LICENSE" => ctx.fact("license", value.lines().next().unwrap_or_default()),
            "PARAMETER" => {
                if let Some(length) = value.strip_prefix("num_ctx").and_then(|v| v.trim().parse::<u64>().ok()) {
                    ctx.fact("context_length", length);
                }
            }
            "MESSAGE" => indicators::inspect_text(ctx, value, "MESSAGE"),
            _ => {}
        }
    }
    if input.len() > MODELFILE_BYTES_MAX as u64 {
        return Err(FormatError::limit("modelfile_bytes_max", MODELFILE_BYTES_MAX as u64));
    }
    Ok(())
}

fn from(ctx: &mut Inspection<'_>, kind: LinkKind, name: &str, value: &str) {
    ctx.link(kind, value);
    if value.starts_with("http://") {
        ctx.find(&rules::REMOTE_BASE, None, format!("{name} `{value}`"));
    }
    indicators::inspect_text(ctx, value, name);
}

#[cfg(test)]
mod tests {
    use weighbridge_types::Verdict;

    use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

    const SAMPLE: &str = "# comment\nFROM ./llama.gguf\nADAPTER ./lora.gguf\nPARAMETER num_ctx 4096\nTEMPLATE \"\"\"{{ .System }}\n{{ .Prompt }}\"\"\"\nSYSTEM You are kind.\n";

    #[test]
    fn instructions_become_facts_and_links() {
        let outcome = inspect_bytes("Modelfile", SAMPLE.as_bytes());
        assert_eq!((outcome.format, verdict(&outcome)), (Some("modelfile"), Verdict::Clean));
        assert_eq!(outcome.metadata["context_length"], 4096);
        assert_eq!(outcome.metadata["template"], "{{ .System }}\n{{ .Prompt }}");
        assert_eq!(
            outcome.links.iter().map(|l| l.target.as_str()).collect::<Vec<_>>(),
            ["./llama.gguf", "./lora.gguf"]
        );
        survives_damage("Modelfile", SAMPLE.as_bytes());
    }

    #[test]
    fn a_base_over_plain_http_is_suspicious() {
        let outcome = inspect_bytes("Modelfile", b"FROM http://models.example/x.gguf\n");
        assert_eq!(rules(&outcome), ["modelfile-remote-base"]);
    }

    #[test]
    fn a_file_of_another_name_is_not_taken() {
        assert_eq!(inspect_bytes("Dockerfile", b"FROM ubuntu\nRUN true\n").format, None);
        assert_eq!(inspect_bytes("Modelfile", b"models = [1]\n").format, None);
    }
}
