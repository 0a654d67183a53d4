//! What the files beside an exported model say: `config.json` as transformers
//! writes it, `generation_config.json`, `genai_config.json`.

use serde_json::{Map, Value, json};
use weighbridge_inference_wire::{Failure, PartRole};
use weighbridge_onnx::Stated;

use crate::error::{of_model, short};
use crate::parts::Parts;

/// Largest file.
const BYTES_MAX: usize = 8 << 20;
/// How answers are drawn.
const DRAWN: [&str; 6] = ["do_sample", "temperature", "top_p", "top_k", "min_p", "repetition_penalty"];

/// What is known of an exported language model.
#[derive(Debug)]
pub struct Beside {
    /// `model_type`.
    pub architecture: String,
    /// Sizes.
    pub stated: Stated,
    /// As `generation_config.json` says it.
    pub generation: String,
}

/// Reads the files beside a graph.
///
/// # Errors
/// Files that are too large or no JSON.
pub fn read(parts: &Parts) -> Result<Beside, Failure> {
    let config = config(parts)?;
    let generation: Vec<Value> = parts
        .all(PartRole::Generation)
        .map(|bytes| parse(bytes, "generation_config.json"))
        .collect::<Result<_, _>>()?;
    Ok(of(&config, &generation))
}

/// `model_type` of `config.json`; nothing where there is none.
///
/// # Errors
/// As [`read`].
pub fn architecture(parts: &Parts) -> Result<String, Failure> {
    Ok(short(config(parts)?.get("model_type").and_then(Value::as_str).unwrap_or_default()))
}

fn config(parts: &Parts) -> Result<Value, Failure> {
    parts.one(PartRole::Config)?.map_or(Ok(Value::Null), |bytes| parse(bytes, "config.json"))
}

fn parse(bytes: &[u8], name: &str) -> Result<Value, Failure> {
    if bytes.len() > BYTES_MAX {
        return Err(of_model(format!("`{name}` has {} bytes; at most {BYTES_MAX} are read", bytes.len())));
    }
    serde_json::from_slice(bytes).map_err(|e| of_model(format!("`{name}` is not JSON: {}", short(&e.to_string()))))
}

fn of(config: &Value, generation: &[Value]) -> Beside {
    // Models that also see or hear keep what concerns text apart.
    let config = config.get("text_config").unwrap_or(config);
    let genai = generation.iter().find_map(|g| g.get("model"));
    let decoder = genai.and_then(|model| model.get("decoder"));
    let size = |of: Option<&Value>, name: &str| {
        of.and_then(|of| of.get(name)).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok())
    };
    let config = Some(config);
    let heads = size(config, "num_attention_heads");
    let stated = Stated {
        kv_heads: size(config, "num_key_value_heads").or(size(decoder, "num_key_value_heads")).or(heads),
        head_size: size(config, "head_dim")
            .or(size(decoder, "head_size"))
            .or_else(|| size(config, "hidden_size")?.checked_div(heads?)),
        vocabulary: size(config, "vocab_size").or(size(genai, "vocab_size")),
        context_length: size(config, "max_position_embeddings").or(size(genai, "context_length")),
    };
    let named = |of: Option<&Value>, name: &str| of.and_then(|of| of.get(name)).and_then(Value::as_str).map(short);
    let architecture = named(config, "model_type").or_else(|| named(genai, "type")).unwrap_or_default();
    let said: Vec<&Value> = generation.iter().chain(genai).chain(config).collect();
    let mut merged = Map::new();
    let ends: Vec<&Value> = said.iter().filter_map(|file| file.get("eos_token_id")).collect();
    merged.insert("eos_token_id".to_owned(), json!(ends.iter().flat_map(|e| many(e)).collect::<Vec<_>>()));
    for name in DRAWN {
        // onnxruntime-genai keeps them under `search`.
        let first = generation.iter().find_map(|file| file.get(name).or_else(|| file.get("search")?.get(name)));
        merged.extend(first.map(|value| (name.to_owned(), value.clone())));
    }
    Beside { architecture, stated, generation: Value::Object(merged).to_string() }
}

fn many(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transformers_and_genai_say_the_same_in_other_places() {
        let config = json!({"model_type": "llama", "num_attention_heads": 6, "num_key_value_heads": 2,
            "hidden_size": 192, "vocab_size": 4096, "max_position_embeddings": 512, "eos_token_id": 2});
        let plain = of(&config, &[json!({"eos_token_id": [2, 7], "temperature": 0.5})]);
        let genai = json!({"model": {"type": "llama", "context_length": 512, "vocab_size": 4096, "eos_token_id": [2, 7],
            "decoder": {"head_size": 32, "num_key_value_heads": 2}}, "search": {"temperature": 0.5}});
        let genai = of(&Value::Null, &[genai]);
        for said in [&plain, &genai] {
            assert_eq!(said.architecture, "llama");
            let Stated { kv_heads, head_size, vocabulary, context_length, .. } = said.stated;
            assert_eq!([kv_heads, head_size, vocabulary, context_length].map(Option::unwrap), [2, 32, 4096, 512]);
            let generation: Value = serde_json::from_str(&said.generation).unwrap();
            assert_eq!(generation["temperature"], 0.5);
            assert!(generation["eos_token_id"].as_array().unwrap().contains(&json!(7)));
        }
    }

    #[test]
    fn nothing_and_nonsense_state_nothing() {
        let odd = json!({"num_attention_heads": 0, "hidden_size": 5, "vocab_size": -1, "max_position_embeddings": "x"});
        for config in [Value::Null, json!([1]), json!("x"), odd] {
            let said = of(&config, &[json!(null), json!([])]);
            assert!(said.stated.head_size.is_none() && said.stated.context_length.is_none(), "{config}");
            assert_eq!(said.generation, r#"{"eos_token_id":[]}"#);
        }
        assert!(parse(b"{", "config.json").is_err());
    }
}
