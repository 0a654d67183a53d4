//! Listens, and serves connections within bounds.

mod heads;
mod stall;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures::stream::{FuturesUnordered, StreamExt};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tower::{Service, ServiceExt};

use crate::app::App;
use crate::config::Limits;
use crate::door::{Peer, PeerKind};
use crate::room::Room;
use heads::{Busy, Heads};
use stall::Stall;

/// Largest head of a request, bytes, and most lines in it.
const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 64;
/// Pause after a connection could not be accepted (no descriptors left).
const PAUSE: Duration = Duration::from_millis(50);
/// For telling a caller that it has too many connections.
const TURN_AWAY_WITHIN: Duration = Duration::from_millis(200);
/// Descriptors wanted beside one for each connection.
const DESCRIPTORS_SPARE: u64 = 256;

/// Where to listen.
#[derive(Debug)]
pub enum Listener {
    /// On this machine's own address, as a rule.
    Tcp(TcpListener),
    /// Callers are known by their credentials.
    Unix(UnixListener),
}

/// Listening failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// On an address.
    #[error("cannot listen on {address}; another program may, or choose another with `--listen`")]
    Tcp {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// On a path.
    #[error("cannot listen on `{path}`")]
    Unix {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Listener {
    /// Listens on `address`.
    ///
    /// # Errors
    /// As the system says.
    pub async fn tcp(address: SocketAddr) -> Result<Self, ServeError> {
        TcpListener::bind(address).await.map(Self::Tcp).map_err(|source| ServeError::Tcp { address, source })
    }

    /// Listens on `path`. A socket that nobody listens on any more is replaced;
    /// any other file is left alone.
    ///
    /// # Errors
    /// As the system says.
    pub async fn unix(path: PathBuf) -> Result<Self, ServeError> {
        use std::os::unix::fs::FileTypeExt;
        let failed = |source| ServeError::Unix { path: path.clone(), source };
        let is_socket = std::fs::symlink_metadata(&path).is_ok_and(|m| m.file_type().is_socket());
        if is_socket && tokio::net::UnixStream::connect(&path).await.is_err() {
            std::fs::remove_file(&path).map_err(failed)?;
        }
        UnixListener::bind(&path).map(Self::Unix).map_err(failed)
    }

    async fn accept(&self) -> std::io::Result<(Stream, Arc<Peer>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // A token is a small write that must not wait for the next.
                stream.set_nodelay(true)?;
                let kind = PeerKind::Tcp { peer, local: stream.local_addr()? };
                Ok((Stream::Tcp(stream), Peer::new(kind)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let of = stream.peer_cred()?;
                let pid = of.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
                Ok((Stream::Unix(stream), Peer::new(PeerKind::Unix { uid: of.uid(), pid })))
            }
        }
    }
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

/// How many connections there may be, of all and of each caller.
#[derive(Clone)]
struct Places {
    all: Arc<Semaphore>,
    each: Room,
    find_process: bool,
}

/// Serves `app` on all `listeners` until `shutdown` is done; then lets what is
/// in flight end, for as long as the limits say.
pub async fn serve(listeners: Vec<Listener>, app: App, shutdown: impl Future<Output = ()>) {
    let limits = app.0.config.limits.clone();
    allow_descriptors(u64::try_from(limits.connections_max).unwrap_or(u64::MAX));
    let places = Places {
        all: Arc::new(Semaphore::new(limits.connections_max.clamp(1, Semaphore::MAX_PERMITS))),
        each: Room::new(usize::MAX, (limits.connections_max / 4).max(1)),
        find_process: app.0.config.identify_process,
    };
    let (end, ending) = watch::channel(());
    let graceful = GracefulShutdown::new();
    {
        let router = app.router();
        let accepting: FuturesUnordered<_> =
            listeners.iter().map(|l| accept(l, &router, &limits, &places, &graceful, &ending)).collect();
        tokio::select! {
            () = shutdown => {}
            _ = accepting.collect::<Vec<()>>() => {}
        }
    }
    drop(listeners);
    let _ = tokio::time::timeout(Duration::from_millis(limits.drain_timeout_ms), graceful.shutdown()).await;
    // What still runs is cut off.
    drop(end);
}

/// For the head of a request, and between two.
#[derive(Clone, Copy)]
struct Waits {
    head: Duration,
    idle: Duration,
}

async fn accept(
    listener: &Listener,
    router: &Router,
    limits: &Limits,
    places: &Places,
    graceful: &GracefulShutdown,
    ending: &watch::Receiver<()>,
) {
    loop {
        let Ok(place) = places.all.clone().acquire_owned().await else { return };
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let stall = Duration::from_millis(limits.write_stall_timeout_ms);
        let (router, mut ending) = (router.clone(), ending.clone());
        let watcher = graceful.watcher();
        let waits = Waits {
            head: Duration::from_millis(limits.head_timeout_ms),
            idle: Duration::from_millis(limits.idle_timeout_ms),
        };
        let places = places.clone();
        tokio::spawn(async move {
            let _place = place;
            let served = async {
                let mut own = places.each.hold(&peer.shown(places.find_process).await);
                if own.grow(1).is_err() {
                    return turn_away(stream).await;
                }
                match stream {
                    Stream::Tcp(io) => connection(Stall::new(io, stall), router, peer, waits, watcher).await,
                    Stream::Unix(io) => connection(Stall::new(io, stall), router, peer, waits, watcher).await,
                }
            };
            tokio::select! {
                () = served => {}
                _ = ending.changed() => {}
            }
        });
    }
}

/// Says that a caller has as many connections as one may have.
async fn turn_away(stream: Stream) {
    let body = "{\"error\":{\"message\":\"you have as many connections as one caller may have; close some, or use those there are\",\"type\":\"rate_limit_error\",\"param\":null,\"code\":\"too_many_connections\"}}";
    let head =
        "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close";
    let text = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let said = async {
        match stream {
            Stream::Tcp(mut io) => say(&mut io, text.as_bytes()).await,
            Stream::Unix(mut io) => say(&mut io, text.as_bytes()).await,
        }
    };
    // Whoever does not listen is not waited for.
    let _ = tokio::time::timeout(TURN_AWAY_WITHIN, said).await;
}

/// Reads what was sent: otherwise the system takes the answer back.
async fn say(io: &mut (impl AsyncRead + AsyncWrite + Unpin), text: &[u8]) {
    let sent = async {
        io.write_all(text).await?;
        io.shutdown().await?;
        io.read(&mut [0; 1024]).await
    };
    // The other side may be gone.
    let _ = sent.await;
}

async fn connection<Io>(
    io: Io,
    router: Router,
    peer: Arc<Peer>,
    waits: Waits,
    watcher: hyper_util::server::graceful::Watcher,
) where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let busy = Busy::default();
    let io = Heads::new(io, busy.clone(), waits.head);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        let mut router = router.clone();
        request.extensions_mut().insert(peer.clone());
        let answering = busy.answer();
        async move {
            let ready = <Router as ServiceExt<hyper::Request<Body>>>::ready(&mut router).await;
            let response = match ready {
                Ok(router) => router.call(request.map(Body::new)).await?,
                Err(never) => return Err::<_, Infallible>(never),
            };
            // It ends with the body of the answer.
            Ok(response.map(|body| {
                body.map_err(move |error| {
                    let _ = &answering;
                    error
                })
            }))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(waits.idle.max(waits.head))
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(io), service);
    // Whatever goes wrong here is the other side's: nobody is left to tell.
    let _ = watcher.watch(connection).await;
}

/// A process starts with 1,024 descriptors on most systems and may have more.
#[cfg(target_os = "linux")]
fn allow_descriptors(connections: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = connections.saturating_add(DESCRIPTORS_SPARE);
    let wanted = maximum.map_or(wanted, |most| wanted.min(most));
    if current.is_some_and(|now| now < wanted) {
        // Otherwise further connections wait.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}

#[cfg(not(target_os = "linux"))]
fn allow_descriptors(_: u64) {}
