//! Which certificates are shown, and which are believed.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::{ClientHello, ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use weighbridge_console_authority::{Authority, AuthorityError};

use crate::ENDPOINT_NAME;

/// How long the listener's own certificate holds: it is made anew with each
/// start, and with [`Tls::renew`].
const HOLDS: SignedDuration = SignedDuration::from_hours(24 * 90);

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The authority gives no certificate.
    #[error("{0}")]
    Authority(#[from] AuthorityError),
    /// A certificate or key is no PEM, or of no kind that can be used.
    #[error("the {what} cannot be used: {reason}")]
    Unusable {
        /// `certificate`, `key`.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
    /// The authority cannot be believed.
    #[error("certificates of endpoints cannot be verified: {0}")]
    Verifier(#[from] VerifierBuilderError),
}

/// The listener's certificates.
#[derive(Debug)]
pub struct Tls {
    provider: Arc<CryptoProvider>,
    hosts: Vec<String>,
    /// Of the console's own authority.
    own: RwLock<Arc<CertifiedKey>>,
    /// For people: of an authority that browsers know.
    public: Option<Arc<CertifiedKey>>,
}

impl Tls {
    /// Listens as `hosts`. `public` are chain and key, PEM, for everybody but
    /// endpoints.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn new(
        authority: &Authority,
        hosts: &[String],
        public: Option<(&str, &str)>,
        now: Timestamp,
    ) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut hosts = hosts.to_vec();
        if !hosts.iter().any(|host| host == ENDPOINT_NAME) {
            hosts.push(ENDPOINT_NAME.to_owned());
        }
        let own = RwLock::new(Arc::new(issued(authority, &hosts, &provider, now)?));
        let public = public.map(|(chain, key)| certified(chain, key, &provider)).transpose()?.map(Arc::new);
        Ok(Arc::new(Self { provider, hosts, own, public }))
    }

    /// Makes the listener's own certificate anew.
    ///
    /// # Errors
    /// [`TlsError`]; the old one is used on.
    pub fn renew(&self, authority: &Authority, now: Timestamp) -> Result<(), TlsError> {
        let new = Arc::new(issued(authority, &self.hosts, &self.provider, now)?);
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// For a listener whose clients may show a certificate of `authority`; any
    /// other certificate ends the connection.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn server(self: &Arc<Self>, authority: &Authority) -> Result<ServerConfig, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.certificate().as_bytes()) {
            roots.add(certificate.map_err(|e| unusable("certificate", &e))?)?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider));
        let verifier = verifier.allow_unauthenticated().build()?;
        let config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier);
        let shown: Arc<dyn ResolvesServerCert> = Arc::<Self>::clone(self);
        let mut config = config.with_cert_resolver(shown);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl ResolvesServerCert for Tls {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let own = || Arc::clone(&self.own.read().unwrap_or_else(PoisonError::into_inner));
        match &self.public {
            Some(public) if hello.server_name() != Some(ENDPOINT_NAME) => Some(Arc::clone(public)),
            _ => Some(own()),
        }
    }
}

fn issued(
    authority: &Authority,
    hosts: &[String],
    provider: &CryptoProvider,
    now: Timestamp,
) -> Result<CertifiedKey, TlsError> {
    let (key, issued) = authority.listener(hosts, now, HOLDS)?;
    certified(&issued.chain, &key, provider)
}

fn certified(chain: &str, key: &str, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|e| unusable("certificate", &e))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| unusable("key", &e))?;
    Ok(CertifiedKey::from_der(chain, key, provider)?)
}

fn unusable(what: &'static str, error: &impl ToString) -> TlsError {
    TlsError::Unusable { what, reason: error.to_string() }
}
