//! `steps LIBRARY MODEL THREADS PROMPT TOKENS STREAMS`: tokens per second of
//! bare steps of an imported model, without sampling, text, process or sandbox.
//! JSON on standard output.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "run by hand and by `cargo xtask bench inference`"
)]

use std::time::Instant;

use weighbridge_engine::{Batch, LanguageModel, Segment};
use weighbridge_import::{GRAPH_FILE, MANIFEST_FILE, Manifest, WEIGHTS_FILE};
use weighbridge_onnx::{File, Language, Library, Setting};

/// Runs of each: the first warms up, the last counts.
const ROUNDS: usize = 2;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let folder = std::path::Path::new(&args[2]);
    let [threads, prompt, written] = [3, 4, 5].map(|n: usize| args[n].parse::<usize>().unwrap());
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let manifest: Manifest = serde_json::from_slice(&read(MANIFEST_FILE)).unwrap();
    let data: &'static [u8] = Vec::leak(read(WEIGHTS_FILE));
    let library = Library::load(args[1].as_ref()).unwrap();
    let files = [File { name: WEIGHTS_FILE, bytes: data }];
    let setting = Setting { threads, cache_bytes: 1 << 30, context_length: Some(4096) };
    let mut model = Language::open(&library, &manifest, &read(GRAPH_FILE), &files, setting).unwrap();
    let vocabulary = model.shape().vocabulary;
    let mut lines = Vec::new();
    for batch in args[6].split(',').map(|n| n.parse::<usize>().unwrap()) {
        let pages_each = u32::try_from((prompt + written).div_ceil(32)).unwrap();
        let pages: Vec<Vec<u32>> =
            (0..batch as u32).map(|b| (b * pages_each..(b + 1) * pages_each).collect()).collect();
        let (mut prefill, mut decode) = (0.0_f64, 0.0_f64);
        for _ in 0..ROUNDS {
            let mut last = vec![0_u32; batch];
            let started = Instant::now();
            for b in 0..batch {
                let tokens: Vec<u32> = (0..prompt).map(|i| ((i * 7919 + b * 31 + 3) % vocabulary) as u32).collect();
                let segment = [Segment { first: 0, count: prompt, past: 0, pages: &pages[b], sequence: b as u64 }];
                let logits = model.step(&Batch { tokens: &tokens, segments: &segment, logit_rows: &[prompt - 1] });
                last[b] = greatest(logits.unwrap());
            }
            let middle = Instant::now();
            for n in 0..written {
                let segments: Vec<Segment<'_>> = (0..batch)
                    .map(|b| Segment { first: b, count: 1, past: prompt + n, pages: &pages[b], sequence: b as u64 })
                    .collect();
                let rows: Vec<usize> = (0..batch).collect();
                let tokens = last.clone();
                let logits = model.step(&Batch { tokens: &tokens, segments: &segments, logit_rows: &rows }).unwrap();
                last = logits.chunks(vocabulary).map(greatest).collect();
            }
            let rate = |tokens: usize, time: std::time::Duration| tokens as f64 / time.as_secs_f64();
            prefill = rate(batch * prompt, middle - started);
            decode = rate(batch * written, middle.elapsed());
        }
        lines.push(format!("{{\"streams\":{batch},\"prefill\":{prefill:.1},\"decode\":{decode:.1}}}"));
    }
    println!("[{}]", lines.join(","));
}

fn greatest(row: &[f32]) -> u32 {
    weighbridge_kernels::argmax(weighbridge_kernels::Isa::detect(), row).unwrap() as u32
}
