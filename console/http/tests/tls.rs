//! A real listener, and clients with certificates of all kinds.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Extension, Router};
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use weighbridge_console_authority::{Authority, Requested};
use weighbridge_console_http::{ENDPOINT_NAME, Limits, Peer, Problem, Tls, serve};

const DAY: SignedDuration = SignedDuration::from_hours(24);

struct Console {
    authority: Authority,
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    _folder: tempfile::TempDir,
}

async fn who(Extension(peer): Extension<Peer>) -> String {
    peer.holder.map_or("nobody".to_owned(), |holder| holder.endpoint)
}

async fn start(public: Option<(&str, &str)>, limits: Limits) -> Console {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open(folder.path(), Timestamp::now()).unwrap();
    let tls = Tls::new(&authority, &["localhost".to_owned()], public, Timestamp::now()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let refuse = || async { Problem::new(StatusCode::UNAUTHORIZED, "no", "no") };
    let router = Router::new().route("/who", get(who)).route("/refuse", post(refuse));
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let config = tls.server(&authority).unwrap();
    tokio::spawn(serve(listener, config, router, limits, async move { drop(stopped.await) }));
    Console { authority, address, stop: Some(stop), _folder: folder }
}

/// Key and certificate, PEM.
fn certificate(authority: &Authority, now: Timestamp, holds: SignedDuration) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    let requested = Requested::read(&request).unwrap();
    (key.serialize_pem(), authority.endpoint(&requested, "ep-1", now, holds).unwrap().chain)
}

fn client(believed: &str, shown: Option<&(String, String)>, protocol: &[u8]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(believed.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let mut config = match shown {
        None => config.with_no_client_auth(),
        Some((key, chain)) => {
            let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().unwrap();
            config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
        }
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    config
}

/// What the console says of whoever shows `shown`; none where it hangs up.
async fn ask(console: &Console, shown: Option<&(String, String)>) -> Option<String> {
    let config = client(console.authority.certificate(), shown, b"http/1.1");
    let stream = TcpStream::connect(console.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    let request = b"GET /who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.starts_with("HTTP/1.1 200").then(|| answer.rsplit("\r\n\r\n").next().unwrap().to_owned())
}

#[tokio::test]
async fn an_endpoint_is_who_its_certificate_says_and_nobody_without() {
    let console = start(None, Limits::default()).await;
    let good = certificate(&console.authority, Timestamp::now(), DAY);
    assert_eq!(ask(&console, Some(&good)).await.as_deref(), Some("ep-1"));
    assert_eq!(ask(&console, None).await.as_deref(), Some("nobody"));
}

#[tokio::test]
async fn forged_and_expired_certificates_are_hung_up_on() {
    let console = start(None, Limits::default()).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Authority::open(elsewhere.path(), Timestamp::now()).unwrap();
    let forged = certificate(&other, Timestamp::now(), DAY);
    let expired = certificate(&console.authority, Timestamp::now() - DAY * 3, DAY);
    for (what, shown) in [("forged", &forged), ("expired", &expired)] {
        assert_eq!(ask(&console, Some(shown)).await, None, "{what}");
    }
    // A listener's certificate is nobody's.
    let (key, issued) = console.authority.listener(&["ep-1".to_owned()], Timestamp::now(), DAY).unwrap();
    assert_ne!(ask(&console, Some(&(key, issued.chain))).await.as_deref(), Some("ep-1"));
}

#[tokio::test]
async fn endpoints_and_people_see_the_certificate_that_is_for_them() {
    let key = KeyPair::generate().unwrap();
    let public = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    let console = start(Some((&public, &key.serialize_pem())), Limits::default()).await;
    let sees = async |name: &'static str, believed: &str| {
        let config = client(believed, None, b"h2");
        let stream = TcpStream::connect(console.address).await.unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name).unwrap(), stream).await;
        stream.is_ok_and(|stream| stream.get_ref().1.alpn_protocol() == Some(b"h2"))
    };
    assert!(sees(ENDPOINT_NAME, console.authority.certificate()).await);
    assert!(sees("localhost", &public).await);
    assert!(!sees("localhost", console.authority.certificate()).await);
}

#[tokio::test]
async fn who_says_nothing_is_hung_up_on_and_others_are_served() {
    let limits = Limits { connections: 1, greeting: Duration::from_millis(200), ..Limits::default() };
    let mut console = start(None, limits).await;
    // It takes the only place and does not greet.
    let mut silent = TcpStream::connect(console.address).await.unwrap();
    assert_eq!(ask(&console, None).await.as_deref(), Some("nobody"));
    assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0);
    console.stop.take().unwrap().send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(TcpStream::connect(console.address).await.is_err());
}

#[tokio::test]
async fn who_is_refused_before_the_body_was_read_hears_why() {
    use http_body_util::{BodyExt, Full};
    use hyper::body::Bytes;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let console = start(None, Limits::default()).await;
    for length in [0, 2, 5_000, 200_000] {
        let config = client(console.authority.certificate(), None, b"h2");
        let stream = TcpStream::connect(console.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut open, connection) = handshake.await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        let body = Full::new(Bytes::from(vec![b'x'; length]));
        let request = hyper::Request::post("https://localhost/refuse").body(body).unwrap();
        let answer = open.send_request(request).await.unwrap_or_else(|e| panic!("{length}: {e}"));
        assert_eq!(answer.status(), 401);
        let said = answer.into_body().collect().await.unwrap_or_else(|e| panic!("{length}: {e}")).to_bytes();
        assert!(said.starts_with(b"{"), "{length}");
    }
}
