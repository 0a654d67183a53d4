//! `weighbridge-console serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use weighbridge_console_authority::Authority;
use weighbridge_console_fleet::{Fleet, Settings};
use weighbridge_console_http::{Limits, Tls, serve};
use weighbridge_console_store::{Database, events};

use crate::data::Data;
use crate::error::Failure;

/// How often what is old is cleared away.
const UPKEEP: Duration = Duration::from_secs(3_600);

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    data: Data,

    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,

    /// A name or address by which the console is reached; may be given several times
    #[arg(long = "host", value_name = "NAME", default_value = "localhost")]
    hosts: Vec<String>,

    /// The certificate for browsers, with its chain, PEM [default: one of the console's own authority]
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,

    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,

    /// Seconds between two check-ins of an endpoint
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    interval: u32,

    /// Days for which events are kept
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=3_650))]
    keep: u16,
}

pub async fn run(options: &Options) -> Result<(), Failure> {
    let authority = Arc::new(options.data.authority()?);
    let db = options.data.open().await?;
    let public = match (&options.certificate, &options.key) {
        (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
        _ => None,
    };
    let public = public.as_ref().map(|(certificate, key)| (certificate.as_str(), key.as_str()));
    let tls = Tls::new(&authority, &options.hosts, public, Timestamp::now())?;
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.map_err(|source| Failure::Listen { address: options.listen, source })?;
    let address = listener.local_addr()?;
    let keep = SignedDuration::from_hours(24 * i64::from(options.keep));
    tokio::spawn(upkeep(db.clone(), Arc::clone(&authority), Arc::clone(&tls), keep));
    let settings = Settings { interval: Duration::from_secs(u64::from(options.interval)), ..Settings::default() };
    let fleet = Fleet::new(db.clone(), Arc::clone(&authority), settings);
    let router = Router::new().route("/healthz", get(|| async { "ok\n" })).merge(fleet.router());
    let config = tls.server(&authority)?;
    let (mut interrupt, mut end) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    println!("weighbridge-console: serving on https://{address}");
    serve(listener, config, router, Limits::default(), async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = end.recv() => {}
        }
    })
    .await;
    db.close().await;
    Ok(())
}

/// Clears away what is old and renews what ends. What fails is tried again.
async fn upkeep(db: Database, authority: Arc<Authority>, tls: Arc<Tls>, keep: SignedDuration) {
    loop {
        let now = Timestamp::now();
        if let Err(error) = events::maintain(&db, now, keep).await {
            eprintln!("weighbridge-console: {error}");
        }
        tokio::time::sleep(UPKEEP).await;
        if let Err(error) = tls.renew(&authority, Timestamp::now()) {
            eprintln!("weighbridge-console: {error}");
        }
    }
}

fn read(path: &PathBuf) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|source| Failure::File { action: "read", path: path.clone(), source })
}
