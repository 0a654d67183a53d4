use std::net::SocketAddr;

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// What an endpoint is called in its certificate.
const PREFIX: &str = "spiffe://weighbridge/endpoint/";

/// Whoever is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// From where.
    pub address: SocketAddr,
    /// With which certificate.
    pub holder: Option<Holder>,
}

/// An endpoint that showed a certificate of ours and proved to hold its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub endpoint: String,
    /// From when its certificate holds.
    pub issued: Timestamp,
    /// Until when.
    pub expires: Timestamp,
}

impl Holder {
    /// Reads a certificate that was verified. None if it is not an endpoint's.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = Certificate::from_der(certificate).ok()?.tbs_certificate;
        let (_, names) = certificate.get::<SubjectAltName>().ok()??;
        let mut endpoints = names.0.iter().filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(name) => name.as_str().strip_prefix(PREFIX),
            _ => None,
        });
        let endpoint = endpoints.next()?.to_owned();
        let time = |at: x509_cert::time::Time| {
            let seconds = i64::try_from(at.to_unix_duration().as_secs()).ok()?;
            Timestamp::from_second(seconds).ok()
        };
        let validity = certificate.validity;
        Some(Self { endpoint, issued: time(validity.not_before)?, expires: time(validity.not_after)? })
    }

    /// Whether two thirds of its time are over.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        let all = self.expires.as_second().saturating_sub(self.issued.as_second());
        self.expires.as_second().saturating_sub(now.as_second()) < all / 3
    }
}
