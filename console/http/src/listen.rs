//! Connections within bounds.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::peer::{Holder, Peer};

/// Pause after a connection could not be accepted (no descriptors left).
const PAUSE: Duration = Duration::from_millis(50);
/// Largest head of a request, bytes, and most lines in it.
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 64;
/// Requests at the same time on one connection.
const STREAMS_MAX: u32 = 32;

/// What connections may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// At the same time.
    pub connections: usize,
    /// For the handshake, and for the head of a request.
    pub greeting: Duration,
    /// Without a sign of life.
    pub silence: Duration,
    /// For what is in flight when the console stops.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            greeting: Duration::from_secs(10),
            silence: Duration::from_secs(60),
            farewell: Duration::from_secs(10),
        }
    }
}

/// Serves `router` until `shutdown` is done. Requests carry the [`Peer`] that
/// sent them.
pub async fn serve(
    listener: TcpListener,
    tls: ServerConfig,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let places = Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        // Whoever finds no place waits in the system's queue.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = &mut shutdown => break,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let Ok((stream, address)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let (acceptor, router, watcher) = (acceptor.clone(), router.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _place = place;
            let _ = stream.set_nodelay(true);
            if let Some((stream, peer)) = greet(&acceptor, stream, address, limits.greeting).await {
                let served = watcher.watch(
                    connection(limits).serve_connection(TokioIo::new(stream), service(router, peer)).into_owned(),
                );
                // Whoever goes away in the middle does no harm.
                let _ = served.await;
            }
        });
    }
    drop(listener);
    let _ = timeout(limits.farewell, graceful.shutdown()).await;
}

async fn greet(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
    most: Duration,
) -> Option<(tokio_rustls::server::TlsStream<TcpStream>, Peer)> {
    let stream = timeout(most, acceptor.accept(stream)).await.ok()?.ok()?;
    let certificates = stream.get_ref().1.peer_certificates();
    let holder = certificates.and_then(|chain| chain.first()).and_then(Holder::of);
    Some((stream, Peer { address, holder }))
}

fn connection(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.greeting)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.silence / 2)
        .keep_alive_timeout(limits.silence / 2);
    builder
}

fn service(
    router: Router,
    peer: Peer,
) -> impl hyper::service::Service<
    hyper::Request<Incoming>,
    Response = axum::response::Response,
    Error = Infallible,
    Future = impl Future<Output = Result<axum::response::Response, Infallible>> + Send,
> {
    service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        router.oneshot(request)
    })
}
