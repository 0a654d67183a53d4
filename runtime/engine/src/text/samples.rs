//! Tokenizers trained on the spot, of the two kinds in common use.

use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, TokenizerBuilder,
};

use super::{Text, TextFiles};

const CORPUS: &str = include_str!("../lib.rs");

/// Special tokens of the samples, from token 0 on.
pub(crate) const SPECIALS: [&str; 6] =
    ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "[TOOL_CALLS]", "<|python_tag|>", "<s>"];

fn train(pre: PreTokenizerWrapper, alphabet: bool, size: usize) -> Value {
    let mut builder = BpeTrainerBuilder::new()
        .vocab_size(size)
        .show_progress(false)
        .special_tokens(SPECIALS.iter().map(|text| AddedToken::from(*text, true)).collect());
    if alphabet {
        builder = builder.initial_alphabet(ByteLevel::alphabet().into_iter().collect());
    }
    let mut tokenizer =
        TokenizerBuilder::<BPE, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>::new()
            .with_model(BPE::default())
            .with_pre_tokenizer(Some(pre))
            .build()
            .unwrap();
    let lines = CORPUS.lines().chain(["naïve café 日本語 🙂 {\"name\": \"value\", \"n\": 12}", "<think> <tool_call>"]);
    tokenizer.train(&mut builder.build(), lines).unwrap();
    serde_json::from_str(&tokenizer.to_string(false).unwrap()).unwrap()
}

/// GPT-2's kind: bytes as characters.
pub(crate) fn byte_level() -> Value {
    let mut file = train(ByteLevel::new(false, true, true).into(), true, 450);
    file["decoder"] = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    file
}

/// Llama 2's kind: a sign for the space, bytes for what is not known.
pub(crate) fn sentence_piece() -> Value {
    let mut file = train(Metaspace::new('▁', PrependScheme::Always, true).into(), false, 400);
    file["pre_tokenizer"] = Value::Null;
    file["normalizer"] = json!({"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]});
    file["decoder"] = json!({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
    let vocabulary = file["model"]["vocab"].as_object_mut().unwrap();
    vocabulary.entry("▁").or_insert_with(|| json!(0));
    let count = vocabulary.len();
    for byte in 0..256 {
        vocabulary.insert(format!("<0x{byte:02X}>"), json!(count + byte));
    }
    file["model"]["byte_fallback"] = json!(true);
    file
}

/// A tokenizer read back from its file.
pub(crate) fn load(file: &Value) -> Text {
    load_with(file, &json!({"eos_token": "<|im_end|>", "bos_token": "<s>"}))
}

pub(crate) fn load_with(file: &Value, config: &Value) -> Text {
    let (tokenizer, config) = (file.to_string(), config.to_string());
    let files = TextFiles { tokenizer: tokenizer.as_bytes(), config: Some(config.as_bytes()), generation: None };
    Text::load(&files, vocabulary(file)).unwrap()
}

pub(crate) fn vocabulary(file: &Value) -> usize {
    file["model"]["vocab"].as_object().unwrap().len()
}
