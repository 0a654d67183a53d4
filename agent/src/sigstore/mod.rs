//! Keyless signing: asks the services of a Sigstore instance for what
//! `weighbridge_provenance::signature::keyless` makes a bundle of.

mod http;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use weighbridge_provenance::signature::keyless::{Candidate, IdentityToken, KeylessError, Services, TOKEN_BYTES_MAX};
use weighbridge_provenance::signature::{
    Manifest, MethodConfig, SignerConfig, TRUST_BYTES_MAX, Trust, TrustConfig, now,
};
use weighbridge_types::Signer;

use crate::commands::files;
use crate::exit::Failure;
use http::{Address, Client, Service, ServiceError};

/// Holds the token if no file is named, as other Sigstore clients have it.
pub const TOKEN_VARIABLE: &str = "SIGSTORE_ID_TOKEN";
/// How long one service may take.
pub const TIMEOUT_SECONDS: u64 = 30;

const JSON: &str = "application/json";

#[derive(Debug, Args)]
pub struct KeylessOptions {
    /// Sign keylessly, as the identity in this token (OpenID Connect); without
    /// it the environment variable SIGSTORE_ID_TOKEN is read
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub identity_token: Option<PathBuf>,

    /// Ask the services in this signing configuration or client trust
    /// configuration (JSON) [default: those of the public instance]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "fulcio", "rekor"])]
    pub signing_config: Option<PathBuf>,

    /// Ask this certificate authority
    #[arg(long, value_name = "URL", requires = "rekor", conflicts_with = "key")]
    pub fulcio: Option<String>,

    /// Write to this transparency log (version 1)
    #[arg(long, value_name = "URL", requires = "fulcio", conflicts_with = "key")]
    pub rekor: Option<String>,

    /// Have the signature timestamped there (RFC 3161), too
    #[arg(long, value_name = "URL", conflicts_with = "key")]
    pub timestamp_authority: Option<String>,

    /// Root of the instance that is asked [default: that of the client trust
    /// configuration, or of the public instance]
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub trusted_root: Option<PathBuf>,

    /// Give up on a service after this long
    #[arg(long, value_name = "SECONDS", default_value_t = TIMEOUT_SECONDS,
          value_parser = clap::value_parser!(u64).range(1..=600))]
    pub service_timeout: u64,
}

impl Default for KeylessOptions {
    fn default() -> Self {
        Self {
            identity_token: None,
            signing_config: None,
            fulcio: None,
            rekor: None,
            timestamp_authority: None,
            trusted_root: None,
            service_timeout: TIMEOUT_SECONDS,
        }
    }
}

impl KeylessOptions {
    /// Whom to ask.
    pub fn services(&self) -> Result<Services, Failure> {
        let mut services = match (&self.signing_config, &self.fulcio, &self.rekor) {
            (Some(file), ..) => Services::parse(&files::read(file, TRUST_BYTES_MAX)?)
                .map_err(|e| Failure::Usage(format!("`{}`: {e}", file.display())))?,
            (None, Some(fulcio), Some(rekor)) => {
                Services { fulcio: fulcio.clone(), rekor: rekor.clone(), timestamp_authority: None, trusted_root: None }
            }
            _ => Services::public().map_err(|e| Failure::Sign(e.to_string()))?,
        };
        if let Some(file) = &self.trusted_root {
            services.trusted_root = Some(files::read_text(file, TRUST_BYTES_MAX)?);
        }
        let private = self.signing_config.is_some() || self.fulcio.is_some();
        if private && services.trusted_root.is_none() {
            return Err(Failure::Usage("another instance than the public one needs `--trusted-root FILE`".to_owned()));
        }
        if let Some(url) = &self.timestamp_authority {
            services.timestamp_authority = Some(url.clone());
        }
        Ok(services)
    }

    /// Where the token is.
    pub fn token(&self) -> Token {
        self.identity_token.clone().map_or(Token::Variable, Token::File)
    }
}

/// Where an identity token is.
pub enum Token {
    File(PathBuf),
    Variable,
    /// Handed over by a conformance suite.
    Given(String),
}

impl Token {
    /// Whether there is one in the environment.
    pub fn in_environment() -> bool {
        std::env::var_os(TOKEN_VARIABLE).is_some_and(|v| !v.is_empty())
    }

    fn read(&self) -> Result<IdentityToken, Failure> {
        let text = match self {
            Self::File(path) => files::read_text(path, TOKEN_BYTES_MAX)?,
            Self::Variable => std::env::var(TOKEN_VARIABLE)
                .map_err(|_| Failure::Usage(format!("the environment variable {TOKEN_VARIABLE} holds no token")))?,
            Self::Given(text) => text.clone(),
        };
        IdentityToken::parse(&text).map_err(|e| Failure::Usage(e.to_string()))
    }

    /// The token that is there now: whoever renews tokens may have done so
    /// while files were hashed. What came through a pipe is gone.
    fn renewed(&self) -> Result<Option<IdentityToken>, Failure> {
        match self {
            Self::File(path) if path.is_file() => self.read().map(Some),
            _ => Ok(None),
        }
    }
}

/// A Sigstore instance, ready to be asked.
pub struct Sigstore {
    client: Client,
    fulcio: Address,
    rekor: Address,
    timestamp_authority: Option<Address>,
    trusted_root: Option<String>,
    source: Token,
    token: IdentityToken,
}

impl Sigstore {
    /// Checks all that can be checked before a model is read: addresses, root,
    /// token.
    pub fn new(services: Services, source: Token, timeout_seconds: u64) -> Result<Self, Failure> {
        let usage = |e: ServiceError| Failure::Usage(e.to_string());
        let fulcio = Address::new(Service::Fulcio, &services.fulcio, "/api/v2/signingCert").map_err(usage)?;
        let rekor = Address::new(Service::Rekor, &services.rekor, "/api/v1/log/entries").map_err(usage)?;
        let timestamp_authority = services.timestamp_authority.as_deref();
        let timestamp_authority =
            timestamp_authority.map(|url| Address::new(Service::TimestampAuthority, url, "")).transpose();
        usable(services.trusted_root.clone())?;
        let token = source.read()?;
        token.check(now()).map_err(|e| Failure::Usage(e.to_string()))?;
        Ok(Self {
            client: Client::new(Duration::from_secs(timeout_seconds)),
            fulcio,
            rekor,
            timestamp_authority: timestamp_authority.map_err(usage)?,
            trusted_root: services.trusted_root,
            source,
            token,
        })
    }

    /// Signs `manifest` and verifies the result; gives the text of the bundle.
    pub fn sign(&self, manifest: &Manifest) -> Result<(String, Signer), Failure> {
        let refused = |e: KeylessError| Failure::Sign(e.to_string());
        let silent = |e: ServiceError| Failure::Sign(e.to_string());
        let renewed = self.source.renewed()?;
        let candidate = Candidate::new(renewed.as_ref().unwrap_or(&self.token)).map_err(refused)?;
        let request = candidate.certificate_request().map_err(refused)?;
        let answer = self.client.post(&self.fulcio, JSON, JSON, request.as_bytes()).map_err(silent)?;
        let signed = candidate.certified(&answer).and_then(|certified| certified.sign(manifest)).map_err(refused)?;
        // The log cannot forget, so it comes last.
        let timestamp = self.timestamp_authority.as_ref().map(|authority| {
            let (query, reply) = ("application/timestamp-query", "application/timestamp-reply");
            self.client.post(authority, query, reply, &signed.timestamp_request()).map_err(silent)
        });
        let timestamp = timestamp.transpose()?;
        let logged = self.client.post(&self.rekor, JSON, JSON, signed.log_request().as_bytes()).map_err(silent)?;
        signed.bundle(&logged, timestamp.as_deref(), self.trusted_root.as_deref()).map_err(refused)
    }
}

/// Whether anything can be verified with `trusted_root`.
fn usable(trusted_root: Option<String>) -> Result<(), Failure> {
    let method = MethodConfig::Sigstore { identity: String::new(), identity_provider: String::new(), trusted_root };
    let signer = SignerConfig { name: Some("the instance".to_owned()), method };
    Trust::new(&TrustConfig { signers: vec![signer] }).map_err(|e| Failure::Usage(e.to_string()))?;
    Ok(())
}
