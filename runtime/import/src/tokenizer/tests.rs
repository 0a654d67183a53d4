use serde::Deserialize;
use weighbridge_formats::Input;
use weighbridge_formats::formats::gguf::catalogue;

use super::{Tokens, USER_DEFINED, from_gguf};
use crate::ImportError;

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    back: String,
}

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/tokens/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn tokens(gguf: Vec<u8>) -> Result<Tokens, ImportError> {
    let input = Input::bytes(gguf);
    let catalogue =
        catalogue::read(&input).map_err(|source| ImportError::Format { part: crate::error::Name::new("x"), source })?;
    from_gguf("x.gguf", &catalogue, 1 << 16)
}

/// Replaces the only occurrence of `from`.
fn patched(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

#[test]
fn vocabularies_give_the_ids_of_the_libraries_that_trained_them() {
    for name in ["llama-bpe", "qwen2", "gpt-2", "smollm", "spm-prefix", "spm-plain"] {
        let made = tokens(fixture(&format!("{name}.gguf"))).unwrap();
        let tokenizer = tokenizers::Tokenizer::from_bytes(&made.json).unwrap();
        let cases: Vec<Case> = serde_json::from_slice(&fixture(&format!("{name}.json"))).unwrap();
        assert!(cases.len() >= 8);
        for case in cases {
            let ids = tokenizer.encode(case.text.as_str(), true).unwrap().get_ids().to_vec();
            assert_eq!(ids, case.ids, "{name}: {:?}", case.text);
            assert_eq!(tokenizer.decode(&ids, true).unwrap(), case.back, "{name}: {:?}", case.text);
        }
        let bos = made.bos.unwrap();
        assert_eq!(tokenizer.token_to_id(bos.text.as_deref().unwrap()), Some(bos.id), "{name}");
        assert!(!made.eos.is_empty(), "{name}");
    }
}

#[test]
fn pieces_that_users_defined_are_found_in_text_with_spaces() {
    let honest = fixture("spm-plain.gguf");
    let names = tokens(honest.clone()).unwrap();
    let plain = tokenizers::Tokenizer::from_bytes(&names.json).unwrap();
    let piece = plain.token_to_id("▁weights").unwrap();
    // Key, type of the array, type and number of its elements, elements.
    let key = b"tokenizer.ggml.token_type";
    let at = honest.windows(key.len()).position(|w| w == key).unwrap() + key.len() + 16;
    let mut bytes = honest;
    bytes[at + piece as usize * 4] = USER_DEFINED;
    let made = tokens(bytes).unwrap();
    let tokenizer = tokenizers::Tokenizer::from_bytes(&made.json).unwrap();
    let ids = tokenizer.encode("the weights", false).unwrap().get_ids().to_vec();
    assert_eq!(tokenizer.token_to_id(" weights"), Some(piece));
    assert_eq!(ids.last(), Some(&piece), "{ids:?}");
    assert_eq!(
        tokenizer.decode(&ids, true).unwrap(),
        plain.decode(plain.encode("the weights", false).unwrap().get_ids(), true).unwrap()
    );
}

#[test]
fn vocabularies_that_do_not_fit_are_refused() {
    let honest = fixture("gpt-2.gguf");
    assert!(tokens(honest.clone()).is_ok());
    let bert = patched(fixture("spm-plain.gguf"), b"\x05\0\0\0\0\0\0\0llama\x15", b"\x05\0\0\0\0\0\0\0nomic\x15");
    for (bad, said) in [
        (patched(honest.clone(), b"\x05\0\0\0\0\0\0\0gpt-2", b"\x05\0\0\0\0\0\0\0gpt-9"), "pre-tokenizer"),
        (patched(honest.clone(), b"tokenizer.ggml.merges", b"tokenizer.ggml.murges"), "merges"),
        (patched(honest.clone(), b"tokenizer.ggml.tokens", b"tokenizer.ggml.takens"), "tokens"),
        (patched(bert, b"tokenizer.ggml.scores", b"tokenizer.ggml.scares"), "tokenizer"),
        (patched(fixture("spm-plain.gguf"), b"tokenizer.ggml.scores", b"tokenizer.ggml.scares"), "scores"),
    ] {
        let error = tokens(bad).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(said), "{said}: {error}");
    }
    let input = Input::bytes(honest);
    let catalogue = catalogue::read(&input).unwrap();
    let error = from_gguf("x.gguf", &catalogue, 100).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("embeddings"), "{error}");
}

#[test]
fn damaged_vocabularies_are_errors_and_nothing_worse() {
    for name in ["qwen2.gguf", "spm-prefix.gguf"] {
        let honest = fixture(name);
        for at in (0..honest.len()).step_by(37) {
            let _ = tokens(honest[..at].to_vec());
            let mut damaged = honest.clone();
            damaged[at] ^= 0xff;
            if let Ok(made) = tokens(damaged) {
                // Whatever is accepted, the library accepts as well.
                let loaded = tokenizers::Tokenizer::from_bytes(&made.json);
                assert!(loaded.is_ok(), "{name} at {at}: {:?}", loaded.err());
            }
        }
    }
}
