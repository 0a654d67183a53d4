//! What sentence-transformers writes beside a model: how vectors of tokens
//! become a text's, how long texts may be, how scores are bent.

use serde_json::Value;

use super::{Encoder, refused};
use crate::ImportError;
use crate::error::Name;
use crate::hf::config::Fields;
use crate::manifest::{Pooling, Score, Task};
use crate::source::Source;

/// Largest of these files, bytes.
const BYTES_MAX: usize = 1 << 20;
/// Largest `tokenizer_config.json` read, bytes: it repeats every added token.
const TOKENIZER_CONFIG_BYTES_MAX: usize = 16 << 20;
/// Longest prompt, bytes.
const PROMPT_BYTES_MAX: usize = 4096;
const MODULES: &str = "modules.json";
const POOLING: &str = "1_Pooling/config.json";
const PROMPTS: &str = "config_sentence_transformers.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const LENGTHS: &[&str] = &[
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_xlm-roberta_config.json",
];
const HINT: &str = "supported are mean, cls, max or last token, normalised or not";

/// What the files say. Without them it is what sentence-transformers does
/// without: the mean, as it is.
#[derive(Debug, Default)]
pub(super) struct Sentence {
    pub(super) pooling: Pooling,
    pub(super) normalises: bool,
    pub(super) score: Score,
    pub(super) tokens_max: usize,
    pub(super) prompt: String,
    pub(super) lowercases: bool,
    /// The tokenizer's settings leave token types out: all are the first.
    pub(super) untyped: bool,
    /// Names of the files that were read.
    pub(super) parts: Vec<String>,
}

/// Reads them for `encoder`, whose configuration is `config`.
pub(super) fn read(source: &Source, config: &Value, encoder: &Encoder) -> Result<Sentence, ImportError> {
    let mut out = Sentence { tokens_max: encoder.sizes.context, ..Sentence::default() };
    if encoder.task == Task::Rerank {
        out.score = score(config)?;
    } else if let Some(modules) = out.json(source, MODULES, BYTES_MAX)? {
        out.modules(source, &modules, encoder)?;
    }
    out.lengths(source, encoder)?;
    Ok(out)
}

impl Sentence {
    fn json(&mut self, source: &Source, name: &str, bytes_max: usize) -> Result<Option<Value>, ImportError> {
        let json = source.json(name, bytes_max)?;
        if json.is_some() {
            self.parts.push(name.to_owned());
        }
        Ok(json)
    }

    fn modules(&mut self, source: &Source, modules: &Value, encoder: &Encoder) -> Result<(), ImportError> {
        let list = modules.as_array().ok_or_else(|| ImportError::malformed(MODULES, "is no list"))?;
        let mut stage = 0;
        for module in list {
            let kind = Fields(module).text("type").unwrap_or_default();
            let path = Fields(module).text("path").unwrap_or_default();
            stage = match (kind.rsplit('.').next().unwrap_or_default(), stage) {
                ("Transformer", 0) if path.is_empty() => 1,
                ("Pooling", 1) => {
                    self.pooling(source, path, encoder)?;
                    2
                }
                ("Normalize", 2) => {
                    self.normalises = true;
                    3
                }
                _ => return Err(refused("type", &Value::String(format!("{kind} {path}")), HINT)),
            };
        }
        if stage < 2 {
            return Err(ImportError::malformed(MODULES, "names no transformer with a pooling behind it"));
        }
        let Some(config) = self.json(source, PROMPTS, BYTES_MAX)? else { return Ok(()) };
        if let Some(name) = Fields(&config).text("default_prompt_name") {
            let prompt = config.get("prompts").and_then(|p| p.get(name)).and_then(Value::as_str);
            let prompt = prompt.filter(|p| p.len() <= PROMPT_BYTES_MAX).ok_or_else(|| {
                ImportError::malformed(PROMPTS, format!("has no prompt `{}` of up to 4096 bytes", Name::new(name)))
            })?;
            prompt.clone_into(&mut self.prompt);
        }
        Ok(())
    }

    fn pooling(&mut self, source: &Source, path: &str, encoder: &Encoder) -> Result<(), ImportError> {
        let missing = || ImportError::Missing { part: Name::new(&format!("{path}/config.json")), hint: HINT };
        let config = if path == "1_Pooling" { self.json(source, POOLING, BYTES_MAX)? } else { None };
        let config = config.ok_or_else(missing)?;
        let c = Fields(&config);
        for field in ["word_embedding_dimension", "embedding_dimension"] {
            if let Some(size) = c.unsigned(field)?.filter(|size| *size != encoder.sizes.hidden as u64) {
                let reason = format!("is {size}; the model's vectors have {} numbers", encoder.sizes.hidden);
                return Err(ImportError::configuration(field, reason));
            }
        }
        if let Some(value) = c.get("include_prompt").filter(|v| v.as_bool() != Some(true)) {
            return Err(refused("include_prompt", value, "only prompts that count like the text are supported"));
        }
        self.pooling = mode(&c)?;
        Ok(())
    }

    fn lengths(&mut self, source: &Source, encoder: &Encoder) -> Result<(), ImportError> {
        let mut longest = None;
        for name in LENGTHS {
            let Some(file) = self.json(source, name, BYTES_MAX)? else { continue };
            let c = Fields(&file);
            self.lowercases = c.is_true("do_lower_case") && encoder.task == Task::Embed;
            longest = c.unsigned("max_seq_length")?;
            break;
        }
        if let Some(file) = self.json(source, TOKENIZER_CONFIG, TOKENIZER_CONFIG_BYTES_MAX)? {
            // Written as a number beyond all bounds where there is none.
            longest = longest.or(Fields(&file).get("model_max_length").and_then(Value::as_u64));
            let inputs = Fields(&file).get("model_input_names").and_then(Value::as_array);
            self.untyped = inputs.is_some_and(|names| !names.iter().any(|name| name == "token_type_ids"));
        }
        let most = longest.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        if most == 0 {
            return Err(ImportError::configuration("max_seq_length", "is 0; expected at least 1"));
        }
        self.tokens_max = self.tokens_max.min(most);
        Ok(())
    }
}

/// `pooling_mode`, or the one `pooling_mode_…` that is true.
fn mode(c: &Fields<'_>) -> Result<Pooling, ImportError> {
    let unknown = |value: &Value| refused("pooling_mode", value, HINT);
    let mut modes: Vec<&str> = match c.get("pooling_mode") {
        Some(Value::String(mode)) => vec![mode],
        Some(other) => return Err(unknown(other)),
        None => Vec::new(),
    };
    for (name, on) in c.0.as_object().into_iter().flatten() {
        if let Some(mode) = name.strip_prefix("pooling_mode_")
            && on.as_bool() == Some(true)
        {
            modes.push(mode);
        }
    }
    match modes.as_slice() {
        [] | ["mean" | "mean_tokens"] => Ok(Pooling::Mean),
        ["cls" | "cls_token"] => Ok(Pooling::Cls),
        ["lasttoken"] => Ok(Pooling::Last),
        ["max" | "max_tokens"] => Ok(Pooling::Max),
        other => Err(unknown(&Value::String(other.join(" and ")))),
    }
}

/// The activation that a reranker's configuration names.
fn score(config: &Value) -> Result<Score, ImportError> {
    let c = Fields(config);
    let (field, older) = ("activation_fn", "sbert_ce_default_activation_function");
    let newer = c.get("sentence_transformers").and_then(|s| s.get(field)).filter(|v| !v.is_null());
    let Some(value) = newer.or_else(|| c.get(older)) else { return Ok(Score::Sigmoid) };
    match value.as_str().and_then(|path| path.rsplit('.').next()) {
        Some("Identity") => Ok(Score::Raw),
        Some("Sigmoid") => Ok(Score::Sigmoid),
        _ => Err(refused(field, value, "supported are Sigmoid and Identity")),
    }
}
