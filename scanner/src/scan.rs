use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender};
use weighbridge_discovery::{Candidate, FileMeta, Reason, Sink, Walk};
use weighbridge_provenance::advisory;
use weighbridge_provenance::origin::Catalogue;
use weighbridge_provenance::signature::{Attestation, TrustConfig};
use weighbridge_sandbox::Confinement;
use weighbridge_types::{
    Artifact, Finding, Link, LinkKind, Report, SCHEMA, ScanError, Sha256, Shown, Summary, Tool, Verdict,
};

use crate::cache::Cache;
use crate::pool::{self, Assessments, PoolConfig, WorkerCommand};
use crate::protocol::{Assessed, Start};
use crate::signatures::{self, Bundle};
use crate::{advisories, models, origin, rules};

/// Candidates waiting for a worker; bounds the open descriptors.
const QUEUE_MAX: usize = 256;
/// Most errors kept in a report.
const ERRORS_MAX: usize = 10_000;
/// Folders below a repository in which its parts are looked for.
const REPOSITORY_DEPTH: u32 = 2;
/// Most files followed because other files name them.
const LINKED_MAX: usize = 100_000;

/// What to scan and how.
#[derive(Debug)]
pub struct ScanConfig {
    /// Where to begin.
    pub walk: Walk,
    /// Worker processes.
    pub jobs: usize,
    /// How to start one.
    pub worker: WorkerCommand,
    /// Look at tensor bytes too.
    pub deep: bool,
    /// The user's YARA rules: origin and text.
    pub patterns: Vec<(String, String)>,
    /// Which bytes are which revision of which repository.
    pub catalogue: Arc<Catalogue>,
    /// What is known against models.
    pub advisories: Arc<advisory::Catalogue>,
    /// Who is trusted to sign models.
    pub trust: TrustConfig,
    /// Remember assessments in this file.
    pub cache: Option<PathBuf>,
    /// Time without a sign of life after which a worker is killed.
    pub silence_max: Duration,
    /// Go on although the kernel offers no system call filter.
    pub danger_unconfined: bool,
}

/// Something worth showing while a scan runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// A file was met.
    Seen,
    /// A file is waiting to be inspected, so many bytes.
    Queued(u64),
    /// Bytes were digested.
    Progress(u64),
    /// A file of so many bytes is done.
    Done(u64),
    /// A file was inspected, or is known from before. What others say of it
    /// (signatures, advisories, its model) is in the report alone.
    Artifact {
        /// The file, byte for byte.
        path: &'a Path,
        /// Which file it was.
        meta: &'a FileMeta,
        /// What it is, by itself.
        artifact: &'a Artifact,
    },
}

/// Why a scan could not be done at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanFailure {
    /// No worker could be started.
    #[error("{0}")]
    Worker(String),
    /// The cache cannot be read or written.
    #[error("cannot use the cache `{path}`; choose another file or remove it")]
    Cache {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Scans, and reports. `events` is called from several threads; `stop` ends
/// the scan early, and the report then holds what was done.
///
/// # Errors
/// [`ScanFailure`] if nothing could be inspected; single files that fail are
/// findings and errors in the report.
pub fn scan(
    config: &ScanConfig,
    events: &(dyn Fn(Event<'_>) + Sync),
    stop: &AtomicBool,
) -> Result<Report, ScanFailure> {
    let started = Instant::now();
    let rules = rules_digest(&config.patterns);
    let cache = match &config.cache {
        None => None,
        Some(path) => {
            let stamp = format!("{} {rules} deep={}", env!("CARGO_PKG_VERSION"), config.deep);
            let cache = Cache::open(path, stamp, now_ns())
                .map_err(|source| ScanFailure::Cache { path: path.display().to_string(), source })?;
            Some(Mutex::new(cache))
        }
    };
    let (sender, receiver) = crossbeam_channel::bounded(QUEUE_MAX);
    let run =
        Run { events, stop, cache, sender, state: Mutex::default(), idle: Condvar::new(), counts: Counts::default() };
    let run = run.work(config, receiver);
    if let Some(reason) = run.state().failure.take() {
        return Err(ScanFailure::Worker(reason));
    }
    if let (Some(cache), Some(path)) = (&run.cache, &config.cache) {
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        if stop.load(Ordering::Relaxed) {
            cache.keep_unmet();
        }
        let saved = cache.save();
        saved.map_err(|source| ScanFailure::Cache { path: path.display().to_string(), source })?;
    }
    Ok(run.report(config, judged_by(&rules, config), started))
}

/// Everything the threads of one scan share.
struct Run<'a> {
    events: &'a (dyn Fn(Event<'_>) + Sync),
    stop: &'a AtomicBool,
    cache: Option<Mutex<Cache>>,
    sender: Sender<Candidate>,
    state: Mutex<State>,
    /// Signalled when nothing is queued or being inspected.
    idle: Condvar,
    counts: Counts,
}

#[derive(Default)]
struct State {
    artifacts: Vec<Artifact>,
    errors: BTreeSet<(String, String)>,
    /// Why no worker can be had.
    failure: Option<String>,
    /// Files queued or being inspected.
    in_flight: u64,
    /// Paths handed over, so that files that others name are inspected once.
    paths: HashSet<PathBuf>,
    /// First path of each file with hard links, by device and inode.
    first_links: HashMap<(u64, u64), PathBuf>,
    /// Signatures met so far.
    bundles: Vec<Bundle>,
    /// Attestations met so far, and where.
    attestations: Vec<(String, Attestation)>,
    /// Further paths of the same files, by their first path.
    more_links: HashMap<PathBuf, Vec<PathBuf>>,
}

#[derive(Default)]
struct Counts {
    seen: AtomicU64,
    other: AtomicU64,
    cached: AtomicU64,
    hashed: AtomicU64,
}

impl Run<'_> {
    /// Walks and inspects, then inspects what the first round named.
    fn work(self, config: &ScanConfig, receiver: Receiver<Candidate>) -> Self {
        let pool = PoolConfig {
            command: config.worker.clone(),
            start: Start {
                rules: config.patterns.clone(),
                deep: config.deep,
                trust: config.trust.clone(),
                danger_unconfined: config.danger_unconfined,
            },
            silence_max: config.silence_max,
        };
        let queue_closed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..config.jobs.max(1) {
                let (receiver, pool, run, closed) = (receiver.clone(), &pool, &self, &queue_closed);
                scope.spawn(move || pool::feed(pool, &receiver, closed, run));
            }
            // Only the feeders receive: when they are gone, sending fails.
            drop(receiver);
            weighbridge_discovery::walk(&config.walk, &self);
            self.wait_until_idle();
            self.second_round(&config.walk.roots);
            self.wait_until_idle();
            queue_closed.store(true, Ordering::Release);
        });
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until_idle(&self) {
        let mut state = self.state();
        while state.in_flight > 0 && state.failure.is_none() && !self.stop.load(Ordering::Relaxed) {
            state = self.idle.wait_timeout(state, Duration::from_millis(50)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Hands a file to the workers, once.
    fn queue(&self, candidate: Candidate) {
        {
            let mut state = self.state();
            if !state.paths.insert(candidate.path.clone()) {
                return;
            }
            for path in &candidate.also_at {
                state.paths.insert(path.clone());
            }
            if candidate.meta.links > 1 {
                let identity = (candidate.meta.dev, candidate.meta.ino);
                if let Some(first) = state.first_links.get(&identity).cloned() {
                    state.more_links.entry(first).or_default().push(candidate.path);
                    return;
                }
                state.first_links.insert(identity, candidate.path.clone());
            }
            state.in_flight += 1;
        }
        (self.events)(Event::Queued(candidate.meta.len));
        if self.sender.send(candidate).is_err() {
            self.state().in_flight -= 1;
        }
    }

    /// Files that others name, and companions of models.
    fn second_round(&self, roots: &[PathBuf]) {
        // A file that was named is scanned alone; what lies beside it was not asked for.
        let walked: Vec<&PathBuf> = roots.iter().filter(|r| r.is_dir()).collect();
        let mut named = Vec::new();
        let mut folders = BTreeMap::new();
        for artifact in &self.state().artifacts {
            let path = PathBuf::from(&artifact.path);
            let Some(folder) = path.parent().map(Path::to_path_buf) else { continue };
            for link in &artifact.links {
                if matches!(link.kind, LinkKind::ExternalData | LinkKind::Shard | LinkKind::Code)
                    && named.len() < LINKED_MAX
                {
                    named.push((artifact.path.clone(), folder.clone(), link.clone()));
                }
            }
            if models::marks_repository(artifact) && walked.iter().any(|root| folder.starts_with(root)) {
                let depth = if models::marks_whole_repository(artifact) { REPOSITORY_DEPTH } else { 0 };
                let known = folders.entry(folder).or_insert(depth);
                *known = depth.max(*known);
            }
        }
        for (owner, folder, link) in named {
            self.follow(&owner, &folder, &link);
        }
        for (folder, depth) in folders {
            weighbridge_discovery::companions(&folder, depth).into_iter().for_each(|c| self.queue(c));
        }
    }

    /// Inspects the file that `owner` names, unless that leads elsewhere.
    fn follow(&self, owner: &str, folder: &Path, link: &Link) {
        let path = folder.join(&link.target);
        if self.state().paths.contains(&path) {
            return;
        }
        match weighbridge_discovery::linked(folder, &link.target) {
            Ok(candidate) => self.queue(candidate),
            // A link, unless it is the cache's own way of storing snapshots.
            Err(e) if is_link_error(&e) && link.kind == LinkKind::ExternalData => {
                let mut state = self.state();
                if let Some(artifact) = state.artifacts.iter_mut().find(|a| a.path == owner) {
                    let detail = format!("`{}` is, or lies behind, a symbolic link", Shown(&link.target));
                    artifact.findings.push(Finding::new(&rules::EXTERNAL_DATA_LINK, detail));
                    artifact.verdict = artifact.verdict.max(Verdict::Suspicious);
                }
            }
            // Missing files are told with the model they belong to.
            Err(_) => {}
        }
    }

    fn report(self, config: &ScanConfig, rules: String, started: Instant) -> Report {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut artifacts = state.artifacts;
        for artifact in &mut artifacts {
            if let Some(more) = state.more_links.get(Path::new(&artifact.path)) {
                artifact.also_at.extend(more.iter().map(|p| path_text(p)));
                artifact.also_at.sort();
            }
        }
        artifacts.sort_by(|a, b| a.path.cmp(&b.path));
        signatures::of_artifacts(&mut artifacts, state.bundles);
        signatures::attest(&mut artifacts, &state.attestations);
        origin::of_artifacts(&mut artifacts, &config.catalogue);
        advisories::of_artifacts(&mut artifacts, &config.advisories);
        let mut models = models::group(&artifacts);
        signatures::of_models(&mut models, &artifacts);
        origin::of_models(&mut models, &artifacts, &config.catalogue);
        advisories::of_models(&mut models, &artifacts, &config.advisories);
        let mut summary = Summary {
            files_seen: self.counts.seen.into_inner(),
            files_other: self.counts.other.into_inner(),
            files_cached: self.counts.cached.into_inner(),
            bytes_hashed: self.counts.hashed.into_inner(),
            artifacts: artifacts.len() as u64,
            models: models.len() as u64,
            elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..Summary::default()
        };
        for artifact in &artifacts {
            *summary.verdicts.entry(artifact.verdict.name().to_owned()).or_default() += 1;
            for finding in &artifact.findings {
                *summary.findings.entry(finding.severity.name().to_owned()).or_default() += 1;
            }
        }
        Report {
            schema: SCHEMA.to_owned(),
            tool: Tool { name: "weighbridge".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), rules },
            roots: config.walk.roots.iter().map(|r| path_text(r)).collect(),
            artifacts,
            models,
            summary,
            errors: state.errors.into_iter().map(|(path, message)| ScanError { path, message }).collect(),
        }
    }
}

impl Sink for Run<'_> {
    fn seen(&self, other: bool) {
        self.counts.seen.fetch_add(1, Ordering::Relaxed);
        if other {
            self.counts.other.fetch_add(1, Ordering::Relaxed);
        }
        (self.events)(Event::Seen);
    }

    fn remembers(&self) -> bool {
        self.cache.is_some()
    }

    fn known(&self, path: &Path, meta: &FileMeta, reason: Reason) -> bool {
        let Some(cache) = &self.cache else { return false };
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(remembered) = cache.get(path, meta) else { return false };
        drop(cache);
        if remembered.is_none() && reason == Reason::Named {
            return false;
        }
        self.counts.cached.fetch_add(1, Ordering::Relaxed);
        if let Some(artifact) = remembered {
            (self.events)(Event::Artifact { path, meta, artifact: &artifact });
            let mut state = self.state();
            state.paths.insert(path.to_path_buf());
            state.artifacts.push(artifact);
        }
        true
    }

    fn not_a_candidate(&self, path: &Path, meta: &FileMeta) {
        if let Some(cache) = &self.cache {
            let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.put(path, meta, None);
            cache.checkpoint();
        }
    }

    fn candidate(&self, candidate: Candidate) {
        self.queue(candidate);
    }

    fn error(&self, path: &Path, message: String) {
        let mut state = self.state();
        if state.errors.len() < ERRORS_MAX {
            state.errors.insert((path_text(path), message));
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.state().failure.is_some()
    }
}

impl Assessments for Run<'_> {
    fn assessed(&self, candidate: Candidate, assessed: Assessed) {
        self.counts.hashed.fetch_add(assessed.hashed, Ordering::Relaxed);
        let artifact = assessed.is_model.then(|| {
            let mut artifact = assessed.artifact;
            artifact.path = path_text(&candidate.path);
            artifact.also_at = candidate.also_at.iter().map(|p| path_text(p)).collect();
            // What is known of the file's origin is not the worker's to say.
            artifact.origin = origin::of_handle(&candidate.handle);
            artifact
        });
        if let Some(cache) = &self.cache {
            // An inspection that failed may succeed the next time, a companion
            // counts only as long as a model lies beside it, and a signature as
            // long as its signer is trusted.
            let final_word = candidate.reason != Reason::Companion
                && assessed.testimony.is_none()
                && artifact.as_ref().is_none_or(|a| a.sha256.is_some());
            if final_word {
                let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
                cache.put(&candidate.path, &candidate.meta, artifact.clone());
                cache.checkpoint();
            }
        }
        if let Some(artifact) = &artifact {
            let (path, meta) = (&candidate.path, &candidate.meta);
            (self.events)(Event::Artifact { path, meta, artifact });
        }
        let mut state = self.state();
        if let Some(testimony) = assessed.testimony {
            state.bundles.push(Bundle { path: candidate.path.clone(), testimony: *testimony });
        }
        let place = path_text(&candidate.path);
        state.attestations.extend(assessed.attestations.into_iter().map(|a| (place.clone(), a)));
        if artifact.is_none() {
            // Not worth a place by itself; it may be as a companion.
            state.paths.remove(&candidate.path);
        }
        state.artifacts.extend(artifact);
        state.in_flight -= 1;
        if state.in_flight == 0 {
            self.idle.notify_all();
        }
        drop(state);
        (self.events)(Event::Done(candidate.meta.len));
    }

    fn progress(&self, bytes: u64) {
        (self.events)(Event::Progress(bytes));
    }

    fn started(&self, confinement: &Confinement) {
        for (layer, reason) in confinement.missing() {
            let message = format!("the scan worker runs without this layer of its sandbox: {reason}");
            self.state().errors.insert((format!("sandbox: {layer}"), message));
        }
    }

    fn failed(&self, reason: String) {
        self.state().failure.get_or_insert(reason);
        self.idle.notify_all();
    }

    fn stopped(&self) -> bool {
        Sink::stopped(self)
    }
}

/// A link on the way (ELOOP), or a path through one.
fn is_link_error(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

/// A path as text: bytes that are not UTF-8 appear as `\xNN`.
fn path_text(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut out = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// [`rules_digest`] with the advisories, which decide after the inspection
/// and so are no part of what the cache depends on.
fn judged_by(rules: &str, config: &ScanConfig) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::new().chain_update(rules).chain_update(config.advisories.digest());
    Sha256::new(digest.finalize().into()).to_string()
}

/// Digest over everything that decides in a worker: built-in rules, tables,
/// patterns.
fn rules_digest(patterns: &[(String, String)]) -> String {
    use sha2::Digest;
    let mut hasher = sha2::Sha256::new();
    for rule in crate::all_rules() {
        hasher.update(rule.id);
        hasher.update(rule.severity.name());
        hasher.update(rule.verdict.name());
    }
    for table in weighbridge_rules::tables() {
        hasher.update(table);
    }
    for (origin, text) in patterns {
        hasher.update(origin);
        hasher.update(text);
    }
    Sha256::new(hasher.finalize().into()).to_string()
}

fn now_ns() -> i128 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| i128::try_from(d.as_nanos()).unwrap_or(i128::MAX))
}
