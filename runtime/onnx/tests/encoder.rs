//! Imported encoders in ONNX Runtime compute what sentence-transformers
//! computes of the same weights, alone and side by side. The samples come from
//! `runtime/import/tests/fixtures`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;
use weighbridge_engine::EncoderModel;
use weighbridge_engine::embedding::{Read, Texts};
use weighbridge_import::{
    GRAPH_FILE, Input, Manifest, Options, Pooling, Quantisation, Score, Sink, Source, Task, WEIGHTS_FILE, import,
};
use weighbridge_onnx::{Encoder, File, Library};

const SAMPLES: &[&str] = &["bert", "bert_cls", "bert_rerank", "roberta", "roberta_rerank", "distilbert"];
const FILES: &[&str] = &[
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
];

#[derive(Default)]
struct Memory(BTreeMap<&'static str, Vec<u8>>);

impl Sink for Memory {
    fn append(&mut self, file: &'static str, bytes: &[u8]) -> io::Result<()> {
        self.0.entry(file).or_default().extend_from_slice(bytes);
        Ok(())
    }
}

/// What `cargo xtask test` fetches; a process loads it once.
fn library() -> Option<Library> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    let load = || {
        let test = std::env::current_exe().unwrap();
        let path = test.ancestors().nth(3).unwrap().join("onnxruntime/libonnxruntime.so");
        if !path.exists() {
            println!("skipped: {} is not there; `cargo xtask test` fetches it", path.display());
            return None;
        }
        Some(Library::load(&path).unwrap())
    };
    LIBRARY.get_or_init(load).clone()
}

fn folder(sample: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../import/tests/fixtures/encoders").join(sample)
}

struct Case {
    tokens: Vec<u32>,
    types: Vec<u32>,
    numbers: Vec<f32>,
}

fn cases(sample: &str) -> Vec<Case> {
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(folder(sample).join("cases.json")).unwrap()).unwrap();
    let of = |case: &Value, name: &str| case[name].as_array().unwrap().clone();
    let whole = |case: &Value, name: &str| {
        of(case, name).iter().map(|n| u32::try_from(n.as_u64().unwrap()).unwrap()).collect::<Vec<u32>>()
    };
    let parse = |case: &Value| Case {
        tokens: whole(case, "tokens"),
        types: whole(case, "types"),
        numbers: of(case, "numbers").iter().map(|n| n.to_string().parse().unwrap()).collect(),
    };
    cases.iter().map(parse).collect()
}

struct Made {
    manifest: Manifest,
    graph: Vec<u8>,
    weights: &'static [u8],
}

fn made(sample: &str, quantisation: Quantisation) -> Made {
    let source = FILES.iter().fold(Source::new(), |source, name| match std::fs::read(folder(sample).join(name)) {
        Ok(bytes) => source.with(*name, Input::bytes(bytes)),
        Err(_) => source,
    });
    let mut made = Memory::default();
    let options = Options { quantisation: Some(quantisation), long_context: false };
    let manifest = import(&source, &mut made, &options).unwrap();
    let weights: &'static [u8] = Vec::leak(made.0.remove(WEIGHTS_FILE).unwrap());
    Made { manifest, graph: made.0.remove(GRAPH_FILE).unwrap(), weights }
}

fn open(library: &Library, made: &Made) -> Encoder {
    let files = [File { name: WEIGHTS_FILE, bytes: made.weights }];
    Encoder::open(library, &made.manifest, &made.graph, &files, 2).unwrap()
}

/// Rows of each text, read together.
fn rows(model: &mut Encoder, cases: &[Case]) -> Vec<Vec<f32>> {
    let tokens: Vec<u32> = cases.iter().flat_map(|c| c.tokens.clone()).collect();
    let types: Vec<u32> = cases.iter().flat_map(|c| c.types.clone()).collect();
    let counts: Vec<usize> = cases.iter().map(|c| c.tokens.len()).collect();
    let size = model.size();
    match model.read(&Texts { tokens: &tokens, types: &types, counts: &counts }).unwrap() {
        Read::Texts(all) => all.chunks(size).map(<[f32]>::to_vec).collect(),
        Read::Tokens(mut all) => {
            let mut part = |count: &usize| {
                let (mine, rest) = all.split_at(count * size);
                all = rest;
                mine.to_vec()
            };
            counts.iter().map(&mut part).collect()
        }
    }
}

fn answer(manifest: &Manifest, rows: &[f32], size: usize) -> Vec<f32> {
    let said = manifest.encoder.as_ref().unwrap();
    if said.task == Task::Rerank {
        return vec![if said.score == Score::Raw { rows[0] } else { 1.0 / (1.0 + (-rows[0]).exp()) }];
    }
    let column = |d: usize| rows.chunks(size).map(move |row| row[d]);
    let count = (rows.len() / size) as f32;
    let mut vector: Vec<f32> = match said.pooling {
        Pooling::Mean => (0..size).map(|d| column(d).sum::<f32>() / count).collect(),
        Pooling::Max => (0..size).map(|d| column(d).fold(f32::MIN, f32::max)).collect(),
        _ => rows[..size].to_vec(),
    };
    if said.normalises {
        let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|v| *v /= length);
    }
    vector
}

#[test]
fn every_family_computes_what_sentence_transformers_computes() {
    let Some(library) = library() else { return };
    for sample in SAMPLES {
        let made = made(sample, Quantisation::F16);
        let mut model = open(&library, &made);
        let cases = cases(sample);
        let size = model.size();
        let mut worst = 0.0_f32;
        for (rows, case) in rows(&mut model, &cases).iter().zip(&cases) {
            let ours = answer(&made.manifest, rows, size);
            assert_eq!(ours.len(), case.numbers.len(), "{sample}");
            worst = ours.iter().zip(&case.numbers).map(|(a, b)| (a - b).abs()).fold(worst, f32::max);
        }
        println!("{sample}: {worst:e}");
        // Numbers are of the size of 1; both sides compute in f32.
        assert!(worst < 1e-5, "{sample}: {worst}");
    }
}

#[test]
fn company_changes_no_bit() {
    let Some(library) = library() else { return };
    for sample in SAMPLES {
        for quantisation in [Quantisation::Int8, Quantisation::F16, Quantisation::Int4] {
            let mut model = open(&library, &made(sample, quantisation));
            let cases = cases(sample);
            let together = rows(&mut model, &cases);
            for (case, together) in cases.iter().zip(&together) {
                let alone = rows(&mut model, std::slice::from_ref(case));
                assert!(alone[0].iter().zip(together).all(|(a, b)| a.to_bits() == b.to_bits()), "{sample}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error_and_the_model_goes_on() {
    let Some(library) = library() else { return };
    for sample in ["bert", "bert_rerank"] {
        let mut model = open(&library, &made(sample, Quantisation::Int8));
        let cases = cases(sample);
        let before = rows(&mut model, &cases);
        let (many, zeros) = (vec![5; 67], vec![0; 67]);
        for (tokens, types, counts) in [
            (&[2, 10_000][..], &[0, 0][..], &[2][..]),
            (&[2, 3], &[0, 9], &[2]),
            (&many, &zeros, &[67]),
            (&[2, 3], &[0], &[2]),
            (&[2, 3], &[0, 0], &[1]),
            (&[2, 3], &[0, 0], &[3]),
            (&[2, 3], &[0, 0], &[2, 0]),
            (&[2, 3], &[0, 0], &[usize::MAX, 2]),
        ] {
            let outcome = model.read(&Texts { tokens, types, counts });
            // A text without tokens has no first one; among others it harms nobody.
            assert!(outcome.is_err() || counts == [2, 0] && sample == "bert", "{sample}: {counts:?}");
        }
        assert_eq!(rows(&mut model, &cases), before);
    }
}

#[test]
fn weights_that_are_not_there_or_too_short_are_refused() {
    let Some(library) = library() else { return };
    let made = made("bert", Quantisation::Int8);
    let with = |name, bytes| Encoder::open(&library, &made.manifest, &made.graph, &[File { name, bytes }], 1);
    assert!(with(WEIGHTS_FILE, made.weights).is_ok());
    for (name, bytes) in [("other", made.weights), (WEIGHTS_FILE, &made.weights[..1000]), (WEIGHTS_FILE, &[])] {
        let error = with(name, bytes).err().unwrap().to_string();
        assert!(error.contains("tensor `"), "{error}");
    }
    let files = [File { name: WEIGHTS_FILE, bytes: made.weights }];
    for cut in (0..made.graph.len()).step_by(97) {
        assert!(Encoder::open(&library, &made.manifest, &made.graph[..cut], &files, 1).is_err(), "cut at {cut}");
    }
    let writes = Manifest { encoder: None, ..made.manifest.clone() };
    let error = Encoder::open(&library, &writes, &made.graph, &files, 1).err().unwrap().to_string();
    assert!(error.contains("describes no encoder"), "{error}");
}
