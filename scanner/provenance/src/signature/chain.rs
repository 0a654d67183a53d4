//! X.509 chains (RFC 5280) for code signing: explicit roots, valid at a known
//! time, the right usage.

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, anchor_from_trusted_cert};
use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};

use super::SignatureError;
use super::key::{KeyError, PublicKey, blocks};

/// Longest certificate looked at, bytes.
const CERTIFICATE_BYTES_MAX: usize = 64 << 10;
/// `id-kp-codeSigning`, DER content and dotted.
const CODE_SIGNING_DER: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");

/// What a certificate says of whom it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The subject (RFC 4514), or the first alternative name if that is empty.
    pub name: String,
    /// The issuer (RFC 4514).
    pub issuer: String,
    /// Every name it may be pinned by: subject, common name, alternative names.
    pub names: Vec<String>,
}

/// Which leaves are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Leaves {
    /// End entities, as RFC 5280 has them.
    #[default]
    EndEntities,
    /// Certificates marked as authorities, too. The public conformance suite
    /// has no others.
    AuthoritiesToo,
}

/// Certificates in PEM form, DER each.
///
/// # Errors
/// [`KeyError`]
pub fn from_pem(text: &[u8]) -> Result<Vec<Vec<u8>>, KeyError> {
    let chain: Vec<Vec<u8>> = blocks(text)?
        .into_iter()
        .filter(|b| matches!(b.tag(), "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE"))
        .map(pem::Pem::into_contents)
        .collect();
    if chain.is_empty() {
        return Err(KeyError::NoPem("CERTIFICATE"));
    }
    for der in &chain {
        parse(der).map_err(|e| KeyError::Malformed(e.to_string()))?;
    }
    Ok(chain)
}

/// The certificate `der` in PEM form.
pub(super) fn to_pem(der: &[u8]) -> String {
    super::key::to_pem("CERTIFICATE", der)
}

/// What the certificate `der` says of its owner.
///
/// # Errors
/// [`SignatureError::Field`] if it is damaged.
pub fn subject(der: &[u8]) -> Result<Subject, SignatureError> {
    let certificate = parse(der)?;
    let tbs = &certificate.tbs_certificate;
    let mut names = Vec::new();
    let full = tbs.subject.to_string();
    if !full.is_empty() {
        names.push(full);
    }
    for set in &tbs.subject.0 {
        for attribute in set.0.iter() {
            let text = attribute.to_string();
            names.extend(text.strip_prefix("CN=").map(str::to_owned));
        }
    }
    if let Ok(Some((_, alternatives))) = tbs.get::<SubjectAltName>() {
        for name in &alternatives.0 {
            match name {
                GeneralName::Rfc822Name(text) => names.push(text.to_string()),
                GeneralName::DnsName(text) => names.push(text.to_string()),
                GeneralName::UniformResourceIdentifier(text) => names.push(text.to_string()),
                _ => {}
            }
        }
    }
    let name = names.first().cloned().unwrap_or_else(|| "(no name)".to_owned());
    Ok(Subject { name, issuer: tbs.issuer.to_string(), names })
}

/// The key of the certificate `der`.
///
/// # Errors
/// [`SignatureError`] if it is damaged or no EC key.
pub fn key(der: &[u8]) -> Result<PublicKey, SignatureError> {
    let certificate = parse(der)?;
    let spki = certificate.tbs_certificate.subject_public_key_info.to_der();
    let spki = spki.map_err(|e| refused(&certificate, e.to_string()))?;
    PublicKey::from_spki(&spki).map_err(|e| refused(&certificate, format!("of its key, {e}")))
}

/// Checks that `chain` (leaf first) leads to one of `roots` at the time `at`,
/// and that the leaf may sign code. Revocation is not looked at: model
/// signatures carry nothing to check it by.
///
/// # Errors
/// [`SignatureError::Certificate`] says which check failed.
pub fn verify(chain: &[Vec<u8>], roots: &[Vec<u8>], at: Timestamp, leaves: Leaves) -> Result<(), SignatureError> {
    let [leaf, others @ ..] = chain else {
        return Err(SignatureError::field("verificationMaterial.x509CertificateChain", "is empty"));
    };
    let certificate = parse(leaf)?;
    usable_for_code(&certificate)?;
    valid_at(&certificate, at)?;
    if leaves == Leaves::AuthoritiesToo && is_authority(&certificate) {
        return lenient::path(&certificate, others, roots, at);
    }
    let failed = |e: webpki::Error| refused(&certificate, words(&e));
    let roots: Vec<CertificateDer<'_>> = roots.iter().map(|r| CertificateDer::from(r.as_slice())).collect();
    let anchors: Vec<_> = roots.iter().filter_map(|r| anchor_from_trusted_cert(r).ok()).collect();
    let others: Vec<CertificateDer<'_>> = others.iter().map(|r| CertificateDer::from(r.as_slice())).collect();
    let leaf = CertificateDer::from(leaf.as_slice());
    let seconds = u64::try_from(at.as_second()).unwrap_or(0);
    EndEntityCert::try_from(&leaf)
        .map_err(failed)?
        .verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &anchors,
            &others,
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)),
            webpki::KeyUsage::required_if_present(CODE_SIGNING_DER),
            None,
            None,
        )
        .map_err(failed)?;
    Ok(())
}

/// Whether the validity of the certificate `der` includes `at`.
///
/// # Errors
/// [`SignatureError`] if it does not, or it is damaged.
pub fn is_valid_at(der: &[u8], at: Timestamp) -> Result<(), SignatureError> {
    valid_at(&parse(der)?, at)
}

fn parse(der: &[u8]) -> Result<Certificate, SignatureError> {
    const FIELD: &str = "certificate";
    if der.len() > CERTIFICATE_BYTES_MAX {
        return Err(SignatureError::field(FIELD, format!("is {} bytes long", der.len())));
    }
    Certificate::from_der(der).map_err(|e| SignatureError::field(FIELD, format!("is malformed: {e}")))
}

fn refused(certificate: &Certificate, problem: impl Into<String>) -> SignatureError {
    SignatureError::Certificate { subject: certificate.tbs_certificate.subject.to_string(), problem: problem.into() }
}

/// Key usage and extended key usage of the leaf. A certificate for a web
/// server must not sign models.
fn usable_for_code(certificate: &Certificate) -> Result<(), SignatureError> {
    let tbs = &certificate.tbs_certificate;
    let damaged = |e: x509_cert::der::Error| refused(certificate, format!("an extension is malformed: {e}"));
    if let Some((_, usage)) = tbs.get::<KeyUsage>().map_err(damaged)?
        && !usage.digital_signature()
    {
        return Err(refused(certificate, "its key usage does not allow digital signatures"));
    }
    match tbs.get::<ExtendedKeyUsage>().map_err(damaged)? {
        Some((_, usages)) if usages.0.contains(&CODE_SIGNING) => Ok(()),
        _ => Err(refused(certificate, "its extended key usage does not name code signing")),
    }
}

fn valid_at(certificate: &Certificate, at: Timestamp) -> Result<(), SignatureError> {
    let validity = &certificate.tbs_certificate.validity;
    let second = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
    let now = u64::try_from(at.as_second()).unwrap_or(0);
    if now < second(validity.not_before) {
        return Err(refused(certificate, format!("it is not valid before {}", validity.not_before)));
    }
    if now > second(validity.not_after) {
        let problem = format!("it expired on {}, and no trusted timestamp says it was used before", validity.not_after);
        return Err(refused(certificate, problem));
    }
    Ok(())
}

fn is_authority(certificate: &Certificate) -> bool {
    matches!(certificate.tbs_certificate.get::<BasicConstraints>(), Ok(Some((_, c))) if c.ca)
}

fn words(error: &webpki::Error) -> String {
    match error {
        webpki::Error::UnknownIssuer => "no path leads from it to a trusted root".to_owned(),
        webpki::Error::CaUsedAsEndEntity => "it is an authority's, not a signer's".to_owned(),
        webpki::Error::CertExpired { .. } => "a certificate above it has expired".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Paths from leaves that are marked as authorities, which the conformance
/// suite has and RFC 5280 validators refuse.
mod lenient {
    use aws_lc_rs::signature::{self, VerificationAlgorithm};
    use jiff::Timestamp;
    use x509_cert::der::Encode;
    use x509_cert::der::asn1::ObjectIdentifier;

    use super::super::key::Curve;
    use super::{Certificate, SignatureError, is_authority, parse, refused, valid_at};

    const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    const DEPTH_MAX: usize = 6;

    pub fn path(
        leaf: &Certificate,
        others: &[Vec<u8>],
        roots: &[Vec<u8>],
        at: Timestamp,
    ) -> Result<(), SignatureError> {
        let all = |ders: &[Vec<u8>]| ders.iter().map(|d| parse(d)).collect::<Result<Vec<_>, _>>();
        step(leaf, &all(others)?, &all(roots)?, at, 0)
    }

    fn step(
        at_hand: &Certificate,
        others: &[Certificate],
        roots: &[Certificate],
        at: Timestamp,
        depth: usize,
    ) -> Result<(), SignatureError> {
        if roots.contains(at_hand) {
            return Ok(());
        }
        if roots.iter().any(|root| signed_by(at_hand, root) && valid_at(root, at).is_ok() && is_authority(root)) {
            return Ok(());
        }
        let above = others.iter().filter(|c| *c != at_hand && signed_by(at_hand, c));
        for issuer in above {
            if depth < DEPTH_MAX
                && is_authority(issuer)
                && valid_at(issuer, at).is_ok()
                && step(issuer, others, roots, at, depth + 1).is_ok()
            {
                return Ok(());
            }
        }
        Err(refused(at_hand, "no path leads from it to a trusted root"))
    }

    fn signed_by(certificate: &Certificate, issuer: &Certificate) -> bool {
        let names_agree = certificate.tbs_certificate.issuer == issuer.tbs_certificate.subject;
        let signature = certificate.signature.as_bytes().unwrap_or_default();
        let tbs = certificate.tbs_certificate.to_der().unwrap_or_default();
        let key = &issuer.tbs_certificate.subject_public_key_info;
        let oid = certificate.signature_algorithm.oid.to_string();
        // RFC 8017 and RFC 5758: sha256, sha384, sha512.
        let algorithm: &dyn VerificationAlgorithm = match (key.algorithm.oid, curve(issuer), oid.as_str()) {
            (RSA, _, "1.2.840.113549.1.1.11") => &signature::RSA_PKCS1_2048_8192_SHA256,
            (RSA, _, "1.2.840.113549.1.1.12") => &signature::RSA_PKCS1_2048_8192_SHA384,
            (RSA, _, "1.2.840.113549.1.1.13") => &signature::RSA_PKCS1_2048_8192_SHA512,
            (_, Some(Curve::P256), "1.2.840.10045.4.3.2") => &signature::ECDSA_P256_SHA256_ASN1,
            (_, Some(Curve::P256), "1.2.840.10045.4.3.3") => &signature::ECDSA_P256_SHA384_ASN1,
            (_, Some(Curve::P384), "1.2.840.10045.4.3.2") => &signature::ECDSA_P384_SHA256_ASN1,
            (_, Some(Curve::P384), "1.2.840.10045.4.3.3") => &signature::ECDSA_P384_SHA384_ASN1,
            (_, Some(Curve::P521), "1.2.840.10045.4.3.4") => &signature::ECDSA_P521_SHA512_ASN1,
            _ => return false,
        };
        let point = key.subject_public_key.as_bytes().unwrap_or_default();
        names_agree && signature::UnparsedPublicKey::new(algorithm, point).verify(&tbs, signature).is_ok()
    }

    fn curve(certificate: &Certificate) -> Option<Curve> {
        let parameters = certificate.tbs_certificate.subject_public_key_info.algorithm.parameters.as_ref()?;
        Curve::of(parameters.decode_as().ok()?)
    }
}
