use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use weighbridge_policy::Assessment;
use weighbridge_sandbox::group::Share;
use weighbridge_types::Sha256;

use crate::worker::Launch;

/// The program that runs a model, and its arguments: the path of ONNX
/// Runtime's library among them.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    /// Program.
    pub program: PathBuf,
    /// Arguments.
    pub arguments: Vec<OsString>,
}

/// How models are kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is started for each.
    pub worker: WorkerCommand,
    /// Most models at once.
    pub models_max: usize,
    /// Threads that compute, where a model's options do not say.
    pub threads: usize,
    /// Times.
    pub timing: Timing,
}

/// Times after which a worker is not waited for.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Longest loading.
    pub load_max: Duration,
    /// Longest without a sign of life, or without a step while there is work.
    pub silence_max: Duration,
    /// First pause before a worker is started again; it doubles each time.
    pub pause_first: Duration,
    /// Longest pause.
    pub pause_max: Duration,
    /// A worker that lived that long begins with the first pause again.
    pub healthy_after: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            load_max: Duration::from_secs(300),
            silence_max: Duration::from_secs(30),
            pause_first: Duration::from_secs(1),
            pause_max: Duration::from_secs(60),
            healthy_after: Duration::from_secs(60),
        }
    }
}

impl Settings {
    /// Eight models, as many threads as there are cores, usual times.
    #[must_use]
    pub fn new(worker: WorkerCommand) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { worker, models_max: 8, threads, timing: Timing::default() }
    }

    pub(super) fn launch(&self, share: Share) -> Launch {
        static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Launch {
            program: self.worker.program.clone(),
            arguments: self.worker.arguments.clone(),
            group: format!("weighbridge-model-{}-{number}", std::process::id()),
            share,
        }
    }
}

/// How one model is served.
#[derive(Debug, Clone)]
pub struct Options {
    /// Other names it answers to.
    pub aliases: Vec<String>,
    /// Most bytes for keys and values.
    pub cache_bytes: u64,
    /// Longest sequence, tokens; the model's own limit when absent.
    pub context_length: Option<usize>,
    /// Threads that compute; [`Settings::threads`] when absent.
    pub threads: Option<usize>,
    /// Digest that `weighbridge.json` had when the model was imported, for
    /// whoever keeps records of imports. Without it, whoever can write to the
    /// folder of an import can say what it was made of.
    pub manifest: Option<Sha256>,
    /// What the scanner found, for decisions of the gateway.
    pub assessment: Option<Arc<Assessment>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            aliases: Vec::new(),
            cache_bytes: 1 << 30,
            context_length: None,
            threads: None,
            manifest: None,
            assessment: None,
        }
    }
}
