use serde_json::Value;

use super::rope;
use crate::ImportError;
use crate::import::Options;
use crate::model::{Activation, Family, Layer, Model, Stated, float};

/// Members of a configuration, read by name.
pub(crate) struct Fields<'a>(pub(crate) &'a Value);

impl<'a> Fields<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|v| !v.is_null())
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, ImportError> {
        let number = |v: &Value| v.as_f64().ok_or_else(|| ImportError::configuration(name, "is not a number"));
        self.get(name).map(number).transpose()
    }

    pub(crate) fn unsigned(&self, name: &str) -> Result<Option<u64>, ImportError> {
        let unsigned = |v: &Value| v.as_u64().ok_or_else(|| ImportError::configuration(name, "is not a whole number"));
        self.get(name).map(unsigned).transpose()
    }

    pub(crate) fn required(&self, name: &str) -> Result<u64, ImportError> {
        self.unsigned(name)?.ok_or_else(|| ImportError::configuration(name, "is missing"))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name)?.as_str()
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or(false)
    }
}

/// Reads `config.json`.
pub(super) fn read(json: &Value, options: &Options) -> Result<Model, ImportError> {
    let c = Fields(json);
    let architecture = c.text("model_type").ok_or_else(|| ImportError::configuration("model_type", "is missing"))?;
    let family = Family::of(architecture, crate::encoder::FAMILIES)?;
    if c.get("quantization_config").is_some() {
        return Err(ImportError::unsupported(
            "a safetensors model that is quantised already",
            "import the original weights, or a GGUF file",
        ));
    }
    if c.get("text_config").is_some() {
        return Err(ImportError::unsupported(
            "a language model inside a model of pictures or sound",
            "import its text model alone, or a GGUF file",
        ));
    }
    if c.is_true("use_bidirectional_attention") {
        return Err(ImportError::unsupported(
            "a model whose tokens see those behind them",
            "it makes vectors of texts; serve its ONNX export",
        ));
    }
    if c.is_true("mlp_bias") {
        return Err(ImportError::unsupported("a feed-forward with biases", "there is no such model of this family"));
    }
    let heads = c.required("num_attention_heads")?;
    let stated = Stated {
        layers: c.required("num_hidden_layers")?,
        hidden: c.required("hidden_size")?,
        heads,
        kv_heads: c.unsigned("num_key_value_heads")?.unwrap_or(heads),
        head_size: c.unsigned("head_dim")?,
        feed_forward: c.required("intermediate_size")?,
        vocabulary: c.required("vocab_size")?,
        context: c.required("max_position_embeddings")?,
    };
    let mut sizes = stated.check()?;
    let layers = layers(&c, family, sizes.layers)?;
    let (ropes, context) = rope::read(&c, family, sizes.head_size, sizes.context, options)?;
    sizes.context = context;
    let epsilon = c.number("rms_norm_eps")?.unwrap_or(1e-6);
    let own_scale = c.number("query_pre_attn_scalar")?.filter(|_| family.is_gemma());
    #[expect(clippy::cast_precision_loss, reason = "sizes are small")]
    let (head_size, hidden) = (sizes.head_size as f64, sizes.hidden as f64);
    let attention_scale = own_scale.unwrap_or(head_size).powf(-0.5);
    let softcap = |name: &str| match c.number(name)?.filter(|_| family == Family::Gemma2) {
        Some(cap) => float(name, cap, 1e-3, 1e6),
        None => Ok(0.0),
    };
    Ok(Model {
        family,
        architecture: architecture.to_owned(),
        name: c.text("_name_or_path").filter(|n| !n.is_empty()).map(|n| n.chars().take(256).collect()),
        licence: None,
        sizes,
        epsilon: float("rms_norm_eps", epsilon, 0.0, 1.0)?,
        activation: activation(&c, family)?,
        interleaved: false,
        embedding_scale: if family.is_gemma() { float("hidden size", hidden.sqrt(), 1.0, 1e6)? } else { 1.0 },
        attention_scale: float("query_pre_attn_scalar", attention_scale, 1e-6, 1e3)?,
        attention_softcap: softcap("attn_logit_softcapping")?,
        logit_softcap: softcap("final_logit_softcapping")?,
        norm_offset: if family.is_gemma() { 1.0 } else { 0.0 },
        tied: c.get("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(family.is_gemma()),
        layers,
        ropes,
    })
}

fn activation(c: &Fields<'_>, family: Family) -> Result<Activation, ImportError> {
    // Gemma's first release said `gelu` and meant its approximation.
    let stated = c.text("hidden_activation").or_else(|| c.text("hidden_act"));
    match (stated, family.is_gemma()) {
        (Some("silu" | "swish"), _) | (None, false) => Ok(Activation::Silu),
        (Some("gelu_pytorch_tanh" | "gelu_new"), _) | (None, true) => Ok(Activation::GeluTanh),
        (Some("gelu"), true) if c.text("hidden_activation").is_none() => Ok(Activation::GeluTanh),
        (Some(other), _) => Err(ImportError::unsupported(
            format!("the activation `{}`", crate::error::Name::new(other)),
            "supported are silu and gelu_pytorch_tanh",
        )),
    }
}

/// Which layers see a window only.
fn layers(c: &Fields<'_>, family: Family, count: usize) -> Result<Vec<Layer>, ImportError> {
    let switch = c.get("use_sliding_window").and_then(Value::as_bool);
    let switched_off = match family {
        Family::Gemma2 => false,
        Family::Qwen2 | Family::Qwen3 => switch != Some(true),
        _ => switch == Some(false),
    };
    let has_windows = !matches!(family, Family::Llama | Family::Gemma);
    let window = match c.unsigned("sliding_window")?.filter(|_| has_windows && !switched_off) {
        Some(n) => usize::try_from(n).ok().filter(|n| (1..=1 << 28).contains(n)).ok_or_else(|| {
            ImportError::configuration("sliding_window", format!("is {n}; expected 1 to {}", 1u32 << 28))
        })?,
        None => 0,
    };
    let types = c.get("layer_types").and_then(Value::as_array).filter(|_| has_windows);
    if types.is_some_and(|t| t.len() != count) {
        return Err(ImportError::configuration("layer_types", format!("does not name {count} layers")));
    }
    let pattern = c.unsigned("sliding_window_pattern")?.unwrap_or(if family == Family::Gemma2 { 2 } else { 6 });
    let first_windowed = c.unsigned("max_window_layers")?.unwrap_or(0);
    let windowed = |layer: usize| -> Result<bool, ImportError> {
        let number = layer as u64;
        match types.and_then(|t| t.get(layer)).map(|t| t.as_str().unwrap_or_default()) {
            Some("sliding_attention") => Ok(true),
            Some("full_attention") => Ok(false),
            Some(other) => Err(ImportError::unsupported(
                format!("the layer type `{}`", crate::error::Name::new(other)),
                "supported are full_attention and sliding_attention",
            )),
            None => Ok(match family {
                Family::Gemma2 | Family::Gemma3 => (number + 1).checked_rem(pattern).is_some_and(|rest| rest != 0),
                Family::Qwen2 | Family::Qwen3 => number >= first_windowed,
                _ => true,
            }),
        }
    };
    (0..count)
        .map(|layer| {
            let windowed = windowed(layer)?;
            let rope = usize::from(windowed && family == Family::Gemma3);
            Ok(Layer { window: if windowed { window } else { 0 }, rope })
        })
        .collect()
}
