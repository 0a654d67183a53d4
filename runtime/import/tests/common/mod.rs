//! What the tests share: sources and sinks in memory, the sample models.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use weighbridge_import::reference::{Graph, Session};
use weighbridge_import::{GRAPH_FILE, ImportError, Input, Manifest, Options, Sink, Source, WEIGHTS_FILE, import};

/// A tokenizer for models whose text does not matter.
pub const TOKENIZER: &str = r#"{"version":"1.0","added_tokens":[{"id":1,"content":"<s>"},{"id":2,"content":"</s>"}],
    "model":{"type":"BPE","vocab":{"<s>":1,"</s>":2},"merges":[]}}"#;

/// Keeps what is written.
#[derive(Default)]
pub struct Memory(pub BTreeMap<&'static str, Vec<u8>>);

impl Sink for Memory {
    fn append(&mut self, file: &'static str, bytes: &[u8]) -> io::Result<()> {
        self.0.entry(file).or_default().extend_from_slice(bytes);
        Ok(())
    }
}

/// The folder of a sample model.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name)
}

/// A file of a sample model.
pub fn read(name: &str, file: &str) -> Vec<u8> {
    let path = fixture(name).join(file);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A source of files in memory.
pub fn source(files: &[(&str, Vec<u8>)]) -> Source {
    files.iter().fold(Source::new(), |s, (name, bytes)| s.with(*name, Input::bytes(bytes.clone())))
}

/// The safetensors side of a sample model.
pub fn folder(name: &str) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("config.json", read(name, "config.json")),
        ("model.safetensors", read(name, "model.safetensors")),
        ("tokenizer.json", TOKENIZER.into()),
    ]
}

/// The GGUF side of a sample model.
pub fn gguf(name: &str) -> Vec<(&'static str, Vec<u8>)> {
    vec![("model.gguf", read(name, "model.gguf"))]
}

/// Imports files in memory.
pub fn imported(files: &[(&str, Vec<u8>)], options: &Options) -> Result<(Manifest, Memory), ImportError> {
    let mut sink = Memory::default();
    let manifest = import(&source(files), &mut sink, options)?;
    Ok((manifest, sink))
}

/// The sample's prompt.
pub fn prompt(name: &str) -> Vec<i64> {
    serde_json::from_slice(&read(name, "prompt.json")).unwrap()
}

/// What `transformers` computed of it, one row per token.
pub fn expected(name: &str) -> Vec<Vec<f32>> {
    let values: Vec<f32> = read(name, "logits.f32").as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let width = values.len() / prompt(name).len();
    values.chunks(width).map(<[f32]>::to_vec).collect()
}

/// Logits of every position, the prompt fed in the given pieces.
pub fn logits(model: &Memory, ids: &[i64], piece: usize) -> Vec<Vec<f32>> {
    let graph = Graph::read(&model.0[GRAPH_FILE]).unwrap();
    let mut session = Session::new(&graph, &model.0[WEIGHTS_FILE]);
    ids.chunks(piece).flat_map(|ids| session.step(ids, &(0..ids.len() as i64).collect::<Vec<_>>()).unwrap()).collect()
}

/// The largest difference between two sets of logits.
pub fn difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!(a.len(), b.len());
    let rows = a.iter().zip(b).inspect(|(a, b)| assert_eq!(a.len(), b.len()));
    rows.flat_map(|(a, b)| a.iter().zip(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// All files of a sample that reads whole texts.
pub fn encoder(name: &str) -> Vec<(&'static str, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/encoders").join(name);
    ENCODER_FILES.iter().filter_map(|file| Some((*file, std::fs::read(folder.join(file)).ok()?))).collect()
}

/// Files that an encoder may have.
pub const ENCODER_FILES: &[&str] = &[
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
];

/// A text, or a pair, and what sentence-transformers makes of it.
#[derive(serde::Deserialize)]
pub struct Case {
    pub tokens: Vec<i64>,
    pub types: Vec<i64>,
    pub numbers: Vec<f32>,
}

/// What a sample is measured by.
pub fn cases(name: &str) -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/encoders").join(name);
    serde_json::from_slice(&std::fs::read(folder.join("cases.json")).unwrap()).unwrap()
}
