use std::fs::{File, Metadata as FileMetadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sha2::Digest;
use weighbridge_discovery::Reason;
use weighbridge_formats::{ContentScanner, Input, Options, Outcome, Scope};
use weighbridge_provenance::signature::{self, ATTESTATION_BYTES_MAX, BUNDLE_BYTES_MAX, Hearing, Testimony, Trust};
use weighbridge_types::{Artifact, Finding, Metadata, Sha256, Verdict};

use super::digest::{self, Pass};
use super::source::{FileSource, read_full};
use crate::protocol::{Assessed, Job};
use crate::rules;

/// Files up to this length are read once into memory, bytes.
const IN_MEMORY_BYTES_MAX: u64 = 1 << 20;
/// Format of model signatures.
const SIGNATURE: &str = "model-signing";
/// Format of other attestations.
const ATTESTATION: &str = "attestation";

/// Assesses one handed file. Never fails: what could not be done is a finding.
pub fn file(
    file: File,
    job: &Job,
    options: &Options,
    trust: &Trust,
    content: &dyn ContentScanner,
    progress: &dyn Fn(u64),
) -> Assessed {
    match try_file(file, job, options, trust, content, progress) {
        Ok(assessed) => assessed,
        Err(e) => unreadable(&e),
    }
}

fn try_file(
    file: File,
    job: &Job,
    options: &Options,
    trust: &Trust,
    content: &dyn ContentScanner,
    progress: &dyn Fn(u64),
) -> io::Result<Assessed> {
    let before = file.metadata()?;
    let len = before.len();
    let (outcome, pass, source) = if len <= IN_MEMORY_BYTES_MAX {
        let mut data = vec![0; usize::try_from(len).unwrap_or(0)];
        let n = read_full(&file, 0, &mut data)?;
        data.truncate(n);
        let outcome = inspect(&Input::file(data.clone(), n as u64), job, options, content);
        let pass = wanted(&outcome, job).then(|| digest::memory(&data, &outcome.opaque, content));
        (outcome, pass, FileSource::new(file))
    } else {
        let source = FileSource::new(file);
        let outcome = inspect(&Input::file(source.clone(), len), job, options, content);
        let pass = if wanted(&outcome, job) {
            Some(digest::file(&source, len, &outcome.opaque, content, progress)?)
        } else {
            None
        };
        (outcome, pass, source)
    };
    let changed = changed(&before, &source.file().metadata()?) || pass.as_ref().is_some_and(|p| p.changed);
    let attests = outcome.format == Some(ATTESTATION);
    let mut assessed = finish(outcome, pass, len, changed);
    if attests && len <= ATTESTATION_BYTES_MAX as u64 {
        assessed.attestations = signature::attestations(&all(&source, len)?, trust, signature::now());
    }
    if assessed.is_model && assessed.artifact.format == SIGNATURE {
        assessed.testimony = heard(&source, &assessed.artifact, trust)?.map(Box::new);
    }
    Ok(assessed)
}

/// The whole file; `len` was held against a limit.
fn all(source: &FileSource, len: u64) -> io::Result<Vec<u8>> {
    let mut text = vec![0; usize::try_from(len).unwrap_or(0)];
    let n = read_full(source.file(), 0, &mut text)?;
    text.truncate(n);
    Ok(text)
}

/// What a signature says; nothing if its bytes are no longer those assessed.
fn heard(source: &FileSource, artifact: &Artifact, trust: &Trust) -> io::Result<Option<Testimony>> {
    let len = usize::try_from(artifact.size_bytes).unwrap_or(usize::MAX);
    if len > BUNDLE_BYTES_MAX {
        return Ok(None);
    }
    let text = all(source, artifact.size_bytes)?;
    let digest = Sha256::new(sha2::Sha256::digest(&text).into());
    let now = signature::now();
    Ok((artifact.sha256 == Some(digest)).then(|| signature::hear(&text, trust, now, Hearing::default())))
}

/// Whether the file is worth a place in the report: it is a model or claims to
/// be, or something in it is. An ordinary archive with odd headers is not, one
/// that attacks whoever unpacks it is. Source code and the like counts only
/// beside a model, and then only with findings.
fn wanted(outcome: &Outcome, job: &Job) -> bool {
    let worst = Artifact::verdict_of(&outcome.findings);
    match job.reason {
        Reason::Named | Reason::Linked => true,
        Reason::Companion => !outcome.findings.is_empty(),
        // Python's own path files are not models, whatever PyTorch calls its.
        Reason::Found if is_companion(outcome) && job.name.ends_with(".pth") => false,
        Reason::Found if is_companion(outcome) => outcome.is_model,
        Reason::Found => {
            outcome.is_model
                || worst == Verdict::Malicious
                || worst > Verdict::Unknown && !outcome.format.is_some_and(is_archive)
        }
    }
}

fn is_companion(outcome: &Outcome) -> bool {
    outcome.format.and_then(weighbridge_formats::formats::by_id).is_some_and(|f| f.scope == Scope::BesideModel)
}

/// Whether a pattern hit only says what the format already does.
fn is_expected(format: Option<&str>, rule: &str) -> bool {
    matches!(format, Some("elf" | "pe" | "mach-o" | "llamafile")) && rule.starts_with("yara-embedded-")
}

/// Containers of anything.
fn is_archive(format: &str) -> bool {
    matches!(format, "zip" | "tar" | "7z" | "rar" | "gzip" | "bzip2" | "xz" | "lzma" | "zstd" | "lz4" | "zlib")
}

/// The formats' inspection; a panic in a parser costs one finding.
fn inspect(input: &Input, job: &Job, options: &Options, content: &dyn ContentScanner) -> Outcome {
    let mut outcome = guarded(input, job, options, content);
    if job.reason == Reason::Linked && outcome.format.is_none() && outcome.findings.is_empty() {
        // What a graph keeps its tensors in has no signature and nothing but
        // tensors; had it one, that format would have judged it.
        outcome.format = Some("external-data");
        outcome.is_model = true;
        if !options.deep {
            outcome.opaque = vec![0..input.len()];
        }
    }
    outcome
}

fn guarded(input: &Input, job: &Job, options: &Options, content: &dyn ContentScanner) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| weighbridge_formats::inspect(input, &job.name, options, content))).unwrap_or_else(
        |panic| {
            let reason = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no reason given");
            let finding =
                Finding::new(&rules::INSPECTION_FAILED, format!("a parser stopped on an inner error: {reason}"));
            Outcome { is_model: true, findings: vec![finding], ..Outcome::default() }
        },
    )
}

fn changed(before: &FileMetadata, after: &FileMetadata) -> bool {
    // Not ctime: a new hard link changes it and leaves the content alone. The
    // digest pass compared what was parsed.
    let marks = |m: &FileMetadata| (m.len(), m.mtime(), m.mtime_nsec());
    marks(before) != marks(after)
}

fn finish(outcome: Outcome, pass: Option<Pass>, len: u64, changed: bool) -> Assessed {
    let mut findings = outcome.findings;
    let Some(pass) = pass else {
        return Assessed {
            is_model: false,
            artifact: artifact(outcome.format, len, Metadata::new(), Vec::new()),
            hashed: 0,
            testimony: None,
            attestations: Vec::new(),
        };
    };
    for mut hit in pass.hits {
        if is_expected(outcome.format, &hit.rule) {
            continue;
        }
        if let Some(at) = hit.offset {
            // The innermost member that holds the hit names it.
            let member = outcome
                .members
                .iter()
                .filter(|(range, _)| range.contains(&at))
                .min_by_key(|(range, _)| range.end - range.start);
            if let Some((range, name)) = member {
                hit.member = Some(name.clone());
                hit.offset = Some(at - range.start);
            }
        }
        findings.push(hit);
    }
    if changed {
        findings.push(Finding::new(
            &rules::CHANGED_WHILE_SCANNING,
            "length, time or content differ from when it was opened",
        ));
    }
    let mut artifact = artifact(outcome.format, len, outcome.metadata, findings);
    artifact.sha256 = (!changed).then_some(pass.sha256);
    artifact.links = outcome.links;
    Assessed { is_model: true, artifact, hashed: pass.bytes, testimony: None, attestations: Vec::new() }
}

fn artifact(format: Option<&str>, size_bytes: u64, metadata: Metadata, mut findings: Vec<Finding>) -> Artifact {
    findings.sort_by_key(|f| std::cmp::Reverse((f.verdict, f.severity)));
    let verdict = match (Artifact::verdict_of(&findings), format) {
        // Nothing recognised it, so nothing was checked: not a pass.
        (Verdict::Clean, None) => Verdict::Unknown,
        (verdict, _) => verdict,
    };
    Artifact {
        path: String::new(),
        size_bytes,
        sha256: None,
        format: format.unwrap_or("unknown").to_owned(),
        metadata,
        verdict,
        findings,
        links: Vec::new(),
        also_at: Vec::new(),
        signature: None,
        origin: Vec::new(),
        advisories: Vec::new(),
        decision: None,
        shadow: None,
    }
}

fn unreadable(error: &io::Error) -> Assessed {
    let finding = Finding::new(&rules::INSPECTION_FAILED, format!("reading failed: {error}"));
    Assessed {
        is_model: true,
        artifact: artifact(None, 0, Metadata::new(), vec![finding]),
        hashed: 0,
        testimony: None,
        attestations: Vec::new(),
    }
}
