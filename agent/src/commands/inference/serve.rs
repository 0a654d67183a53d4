//! `weighbridge serve`: approved models behind a local API, without a daemon.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use weighbridge_gateway::{App, Config, Listener, PolicyAuthority};
use weighbridge_types::Shown;

use super::load::{LoadOptions, Loader, name_of, supervisor};
use super::{record, revoke};
use crate::commands::decide;
use crate::exit::{Failure, Outcome};

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

    /// Team of this machine, whose mode counts
    #[arg(long, value_name = "NAME")]
    team: Option<String>,

    /// Where to listen; callers from other machines need a token, or `anonymous = true` in the settings
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

    #[command(flatten)]
    load: LoadOptions,
}

pub fn run(options: &ServeOptions) -> Result<Outcome, Failure> {
    let policy = decide::load(&options.policy)?;
    let config = options.config.as_deref().map(read_config).transpose()?.unwrap_or_default();
    let loader = Loader {
        supervisor: supervisor()?,
        options: options.load.clone(),
        folder: Some(options.policy.clone()),
        team: options.team.clone(),
    };
    let mut served = Vec::new();
    for (n, path) in options.model.iter().enumerate() {
        let name = options.name.get(n).cloned().unwrap_or_else(|| name_of(path));
        match loader.load(&policy, path, &name)? {
            Ok(model) => served.push(model),
            Err(refused) => {
                eprintln!("weighbridge: {}", Shown(&refused));
                let (policy, path) = (options.policy.display(), path.display().to_string());
                eprintln!("weighbridge: `weighbridge scan --policy {policy} {}` shows why", Shown(&path));
                return Ok(Outcome::No);
            }
        }
        println!("weighbridge: `{}` is served", Shown(&name));
    }
    let authority = Arc::new(PolicyAuthority::new(policy, "1".to_owned(), loader.place()));
    let record = Arc::new(record::Lines::open(options.record.as_deref())?);
    let app = App::new(config, Arc::new(loader.supervisor.clone()), authority.clone(), record)
        .map_err(|e| Failure::Usage(e.to_string()))?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 2, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let watched = options.policy.clone();
    let ended = Arc::clone(&stop);
    let watch = std::thread::spawn(move || revoke::watch(&watched, &authority, &loader, &served, &ended));
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

fn read_config(path: &Path) -> Result<Config, Failure> {
    let failure = |source| Failure::File { action: "read", path: path.display().to_string(), source };
    let text = std::fs::read_to_string(path).map_err(failure)?;
    toml::from_str(&text).map_err(|e| Failure::Usage(format!("`{}` cannot be used: {e}", path.display())))
}
