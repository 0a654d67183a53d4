use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKey, PublicKeyData, SanType,
};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::{AuthorityError, files};

/// How long the authority itself holds: replacing it means enrolling anew.
const AUTHORITY_HOLDS: SignedDuration = SignedDuration::from_hours(24 * 365 * 20);
/// Clocks of endpoints may be behind.
const EARLIER: SignedDuration = SignedDuration::from_hours(1);
const NAME: &str = "Weighbridge console";

/// Signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    fingerprint: [u8; 32],
}

/// A request for a certificate, read and verified: whoever made it holds the key.
pub struct Requested {
    key: PublicKey,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// It and the authority's, PEM.
    pub chain: String,
    /// Until when it holds.
    pub expires: Timestamp,
}

impl Requested {
    /// Reads PKCS #10 (RFC 2986), PEM. Names and uses that it asks for are not
    /// looked at.
    ///
    /// # Errors
    /// [`AuthorityError::Request`], [`AuthorityError::Key`].
    pub fn read(pem: &str) -> Result<Self, AuthorityError> {
        let request = CertificateSigningRequestParams::from_pem(pem);
        let key = request.map_err(|e| AuthorityError::Request(e.to_string()))?.public_key;
        let taken = [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P256_SHA256];
        if taken.iter().any(|kind| *key.algorithm() == **kind) { Ok(Self { key }) } else { Err(AuthorityError::Key) }
    }

    /// SHA-256 of the key (its SubjectPublicKeyInfo): by it an endpoint is known
    /// whatever it calls itself.
    #[must_use]
    pub fn key_digest(&self) -> [u8; 32] {
        Sha256::digest(self.key.subject_public_key_info()).into()
    }
}

impl Authority {
    /// The authority kept in `folder`, made if there is none.
    ///
    /// # Errors
    /// [`AuthorityError`]; an authority that is damaged is not replaced.
    pub fn open(folder: &Path, now: Timestamp) -> Result<Self, AuthorityError> {
        let damaged = |reason: String| AuthorityError::Damaged { path: folder.to_owned(), reason };
        let (key, certificate) = match files::read(folder)? {
            Some(kept) => kept,
            None => {
                let (key, certificate) = made(now)?;
                files::write(folder, &key, &certificate)?;
                (key, certificate)
            }
        };
        let key = KeyPair::from_pem(&key).map_err(|e| damaged(e.to_string()))?;
        let digest = Sha256::digest(key.subject_public_key_info());
        let issuer = Issuer::from_ca_cert_pem(&certificate, key).map_err(|e| damaged(e.to_string()))?;
        Ok(Self { issuer, certificate, fingerprint: digest.into() })
    }

    /// Its own certificate, PEM: whom endpoints believe.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// SHA-256 of its key: what an enrolment token carries, so that an endpoint
    /// knows its console from the first word.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// A certificate that says its holder is `endpoint`.
    ///
    /// # Errors
    /// [`AuthorityError::Issue`].
    pub fn endpoint(
        &self,
        requested: &Requested,
        endpoint: &str,
        now: Timestamp,
        holds: SignedDuration,
    ) -> Result<Issued, AuthorityError> {
        // SPIFFE-ID, section 2: what workload systems call each other by.
        let name = format!("spiffe://weighbridge/endpoint/{endpoint}");
        let name = name.try_into().map_err(|_| AuthorityError::Issue("the endpoint's number is no name".to_owned()))?;
        let mut params = leaf(endpoint, now, holds)?;
        params.subject_alt_names = vec![SanType::URI(name)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params, &requested.key, now, holds)
    }

    /// A key and a certificate for the console's listener under `hosts` (names or
    /// addresses); the key is PEM.
    ///
    /// # Errors
    /// [`AuthorityError::Issue`].
    pub fn listener(
        &self,
        hosts: &[String],
        now: Timestamp,
        holds: SignedDuration,
    ) -> Result<(String, Issued), AuthorityError> {
        let failed = |e: rcgen::Error| AuthorityError::Issue(e.to_string());
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = leaf(NAME, now, holds)?;
        params.subject_alt_names = CertificateParams::new(hosts.to_vec()).map_err(failed)?.subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issued = self.sign(&params, &key, now, holds)?;
        Ok((key.serialize_pem(), issued))
    }

    fn sign(
        &self,
        params: &CertificateParams,
        key: &impl PublicKeyData,
        now: Timestamp,
        holds: SignedDuration,
    ) -> Result<Issued, AuthorityError> {
        let certificate = params.signed_by(key, &self.issuer).map_err(|e| AuthorityError::Issue(e.to_string()))?;
        Ok(Issued { chain: certificate.pem() + &self.certificate, expires: later(now, holds)? })
    }
}

/// A new authority: key and certificate, PEM.
fn made(now: Timestamp) -> Result<(String, String), AuthorityError> {
    let failed = |e: rcgen::Error| AuthorityError::Issue(e.to_string());
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = leaf(NAME, now, AUTHORITY_HOLDS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = false;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok((key.serialize_pem(), certificate.pem()))
}

fn leaf(name: &str, now: Timestamp, holds: SignedDuration) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date(later(now, -EARLIER)?)?;
    params.not_after = date(later(now, holds)?)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn later(now: Timestamp, by: SignedDuration) -> Result<Timestamp, AuthorityError> {
    now.checked_add(by).map_err(|e| AuthorityError::Issue(e.to_string()))
}

fn date(at: Timestamp) -> Result<OffsetDateTime, AuthorityError> {
    OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(|e| AuthorityError::Issue(e.to_string()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn now() -> Timestamp {
        "2026-11-22T05:00:00Z".parse().unwrap()
    }

    fn request(key: &KeyPair, params: CertificateParams) -> String {
        params.serialize_request(key).unwrap().pem().unwrap()
    }

    fn text(pem: &str) -> String {
        let mut child = std::process::Command::new("openssl")
            .args(["x509", "-noout", "-text"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), pem.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn only_the_key_of_a_request_counts() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path(), now()).unwrap();
        let key = KeyPair::generate().unwrap();
        // It asks to be an authority, a server, and somebody else.
        let mut greedy = CertificateParams::new(vec!["console.example.org".to_owned()]).unwrap();
        greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        greedy.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let requested = Requested::read(&request(&key, greedy)).unwrap();
        assert_eq!(requested.key_digest(), <[u8; 32]>::from(Sha256::digest(key.subject_public_key_info())));
        let issued = authority.endpoint(&requested, "ep-1", now(), DAY).unwrap();
        assert_eq!(issued.expires, now() + DAY);
        let shown = text(&issued.chain);
        for part in ["CN = ep-1", "URI:spiffe://weighbridge/endpoint/ep-1", "TLS Web Client Authentication"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        for part in ["CA:TRUE", "console.example.org", "Certificate Sign", "Server Authentication"] {
            assert!(!shown.contains(part), "{part}: {shown}");
        }
        assert!(issued.chain.ends_with(authority.certificate()));
    }

    #[test]
    fn an_authority_stays_the_same_and_its_key_is_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("data");
        let first = Authority::open(&place, now()).unwrap();
        let again = Authority::open(&place, now() + DAY).unwrap();
        assert_eq!((first.fingerprint(), first.certificate()), (again.fingerprint(), again.certificate()));
        assert_eq!(std::fs::metadata(place.join("authority.key")).unwrap().mode() & 0o777, 0o600);
        // Half of it, or damaged: told, never replaced.
        let certificate = std::fs::read(place.join("authority.pem")).unwrap();
        std::fs::remove_file(place.join("authority.pem")).unwrap();
        assert!(matches!(Authority::open(&place, now()), Err(AuthorityError::Damaged { .. })));
        std::fs::write(place.join("authority.pem"), &certificate[..certificate.len() / 2]).unwrap();
        assert!(matches!(Authority::open(&place, now()), Err(AuthorityError::Damaged { .. })));
        assert!(place.join("authority.key").exists());
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let key = KeyPair::generate().unwrap();
        let good = request(&key, CertificateParams::default());
        assert!(Requested::read(&good).is_ok());
        let mut forged: Vec<char> = good.chars().collect();
        let middle = forged.len() - 60;
        forged[middle] = if forged[middle] == 'A' { 'B' } else { 'A' };
        let forged: String = forged.into_iter().collect();
        for bad in ["", "hello", &forged, &good[..good.len() / 2]] {
            assert!(matches!(Requested::read(bad), Err(AuthorityError::Request(_))), "{bad}");
        }
        let other = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert!(matches!(Requested::read(&request(&other, CertificateParams::default())), Err(AuthorityError::Key)));
    }

    #[test]
    fn a_listener_answers_under_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path(), now()).unwrap();
        let hosts = ["console.example.org".to_owned(), "192.0.2.7".to_owned()];
        let (key, issued) = authority.listener(&hosts, now(), DAY).unwrap();
        assert!(key.contains("PRIVATE KEY"));
        let shown = text(&issued.chain);
        for part in ["DNS:console.example.org", "IP Address:192.0.2.7", "TLS Web Server Authentication"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }
}
