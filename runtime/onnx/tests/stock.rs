//! A language model as onnxruntime-genai's model builder exports it (4 bits,
//! GroupQueryAttention, MatMulNBits) computes what ONNX Runtime's own package
//! computes of it, alone, in pieces and beside others. `fixtures/stock/make.py`
//! made both.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::PathBuf;

use weighbridge_engine::{Batch, LanguageModel, Segment};
use weighbridge_onnx::{File, Graph, Library, Setting, Stated, Stock};

use common::library;

const SETTING: Setting = Setting { threads: 2, cache_bytes: 8 << 20, context_length: None };
const STATED: Stated =
    Stated { kv_heads: Some(2), head_size: Some(32), vocabulary: Some(4096), context_length: Some(512) };
/// The same kernels, in other batches. Pieces were seen to differ by 5e-6, the
/// whole by nothing; another processor may take other kernels.
const TOLERANCE: f32 = 1e-3;

fn read(file: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stock").join(file)).unwrap()
}

fn graph(library: &Library) -> Graph {
    let data: &'static [u8] = Vec::leak(read("model.onnx.data"));
    Graph::open(library, &read("model.onnx"), &[File { name: "model.onnx.data", bytes: data }], 2).unwrap()
}

fn prompt() -> Vec<u32> {
    serde_json::from_slice(&read("prompt.json")).unwrap()
}

/// Of the last four tokens.
fn expected() -> Vec<f32> {
    read("logits.f32").as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn pieces_and_neighbours_change_nothing() {
    let Some(library) = library() else { return };
    let graph = graph(&library);
    assert!(Stock::is_one(&graph.inputs(), &graph.outputs()));
    let mut model = Stock::new(graph, STATED, SETTING).unwrap();
    let (tokens, expected) = (prompt(), expected());
    let last: Vec<usize> = (tokens.len() - 4..tokens.len()).collect();
    let all = [Segment { first: 0, count: tokens.len(), past: 0, pages: &[], sequence: 1 }];
    let whole = model.step(&Batch { tokens: &tokens, segments: &all, logit_rows: &last }).unwrap().to_vec();
    assert!(difference(&whole, &expected) < TOLERANCE, "{}", difference(&whole, &expected));

    // The last four one by one, beside another sequence that reads everything
    // each time.
    model.released(1);
    let start = tokens.len() - 4;
    let first = [Segment { first: 0, count: start, past: 0, pages: &[], sequence: 1 }];
    assert!(model.step(&Batch { tokens: &tokens[..start], segments: &first, logit_rows: &[] }).unwrap().is_empty());
    let mut pieces = Vec::new();
    for past in start..tokens.len() {
        let together: Vec<u32> = std::iter::once(tokens[past]).chain(tokens.iter().copied()).collect();
        let segments = [
            Segment { first: 0, count: 1, past, pages: &[], sequence: 1 },
            Segment { first: 1, count: tokens.len(), past: 0, pages: &[], sequence: 2 },
        ];
        let batch = Batch { tokens: &together, segments: &segments, logit_rows: &[0, tokens.len()] };
        let logits = model.step(&batch).unwrap();
        let (mine, other) = logits.split_at(4096);
        pieces.extend_from_slice(mine);
        assert!(difference(other, &expected[3 * 4096..]) < TOLERANCE);
    }
    assert!(difference(&pieces, &expected) < TOLERANCE, "{}", difference(&pieces, &expected));
}

#[test]
fn a_sequence_goes_on_only_where_it_ended() {
    let Some(library) = library() else { return };
    let mut model = Stock::new(graph(&library), STATED, SETTING).unwrap();
    let mut step = |past: usize| {
        let segments = [Segment { first: 0, count: 1, past, pages: &[], sequence: 5 }];
        model.step(&Batch { tokens: &[7], segments: &segments, logit_rows: &[0] }).map(<[f32]>::len)
    };
    assert_eq!(step(0), Ok(4096));
    assert_eq!(step(1), Ok(4096));
    assert!(step(7).unwrap_err().to_string().contains("continued after 7"));
    assert_eq!(step(0), Ok(4096), "it may begin again");
}

#[test]
fn files_that_lie_about_sizes_are_refused() {
    let Some(library) = library() else { return };
    let open = |stated: Stated, setting: Setting| Stock::new(graph(&library), stated, setting);
    for (stated, part) in [
        (Stated { head_size: None, ..STATED }, "how large a head is"),
        (Stated { head_size: Some(0), ..STATED }, "how large a head is"),
        (Stated { head_size: Some(usize::MAX), ..STATED }, "how large a head is"),
        (Stated { context_length: None, ..STATED }, "how long its sequences may be"),
    ] {
        let refused = open(stated, SETTING).err().unwrap().to_string();
        assert!(refused.contains(part), "{refused}");
    }
    let little = Setting { cache_bytes: 1000, ..SETTING };
    assert!(open(STATED, little).err().unwrap().to_string().contains("more than all that may be used"));
    // What the graph itself says counts; heads of another size do not run.
    let mut wrong = open(Stated { head_size: Some(16), ..STATED }, SETTING).unwrap();
    let segments = [Segment { first: 0, count: 1, past: 0, pages: &[], sequence: 1 }];
    assert!(wrong.step(&Batch { tokens: &[1], segments: &segments, logit_rows: &[0] }).is_err());
}
