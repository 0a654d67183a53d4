//! The client protocols of the public conformance suites, so that anyone can
//! run them against this program: that of OpenSSF Model Signing (`sign-model`,
//! `verify-model`) and that of the Sigstore clients (`verify-bundle`).
//! `docs/conformance.md` says how.

use std::fs::File;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use weighbridge_provenance::signature::keyless::Services;
use weighbridge_provenance::signature::{
    Artifact, BUNDLE_BYTES_MAX, Hearing, Instance, MethodConfig, Scope, SignerConfig, TRUST_BYTES_MAX, Trust,
    TrustConfig, Who, verify, verify_artifact,
};
use weighbridge_types::Signature;

use crate::commands::{files, sign};
use crate::exit::{Failure, Outcome};
use crate::sigstore::{KeylessOptions, Sigstore, TIMEOUT_SECONDS, Token};

#[derive(Debug, Args)]
pub struct ConformanceOptions {
    #[command(subcommand)]
    command: Protocol,
}

#[derive(Debug, Subcommand)]
enum Protocol {
    /// OpenSSF Model Signing: sign
    SignModel(SignModel),
    /// OpenSSF Model Signing: verify
    VerifyModel(VerifyModel),
    /// Sigstore clients: verify
    VerifyBundle(VerifyBundle),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    Key,
    Certificate,
    Sigstore,
}

#[derive(Debug, Args)]
struct SignModel {
    #[arg(long)]
    method: Method,
    #[arg(long)]
    model_path: PathBuf,
    #[arg(long)]
    output_bundle: PathBuf,
    #[arg(long)]
    private_key: Option<PathBuf>,
    #[arg(long)]
    signing_cert: Option<PathBuf>,
    #[arg(long)]
    cert_chain: Vec<PathBuf>,
    #[arg(long)]
    ignore_paths: Vec<PathBuf>,
    /// The protocol hands the token over as an argument
    #[arg(long)]
    identity_token: Option<String>,
    #[arg(long)]
    use_staging: bool,
}

#[derive(Debug, Args)]
struct VerifyModel {
    #[arg(long)]
    method: Method,
    #[arg(long)]
    model_path: PathBuf,
    #[arg(long)]
    bundle: PathBuf,
    #[arg(long)]
    public_key: Option<PathBuf>,
    #[arg(long)]
    cert_chain: Vec<PathBuf>,
    #[arg(long)]
    ignore_paths: Vec<PathBuf>,
    #[arg(long)]
    ignore_unsigned_files: bool,
    #[arg(long)]
    identity: Option<String>,
    #[arg(long)]
    identity_provider: Option<String>,
    #[arg(long)]
    use_staging: bool,
}

#[derive(Debug, Args)]
struct VerifyBundle {
    #[arg(long)]
    staging: bool,
    #[arg(long)]
    bundle: PathBuf,
    #[arg(long)]
    certificate_identity: Option<String>,
    #[arg(long)]
    certificate_oidc_issuer: Option<String>,
    #[arg(long)]
    key: Option<PathBuf>,
    #[arg(long)]
    trusted_root: Option<PathBuf>,
    file_or_digest: String,
}

pub fn run(options: ConformanceOptions) -> Result<Outcome, Failure> {
    match options.command {
        Protocol::SignModel(options) => sign_model(options),
        Protocol::VerifyModel(options) => verify_model(&options),
        Protocol::VerifyBundle(options) => verify_bundle(&options),
    }
}

fn sign_model(options: SignModel) -> Result<Outcome, Failure> {
    let signing = sign::SignOptions {
        model: options.model_path,
        key: options.private_key,
        certificate: options.signing_cert,
        chain: options.cert_chain,
        keyless: KeylessOptions::default(),
        signature: Some(options.output_bundle),
        hash: sign::Hash::Sha256,
        shards: None,
        ignore_path: options.ignore_paths,
        include_git_paths: false,
        allow_links: false,
        overwrite: false,
        quiet: true,
    };
    if options.method != Method::Sigstore {
        return if signing.key.is_some() { sign::run(&signing) } else { Err(missing("--private-key")) };
    }
    let token = Token::Given(options.identity_token.ok_or_else(|| missing("--identity-token"))?);
    let public = || Services::public().map_err(|e| Failure::Sign(e.to_string()));
    let services = if options.use_staging { staging()? } else { public()? };
    let sigstore = Sigstore::new(services, token, TIMEOUT_SECONDS)?;
    sign::run_with(&signing, &sign::Means::Keyless(Box::new(sigstore)))
}

fn staging() -> Result<Services, Failure> {
    Services::staging().map_err(|e| Failure::Usage(e.to_string()))
}

fn verify_model(options: &VerifyModel) -> Result<Outcome, Failure> {
    let text = |path: &PathBuf| files::read_text(path, TRUST_BYTES_MAX);
    let method = match options.method {
        Method::Key => {
            MethodConfig::Key { pem: text(options.public_key.as_ref().ok_or_else(|| missing("--public-key"))?)? }
        }
        Method::Certificate => MethodConfig::Certificate {
            roots: options.cert_chain.iter().map(text).collect::<Result<Vec<_>, _>>()?.join("\n"),
            identity: None,
            timestamps: None,
            danger_authority_leaves: true,
        },
        Method::Sigstore => MethodConfig::Sigstore {
            identity: options.identity.clone().ok_or_else(|| missing("--identity"))?,
            identity_provider: options.identity_provider.clone().ok_or_else(|| missing("--identity-provider"))?,
            trusted_root: if options.use_staging { staging()?.trusted_root } else { None },
        },
    };
    let config = TrustConfig { signers: vec![SignerConfig { name: None, method }] };
    let trust = Trust::new(&config).map_err(|e| Failure::Usage(e.to_string()))?;
    let bundle = files::read(&options.bundle, BUNDLE_BYTES_MAX as u64)?;
    let scope = Scope {
        ignore_paths: options.ignore_paths.clone(),
        bundle: options.bundle.clone(),
        danger_ignore_unsigned_files: options.ignore_unsigned_files,
        ..Scope::default()
    };
    let shown = options.bundle.display().to_string();
    let hearing = Hearing { danger_legacy: true };
    match verify(&options.model_path, &bundle, &shown, &trust, &scope, hearing, &|_| {}).signature {
        Signature::Trusted { .. } => Ok(Outcome::Yes),
        Signature::Untrusted { reason, .. } | Signature::Unknown { cause: reason, .. } => {
            anstream::eprintln!("{reason}");
            Ok(Outcome::No)
        }
        Signature::Unsigned => Ok(Outcome::No),
    }
}

fn verify_bundle(options: &VerifyBundle) -> Result<Outcome, Failure> {
    let text = |path: &PathBuf| files::read_text(path, TRUST_BYTES_MAX);
    let who = match (&options.key, &options.certificate_identity, &options.certificate_oidc_issuer) {
        (Some(key), ..) => Who::Key(text(key)?),
        (None, Some(identity), Some(issuer)) => Who::Identity { identity: identity.clone(), issuer: issuer.clone() },
        _ => return Err(missing("--key or --certificate-identity and --certificate-oidc-issuer")),
    };
    let instance = match &options.trusted_root {
        Some(root) => Instance::Root(text(root)?),
        None if options.staging => Instance::Staging,
        None => Instance::Production,
    };
    let bundle = files::read_text(&options.bundle, BUNDLE_BYTES_MAX as u64)?;
    let name = &options.file_or_digest;
    let digest = name.strip_prefix("sha256:").filter(|d| d.len() == 64 && d.bytes().all(|b| b.is_ascii_hexdigit()));
    let artifact = match digest {
        Some(digest) if !std::path::Path::new(name).exists() => Artifact::Digest(digest.to_owned()),
        _ => Artifact::File(File::open(name).map_err(|source| Failure::File {
            action: "read",
            path: name.clone(),
            source,
        })?),
    };
    match verify_artifact(&bundle, artifact, &who, &instance) {
        Ok(()) => Ok(Outcome::Yes),
        Err(error) => {
            anstream::eprintln!("{error}");
            Ok(Outcome::No)
        }
    }
}

fn missing(flag: &str) -> Failure {
    Failure::Usage(format!("{flag} is missing"))
}
