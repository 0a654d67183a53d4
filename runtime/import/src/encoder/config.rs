use serde_json::Value;

use super::names::{Kind, Names};
use super::{Encoder, refused};
use crate::ImportError;
use crate::error::Name;
use crate::hf::config::Fields;
use crate::manifest::Task;
use crate::model::{Stated, float};
use crate::weights::Tensors;

/// Most rows of the table of positions.
const POSITIONS_MAX: u64 = 1 << 17;
/// Most kinds of tokens.
const TOKEN_TYPES_MAX: u64 = 16;
/// What models of these families do not have, and others that call themselves
/// so do: positions by rotation or bias, gates, code of their own.
const FOREIGN: &[&str] = &[
    "auto_map",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "rotary_emb_fraction",
    "rotary_kwargs",
    "alibi_starting_size",
    "feed_forward_type",
    "attention_window",
    "is_decoder",
    "add_cross_attention",
    "quantization_config",
];

/// Reads `config.json` of an encoder whose weights are `tensors`.
pub(super) fn read(json: &Value, tensors: &Tensors) -> Result<Encoder, ImportError> {
    let c = Fields(json);
    let architecture = c.text("model_type").ok_or_else(|| ImportError::configuration("model_type", "is missing"))?;
    let kind = match architecture {
        "bert" => Kind::Bert,
        "distilbert" => Kind::DistilBert,
        _ => Kind::Roberta,
    };
    for field in FOREIGN {
        if let Some(value) = c.get(field).filter(|v| v.as_bool() != Some(false)) {
            return Err(refused(field, value, "only plain models of these families are known: import the original"));
        }
    }
    if let Some(value) = c.get("position_embedding_type").filter(|v| v.as_str() != Some("absolute")) {
        return Err(refused("position_embedding_type", value, "only `absolute` is supported"));
    }
    if let Some(value) = c.get("pruned_heads").filter(|v| v.as_object().is_none_or(|o| !o.is_empty())) {
        return Err(refused("pruned_heads", value, "import a model that has all of its heads"));
    }
    let distil = kind == Kind::DistilBert;
    let of = |bert: &'static str, other: &'static str| if distil { other } else { bert };
    let heads = c.required(of("num_attention_heads", "n_heads"))?;
    let hidden = c.required(of("hidden_size", "dim"))?;
    if let Some(size) = c.unsigned("embedding_size")?.filter(|size| *size != hidden) {
        return Err(refused("embedding_size", &size.into(), "only that of the hidden states is supported"));
    }
    let positions = c.required("max_position_embeddings")?;
    let padding = c.unsigned("pad_token_id")?.unwrap_or(1);
    let first_position = if kind == Kind::Roberta { padding.saturating_add(1) } else { 0 };
    let context = positions.checked_sub(first_position).filter(|n| *n > 0 && positions <= POSITIONS_MAX);
    let context = context.ok_or_else(|| {
        let reason = format!("is {positions}; expected {} to {POSITIONS_MAX}", first_position.saturating_add(1));
        ImportError::configuration("max_position_embeddings", reason)
    })?;
    let stated = Stated {
        layers: c.required(of("num_hidden_layers", "n_layers"))?,
        hidden,
        heads,
        kv_heads: heads,
        head_size: None,
        feed_forward: c.required(of("intermediate_size", "hidden_dim"))?,
        vocabulary: c.required("vocab_size")?,
        context,
    };
    let sizes = stated.check()?;
    let types = if distil { 0 } else { c.unsigned("type_vocab_size")?.unwrap_or(2) };
    if types > TOKEN_TYPES_MAX {
        let reason = format!("is {types}; expected at most {TOKEN_TYPES_MAX}");
        return Err(ImportError::configuration("type_vocab_size", reason));
    }
    let epsilon = if distil { 1e-12 } else { c.number("layer_norm_eps")?.unwrap_or(1e-12) };
    let whole = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let name = c.text("_name_or_path").filter(|n| !n.is_empty()).map(|n| n.chars().take(256).collect());
    Ok(Encoder {
        architecture: architecture.to_owned(),
        name,
        sizes,
        positions: whole(positions),
        first_position: whole(first_position),
        type_rows: whole(types),
        has_types: kind == Kind::Bert && types > 1,
        epsilon: float("layer_norm_eps", epsilon, 0.0, 1.0)?,
        activation: activation(&c, of("hidden_act", "activation"))?,
        task: task(&c)?,
        names: Names::find(kind, tensors)?,
    })
}

fn activation(c: &Fields<'_>, field: &str) -> Result<&'static str, ImportError> {
    match c.text(field) {
        None | Some("gelu" | "gelu_python") => Ok("gelu"),
        Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast") => Ok("gelu_tanh"),
        Some("relu") => Ok("relu"),
        Some("silu" | "swish") => Ok("silu"),
        Some(other) => Err(ImportError::unsupported(
            format!("the activation `{}`", Name::new(other)),
            "supported are gelu, gelu_new, gelu_pytorch_tanh, relu and silu",
        )),
    }
}

/// What the model's class is for. A model that was saved to guess words has
/// vectors of them, too.
fn task(c: &Fields<'_>) -> Result<Task, ImportError> {
    let class = c.get("architectures").and_then(|a| a.get(0)).and_then(Value::as_str).unwrap_or("Model");
    if class.ends_with("ForSequenceClassification") {
        return Ok(Task::Rerank);
    }
    if class.ends_with("ForMaskedLM") || class.ends_with("ForPreTraining") || class.ends_with("Model") {
        return Ok(Task::Embed);
    }
    let value = Value::String(class.to_owned());
    Err(refused("architectures", &value, "supported are models for vectors of texts, and for scores of pairs"))
}
