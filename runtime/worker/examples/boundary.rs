//! `boundary WORKER LIBRARY MODEL [THREADS]`: what the worker's process costs
//! beside the same engine in this process, and beside bare steps of the model;
//! how long loading takes beside reading and hashing; what stays resident.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "run by hand")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "run by hand")]

use std::cell::Cell;
use std::fs::File;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use sha2::{Digest, Sha256 as Hasher};
use weighbridge_engine::{Batch, Engine, LanguageModel, Limits, Prepare, Segment, Template, Text, TextFiles};
use weighbridge_gateway::Work;
use weighbridge_import::Manifest;
use weighbridge_inference_wire::{Constraint, Event, Generate, PartRole, Prompt, RequestId, Sampling};
use weighbridge_onnx::{File as Data, Language, Library, Setting};
use weighbridge_policy::{Assessment, Context, PolicySet, Principal, approve};
use weighbridge_runtime::{Handle, Options, PartSource, Settings, Supervisor, WorkerCommand};
use weighbridge_types::Sha256;

const FILES: [(PartRole, &str); 5] = [
    (PartRole::Graph, "model.onnx"),
    (PartRole::Data, "model.onnx.data"),
    (PartRole::Manifest, "weighbridge.json"),
    (PartRole::Tokenizer, "tokenizer.json"),
    (PartRole::Template, "chat_template.jinja"),
];
const PROMPT: usize = 128;
const WRITTEN: usize = 64;
const ROUNDS: usize = 7;
const CACHE: u64 = 512 << 20;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let folder = Path::new(&args[3]);
    let threads = args.get(4).map_or(2, |t| t.parse().unwrap());
    let worker = WorkerCommand { program: (&args[1]).into(), arguments: vec![(&args[2]).into()] };
    let supervisor = Supervisor::new(Settings { threads, ..Settings::new(worker) });
    loading(&supervisor, folder);
    let served = load(&supervisor, folder);
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let manifest: Manifest = serde_json::from_slice(&read("weighbridge.json")).unwrap();
    let library = Library::load(args[2].as_ref()).unwrap();
    let data: &'static [u8] = Vec::leak(read("model.onnx.data"));
    let open = || {
        let files = [Data { name: "model.onnx.data", bytes: data }];
        let setting = Setting { threads, cache_bytes: CACHE, context_length: Some(4096) };
        Language::open(&library, &manifest, &read("model.onnx"), &files, setting).unwrap()
    };
    let mut bare = open();
    let near = open();
    let shape = near.shape();
    let files = TextFiles { tokenizer: &read("tokenizer.json"), config: None, generation: None };
    let text = Arc::new(Text::load(&files, shape.vocabulary).unwrap());
    let template = Template::load(None, &text).unwrap();
    let done = Rc::new(Cell::new(0));
    let counted = Rc::clone(&done);
    let sink =
        move |_: RequestId, event: Event| counted.set(counted.get() + usize::from(matches!(event, Event::Done { .. })));
    let mut engine = Engine::new(near, Arc::new(Prepare::new(text, template, shape, None)), Limits::default(), sink);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!(
        "seconds for {PROMPT} tokens read and {WRITTEN} written per stream; ratio of medians and median of ratios"
    );
    for streams in [1, 4, 8] {
        let mut times: [Vec<f64>; 3] = Default::default();
        for round in 0..=ROUNDS {
            let prompts: Vec<Vec<u32>> = (0..streams).map(|s| prompt(round * 100 + s, shape.vocabulary)).collect();
            let each = [
                timed(|| steps(&mut bare, &prompts)),
                timed(|| {
                    done.set(0);
                    for (id, prompt) in prompts.iter().enumerate() {
                        engine.submit(id as u64, generate(prompt));
                    }
                    while done.get() < streams {
                        engine.step();
                    }
                }),
                timed(|| runtime.block_on(far(&served, &prompts))),
            ];
            // The first warms up.
            if round > 0 {
                times.iter_mut().zip(each).for_each(|(times, time)| times.push(time));
            }
        }
        let ratios: Vec<f64> = times[2].iter().zip(&times[1]).map(|(far, near)| far / near).collect();
        let [bare, near, far] = times.map(median);
        println!(
            "{streams} streams: bare steps {bare:.3}, engine {near:.3} ({:.3}), worker {far:.3} ({:.3} of engine; {:.3})",
            near / bare,
            far / near,
            median(ratios)
        );
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.process_id().unwrap())).unwrap();
    for line in status.lines().filter(|l| l.starts_with("Rss") || l.starts_with("VmHWM") || l.starts_with("VmRSS")) {
        println!("{line}");
    }
    let size: u64 = FILES.iter().map(|(_, name)| folder.join(name).metadata().unwrap().len()).sum();
    println!("files {} kB; {:?}", size / 1024, served.stats().unwrap());
    println!("unconfined: {:?}", served.unconfined());
}

fn loading(supervisor: &Supervisor, folder: &Path) {
    let (mut plain, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.push(timed(|| {
            use std::io::Read;
            for (_, name) in FILES {
                let (mut file, mut hasher) = (File::open(folder.join(name)).unwrap(), Hasher::new());
                let mut block = vec![0; 1 << 20];
                while let Ok(length @ 1..) = file.read(&mut block) {
                    hasher.update(&block[..length]);
                }
                std::hint::black_box(hasher.finalize());
            }
        }));
        let digests = digests(folder);
        whole.push(timed(|| drop(load_with(supervisor, folder, &digests))));
        let facts = supervisor.find("model").unwrap().facts().unwrap();
        print!("{} ", facts.load_ms);
        supervisor.unload("model");
    }
    println!("ms in the worker");
    let (plain, whole) = (median(plain), median(whole));
    println!("reading and hashing {plain:.3} s, loading {whole:.3} s: {:.2}", whole / plain);
}

fn digests(folder: &Path) -> Vec<Sha256> {
    let digest =
        |(_, name): &(PartRole, &str)| Sha256::new(Hasher::digest(std::fs::read(folder.join(name)).unwrap()).into());
    FILES.iter().map(digest).collect()
}

fn load(supervisor: &Supervisor, folder: &Path) -> Handle {
    load_with(supervisor, folder, &digests(folder))
}

fn load_with(supervisor: &Supervisor, folder: &Path, digests: &[Sha256]) -> Handle {
    let file = |d: &Sha256| (d.to_string(), Assessment { sha256: Some(*d), ..Assessment::default() });
    let context = Context::at(jiff::Timestamp::now());
    let principal = Principal::User("bench".to_owned());
    let files = digests.iter().map(file).collect();
    let approved = approve("model", &files, &principal, &context, &PolicySet::empty().unwrap()).unwrap();
    let parts = FILES.iter().zip(digests).map(|((role, name), sha256)| PartSource {
        role: *role,
        name: (*name).to_owned(),
        file: File::open(folder.join(name)).unwrap(),
        sha256: *sha256,
    });
    let options = Options { cache_bytes: CACHE, context_length: Some(4096), ..Options::default() };
    supervisor.load(approved, parts.collect(), options).unwrap()
}

fn timed(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn prompt(seed: usize, vocabulary: usize) -> Vec<u32> {
    (0..PROMPT).map(|i| ((i * 7919 + seed * 104_729 + 3) % (vocabulary - 100)) as u32).collect()
}

fn generate(prompt: &[u32]) -> Generate {
    Generate {
        prompt: Prompt::Tokens(prompt.to_vec()),
        max_tokens: Some(WRITTEN as u32),
        choices: 1,
        stop: Vec::new(),
        sampling: Sampling { temperature: Some(0.0), ..Sampling::default() },
        constraint: Constraint::Free,
        logprobs: None,
        ignore_end: true,
        scope: 0,
    }
}

async fn far(model: &Handle, prompts: &[Vec<u32>]) {
    let streams = prompts.iter().map(|p| model.submit(Work::Generate(Box::new(generate(p)))).unwrap());
    futures::future::join_all(streams.map(|mut events| async move {
        while let Some(event) = events.next().await {
            match event {
                Event::Done { usage } => {
                    assert_eq!(usage.completion_tokens as usize, WRITTEN);
                    return;
                }
                Event::Failed { failure } => panic!("{failure:?}"),
                _ => {}
            }
        }
    }))
    .await;
}

/// As the scheduler would: all prompts in one step, then a token each.
fn steps(model: &mut Language, prompts: &[Vec<u32>]) {
    let vocabulary = model.shape().vocabulary;
    let each = (PROMPT + WRITTEN).div_ceil(32) as u32;
    let pages: Vec<Vec<u32>> = (0..prompts.len() as u32).map(|b| (b * each..(b + 1) * each).collect()).collect();
    let greatest = |row: &[f32]| {
        let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        best.unwrap().0 as u32
    };
    let mut last: Vec<u32> = Vec::new();
    for (part, pages) in prompts.chunks(4).zip(pages.chunks(4)) {
        let tokens: Vec<u32> = part.concat();
        let segments: Vec<_> = (pages.iter().enumerate())
            .map(|(b, pages)| Segment { first: b * PROMPT, count: PROMPT, past: 0, pages, sequence: b as u64 })
            .collect();
        let rows: Vec<usize> = (1..=part.len()).map(|b| b * PROMPT - 1).collect();
        let logits = model.step(&Batch { tokens: &tokens, segments: &segments, logit_rows: &rows }).unwrap();
        last.extend(logits.chunks(vocabulary).map(greatest));
    }
    for n in 0..WRITTEN - 1 {
        let segments: Vec<_> = (pages.iter().enumerate())
            .map(|(b, pages)| Segment { first: b, count: 1, past: PROMPT + n, pages, sequence: b as u64 })
            .collect();
        let rows: Vec<usize> = (0..prompts.len()).collect();
        let logits = model.step(&Batch { tokens: &last, segments: &segments, logit_rows: &rows }).unwrap();
        last = logits.chunks(vocabulary).map(greatest).collect();
    }
}
