//! What a safetensors file says of itself.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use weighbridge_types::LinkKind;

use crate::core::Inspection;
use crate::formats::safetensors::header::Header;

/// Metadata keys that are facts as they stand; the first that is there wins.
const FACTS: &[(&str, &[&str])] = &[
    ("framework", &["format", "framework"]),
    ("name", &["modelspec.title", "ss_output_name", "name", "model_name"]),
    ("architecture", &["modelspec.architecture", "ss_base_model_version", "architecture", "model_type"]),
    ("license", &["modelspec.license", "license"]),
    ("author", &["modelspec.author", "author"]),
    ("base_model", &["base_model", "base_model_name_or_path", "ss_sd_model_name"]),
    ("producer", &["modelspec.implementation", "ss_training_comment", "quantized_by", "creator"]),
    ("date", &["modelspec.date", "ss_training_finished_at"]),
    ("resolution", &["modelspec.resolution", "ss_resolution"]),
    ("adapter_rank", &["ss_network_dim", "lora_rank", "rank"]),
];

/// Records metadata and links. `complete` says whether the whole header was
/// read, so that sums over it hold.
pub fn report(ctx: &mut Inspection<'_>, header: &Header, complete: bool) {
    let values = &header.metadata.values;
    for (fact, keys) in FACTS {
        if let Some(value) = keys.iter().find_map(|key| values.get(*key)).filter(|v| !v.is_empty() && *v != "None") {
            ctx.fact(fact, value.as_str());
        }
    }
    if let Some(base) = values.get("base_model").or_else(|| values.get("base_model_name_or_path")) {
        ctx.link(LinkKind::BaseModel, base);
    }
    if let Some(adapter) = adapter(header) {
        ctx.fact("adapter", adapter);
    }
    let quantization = quantization(header);
    if let Some(quantization) = quantization {
        ctx.fact("quantization", quantization);
    }
    if !complete {
        return;
    }
    let mut types: BTreeMap<&str, u64> = BTreeMap::new();
    let mut elements = 0u64;
    for tensor in &header.tensors {
        *types.entry(tensor.dtype.name()).or_default() += 1;
        elements = elements.saturating_add(tensor.elements);
    }
    ctx.fact("tensor_count", header.tensors.len() as u64);
    // Packed weights have fewer elements than parameters.
    if elements > 0 && quantization.is_none_or(|q| q == "fp8") {
        ctx.fact("parameters", elements);
    }
    if !types.is_empty() {
        ctx.fact("dtypes", types.iter().map(|(k, n)| ((*k).to_owned(), Value::from(*n))).collect::<Map<_, _>>());
    }
}

fn has(header: &Header, marks: &[&str]) -> bool {
    marks.iter().any(|mark| header.marks.contains_key(mark))
}

fn adapter(header: &Header) -> Option<&'static str> {
    let lora = [".lora_A", ".lora_B", ".lora_a", ".lora_b", "lora_up", "lora_down", "lora.up", "lora.down"];
    if has(header, &lora) || header.metadata.values.get("ss_network_module").is_some_and(|m| m.contains("lora")) {
        Some("lora")
    } else if has(header, &["hada_w1"]) {
        Some("loha")
    } else if has(header, &["lokr_w1"]) {
        Some("lokr")
    } else {
        None
    }
}

fn quantization(header: &Header) -> Option<&'static str> {
    let fp8 = || {
        header.tensors.iter().any(|t| t.dtype.name().starts_with("F8_E4M3") || t.dtype.name().starts_with("F8_E5M2"))
    };
    Some(if has(header, &["quant_state.bitsandbytes__nf4"]) {
        "bitsandbytes-nf4"
    } else if has(header, &["quant_state.bitsandbytes__fp4"]) {
        "bitsandbytes-fp4"
    } else if has(header, &[".SCB"]) {
        "bitsandbytes-int8"
    } else if has(header, &[".qweight"]) && has(header, &[".g_idx"]) {
        "gptq"
    } else if has(header, &[".qweight"]) && has(header, &[".qzeros"]) {
        "awq"
    } else if has(header, &[".q_weight"]) {
        "exl2"
    } else if has(header, &["weight_packed"]) {
        "compressed-tensors"
    } else if has(header, &["weight_scale_2"]) {
        "nvfp4"
    } else if has(header, &["_blocks"]) && has(header, &["_scales"]) {
        "mxfp4"
    } else if has(header, &[".scales"]) && has(header, &[".biases"]) {
        "mlx"
    } else if fp8() {
        "fp8"
    } else {
        return None;
    })
}
