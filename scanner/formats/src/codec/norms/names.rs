//! One name for the norm tensors of a layer, whoever wrote the file.
//!
//! Libraries disagree on what a norm is called, and converters on which role
//! it plays: Hugging Face's `post_attention_layernorm` is `ffn_norm` in one
//! architecture and `post_attention_norm` in another. The place is what they
//! agree on, so the canonical name keeps stack, layer and kind, not the role.

/// Folders of names that may stand before the layers of a language model.
const WRAPPERS: &[&str] = &[
    "model",
    "base_model",
    "transformer",
    "language_model",
    "gpt_neox",
    "backbone",
    "bert",
    "roberta",
    "distilbert",
    "encoder",
    "decoder",
];
/// What holds the layers.
const LAYERS: &[&str] = &["layers", "layer", "h", "blocks", "block", "blk"];
/// Names of the norms outside all layers, before `.weight` or `.bias`.
const OUTER: &[&str] = &[
    "output_norm",
    "token_embd_norm",
    "norm",
    "norm_f",
    "ln_f",
    "final_layernorm",
    "final_layer_norm",
    "layer_norm",
    "layernorm",
    "word_embeddings_layernorm",
    "embeddings.layernorm",
    "embedding_norm",
];

/// `blk.7.norm.weight`, `dec.blk.0.norm.bias` or `norm.weight`, if `name` is
/// that of a norm tensor of a language model.
#[must_use]
pub fn canonical(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let (rest, kind) = lower.rsplit_once('.')?;
    let kind = match kind {
        "weight" | "gamma" => "weight",
        "bias" | "beta" => "bias",
        _ => return None,
    };
    let parts: Vec<&str> = rest.split('.').collect();
    let is_number = |part: &str| !part.is_empty() && part.len() <= 5 && part.bytes().all(|b| b.is_ascii_digit());
    let at = parts.windows(2).position(|pair| matches!(pair, [l, n] if LAYERS.contains(l) && is_number(n)));
    let (before, inside) = match at {
        Some(at) => (parts.get(..at)?, Some(at)),
        None => outer(&parts)?,
    };
    if !before.iter().all(|part| WRAPPERS.contains(part) || matches!(*part, "enc" | "dec")) {
        return None;
    }
    let stack = stack(before, inside.and_then(|at| parts.get(at).copied()));
    let Some(at) = inside else { return Some(format!("{stack}norm.{kind}")) };
    let number: u32 = parts.get(at + 1)?.parse().ok()?;
    let last = parts.get(at + 2..)?.last()?;
    is_norm(last).then(|| format!("{stack}blk.{number}.norm.{kind}"))
}

/// The wrappers before a norm that stands outside all layers.
fn outer<'a, 'b>(parts: &'a [&'b str]) -> Option<(&'a [&'b str], Option<usize>)> {
    let (last, before) = parts.split_last()?;
    if OUTER.contains(last) && *last != "layernorm" {
        return Some((before, None));
    }
    let (embeddings, before) = before.split_last()?;
    (*embeddings == "embeddings" && *last == "layernorm").then_some((before, None))
}

/// Encoders and decoders of one file are told apart where both ways of
/// writing do: T5 has `encoder.block.0` and `enc.blk.0`.
fn stack(before: &[&str], layers: Option<&str>) -> &'static str {
    let t5 = layers.is_none_or(|l| l == "block");
    match before.last() {
        Some(&"enc") => "enc.",
        Some(&"dec") => "dec.",
        Some(&"encoder") if t5 && before.len() == 1 => "enc.",
        Some(&"decoder") if t5 && before.len() == 1 => "dec.",
        _ => "",
    }
}

/// Whether a component names a norm: `input_layernorm`, `attn_norm`, `ln_1`.
fn is_norm(part: &str) -> bool {
    let ln = part.strip_prefix("ln").is_some_and(|rest| rest.starts_with(|c: char| c == '_' || c.is_ascii_digit()));
    part.contains("norm") || ln || part.ends_with("_ln")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_meet() {
        for (huggingface, gguf) in [
            ("model.layers.7.input_layernorm.weight", "blk.7.attn_norm.weight"),
            ("model.layers.7.post_attention_layernorm.weight", "blk.7.ffn_norm.weight"),
            ("model.layers.7.self_attn.q_norm.weight", "blk.7.attn_q_norm.weight"),
            ("model.layers.31.pre_feedforward_layernorm.weight", "blk.31.ffn_norm.weight"),
            ("model.language_model.layers.0.input_layernorm.weight", "blk.0.attn_norm.weight"),
            ("language_model.model.norm.weight", "output_norm.weight"),
            ("model.norm.weight", "output_norm.weight"),
            ("h.3.ln_1.bias", "blk.3.attn_norm.bias"),
            ("transformer.h.3.ln_attn.weight", "blk.3.attn_norm.weight"),
            ("transformer.ln_f.bias", "output_norm.bias"),
            ("transformer.blocks.2.norm_1.weight", "blk.2.attn_norm.weight"),
            ("gpt_neox.layers.2.post_attention_layernorm.bias", "blk.2.ffn_norm.bias"),
            ("bert.encoder.layer.1.attention.output.LayerNorm.weight", "blk.1.attn_output_norm.weight"),
            ("encoder.layer.1.output.LayerNorm.gamma", "blk.1.layer_output_norm.weight"),
            ("bert.embeddings.LayerNorm.bias", "token_embd_norm.bias"),
            ("encoder.block.0.layer.1.layer_norm.weight", "enc.blk.0.ffn_norm.weight"),
            ("decoder.final_layer_norm.weight", "dec.output_norm.weight"),
            ("layers.0.attention_norm.weight", "blk.0.attn_norm.weight"),
            ("backbone.layers.5.norm.weight", "blk.5.attn_norm.weight"),
        ] {
            assert!(canonical(gguf).is_some(), "{gguf}");
            assert_eq!(canonical(huggingface), canonical(gguf), "{huggingface}");
        }
    }

    #[test]
    fn what_is_no_norm_of_a_language_model_is_left_out() {
        for name in [
            "model.layers.0.self_attn.q_proj.weight",
            "blk.0.attn_q.weight",
            "blk.0.attn_q.bias",
            "vision_tower.encoder.layers.0.layer_norm1.weight",
            "v.blk.0.ln1.weight",
            "cls.predictions.transform.LayerNorm.weight",
            "down_blocks.0.resnets.0.norm1.weight",
            "model.layers.norm",
            "layers..norm.weight",
            "norm",
            "",
        ] {
            assert_eq!(canonical(name), None, "{name}");
        }
    }
}
