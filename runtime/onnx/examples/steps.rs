//! `steps LIBRARY MODEL [THREADS]`: tokens per second of bare steps of an
//! imported model, without sampling or text.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "run by hand"
)]

use std::time::Instant;

use weighbridge_engine::{Batch, LanguageModel, Segment};
use weighbridge_import::{GRAPH_FILE, MANIFEST_FILE, Manifest, WEIGHTS_FILE};
use weighbridge_onnx::{File, Language, Library, Setting};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let folder = std::path::Path::new(&args[2]);
    let threads = args.get(3).map_or(2, |t| t.parse().unwrap());
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let manifest: Manifest = serde_json::from_slice(&read(MANIFEST_FILE)).unwrap();
    let data: &'static [u8] = Vec::leak(read(WEIGHTS_FILE));
    let library = Library::load(args[1].as_ref()).unwrap();
    let files = [File { name: WEIGHTS_FILE, bytes: data }];
    let setting = Setting { threads, cache_bytes: 1 << 30, context_length: Some(4096) };
    println!("before {}", resident());
    let started = Instant::now();
    let mut model = Language::open(&library, &manifest, &read(GRAPH_FILE), &files, setting).unwrap();
    println!("open {:?}, {}", started.elapsed(), resident());
    let vocabulary = model.shape().vocabulary;
    let (prompt, written) = (128_usize, 48_usize);
    for batch in [1_usize, 4, 8] {
        let pages_each = u32::try_from((prompt + written).div_ceil(32)).unwrap();
        let pages: Vec<Vec<u32>> =
            (0..batch as u32).map(|b| (b * pages_each..(b + 1) * pages_each).collect()).collect();
        let (mut best_in, mut best_out) = (0.0_f64, 0.0_f64);
        for _ in 0..4 {
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
            best_in = best_in.max(rate(batch * prompt, middle - started));
            best_out = best_out.max(rate(batch * written, middle.elapsed()));
        }
        println!("{batch} streams: prefill {best_in:.0}, decode {best_out:.1} tokens/s; {}", resident());
    }
}

fn greatest(row: &[f32]) -> u32 {
    weighbridge_kernels::argmax(weighbridge_kernels::Isa::detect(), row).unwrap() as u32
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let lines = status.lines().filter(|l| l.starts_with("Rss") || l.starts_with("VmHWM"));
    lines.map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("; ")
}
