use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::Serialize;
use weighbridge_distribution::{Bundle, Directory, Limits, Refusal, Store, UpdateError, Updated};
use weighbridge_types::Shown;

use crate::commands::files;
use crate::exit::{Failure, Outcome};
use crate::report::{bold, good, ill, wrapped};

/// Name and version of what `--format json` writes
/// (`docs/schema/policy-fetch-1.json`).
const SCHEMA: &str = "weighbridge.policy-fetch/1";

#[derive(Debug, Args)]
pub struct FetchOptions {
    /// The repository
    #[arg(long, value_name = "DIR")]
    pub repository: PathBuf,

    /// The fleet's first root; counts the first time only, then what is stored does
    #[arg(long, value_name = "FILE")]
    pub root: Option<PathBuf>,

    /// Where bundles are installed, and what is trusted is kept
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,

    /// How to write the result
    #[arg(long, value_enum, default_value_t = FetchFormat::Text, value_name = "FORMAT")]
    pub format: FetchFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FetchFormat {
    /// For people
    Text,
    /// Documented in docs/schema/policy-fetch-1.json
    Json,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    /// `installed`, `current` or `refused`.
    status: &'static str,
    /// The bundle in force afterwards.
    bundle: Option<InForce>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Refused>,
}

#[derive(Serialize)]
struct InForce {
    version: u64,
    path: String,
    fetched_at: String,
}

#[derive(Serialize)]
struct Refused {
    kind: &'static str,
    file: String,
    reason: String,
    remedy: &'static str,
}

pub fn run(options: &FetchOptions) -> Result<Outcome, Failure> {
    let store = Store::open(&options.state)?;
    if !store.has_root() {
        let Some(root) = &options.root else {
            return Err(Failure::Usage(
                "nothing is trusted yet; name the fleet's first root with `--root FILE`".to_owned(),
            ));
        };
        store.trust_first(&files::read(root, Limits::default().root_bytes)?)?;
    }
    let updated = store.update(Arc::new(Directory::new(&options.repository)), &Limits::default());
    let (outcome, report) = match updated {
        Ok(updated) => (Outcome::Yes, accepted(updated)),
        Err(UpdateError::Refused(refusal)) => (Outcome::No, refused(refusal, in_force_still(&store))),
        Err(UpdateError::Failed(e)) => return Err(e.into()),
    };
    let mut out = anstream::stdout().lock();
    match options.format {
        FetchFormat::Json => {
            serde_json::to_writer_pretty(&mut out, &report).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        FetchFormat::Text => text(&mut out, &report)?,
    }
    Ok(outcome)
}

/// What a refusal left as it was. Trouble with it is told, and hides no refusal.
fn in_force_still(store: &Store) -> Option<Bundle> {
    store.current().unwrap_or_else(|e| {
        anstream::eprintln!("weighbridge: {e}");
        None
    })
}

fn accepted(updated: Updated) -> Report {
    Report {
        schema: SCHEMA,
        status: if updated.installed { "installed" } else { "current" },
        bundle: Some(in_force(&updated.bundle)),
        files: Some(updated.files),
        expires: Some(updated.expires.to_string()),
        root_version: Some(updated.root),
        refusal: None,
    }
}

fn refused(refusal: Refusal, bundle: Option<Bundle>) -> Report {
    let Refusal { kind, file, reason } = refusal;
    Report {
        schema: SCHEMA,
        status: "refused",
        bundle: bundle.as_ref().map(in_force),
        files: None,
        expires: None,
        root_version: None,
        refusal: Some(Refused { kind: kind.name(), file, reason, remedy: kind.remedy() }),
    }
}

fn in_force(bundle: &Bundle) -> InForce {
    InForce {
        version: bundle.version,
        path: bundle.path.display().to_string(),
        fetched_at: bundle.fetched_at.to_string(),
    }
}

fn text(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let (b, g, r) = (bold(), good(), ill());
    if let Some(Refused { file, reason, remedy, .. }) = &report.refusal {
        writeln!(out, "{r}refused{r:#}    {b}{}{b:#}", Shown(file))?;
        writeln!(out, "{}", wrapped(&Shown(reason).to_string(), "  "))?;
        writeln!(out, "{}", wrapped(remedy, "  "))?;
    } else {
        writeln!(out, "{g}{:<10}{g:#} bundle {}", report.status, report.bundle.as_ref().map_or(0, |b| b.version))?;
    }
    match &report.bundle {
        Some(bundle) => {
            writeln!(out, "  in force: {}, fetched {}", Shown(&bundle.path), bundle.fetched_at)?;
        }
        None => writeln!(out, "  no bundle is in force")?,
    }
    if let Some(expires) = &report.expires {
        writeln!(out, "  fetch again before {expires}")?;
    }
    Ok(())
}
