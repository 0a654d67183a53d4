//! Damaged, lying and hostile models are errors that say what is wrong, never
//! a panic, never a graph.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{Memory, TOKENIZER, folder, gguf, imported, read, source};
use proptest::prelude::*;
use serde_json::{Value, json};
use weighbridge_import::{ImportError, Options, Sink, import};

type Files = Vec<(&'static str, Vec<u8>)>;

/// The error's whole chain.
fn refusal(files: &[(&str, Vec<u8>)]) -> String {
    let error = match imported(files, &Options::default()) {
        Ok(_) => panic!("imported"),
        Err(error) => error,
    };
    let mut said = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        said = format!("{said}: {cause}");
        source = cause.source();
    }
    assert!(!said.chars().any(char::is_control), "{said:?} can be printed");
    said
}

/// Replaces the first occurrence of `from`.
fn patched(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

/// Overwrites the bytes that follow the first occurrence of `key`.
fn after(mut bytes: Vec<u8>, key: &str, skip: usize, to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(key.len()).position(|w| w == key.as_bytes()).unwrap() + key.len() + skip;
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

fn with_config(name: &str, change: impl Fn(&mut Value)) -> Files {
    let mut files = folder(name);
    let mut config: Value = serde_json::from_slice(&files[0].1).unwrap();
    change(&mut config);
    files[0].1 = config.to_string().into_bytes();
    files
}

/// The sample's safetensors file with another header.
fn with_header(name: &str, change: impl Fn(&mut Value)) -> Files {
    let mut files = folder(name);
    let bytes = &files[1].1;
    let length = usize::try_from(u64::from_le_bytes(*bytes.first_chunk().unwrap())).unwrap();
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    change(&mut header);
    let header = header.to_string();
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.as_bytes());
    out.extend(&bytes[8 + length..]);
    files[1].1 = out;
    files
}

#[test]
fn configurations_that_lie_are_refused() {
    for (field, value, said) in [
        ("model_type", json!("mamba"), "`mamba` cannot be imported; supported: llama, mistral"),
        ("model_type", json!("\u{1b}[2J\u{202e}evil"), "cannot be imported"),
        ("model_type", json!(7), "model_type"),
        ("hidden_size", json!(64), "is 203 by 32; the configuration asks for 203 by 64"),
        ("hidden_size", json!(33), "multiple"),
        ("hidden_size", json!(1u64 << 40), "hidden size"),
        ("hidden_size", json!(-32), "hidden_size"),
        ("hidden_size", Value::Null, "hidden_size"),
        ("num_hidden_layers", json!(3), "layers.2"),
        ("num_hidden_layers", json!(1), "is not part of"),
        ("num_hidden_layers", json!(u64::MAX), "number of layers"),
        ("num_hidden_layers", json!(0), "number of layers"),
        ("num_attention_heads", json!(0), "heads"),
        ("num_attention_heads", json!(8), "configuration asks for"),
        ("num_attention_heads", json!(5), "do not divide"),
        ("num_key_value_heads", json!(3), "do not divide"),
        ("num_key_value_heads", json!(0), "number of key and value heads"),
        ("head_dim", json!(7), "head size"),
        ("head_dim", json!(1u64 << 33), "head size"),
        ("head_dim", json!(32), "configuration asks for"),
        ("head_dim", json!(8), "expected 1 to 512, a multiple of 16"),
        ("head_dim", json!(1024), "expected 1 to 512"),
        ("use_bidirectional_attention", json!(true), "those behind them"),
        ("intermediate_size", json!(96), "configuration asks for"),
        ("vocab_size", json!(4_000_000_000u64), "vocabulary size"),
        ("vocab_size", json!(204), "configuration asks for 204"),
        ("max_position_embeddings", json!(0), "context length"),
        ("rms_norm_eps", json!("tiny"), "rms_norm_eps"),
        ("rms_norm_eps", json!(1e300), "rms_norm_eps"),
        ("hidden_act", json!("relu"), "`relu`"),
        ("mlp_bias", json!(true), "biases"),
        ("quantization_config", json!({"bits": 4}), "quantised already"),
        ("text_config", json!({}), "pictures"),
        ("rope_parameters", json!({"rope_type": "dynamic", "rope_theta": 1e4}), "`dynamic`"),
        ("rope_parameters", json!({"rope_type": "linear", "rope_theta": 1e4}), "factor"),
        ("rope_parameters", json!({"rope_type": "linear", "rope_theta": 1e4, "factor": 0}), "factor"),
        ("rope_parameters", json!({"rope_theta": -1}), "rope base"),
        ("rope_parameters", json!({"rope_theta": 1e4, "partial_rotary_factor": 9}), "partial_rotary_factor"),
        ("rope_parameters", json!({"rope_type": "longrope", "short_factor": [1]}), "short_factor"),
    ] {
        let files = with_config("llama_16", |c| c[field] = value.clone());
        let error = refusal(&files);
        assert!(error.contains(said), "{field} = {value}: {error}");
    }
    for (field, value, said) in [
        ("layer_types", json!(["sliding_attention"]), "layer_types"),
        ("layer_types", json!(["linear_attention", "full_attention"]), "`linear_attention`"),
        ("sliding_window", json!(0), "sliding_window"),
        ("attn_logit_softcapping", json!(0), "attn_logit_softcapping"),
        ("query_pre_attn_scalar", json!(0), "query_pre_attn_scalar"),
    ] {
        let error = refusal(&with_config("gemma2", |c| c[field] = value.clone()));
        assert!(error.contains(said), "{field} = {value}: {error}");
    }
}

#[test]
fn tensors_that_lie_are_refused() {
    let name = "model.layers.0.self_attn.q_proj.weight";
    let norm = "model.norm.weight";
    let set = |path: &'static str, field: &'static str, value: Value| {
        refusal(&with_header("llama_16", move |h| h[path][field] = value.clone()))
    };
    assert!(set(name, "shape", json!([32, 64])).contains("is 32 by 64"));
    assert!(set(name, "shape", json!([32, 32, 2])).contains("3 dimensions"));
    assert!(set(name, "shape", json!([u64::MAX, u64::MAX])).contains("cannot be read"));
    assert!(set(name, "shape", json!([0, 32])).contains("cannot be read"));
    assert!(set(name, "dtype", json!("I16")).contains("has type `I16`"));
    assert!(set(name, "dtype", json!("F99")).contains("cannot be read"));
    assert!(set(name, "data_offsets", json!([0, 2048])).contains("cannot be read"));
    assert!(set(name, "data_offsets", json!([1u64 << 40, (1u64 << 40) + 2048])).contains("cannot be read"));
    assert!(set(norm, "shape", json!([16, 2])).contains("is 16 by 2"));
    let renamed = |to: &'static str| {
        refusal(&with_header("llama_16", move |h| {
            let object = h.as_object_mut().unwrap();
            let tensor = object.remove(name).unwrap();
            object.insert(to.to_owned(), tensor);
        }))
    };
    assert!(renamed("model.layers.0.self_attn.z_proj.weight").contains("is missing"));
    assert!(renamed("a\u{7}\u{202e}b").contains("cannot be read"));
    assert!(renamed("../../etc/passwd").contains("cannot be read"));
    // Two names for the same bytes.
    let extra = with_header("llama_16", |h| h["extra.weight"] = h[norm].clone());
    assert!(refusal(&extra).contains("cannot be read"));
}

#[test]
fn a_family_is_not_imported_as_another() {
    // Qwen 3 without its norms would compute something else.
    let error = refusal(&with_config("qwen3", |c| c["model_type"] = json!("qwen2")));
    assert!(error.contains("k_norm") && error.contains("is not part of"), "{error}");
    let error = refusal(&with_config("gemma2", |c| c["model_type"] = json!("gemma")));
    assert!(error.contains("feedforward_layernorm"), "{error}");
}

#[test]
fn gguf_files_that_lie_are_refused() {
    let honest = || read("llama_16", "model.gguf");
    let mixed = || read("mixed", "model.gguf");
    let number = |key: &str, value: u32| after(honest(), key, 4, &value.to_le_bytes());
    let q = "blk.0.attn_q.weight";
    for (bytes, said) in [
        (number("llama.block_count", 3), "blk.2"),
        (number("llama.block_count", 1), "is not part of"),
        (number("llama.block_count", u32::MAX), "number of layers"),
        (number("llama.embedding_length", 64), "configuration asks for"),
        (number("llama.embedding_length", 31), "hidden size"),
        (number("llama.attention.head_count", 0), "heads"),
        (number("llama.attention.key_length", 32), "values differ"),
        (number("llama.rope.dimension_count", 4096), "more than a head has"),
        (number("llama.rope.dimension_count", 3), "a vector of 1 floats"),
        (number("llama.feed_forward_length", 128), "configuration asks for"),
        (number("llama.context_length", 0), "context length"),
        (number("llama.rope.freq_base", f32::NAN.to_bits()), "rope base"),
        (number("llama.attention.layer_norm_rms_epsilon", f32::INFINITY.to_bits()), "epsilon"),
        (patched(honest(), b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0mamba"), "`mamba` cannot be imported"),
        (patched(honest(), b"general.architecture", b"general.arkhitecture"), "does not say"),
        // Name, dimensions, two extents, type, offset.
        (after(honest(), q, 4, &u64::MAX.to_le_bytes()), "cannot be read"),
        (after(honest(), q, 4, &64u64.to_le_bytes()), "cannot be read"),
        (after(honest(), q, 20, &u32::MAX.to_le_bytes()), "cannot be read"),
        (after(honest(), q, 24, &0u64.to_le_bytes()), "cannot be read"),
        (after(honest(), q, 24, &(1u64 << 50).to_le_bytes()), "cannot be read"),
        (after(mixed(), q, 20, &16u32.to_le_bytes()), "has type `IQ2_XXS`; convert"),
        (patched(honest(), q.as_bytes(), b"blk.0.attn_q.we\nght"), "cannot be read"),
        (patched(honest(), q.as_bytes(), b"blk.0.attn_z.weight"), "is missing"),
        // Counts of tensors and of pairs.
        (patched(honest(), &honest()[8..16], &u64::MAX.to_le_bytes()), "cannot be read"),
        (patched(honest(), &honest()[16..24], &(1u64 << 61).to_le_bytes()), "cannot be read"),
        // Element type, then the number of tokens.
        (after(honest(), "tokenizer.ggml.tokens", 8, &4_000_000_000u64.to_le_bytes()), "cannot be read"),
        (after(honest(), "tokenizer.ggml.tokens", 8, &u64::MAX.to_le_bytes()), "cannot be read"),
        (patched(honest(), b"GGUF", b"GGUX"), "cannot be read"),
        (Vec::new(), "cannot be read"),
    ] {
        let error = refusal(&[("model.gguf", bytes)]);
        assert!(error.contains(said), "{said}: {error}");
    }
}

#[test]
fn damaged_scales_are_refused() {
    let bytes = read("mixed", "model.gguf");
    let tail = bytes.len() - 200;
    let mut refused = 0;
    for at in (tail..bytes.len()).step_by(2) {
        let mut damaged = bytes.clone();
        damaged[at..at + 2].copy_from_slice(&[0xff, 0x7f]);
        refused += usize::from(imported(&[("model.gguf", damaged)], &Options::default()).is_err());
    }
    assert!(refused > 0, "some of the last bytes are scales");
}

#[test]
fn files_that_are_missing_or_foreign_are_named() {
    let without = |name: &str| folder("llama_16").into_iter().filter(|(n, _)| *n != name).collect::<Files>();
    assert!(refusal(&without("config.json")).contains("neither"));
    assert!(refusal(&without("model.safetensors")).contains("`model.safetensors`"));
    assert!(refusal(&without("tokenizer.json")).contains("use_fast"));
    assert!(refusal(&[]).contains("neither"));
    let with = |name: &'static str, bytes: &[u8]| {
        let mut files = without(name);
        files.push((name, bytes.to_vec()));
        refusal(&files)
    };
    assert!(with("tokenizer.json", b"{}").contains("tokenizer.json"));
    assert!(with("tokenizer.json", b"[").contains("tokenizer.json"));
    assert!(with("config.json", &[b'['; 5 << 20]).contains("larger than"));
    assert!(with("config.json", "[".repeat(100_000).as_bytes()).contains("config.json"));
    assert!(with("chat_template.jinja", &[b' '; (1 << 20) + 1]).contains("larger than"));
    assert!(with("chat_template.jinja", b"\xff").contains("UTF-8"));
    assert!(with("model.safetensors.index.json", br#"{"weight_map":{"a":"../b"}}"#).contains("`../b`"));
    assert!(with("generation_config.json", b"nonsense").contains("generation_config.json"));
    let two = [("a.gguf", read("llama_16", "model.gguf")), ("b.gguf", read("llama_16", "model.gguf"))];
    assert!(refusal(&two).contains("2 are there"));
}

#[test]
fn cut_files_are_refused_wherever_they_end() {
    for name in ["llama_16", "phi3"] {
        let whole = read(name, "model.gguf");
        for at in (0..whole.len()).step_by(211) {
            let error = refusal(&[("model.gguf", whole[..at].to_vec())]);
            assert!(error.contains("model.gguf"), "{error}");
        }
        let files = folder(name);
        for at in (0..files[1].1.len()).step_by(211) {
            let mut cut = files.clone();
            cut[1].1.truncate(at);
            refusal(&cut);
        }
    }
}

#[test]
fn a_sink_that_fails_stops_the_import() {
    struct Full(u64);
    impl Sink for Full {
        fn append(&mut self, _: &'static str, bytes: &[u8]) -> std::io::Result<()> {
            self.0 = self.0.checked_sub(bytes.len() as u64).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(())
        }
    }
    for room in [0, 5000, 60_000] {
        let error = import(&source(&gguf("llama_16")), &mut Full(room), &Options::default()).unwrap_err();
        assert!(matches!(error, ImportError::Write { .. }), "{error}");
    }
}

#[test]
fn the_same_model_gives_the_same_bytes() {
    for files in [gguf("gemma2"), folder("phi3")] {
        let once = imported(&files, &Options::default()).unwrap();
        let again = imported(&files, &Options::default()).unwrap();
        assert_eq!(once.0, again.0);
        assert_eq!(once.1.0, again.1.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever byte is changed, the importer returns.
    #[test]
    fn any_damage_is_survived(at in 0usize..3000, byte in any::<u8>(), wide in any::<bool>()) {
        for name in ["gemma2", "mixed"] {
            let mut bytes = read(name, "model.gguf");
            let end = (at + if wide { 8 } else { 1 }).min(bytes.len());
            bytes[at.min(end)..end].fill(byte);
            let _ = imported(&[("model.gguf", bytes)], &Options::default());
        }
        let mut files = folder("llama_16");
        let end = (at + if wide { 8 } else { 1 }).min(files[1].1.len());
        files[1].1[at.min(end)..end].fill(byte);
        let _ = imported(&files, &Options::default());
        let mut files = vec![("tokenizer.json", TOKENIZER.as_bytes().to_vec())];
        files.extend(folder("llama_16").into_iter().take(2));
        let n = at % files[1].1.len();
        files[1].1[n] = byte;
        let mut sink = Memory::default();
        let _ = import(&source(&files), &mut sink, &Options::default());
    }
}
