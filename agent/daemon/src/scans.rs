//! Scans for the daemon: sweeps over everything, and files that events name.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use weighbridge_discovery::{FileMeta, Walk};
use weighbridge_platform::file::FileKey;
use weighbridge_platform::priority;
use weighbridge_scanner::{Event, ScanConfig, ScanFailure, WorkerCommand};
use weighbridge_types::{Artifact, Report};

use crate::config::FilesConfig;
use crate::policies::Loaded;

/// How long the roots are believed: file systems come and go.
const ROOTS_FOR: Duration = Duration::from_secs(15);
/// Threads that walk; a sweep is in no hurry.
const WALKERS: usize = 2;
/// Rest after each file of a sweep while the machine is under pressure.
const REST: Duration = Duration::from_millis(50);
/// Share of time that work waits for a resource from which a sweep rests,
/// percent over ten seconds.
const PRESSURE_MAX: f32 = 20.0;

/// What to look at.
pub enum Work {
    /// Everything that is configured; unchanged files are not opened.
    Sweep,
    /// Files and folders that a user named.
    Named(Vec<PathBuf>),
    /// Files that changed.
    Files(Vec<PathBuf>),
    /// A file that is open, and the path it is known by.
    Open(Arc<File>, PathBuf),
}

/// What was found.
pub struct Found {
    /// Artifacts, models, errors.
    pub report: Report,
    /// The files behind the artifacts, by the path in the report.
    pub files: HashMap<String, (PathBuf, FileKey)>,
}

/// How to scan.
pub struct Scans {
    config: FilesConfig,
    cache: PathBuf,
    worker: WorkerCommand,
    stop: Arc<AtomicBool>,
    /// Roots as they were lately.
    lately: Mutex<Option<(Instant, Arc<Vec<PathBuf>>)>>,
}

impl Scans {
    pub fn new(config: FilesConfig, state: &Path, program: PathBuf, stop: Arc<AtomicBool>) -> Self {
        let worker = WorkerCommand { program, arguments: vec!["__scan-worker".to_owned()] };
        Self { config, cache: state.join("assessments"), worker, stop, lately: Mutex::new(None) }
    }

    /// Roots of a sweep.
    pub fn roots(&self) -> Vec<PathBuf> {
        let mut roots: Vec<PathBuf> = Vec::new();
        for root in &self.config.roots {
            if root == Path::new("all") {
                roots.extend(weighbridge_discovery::local_mounts().into_iter().map(|m| m.path));
            } else {
                roots.push(root.clone());
            }
        }
        if self.config.stores {
            roots.extend(weighbridge_discovery::stores().into_iter().map(|s| s.path));
        }
        // As the kernel names what is below them.
        let real = |root: PathBuf| root.canonicalize().unwrap_or(root);
        roots = roots.into_iter().map(real).collect();
        roots.sort();
        roots.dedup();
        let all = roots.clone();
        // Nested roots on the same file system would be walked twice.
        roots.retain(|root| {
            root.exists() && !all.iter().any(|o| o != root && root.starts_with(o) && same_device(o, root))
        });
        roots
    }

    /// Whether `path` is among what a sweep looks at: nothing is done to files
    /// elsewhere.
    pub fn covers(&self, path: &Path) -> bool {
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = lately.as_ref().filter(|(at, _)| at.elapsed() < ROOTS_FOR).map(|(_, roots)| Arc::clone(roots));
        let roots = fresh.unwrap_or_else(|| {
            let roots = Arc::new(self.roots());
            *lately = Some((Instant::now(), Arc::clone(&roots)));
            roots
        });
        roots.iter().any(|root| path.starts_with(root))
    }

    /// File systems came or went: the roots may be others.
    pub fn forget_roots(&self) {
        *self.lately.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Does `work`. A sweep keeps to the background: the calling thread should
    /// have the lowest priority.
    ///
    /// # Errors
    /// If no worker can be started, or the cache cannot be used.
    pub fn run(&self, work: Work, policy: &Loaded) -> Result<Found, ScanFailure> {
        self.run_telling(work, policy, &|_, _, _| ())
    }

    /// [`Self::run`], which tells of each file as soon as it is inspected.
    ///
    /// # Errors
    /// As there.
    pub fn run_telling(
        &self,
        work: Work,
        policy: &Loaded,
        tell: &(dyn Fn(&Path, FileKey, &Artifact) + Sync),
    ) -> Result<Found, ScanFailure> {
        let sweeping = matches!(work, Work::Sweep);
        let mut walk = Walk { threads: WALKERS, one_file_system: sweeping, ..Walk::default() };
        match work {
            Work::Sweep => walk.roots = self.roots(),
            Work::Named(paths) => walk.roots = paths,
            Work::Files(paths) => walk.files = paths,
            Work::Open(file, path) => walk.open = vec![(file, path)],
        }
        let judges = &policy.judges;
        let config = ScanConfig {
            walk,
            jobs: if sweeping { self.config.jobs.into() } else { 1 },
            worker: self.worker.clone(),
            deep: false,
            patterns: judges.patterns.clone(),
            catalogue: judges.catalogue.clone(),
            advisories: judges.advisories.clone(),
            trust: judges.trust.clone(),
            cache: sweeping.then(|| self.cache.clone()),
            silence_max: Duration::from_secs(self.config.timeout_seconds),
            danger_unconfined: false,
        };
        let files = Mutex::new(HashMap::new());
        let on = |event: Event<'_>| match event {
            Event::Artifact { path, meta, artifact } => {
                let key = key(meta);
                let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
                files.insert(artifact.path.clone(), (path.to_path_buf(), key));
                drop(files);
                tell(path, key, artifact);
            }
            Event::Queued(_) if sweeping && priority::pressure().is_some_and(|p| p > PRESSURE_MAX) => {
                std::thread::sleep(REST);
            }
            _ => {}
        };
        let report = weighbridge_scanner::scan(&config, &on, &self.stop)?;
        Ok(Found { report, files: files.into_inner().unwrap_or_else(PoisonError::into_inner) })
    }
}

/// As the gate and the state know files.
pub fn key(meta: &FileMeta) -> FileKey {
    let ns = |ns: i128| i64::try_from(ns).unwrap_or(i64::MAX);
    FileKey { dev: meta.dev, ino: meta.ino, size: meta.len, mtime_ns: ns(meta.mtime_ns), ctime_ns: ns(meta.ctime_ns) }
}

fn same_device(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    matches!((std::fs::metadata(a), std::fs::symlink_metadata(b)), (Ok(a), Ok(b)) if a.dev() == b.dev() && !b.is_symlink())
}
