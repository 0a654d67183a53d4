//! Module lists of sentence-transformers: `modules.json`.

use serde_json::Value;

use crate::codec::config::callables::{Callable, judge};
use crate::codec::config::{Place, leaves_folder};
use crate::codec::{config, indicators, json};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use crate::formats::hf_config::{CODE_OUTSIDE, report_reference};

/// Largest list read, bytes.
const LIST_BYTES_MAX: usize = 1 << 20;
/// Libraries whose modules need no code from the repository.
const OWN_LIBRARIES: &[&str] = &["sentence_transformers", "pylate", "setfit", "torch", "transformers"];

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "sentence-transformers",
    name: "sentence-transformers module list",
    extensions: &["json"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: &[],
};

/// A list, which the registry's JSON formats do not cover: known by its name
/// and the keys of its entries.
fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let list = sniff.text().first() == Some(&b'[');
    let keys = [&b"\"type\""[..], b"\"path\"", b"\"idx\""].iter().all(|k| sniff.contains(k));
    if list && keys && sniff.name.as_str() == "modules.json" { Confidence::Likely } else { Confidence::No }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let document = json::parse(input, LIST_BYTES_MAX)?;
    let root = Place::root("modules");
    let mut types = Vec::new();
    for module in document.value.as_array().into_iter().flatten() {
        ctx.work(1)?;
        let path = module.get("path").and_then(Value::as_str).unwrap_or_default();
        if let Some(why) = leaves_folder(path) {
            ctx.find(&CODE_OUTSIDE, None, format!("modules: path `{path}` {why}"));
        }
        let Some(class) = module.get("type").and_then(Value::as_str) else { continue };
        types.push(class);
        let library = class.split('.').next().unwrap_or_default();
        match judge(class) {
            Callable::Dangerous(why) => {
                ctx.find(&config::rules::DANGEROUS_CALLABLE, None, format!("modules: type `{class}` {why}"));
            }
            _ if OWN_LIBRARIES.contains(&library) => {}
            _ => report_reference(ctx, &root, class),
        }
    }
    ctx.fact("architecture", types.join(", "));
    indicators::inspect_value(ctx, &document.value)
}

#[cfg(test)]
mod tests {
    use weighbridge_types::Verdict;

    use crate::core::Outcome;
    use crate::core::testing::{inspect_bytes, survives_damage, verdict};

    fn modules(class: &str, path: &str) -> Outcome {
        let text = format!(r#"[{{"idx": 0, "name": "0", "path": "{path}", "type": "{class}"}}]"#);
        inspect_bytes("modules.json", text.as_bytes())
    }

    #[test]
    fn classes_of_the_library_are_clean_and_others_are_followed() {
        let outcome = modules("sentence_transformers.models.Transformer", "");
        assert_eq!((outcome.format, outcome.findings.len()), (Some("sentence-transformers"), 0));
        let outcome = modules("custom_st.Transformer", "");
        assert_eq!(verdict(&outcome), Verdict::Clean);
        assert_eq!(outcome.links[0].target, "custom_st.py");
        assert_eq!(verdict(&modules("evil/repo--custom_st.Transformer", "")), Verdict::Suspicious);
    }

    #[test]
    fn commands_and_paths_that_leave_are_malicious() {
        assert_eq!(verdict(&modules("subprocess.Popen", "")), Verdict::Malicious);
        assert_eq!(verdict(&modules("sentence_transformers.models.Pooling", "../../x")), Verdict::Malicious);
        assert_eq!(verdict(&modules("../evil.Model", "")), Verdict::Malicious);
    }

    #[test]
    fn other_lists_of_modules_are_not_taken() {
        assert_eq!(inspect_bytes("modules.json", br#"[{"name": "a", "type": "b"}]"#).format, None);
        survives_damage("modules.json", br#"[{"idx": 0, "name": "0", "path": "", "type": "a.B"}]"#);
    }
}
