//! Models imported into memory and opened.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeMap;
use std::io;

use weighbridge_import::{GRAPH_FILE, Input, Manifest, Options, Sink, Source, WEIGHTS_FILE, import};
use weighbridge_onnx::{File, Language, Library, Setting};

#[derive(Default)]
pub struct Memory(pub BTreeMap<&'static str, Vec<u8>>);

impl Sink for Memory {
    fn append(&mut self, file: &'static str, bytes: &[u8]) -> io::Result<()> {
        self.0.entry(file).or_default().extend_from_slice(bytes);
        Ok(())
    }
}

/// What `cargo xtask test` fetches.
pub fn library() -> Option<Library> {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let path = target.join("onnxruntime/libonnxruntime.so");
    if !path.exists() {
        println!("skipped: {} is not there; `cargo xtask test` fetches it", path.display());
        return None;
    }
    Some(Library::load(&path).unwrap())
}

pub fn open(library: &Library, files: &[(&str, Vec<u8>)], options: &Options) -> Language {
    let source = files.iter().fold(Source::new(), |s, (name, bytes)| s.with(*name, Input::bytes(bytes.clone())));
    let mut made = Memory::default();
    let manifest: Manifest = import(&source, &mut made, options).unwrap();
    let weights: &'static [u8] = Vec::leak(made.0.remove(WEIGHTS_FILE).unwrap());
    let files = [File { name: WEIGHTS_FILE, bytes: weights }];
    let setting = Setting { threads: 2, cache_bytes: 8 << 20, context_length: None };
    Language::open(library, &manifest, &made.0[GRAPH_FILE], &files, setting).unwrap()
}
