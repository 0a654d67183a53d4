//! `weighbridge serve`: approved models behind a local API, without a daemon.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use clap::Args;
use jiff::Timestamp;
use sha2::{Digest, Sha256 as Hasher};
use weighbridge_gateway::{App, Config, Listener, Place, PolicyAuthority};
use weighbridge_inference_wire::PartRole;
use weighbridge_policy::{Approved, Assessment, Context, PolicySet, Principal, approve};
use weighbridge_runtime::{Options, PartSource, Settings, Supervisor, WorkerCommand};
use weighbridge_types::{Model, Report, Sha256, Shown};

use super::import::{Kind, into_folder};
use super::{library, parts, record};
use crate::commands::{decide, scan};
use crate::exit::{Failure, Outcome};

/// Time between looks at the policy.
const POLICY_EVERY: Duration = Duration::from_secs(1);
/// Most files of a policy looked at for changes.
const POLICY_FILES_MAX: usize = 10_000;

#[derive(Debug, Args)]
pub struct ServeOptions {
    /// A model: a GGUF file, a safetensors folder, an import, an ONNX export; may be repeated
    #[arg(long, value_name = "PATH", required = true)]
    model: Vec<PathBuf>,

    /// Name of the model, in the order of `--model` [default: that of the file or folder]
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,

    /// The policies that decide what is served, and to whom
    #[arg(long, value_name = "DIR")]
    policy: PathBuf,

    /// Where to listen; off this machine only if you say so
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:11500")]
    listen: SocketAddr,

    /// Listen on this Unix socket, too
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,

    /// Settings of the gateway (TOML): hosts, tokens, quotas, providers, limits
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Append one JSON line for each request to FILE
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Threads that compute, for each model [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,

    /// Memory for what models remember of texts, for each model, MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    cache: u64,

    /// Longest text, tokens [default: the model's own limit]
    #[arg(long, value_name = "TOKENS")]
    context: Option<usize>,

    /// How weights stored as floats are kept when a model is imported [default: int8; f16 for GGUF]
    #[arg(long, value_enum, value_name = "KIND")]
    quantisation: Option<Kind>,

    /// Where imports are kept [default: the user's cache folder]
    #[arg(long, value_name = "DIR")]
    imports: Option<PathBuf>,
}

pub fn run(options: &ServeOptions) -> Result<Outcome, Failure> {
    let policy = decide::load(&options.policy)?;
    let config = options.config.as_deref().map(read_config).transpose()?.unwrap_or_default();
    let worker = WorkerCommand {
        program: parts::program()?,
        arguments: vec!["__model-worker".into(), library::find()?.into_os_string()],
    };
    let supervisor = Supervisor::new(Settings::new(worker));
    let mut served = Vec::new();
    for (n, path) in options.model.iter().enumerate() {
        let name = options.name.get(n).cloned().unwrap_or_else(|| name_of(path));
        match load(&supervisor, options, &policy, path, &name)? {
            Some(model) => served.push(model),
            None => return Ok(Outcome::No),
        }
    }
    let authority = Arc::new(PolicyAuthority::new(policy, "1".to_owned(), place()));
    let record = Arc::new(record::Lines::open(options.record.as_deref())?);
    let app = App::new(config, Arc::new(supervisor.clone()), authority.clone(), record)
        .map_err(|e| Failure::Usage(e.to_string()))?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 2, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let watched = options.policy.clone();
    let (ended, supervisor_) = (Arc::clone(&stop), supervisor.clone());
    let watch = std::thread::spawn(move || watch_policy(&watched, &authority, &supervisor_, &served, &ended));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(answer(options, app, Arc::clone(&stop)))?;
    stop.store(true, Ordering::Relaxed);
    let _ = watch.join();
    Ok(Outcome::Yes)
}

async fn answer(options: &ServeOptions, app: App, stop: Arc<AtomicBool>) -> Result<(), Failure> {
    let unusable = |e: weighbridge_gateway::ServeError| Failure::Usage(e.to_string());
    let mut listeners = vec![Listener::tcp(options.listen).await.map_err(unusable)?];
    if let Some(socket) = &options.socket {
        listeners.push(Listener::unix(socket.clone()).await.map_err(unusable)?);
    }
    println!("weighbridge: serving on http://{}/v1", options.listen);
    let stopped = async move {
        while !stop.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    weighbridge_gateway::serve(listeners, app, stopped).await;
    Ok(())
}

/// A model that is served, and what it was approved by.
struct Served {
    name: String,
    files: BTreeMap<String, Assessment>,
}

/// Inspects, decides, imports where needed, and loads. None if policy refuses,
/// which has been said.
fn load(
    supervisor: &Supervisor,
    options: &ServeOptions,
    policy: &PolicySet,
    path: &Path,
    name: &str,
) -> Result<Option<Served>, Failure> {
    let shown = Shown(&path.to_string_lossy()).to_string();
    let source = parts::wants_import(path);
    // What is inspected is what is read: whole folders, or the one file.
    let report = inspect(path)?;
    let files = assessments(&report);
    let approved = match decided(name, &files, policy) {
        Ok(approved) => approved,
        Err(reason) => {
            eprintln!("weighbridge: {}", Shown(&reason));
            eprintln!("weighbridge: `weighbridge scan --policy {} {shown}` shows why", options.policy.display());
            return Ok(None);
        }
    };
    let folder = if source { Some(imported(options, path, &report)?) } else { None };
    let manifest = folder.as_deref().map(|f| digest(&f.join("weighbridge.json"))).transpose()?;
    let mut sources = Vec::new();
    for (role, open) in parts::of_served(folder.as_deref().unwrap_or(path))? {
        let sha256 = digest(&open.path)?;
        // What nobody inspected is not served; settings beside a graph are not needed.
        let known = manifest.is_some() || approved.covers(&sha256);
        use PartRole::{Data, Graph, Manifest, Template, Tokenizer};
        if known || matches!(role, Graph | Data | Manifest | Tokenizer | Template) {
            sources.push(PartSource { role, name: open.name, file: open.file, sha256 });
        }
    }
    let assessment = files.values().max_by_key(|a| a.size_bytes).cloned().map(Arc::new);
    let settings = Options {
        cache_bytes: options.cache << 20,
        context_length: options.context,
        threads: options.threads.map(usize::from),
        manifest,
        assessment,
        ..Options::default()
    };
    let handle = supervisor.load(approved, sources, settings).map_err(|e| Failure::Usage(said(&e)))?;
    for (layer, reason) in handle.unconfined() {
        eprintln!("weighbridge: `{name}` runs without this layer of its sandbox: {layer}: {}", Shown(&reason));
    }
    println!("weighbridge: `{}` is served", Shown(name));
    Ok(Some(Served { name: name.to_owned(), files }))
}

fn inspect(path: &Path) -> Result<Report, Failure> {
    let config = scan::plain(path)?;
    Ok(weighbridge_scanner::scan(&config, &|_| (), &AtomicBool::new(false))?)
}

/// Every file that the scan found, as policy sees it.
fn assessments(report: &Report) -> BTreeMap<String, Assessment> {
    let model = |path: &str| report.models.iter().find(|m: &&Model| m.files.iter().any(|f| f == path));
    report.artifacts.iter().map(|a| (a.path.clone(), Assessment::of(a, model(&a.path)))).collect()
}

fn decided(name: &str, files: &BTreeMap<String, Assessment>, policy: &PolicySet) -> Result<Approved, String> {
    let place = place();
    let context = Context { host: place.host.clone(), team: place.team, ..Context::at(Timestamp::now()) };
    let principal = Principal::Host(place.host.unwrap_or_default());
    approve(name, files, &principal, &context, policy).map_err(|e| e.to_string())
}

/// The import of `path`: made once for the same bytes and settings.
fn imported(options: &ServeOptions, path: &Path, report: &Report) -> Result<PathBuf, Failure> {
    let mut key = Hasher::new();
    key.update(env!("CARGO_PKG_VERSION"));
    key.update(options.quantisation.map_or("", Kind::name));
    for artifact in &report.artifacts {
        key.update([0]);
        key.update(artifact.path.rsplit('/').next().unwrap_or_default());
        key.update(artifact.sha256.map(|d| d.to_string()).unwrap_or_default());
    }
    let key: String = key.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect();
    let cache = match &options.imports {
        Some(folder) => folder.clone(),
        None => cache_folder()?.join("weighbridge/imports"),
    };
    let folder = cache.join(key);
    if !folder.join("weighbridge.json").is_file() {
        println!("weighbridge: importing `{}`", Shown(&path.to_string_lossy()));
        into_folder(path, parts::of_source(path)?, &folder, options.quantisation, false)?;
    }
    Ok(folder)
}

/// Where programs of this user keep what they can make again (XDG Base
/// Directory Specification).
fn cache_folder() -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache"))).ok_or_else(|| {
        Failure::Usage("there is no home folder to keep imports in; name one with `--imports`".to_owned())
    })
}

fn digest(path: &Path) -> Result<Sha256, Failure> {
    let failure = |source| Failure::File { action: "read", path: path.display().to_string(), source };
    let mut file = std::fs::File::open(path).map_err(failure)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match std::io::Read::read(&mut file, &mut buffer).map_err(failure)? {
            0 => return Ok(Sha256::new(hasher.finalize().into())),
            n => hasher.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}

/// Takes a changed policy over, and stops what it no longer allows.
fn watch_policy(
    folder: &Path,
    authority: &PolicyAuthority,
    supervisor: &Supervisor,
    served: &[Served],
    stop: &AtomicBool,
) {
    let (mut seen, mut version) = (marks(folder), 1_u64);
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(POLICY_EVERY);
        let now = marks(folder);
        if now == seen {
            continue;
        }
        seen = now;
        let policy = match decide::load(folder) {
            Ok(policy) => policy,
            Err(e) => {
                eprintln!("weighbridge: the policy was changed and cannot be used, the last one stays: {e}");
                continue;
            }
        };
        version = version.saturating_add(1);
        for model in served {
            if let Err(reason) = decided(&model.name, &model.files, &policy)
                && supervisor.revoke_model(&model.name, &reason)
            {
                eprintln!("weighbridge: `{}` is served no more: {}", Shown(&model.name), Shown(&reason));
            }
        }
        authority.replace(policy, version.to_string());
    }
}

/// Names, lengths and times of the policy's files.
fn marks(folder: &Path) -> BTreeMap<PathBuf, (u64, Option<SystemTime>)> {
    let mut out = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() && folders.len() + out.len() < POLICY_FILES_MAX {
                folders.push(entry.path());
            } else if out.len() < POLICY_FILES_MAX {
                out.insert(entry.path(), (meta.len(), meta.modified().ok()));
            }
        }
    }
    out
}

fn place() -> Place {
    Place { host: Some(rustix::system::uname().nodename().to_string_lossy().into_owned()), team: None }
}

fn name_of(path: &Path) -> String {
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    let name = name.or_else(|| path.parent()?.file_name()).unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn read_config(path: &Path) -> Result<Config, Failure> {
    let failure = |source| Failure::File { action: "read", path: path.display().to_string(), source };
    let text = std::fs::read_to_string(path).map_err(failure)?;
    toml::from_str(&text).map_err(|e| Failure::Usage(format!("`{}` cannot be used: {e}", path.display())))
}

fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        text.push_str(&format!(": {e}"));
        cause = e.source();
    }
    text
}
