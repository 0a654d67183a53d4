//! Requests to the services of a Sigstore instance: bounded in time and size,
//! encrypted unless they stay on this machine, never redirected.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Error, Proxy};
use weighbridge_provenance::signature::keyless::RESPONSE_BYTES_MAX;
use weighbridge_types::Shown;

/// Longest explanation of a service that is shown, characters.
const WORDS_MAX: usize = 300;
/// Longer words in an explanation may be a token; they are not shown.
const WORD_MAX: usize = 32;

/// A service of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Fulcio,
    Rekor,
    TimestampAuthority,
}

impl Service {
    fn words(self) -> &'static str {
        match self {
            Self::Fulcio => "certificate authority",
            Self::Rekor => "transparency log",
            Self::TimestampAuthority => "timestamp authority",
        }
    }

    fn remedy(self, status: u16) -> &'static str {
        match (self, status) {
            (_, 300..=399) => "it leads elsewhere; name the final address",
            (_, 404 | 405) => "is the address right?",
            (_, 408 | 429 | 500..) => "try again later, or ask whoever runs it",
            (Self::Fulcio, _) => {
                "fetch a fresh token of a provider it knows, for the audience it expects (often `sigstore`)"
            }
            (Self::Rekor, 409 | 413) => "the manifest may be too long for this log; sign fewer or larger files",
            _ => "ask whoever runs it",
        }
    }
}

/// Why a service gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("the address `{}` of the {service} {problem}", Shown(url))]
    Address { service: &'static str, url: String, problem: &'static str },
    #[error(
        "cannot reach the {service} at `{}`: {reason}; check the address, the network, `HTTPS_PROXY` and `SSL_CERT_FILE`",
        Shown(url)
    )]
    Unreachable { service: &'static str, url: String, reason: String },
    #[error(
        "the {service} at `{}` gave no answer within {seconds} seconds; try again, or raise `--service-timeout`",
        Shown(url)
    )]
    Late { service: &'static str, url: String, seconds: u64 },
    #[error("the {service} at `{}` answered more than {RESPONSE_BYTES_MAX} bytes; is the address right?", Shown(url))]
    Long { service: &'static str, url: String },
    #[error("the {service} at `{}` answered {status}{said}; {remedy}", Shown(url))]
    Status { service: &'static str, url: String, status: u16, said: String, remedy: &'static str },
}

/// Speaks to services.
pub struct Client {
    agent: Agent,
    timeout: Duration,
}

/// An address that was checked.
#[derive(Debug, Clone)]
pub struct Address {
    service: Service,
    url: String,
    loopback: bool,
}

impl Address {
    /// The address of `service`, with `path` below `base`.
    ///
    /// # Errors
    /// [`ServiceError::Address`] if the way there is not encrypted.
    pub fn new(service: Service, base: &str, path: &str) -> Result<Self, ServiceError> {
        let failed = |problem| ServiceError::Address { service: service.words(), url: base.to_owned(), problem };
        let uri: Uri = base.parse().map_err(|_| failed("is no URL"))?;
        let authority = uri.authority().ok_or_else(|| failed("names no host"))?;
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(failed("holds a user name or a query; neither is sent"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if loopback => {}
            _ => return Err(failed("must begin with `https://`; only this machine itself may be asked without")),
        }
        let url = if path.is_empty() { base.to_owned() } else { format!("{}{path}", base.trim_end_matches('/')) };
        Ok(Self { service, url, loopback })
    }
}

impl Client {
    /// A client that gives up on a service after `timeout`. It trusts the
    /// authorities this machine trusts (`SSL_CERT_FILE` names others).
    pub fn new(timeout: Duration) -> Self {
        let found = rustls_native_certs::load_native_certs().certs;
        let roots: Vec<Certificate<'static>> = found.iter().map(|c| Certificate::from_der(c).to_owned()).collect();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("weighbridge/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.new_agent(), timeout }
    }

    /// Sends `body`, gives the answer.
    ///
    /// # Errors
    /// [`ServiceError`] names the service, and what to do.
    pub fn post(&self, to: &Address, kind: &str, accept: &str, body: &[u8]) -> Result<Vec<u8>, ServiceError> {
        let (service, url) = (to.service.words(), to.url.clone());
        // What stays on this machine passes no proxy.
        let proxy = if to.loopback { None } else { Proxy::try_from_env() };
        let sent = self.agent.post(&to.url).header("content-type", kind).header("accept", accept);
        let answer = sent.config().proxy(proxy).build().send(body).and_then(|mut answer| {
            let limit = u64::try_from(RESPONSE_BYTES_MAX).unwrap_or(u64::MAX);
            Ok((answer.status().as_u16(), answer.body_mut().with_config().limit(limit).read_to_vec()?))
        });
        let (status, answer) = answer.map_err(|error| match error {
            Error::Timeout(_) => ServiceError::Late { service, url: url.clone(), seconds: self.timeout.as_secs() },
            Error::BodyExceedsLimit(_) => ServiceError::Long { service, url: url.clone() },
            error => ServiceError::Unreachable { service, url: url.clone(), reason: error.to_string() },
        })?;
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        Err(ServiceError::Status { service, url, status, said: said(&answer), remedy: to.service.remedy(status) })
    }
}

/// The explanation in an answer, fit to be shown: what a service says may hold
/// what it was sent.
fn said(answer: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
    let Some(message) = value.get("message").and_then(serde_json::Value::as_str) else { return String::new() };
    let words = message.split_whitespace().map(|word| {
        let longest = word.split(|c: char| !c.is_ascii_alphanumeric() && !"_-.+/=".contains(c)).map(str::len).max();
        if longest.is_some_and(|n| n > WORD_MAX) { "…" } else { word }
    });
    let text: String = words.collect::<Vec<_>>().join(" ").chars().take(WORDS_MAX).collect();
    format!(", “{}”", Shown(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked_without_encryption() {
        let address = |url: &str| Address::new(Service::Fulcio, url, "/api/v2/signingCert");
        for fine in [
            "https://ca.example.com",
            "https://ca.example.com:8443/",
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "http://localhost",
        ] {
            assert!(address(fine).is_ok(), "{fine}");
        }
        for bad in [
            "http://ca.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "ftp://localhost",
            "https://user:secret@ca.example.com",
            "https://ca.example.com?x=1",
            "ca.example.com",
            "",
            "/x",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
        assert_eq!(address("https://ca/x/").unwrap().url, "https://ca/x/api/v2/signingCert");
    }

    #[test]
    fn what_a_service_says_cannot_hold_a_token() {
        let token = format!("eyJ{}.eyJ{}.sig", "a".repeat(40), "b".repeat(40));
        let answer = serde_json::json!({"message": format!("bad token:{token} (\u{1b}[2Jx)")}).to_string();
        let shown = said(answer.as_bytes());
        assert!(shown.contains("bad") && !shown.contains("aaaa") && !shown.contains('\u{1b}'), "{shown}");
        assert_eq!(said(b"<html>"), "");
    }
}
