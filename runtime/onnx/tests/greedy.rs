//! Imported models write what llama.cpp writes from the same file, token by
//! token. What it wrote is in `fixtures/greedy.json`, made by `greedy.py`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use weighbridge_engine::{Batch, LanguageModel, Segment};
use weighbridge_import::Options;
use weighbridge_onnx::Language;

use common::{library, open};

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The sample chat model, in the type `kind`.
fn model(kind: &str, folder: &Path) -> Option<Vec<u8>> {
    let original =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/models/chat/weighbridge-chat-f16.gguf");
    if kind == "F16" {
        return Some(std::fs::read(original).unwrap());
    }
    let test = std::env::current_exe().unwrap();
    let python = test.ancestors().nth(3).unwrap().join("venvs/lineage/bin/python");
    if !python.exists() {
        println!("{kind} skipped: {} is not there; `cargo xtask test` installs it", python.display());
        return None;
    }
    let out = folder.join(kind);
    let made = Command::new(python).arg(fixtures().join("quantise.py")).arg(original).arg(kind).arg(&out).status();
    assert!(made.unwrap().success());
    Some(std::fs::read(out).unwrap())
}

/// The likeliest tokens after `prompt`.
fn write(model: &mut Language, prompt: &[u32], count: usize) -> Vec<u32> {
    let pages: Vec<u32> = (0..16).collect();
    let (mut tokens, mut past, mut next) = (Vec::new(), 0, prompt.to_vec());
    for _ in 0..count {
        let segment = Segment { first: 0, count: next.len(), past, pages: &pages, sequence: 1 };
        let batch = Batch { tokens: &next, segments: &[segment], logit_rows: &[next.len() - 1] };
        let logits = model.step(&batch).unwrap();
        let likeliest = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
        past += next.len();
        next = vec![u32::try_from(likeliest).unwrap()];
        tokens.push(next[0]);
    }
    tokens
}

#[test]
fn two_hundred_tokens_are_those_of_llama_cpp() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let all: BTreeMap<String, Vec<Value>> =
        serde_json::from_slice(&std::fs::read(fixtures().join("greedy.json")).unwrap()).unwrap();
    assert!(all.len() == 3 && all.values().all(|prompts| prompts.len() == 5));
    let tokens = |v: &Value| -> Vec<u32> { serde_json::from_value(v.clone()).unwrap() };
    for (kind, prompts) in all {
        let Some(bytes) = model(&kind, folder.path()) else { continue };
        let mut model = open(&library, &[("model.gguf", bytes)], &Options::default());
        for theirs in prompts {
            let ours = write(&mut model, &tokens(&theirs["prompt"]), 200);
            let same = ours.iter().zip(&tokens(&theirs["tokens"])).take_while(|(a, b)| a == b).count();
            println!("{kind} {}: {same} of 200", theirs["text"]);
            assert!(same == 200, "{kind} {}: they part after {same} tokens", theirs["text"]);
        }
    }
}
