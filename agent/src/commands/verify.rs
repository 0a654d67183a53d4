use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;
use weighbridge_provenance::signature::{
    BUNDLE_BYTES_MAX, Hearing, Scope, SignatureError, Trust, TrustConfig, Verified, verify,
};
use weighbridge_types::{Coverage, Shown, Signature, Signer, SigningMethod};

use crate::commands::files;
use crate::commands::trust::SignerOptions;
use crate::exit::{Failure, Outcome};
use crate::progress::Bytes;
use crate::report::{bold, good, ill, size, wrapped};

/// Name and version of what `--format json` writes (`docs/schema/verify-1.json`).
const SCHEMA: &str = "weighbridge.verify/1";
/// Uncovered files listed for people.
const IGNORED_SHOWN_MAX: usize = 10;

#[derive(Debug, Args)]
pub struct VerifyOptions {
    /// The model: a folder, or a file
    pub model: PathBuf,

    /// The bundle [default: MODEL/model.sig, or MODEL.sig for a file]
    #[arg(long, value_name = "FILE")]
    pub signature: Option<PathBuf>,

    #[command(flatten)]
    pub signer: SignerOptions,

    /// Trust the signers listed in FILE (docs/signatures.md)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "certificate_roots", "identity", "identity_provider"])]
    pub trust: Option<PathBuf>,

    /// Leave out this file or folder; may be repeated
    #[arg(long, value_name = "PATH")]
    pub ignore_path: Vec<PathBuf>,

    /// Follow symbolic links that stay inside the model
    #[arg(long)]
    pub allow_links: bool,

    /// How to write the result
    #[arg(long, value_enum, default_value_t = VerifyFormat::Text, value_name = "FORMAT")]
    pub format: VerifyFormat,

    /// No progress bar
    #[arg(long, short)]
    pub quiet: bool,

    /// Accept files that nobody signed
    #[arg(long)]
    pub danger_ignore_unsigned_files: bool,

    /// Accept signatures in the layout of version 0.2, which covers no names
    #[arg(long)]
    pub danger_legacy: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VerifyFormat {
    /// For people
    Text,
    /// Documented in docs/schema/verify-1.json
    Json,
}

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    model: String,
    signature: &'a Signature,
    ignored: &'a [String],
}

pub fn run(options: &VerifyOptions) -> Result<Outcome, Failure> {
    let config = match &options.trust {
        Some(file) => weighbridge_scanner::trust(file)?,
        None => options.signer.config()?,
    };
    let verified = verified(options, &config)?;
    let mut out = anstream::stdout().lock();
    match options.format {
        VerifyFormat::Json => {
            let model = options.model.display().to_string();
            let report = Report { schema: SCHEMA, model, signature: &verified.signature, ignored: &verified.ignored };
            serde_json::to_writer_pretty(&mut out, &report).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        VerifyFormat::Text => text(&mut out, &options.model, &verified)?,
    }
    Ok(match verified.signature {
        Signature::Trusted { .. } => Outcome::Yes,
        Signature::Untrusted { .. } | Signature::Unsigned => Outcome::No,
        Signature::Unknown { .. } => Outcome::Incomplete,
    })
}

fn verified(options: &VerifyOptions, config: &TrustConfig) -> Result<Verified, Failure> {
    let trust = Trust::new(config).map_err(|e| Failure::Usage(e.to_string()))?;
    if let Err(source) = std::fs::metadata(&options.model) {
        return Err(Failure::File { action: "read", path: options.model.display().to_string(), source });
    }
    let bundle = options.signature.clone().unwrap_or_else(|| default_bundle(&options.model));
    let text = match files::try_read(&bundle, BUNDLE_BYTES_MAX as u64) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound && options.signature.is_none() => {
            return Ok(Verified { signature: Signature::Unsigned, ignored: Vec::new() });
        }
        Err(source) => {
            let error = SignatureError::ReadBundle { path: bundle.display().to_string(), source };
            let cause = error.to_string();
            let bundle = bundle.display().to_string();
            return Ok(Verified { signature: Signature::Unknown { cause, signer: None, bundle }, ignored: Vec::new() });
        }
    };
    let scope = Scope {
        ignore_paths: options.ignore_path.clone(),
        bundle: bundle.clone(),
        include_git_paths: false,
        allow_links: options.allow_links,
        danger_ignore_unsigned_files: options.danger_ignore_unsigned_files,
    };
    let hearing = Hearing { danger_legacy: options.danger_legacy };
    let bytes = Bytes::new(options.quiet);
    let shown = bundle.display().to_string();
    let verified = verify(&options.model, &text, &shown, &trust, &scope, hearing, &|n| bytes.add(n));
    bytes.finish();
    Ok(verified)
}

/// Where `sign` writes, and `verify` looks, unless told otherwise.
pub fn default_bundle(model: &Path) -> PathBuf {
    if model.is_dir() {
        return model.join("model.sig");
    }
    let mut name = model.file_name().unwrap_or_default().to_os_string();
    name.push(".sig");
    model.with_file_name(name)
}

fn text(out: &mut impl Write, model: &Path, verified: &Verified) -> io::Result<()> {
    let shown = Shown(&model.display().to_string()).to_string();
    let (b, g, r) = (bold(), good(), ill());
    match &verified.signature {
        Signature::Trusted { signer, coverage, bundle } => {
            writeln!(out, "{g}trusted{g:#}    {b}{shown}{b:#}")?;
            writeln!(out, "{}", wrapped(&format!("signed with {}", who(signer)), "  "))?;
            writeln!(out, "{}", wrapped(&covered(coverage), "  "))?;
            listed(out, &verified.ignored)?;
            writeln!(out, "  bundle: {}", Shown(bundle))?;
        }
        Signature::Untrusted { reason, bundle, .. } => {
            writeln!(out, "{r}untrusted{r:#}  {b}{shown}{b:#}")?;
            writeln!(out, "{}", wrapped(&Shown(reason).to_string(), "  "))?;
            writeln!(out, "  bundle: {}", Shown(bundle))?;
        }
        Signature::Unknown { cause, bundle, .. } => {
            writeln!(out, "{r}unknown{r:#}    {b}{shown}{b:#}")?;
            writeln!(out, "{}", wrapped(&Shown(cause).to_string(), "  "))?;
            writeln!(out, "  bundle: {}", Shown(bundle))?;
        }
        Signature::Unsigned => {
            writeln!(out, "{r}unsigned{r:#}   {b}{shown}{b:#}")?;
            let at = default_bundle(model).display().to_string();
            writeln!(out, "  there is no `{}`; name the bundle with `--signature FILE`", Shown(&at))?;
        }
    }
    Ok(())
}

fn who(signer: &Signer) -> String {
    let how = match signer.method {
        SigningMethod::Key => "the key",
        SigningMethod::Certificate => "the certificate of",
        SigningMethod::Sigstore => "the identity",
    };
    let mut text = format!("{how} {}", Shown(&signer.identity));
    if let Some(name) = &signer.name {
        text.push_str(&format!(", known here as {name}"));
    }
    if let Some(issuer) = &signer.issuer {
        text.push_str(&format!(", vouched for by {}", Shown(issuer)));
    }
    if let Some(at) = &signer.signed_at {
        text.push_str(&format!(", at {at}"));
    }
    text
}

fn covered(coverage: &Coverage) -> String {
    let files = |n: u64| if n == 1 { "1 file".to_owned() } else { format!("{n} files") };
    let mut text = format!("{} in {} covered", size(coverage.bytes_signed), files(coverage.files_signed));
    if coverage.files_ignored > 0 {
        // Hundredths of a percent, rounded down: what is missing must show.
        let total = u128::from(coverage.bytes_signed) + u128::from(coverage.bytes_ignored);
        let share = u128::from(coverage.bytes_signed) * 10_000 / total.max(1);
        text.push_str(&format!(
            " ({}.{:02} % of the bytes); {} ({}) not covered:",
            share / 100,
            share % 100,
            files(coverage.files_ignored),
            size(coverage.bytes_ignored),
        ));
    }
    text
}

fn listed(out: &mut impl Write, ignored: &[String]) -> io::Result<()> {
    for name in ignored.iter().take(IGNORED_SHOWN_MAX) {
        writeln!(out, "    {}", Shown(name))?;
    }
    if ignored.len() > IGNORED_SHOWN_MAX {
        writeln!(out, "    and {} more (`--format json` lists them all)", ignored.len() - IGNORED_SHOWN_MAX)?;
    }
    Ok(())
}
