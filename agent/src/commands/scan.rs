use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::Timestamp;
use weighbridge_discovery::Walk;
use weighbridge_scanner::{JudgePlaces, ScanConfig, WorkerCommand};
use weighbridge_types::{Decision, Report};

use crate::cli::{Cli, Command, Format, ScanOptions};
use crate::commands::decide;
use crate::exit::{Failure, Outcome};
use crate::report::SpecVersion;
use crate::{progress, report};

pub fn run(options: &ScanOptions) -> Result<Outcome, Failure> {
    // A bundle that was altered must not be read from.
    let policy = options.policy.as_deref().map(decide::load).transpose()?;
    let shadow = options.shadow.as_deref().map(decide::load).transpose()?;
    let config = config(options)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // A second signal ends the process at once.
        signal_hook::flag::register_conditional_shutdown(signal, 2, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let progress = progress::Progress::new(options.quiet || config.walk.roots.is_empty());
    let mut report = weighbridge_scanner::scan(&config, &|event| progress.on(&event), &stop)?;
    progress.finish();
    if let Some(set) = &policy {
        decide::on(&mut report, set, shadow.as_ref(), &options.request);
    }
    write(options, &report)?;
    Ok(outcome(options, &report, stop.load(std::sync::atomic::Ordering::Relaxed)))
}

/// A scan of `path` with nothing but defaults, and what the policies in
/// `policy` bring to judge by.
pub fn plain(path: &Path, policy: Option<&Path>) -> Result<ScanConfig, Failure> {
    use clap::Parser;
    let mut arguments = vec![OsStr::new("weighbridge"), OsStr::new("scan")];
    arguments.extend(policy.into_iter().flat_map(|folder| [OsStr::new("--policy"), folder.as_os_str()]));
    arguments.extend([OsStr::new("--"), path.as_os_str()]);
    match Cli::try_parse_from(arguments).map(|cli| cli.command) {
        Ok(Command::Scan(options)) => config(&options),
        _ => Err(Failure::Usage(format!("`{}` cannot be scanned", path.display()))),
    }
}

fn config(options: &ScanOptions) -> Result<ScanConfig, Failure> {
    let mut roots = options.paths.clone();
    if options.all {
        roots.extend(weighbridge_discovery::local_mounts().into_iter().map(|m| m.path));
    }
    if options.stores {
        roots.extend(weighbridge_discovery::stores().into_iter().map(|s| s.path));
    }
    let program = std::env::current_exe().map_err(|source| Failure::File {
        action: "find",
        path: "weighbridge".into(),
        source,
    })?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let given = JudgePlaces {
        patterns: options.rules.clone(),
        catalogue: options.catalogue.clone(),
        advisories: options.advisories.clone(),
        trust: options.trust.clone(),
    };
    // What the policy repository brings counts where no option says otherwise.
    let judges = given.or(options.policy.as_deref().map(JudgePlaces::of_policy).unwrap_or_default());
    let judges = judges.read(Timestamp::now())?;
    Ok(ScanConfig {
        walk: Walk {
            roots: without_nested(roots),
            one_file_system: options.one_file_system || options.all,
            threads: cores.min(8),
            ..Walk::default()
        },
        jobs: options.jobs.map_or(cores, usize::from),
        worker: WorkerCommand { program, arguments: vec!["__scan-worker".to_owned()] },
        deep: options.deep,
        patterns: judges.patterns,
        catalogue: judges.catalogue,
        advisories: judges.advisories,
        trust: judges.trust,
        cache: options.cache.clone(),
        silence_max: Duration::from_secs(options.timeout),
        danger_unconfined: options.danger_unconfined,
    })
}

/// Roots without repetitions, and without those inside others named the same
/// way: each file is walked once.
fn without_nested(mut roots: Vec<PathBuf>) -> Vec<PathBuf> {
    roots.sort();
    roots.dedup();
    let mut out: Vec<PathBuf> = Vec::new();
    for root in roots {
        // A mount below another root is a file system of its own.
        if !out.iter().any(|o| root.starts_with(o) && same_device(o, &root)) {
            out.push(root);
        }
    }
    out
}

fn same_device(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    matches!((std::fs::metadata(a), std::fs::symlink_metadata(b)), (Ok(a), Ok(b)) if a.dev() == b.dev() && !b.is_symlink())
}

fn write(options: &ScanOptions, report: &Report) -> Result<(), Failure> {
    let Some(path) = &options.output else {
        if options.format == Format::Table {
            return Ok(report::table(&mut anstream::stdout().lock(), report, options.verbose)?);
        }
        let mut out = BufWriter::new(io::stdout().lock());
        return Ok(render(&mut out, options, report).and_then(|()| out.flush())?);
    };
    let failure = |source| Failure::File { action: "write", path: path.display().to_string(), source };
    let mut out = BufWriter::new(File::create(path).map_err(failure)?);
    render(&mut out, options, report).and_then(|()| out.flush()).map_err(failure)
}

fn render(out: &mut impl Write, options: &ScanOptions, report: &Report) -> io::Result<()> {
    match options.format {
        Format::Table => {
            let mut plain = anstream::StripStream::new(Vec::new());
            report::table(&mut plain, report, options.verbose)?;
            out.write_all(&plain.into_inner())
        }
        Format::Json => report::json(out, report),
        Format::Sarif => report::sarif(out, report),
        Format::Junit => report::junit(out, report, options.fail_on),
        Format::Markdown => report::markdown(out, report),
        Format::Cyclonedx => report::cyclonedx(out, report, SpecVersion::V1_7, Timestamp::now()),
        Format::Cyclonedx16 => report::cyclonedx(out, report, SpecVersion::V1_6, Timestamp::now()),
        Format::Spdx3 => report::spdx3(out, report, Timestamp::now()),
    }
}

fn outcome(options: &ScanOptions, report: &Report, stopped: bool) -> Outcome {
    let refused = || report.artifacts.iter().filter_map(|a| a.decision.as_ref()).any(Decision::refuses);
    let worst = || report.artifacts.iter().flat_map(|a| &a.findings).map(|f| f.severity).max();
    let no = if options.policy.is_some() { refused() } else { worst().is_some_and(|w| w >= options.fail_on) };
    if no {
        return Outcome::No;
    }
    // A path that was named and could not be read was not scanned.
    let named = |path: &str| options.paths.iter().any(|p| p.to_string_lossy() == path);
    if stopped || report.errors.iter().any(|e| named(&e.path)) { Outcome::Incomplete } else { Outcome::Yes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_inside_others_are_dropped() {
        let roots = ["/usr/bin", "/usr", "/usr", "/usrx"].map(PathBuf::from).to_vec();
        assert_eq!(without_nested(roots), ["/usr", "/usrx"].map(PathBuf::from));
    }
}
