use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use weighbridge_provenance::signature::{
    Algorithm, Bundle, Manifest, PrivateKey, Scope, Serialization, TRUST_BYTES_MAX, certificates_from_pem, manifest_of,
    sign,
};
use weighbridge_types::Shown;

use crate::commands::files;
use crate::commands::verify::default_bundle;
use crate::exit::{Failure, Outcome};
use crate::progress::Bytes;
use crate::sigstore::{KeylessOptions, Sigstore, TOKEN_VARIABLE, Token};

/// Ranges digested one by one unless the user says otherwise (OpenSSF Model
/// Signing 1.0, section 6.3.2).
const SHARD_BYTES: &str = "1000000000";

#[derive(Debug, Args)]
pub struct SignOptions {
    /// The model: a folder, or a file
    pub model: PathBuf,

    /// Private key (PEM; P-256, P-384 or P-521, unencrypted)
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// Certificate of the key (PEM), with those above it in the same file or in `--chain`
    #[arg(long, value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,

    /// Certificates above that of the key (PEM), nearest first; may be repeated
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub chain: Vec<PathBuf>,

    #[command(flatten)]
    pub keyless: KeylessOptions,

    /// Where to write the bundle [default: MODEL/model.sig, or MODEL.sig for a file]
    #[arg(long, value_name = "FILE")]
    pub signature: Option<PathBuf>,

    /// Hash of the files
    #[arg(long, value_enum, default_value_t = Hash::Sha256, value_name = "HASH")]
    pub hash: Hash,

    /// Digest ranges of this many bytes instead of whole files
    #[arg(long, value_name = "BYTES", num_args = 0..=1, default_missing_value = SHARD_BYTES,
          value_parser = clap::value_parser!(u64).range(1..=9_000_000_000_000_000))]
    pub shards: Option<u64>,

    /// Leave out this file or folder; may be repeated
    #[arg(long, value_name = "PATH")]
    pub ignore_path: Vec<PathBuf>,

    /// Sign .git, .gitignore, .gitattributes and .github too
    #[arg(long)]
    pub include_git_paths: bool,

    /// Follow symbolic links that stay inside the model
    #[arg(long)]
    pub allow_links: bool,

    /// Replace a file that is no earlier bundle
    #[arg(long)]
    pub overwrite: bool,

    /// No progress bar
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Hash {
    /// FIPS 180-4; every verifier knows it
    Sha256,
    /// RFC 7693, 512 bits
    Blake2b,
    /// The fastest
    Blake3,
}

impl From<Hash> for Algorithm {
    fn from(hash: Hash) -> Self {
        match hash {
            Hash::Sha256 => Self::Sha256,
            Hash::Blake2b => Self::Blake2b,
            Hash::Blake3 => Self::Blake3,
        }
    }
}

/// What to sign with.
pub enum Means {
    Key { key: PrivateKey, chain: Vec<Vec<u8>> },
    Keyless(Box<Sigstore>),
}

pub fn run(options: &SignOptions) -> Result<Outcome, Failure> {
    run_with(options, &means(options)?)
}

/// Reads the key, or makes the instance ready.
fn means(options: &SignOptions) -> Result<Means, Failure> {
    let Some(file) = &options.key else {
        if options.keyless.identity_token.is_none() && !Token::in_environment() {
            return Err(Failure::Usage(format!(
                "nothing to sign with; name a key (`--key FILE`), or an identity token \
                 (`--identity-token FILE` or the environment variable {TOKEN_VARIABLE})"
            )));
        }
        let (services, token) = (options.keyless.services()?, options.keyless.token());
        return Ok(Means::Keyless(Box::new(Sigstore::new(services, token, options.keyless.service_timeout)?)));
    };
    let usage = |path: &Path, e: &dyn std::fmt::Display| Failure::Usage(format!("`{}`: {e}", path.display()));
    let key = PrivateKey::from_pem(&files::read(file, TRUST_BYTES_MAX)?).map_err(|e| usage(file, &e))?;
    let mut chain = Vec::new();
    for file in options.certificate.iter().chain(&options.chain) {
        let text = files::read(file, TRUST_BYTES_MAX)?;
        chain.extend(certificates_from_pem(&text).map_err(|e| usage(file, &e))?);
    }
    Ok(Means::Key { key, chain })
}

/// Signs with `means`, whatever `options` say of keys and tokens.
pub fn run_with(options: &SignOptions, means: &Means) -> Result<Outcome, Failure> {
    let bundle = options.signature.clone().unwrap_or_else(|| default_bundle(&options.model));
    may_write(&bundle, options.overwrite)?;
    let scope = Scope {
        ignore_paths: options.ignore_path.clone(),
        bundle: bundle.clone(),
        include_git_paths: options.include_git_paths,
        allow_links: options.allow_links,
        danger_ignore_unsigned_files: false,
    };
    let serialization = Serialization { algorithm: options.hash.into(), shard_bytes: options.shards };
    let bytes = Bytes::new(options.quiet);
    let manifest = manifest_of(&options.model, &scope, serialization, &|n| bytes.add(n));
    bytes.finish();
    let manifest = manifest.map_err(|e| Failure::Sign(e.to_string()))?;
    let (text, signer) = signed(&manifest, means)?;
    write(&bundle, &text).map_err(|source| Failure::File {
        action: "write",
        path: bundle.display().to_string(),
        source,
    })?;
    let shown = bundle.display().to_string();
    writeln!(anstream::stdout().lock(), "signed {} files{signer}: {}", manifest.files.len(), Shown(&shown))?;
    Ok(Outcome::Yes)
}

/// The text of the bundle, and in whose name it was signed if that is not the
/// key's.
fn signed(manifest: &Manifest, means: &Means) -> Result<(String, String), Failure> {
    match means {
        Means::Key { key, chain } => {
            let text = sign(manifest, key, chain.clone()).map_err(|e| Failure::Sign(e.to_string()))?;
            Ok((text, String::new()))
        }
        Means::Keyless(sigstore) => {
            let (text, signer) = sigstore.sign(manifest)?;
            let issuer = signer.issuer.unwrap_or_default();
            Ok((text, format!(" as {}, vouched for by {}", Shown(&signer.identity), Shown(&issuer))))
        }
    }
}

/// A file that is no bundle is somebody's work.
fn may_write(bundle: &Path, overwrite: bool) -> Result<(), Failure> {
    if overwrite || !bundle.exists() {
        return Ok(());
    }
    let known = files::read(bundle, weighbridge_provenance::signature::BUNDLE_BYTES_MAX as u64)
        .is_ok_and(|text| Bundle::parse(&text).is_ok());
    if known {
        return Ok(());
    }
    Err(Failure::Usage(format!("`{}` exists and is no bundle; `--overwrite` replaces it", bundle.display())))
}

/// Writes beside and renames, so that no half bundle is ever seen.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    let beside = folder.join(name);
    let written = std::fs::File::create_new(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    });
    if written.is_err() {
        // Only what was just made here is removed.
        let _ = std::fs::remove_file(&beside);
    }
    written
}
