//! Language models and embeddings beside llama.cpp and sentence-transformers.

mod beside;
mod embeddings;
mod service;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::agent::bare_digest;
use crate::run::{self, Result, run as run_shown, target, weighbridge};
use crate::{onnxruntime, test, venv};

/// Tokens of a prompt, and tokens that a stream writes.
const PROMPT: u32 = 128;
const TOKENS: u32 = 48;
/// Streams at the same time.
const STREAMS: &str = "1,4,8";
/// Keys and values: enough for what is measured here, MiB.
const CACHE_MIB: u64 = 128;

#[derive(Debug, Args)]
pub struct Options {
    /// Rounds: we and the others take turns; ratios are medians of rounds, figures the best of them
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Sizes of model: 0.5b, 1.5b
    #[arg(long, value_delimiter = ',', default_value = "0.5b,1.5b")]
    sizes: Vec<String>,

    /// Do not measure embeddings (sentence-transformers brings PyTorch: several GB)
    #[arg(long)]
    no_embeddings: bool,
}

pub fn run(options: &Options) -> Result {
    onnxruntime::library()?;
    let ours = weighbridge("release")?;
    run_shown("cargo", &["build", "--quiet", "--release", "--workspace", "--example", "steps"])?;
    let folder = target().join("bench/inference");
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot make `{}`: {e}", folder.display()))?;
    let place = Place { ours, folder };
    for size in &options.sizes {
        place.language(options, size)?;
    }
    if !options.no_embeddings {
        embeddings::run(&place, options.rounds)?;
    }
    Ok(())
}

struct Place {
    ours: PathBuf,
    folder: PathBuf,
}

impl Place {
    fn language(&self, options: &Options, size: &str) -> Result {
        let model = self.model(size)?;
        println!("\n{size}, 4 bits, random weights; {} rounds:", options.rounds);
        beside::llama(self, &model, options.rounds)?;
        service::overhead(self, &model, options.rounds)?;
        self.loading(&model, options.rounds)
    }

    /// Made once.
    fn model(&self, size: &str) -> Result<PathBuf> {
        let model = self.folder.join(format!("random-{size}.gguf"));
        if !model.exists() {
            let python = venv::with("lineage", test::CONVERTERS)?.join("python").display().to_string();
            let part = model.with_extension("part").display().to_string();
            run_shown(&python, &[&script("random_model.py"), size, &part])?;
            std::fs::rename(&part, &model).map_err(|e| format!("cannot make `{}`: {e}", model.display()))?;
        }
        Ok(model)
    }

    /// What `weighbridge bench` says of `model`.
    fn bench(&self, model: &Path, more: &[&str]) -> Result<Value> {
        let (model, imports) = (model.display().to_string(), self.imports().display().to_string());
        let cache = CACHE_MIB.to_string();
        let known = ["bench", &model, "--json", "--rounds", "1", "--imports", &imports, "--cache", &cache];
        let said = run::output(&self.ours.display().to_string(), &[&known, more].concat())?;
        // What is said on the way comes before.
        let json = said.find("{\n").and_then(|at| said.get(at..)).unwrap_or_default();
        serde_json::from_str(json).map_err(|e| format!("`weighbridge bench` wrote no JSON: {e}"))
    }

    fn imports(&self) -> PathBuf {
        self.folder.join("imports")
    }

    /// From the path to a worker that is ready, beside reading the imported
    /// weights once and computing their digest.
    fn loading(&self, model: &Path, rounds: usize) -> Result {
        let weights = self.imported(model)?.join("model.onnx.data");
        let size = weights.metadata().map_err(|e| e.to_string())?.len();
        let few = ["--prompt", "2", "--tokens", "2", "--streams", "1"];
        let (mut ratios, mut best, mut plain) = (Vec::new(), f64::INFINITY, Duration::MAX);
        for _ in 0..rounds {
            let digest = bare_digest(&weights)?;
            let load = number(&self.bench(model, &few)?, "/model/load_seconds")?;
            ratios.push(load / digest.as_secs_f64());
            (best, plain) = (best.min(load), plain.min(digest));
        }
        println!(
            "loaded in {best:.3} s; reading and digest of its {} MB alone {:.3} s; ratio {:.2} (goal 1.2)",
            size / 1_000_000,
            plain.as_secs_f64(),
            median(&mut ratios)
        );
        let all = ["--prompt", "128", "--tokens", "48", "--streams", STREAMS];
        let resident = number(&self.bench(model, &all)?, "/model/resident_bytes")?;
        #[expect(clippy::cast_precision_loss, reason = "a measurement")]
        let most = (size + (CACHE_MIB << 20)) as f64;
        println!(
            "resident {:.0} MB, weights and the store for keys and values {:.0} MB; ratio {:.2} (goal 1.15)",
            resident / 1e6,
            most / 1e6,
            resident / most
        );
        Ok(())
    }

    /// The folder that a model was imported into: the newest of that size.
    fn imported(&self, model: &Path) -> Result<PathBuf> {
        self.bench(model, &["--prompt", "2", "--tokens", "2", "--streams", "1"])?;
        let length = |p: &Path| p.join("model.onnx.data").metadata().map_or(0, |m| m.len());
        let source = model.metadata().map_err(|e| e.to_string())?.len();
        let folders = std::fs::read_dir(self.imports()).map_err(|e| e.to_string())?;
        let folders = folders.flatten().map(|e| e.path()).filter(|p| p.join("model.onnx.data").is_file());
        folders.min_by_key(|p| length(p).abs_diff(source)).ok_or_else(|| "no import is there".to_owned())
    }
}

fn script(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bench/inference").join(name).display().to_string()
}

fn number(value: &Value, pointer: &str) -> Result<f64> {
    value.pointer(pointer).and_then(Value::as_f64).ok_or_else(|| format!("the measurement has no `{pointer}`"))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
