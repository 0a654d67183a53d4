//! What the tests share: a small imported model, a supervisor of real workers.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;
use sha2::{Digest, Sha256 as Hasher};
use weighbridge_gateway::{Events, Work};
use weighbridge_import::{Input, Options as ImportOptions, Quantisation, Sink, Source, import};
use weighbridge_inference_wire::{Constraint, Event, Failure, Generate, PartRole, Prompt, Sampling, Usage};
use weighbridge_policy::{Approved, Assessment, Context, PolicySet, Principal, approve};
use weighbridge_runtime::{Handle, Options, PartSource, Settings, Supervisor, Timing, WorkerCommand};
use weighbridge_types::Sha256;

/// A file of a model.
pub type Named = (PartRole, String, Vec<u8>);

/// ONNX Runtime's library, where `cargo xtask` puts it; says so if it is not
/// there.
pub fn library() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/onnxruntime/libonnxruntime.so");
    let found = path.canonicalize().ok();
    if found.is_none() {
        eprintln!("skipped: no {}; run `cargo xtask onnxruntime`", path.display());
    }
    found
}

pub fn digest(bytes: &[u8]) -> Sha256 {
    Sha256::new(Hasher::digest(bytes).into())
}

/// An imported model with random weights, and the digests of what it was
/// made of.
pub struct Imported {
    pub files: Vec<Named>,
    pub sources: Vec<Sha256>,
}

#[derive(Default)]
struct Memory(BTreeMap<&'static str, Vec<u8>>);

impl Sink for Memory {
    fn append(&mut self, file: &'static str, bytes: &[u8]) -> io::Result<()> {
        self.0.entry(file).or_default().extend_from_slice(bytes);
        Ok(())
    }
}

/// The sample `qwen2` of the importer, with a tokenizer of letters.
pub fn imported() -> Imported {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../import/tests/fixtures/models/qwen2");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let files = [
        ("config.json", read("config.json")),
        ("model.safetensors", read("model.safetensors")),
        ("tokenizer.json", tokenizer().into_bytes()),
    ];
    let source = files.iter().fold(Source::new(), |s, (name, bytes)| s.with(*name, Input::bytes(bytes.clone())));
    let mut sink = Memory::default();
    let options = ImportOptions { quantisation: Some(Quantisation::Int8), ..ImportOptions::default() };
    let manifest = import(&source, &mut sink, &options).unwrap();
    let sources = manifest.source.parts.iter().map(|p| p.sha256.parse().unwrap()).collect();
    sink.0.insert("weighbridge.json", serde_json::to_vec(&manifest).unwrap());
    let role = |name: &str| match name {
        "model.onnx" => PartRole::Graph,
        "model.onnx.data" => PartRole::Data,
        "tokenizer.json" => PartRole::Tokenizer,
        "chat_template.jinja" => PartRole::Template,
        "weighbridge.json" => PartRole::Manifest,
        other => panic!("{other}"),
    };
    Imported { files: sink.0.into_iter().map(|(name, bytes)| (role(name), name.to_owned(), bytes)).collect(), sources }
}

/// 203 tokens: letters, and pairs of letters that are only ever written.
fn tokenizer() -> String {
    let mut vocabulary = vec!["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned(), "Ġ".to_owned()];
    vocabulary.extend(('!'..='~').map(String::from));
    let pairs = ('a'..='z').flat_map(|a| ('a'..='z').map(move |b| format!("{a}{b}")));
    vocabulary.extend(pairs.take(203 - 4 - 94));
    assert_eq!(vocabulary.len(), 203);
    let vocabulary: serde_json::Map<_, _> = vocabulary.into_iter().zip((0..).map(serde_json::Value::from)).collect();
    let special = |id: u32, content: &str| {
        serde_json::json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true })
    };
    let level =
        serde_json::json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    serde_json::json!({
        "version": "1.0",
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
        "pre_tokenizer": level, "decoder": level,
        "model": { "type": "BPE", "unk_token": "<unk>", "vocab": vocabulary, "merges": [] },
    })
    .to_string()
}

/// Approval of the model `name` with these files.
pub fn approved(name: &str, digests: &[Sha256]) -> Approved {
    let file = |digest: &Sha256| (digest.to_string(), Assessment { sha256: Some(*digest), ..Assessment::default() });
    let files = digests.iter().map(file).collect();
    let context = Context::at(Timestamp::now());
    approve(name, &files, &Principal::User("tester".to_owned()), &context, &PolicySet::empty().unwrap()).unwrap()
}

pub fn parts(files: &[Named]) -> Vec<PartSource> {
    let part = |(role, name, bytes): &Named| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        PartSource { role: *role, name: name.clone(), file, sha256: digest(bytes) }
    };
    files.iter().map(part).collect()
}

/// Times that tests can wait for.
pub fn timing() -> Timing {
    Timing { load_max: Duration::from_secs(60), silence_max: Duration::from_secs(3), ..Timing::default() }
}

pub fn supervisor() -> Option<Supervisor> {
    let library = library()?;
    let program =
        std::env::var_os("WEIGHBRIDGE_TEST_WORKER").unwrap_or_else(|| env!("CARGO_BIN_EXE_model-worker").into()).into();
    let worker = WorkerCommand { program, arguments: vec![library.into()] };
    Some(Supervisor::new(Settings { threads: 2, timing: timing(), ..Settings::new(worker) }))
}

pub fn options() -> Options {
    Options { cache_bytes: 16 << 20, ..Options::default() }
}

/// Serves the imported model as `name`.
pub fn serve(supervisor: &Supervisor, model: &Imported, name: &str) -> Handle {
    supervisor.load(approved(name, &model.sources), parts(&model.files), options()).unwrap()
}

pub fn generate(prompt: &str, tokens: u32) -> Generate {
    Generate {
        prompt: Prompt::Text(prompt.to_owned()),
        max_tokens: Some(tokens),
        choices: 1,
        stop: Vec::new(),
        sampling: Sampling { temperature: Some(0.0), ..Sampling::default() },
        constraint: Constraint::Free,
        logprobs: None,
        ignore_end: true,
        scope: 0,
    }
}

pub fn submit(handle: &Handle, request: Generate) -> Events {
    handle.submit(Work::Generate(Box::new(request))).unwrap()
}

/// What came of a request: texts by answer, and how it ended.
pub async fn collect(mut events: Events) -> (BTreeMap<u32, String>, Result<Usage, Failure>) {
    let mut texts: BTreeMap<u32, String> = BTreeMap::new();
    loop {
        let next = tokio::time::timeout(Duration::from_secs(60), events.next()).await.expect("an event in time");
        match next.expect("an end") {
            Event::Text { choice, text, .. } => texts.entry(choice).or_default().push_str(&text),
            Event::Done { usage } => return (texts, Ok(usage)),
            Event::Failed { failure } => return (texts, Err(failure)),
            _ => {}
        }
    }
}

/// Waits until `holds`, for as long as anything should take.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn open(path: &Path) -> File {
    File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
