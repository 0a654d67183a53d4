//! From a path to a model that runs: inspect, decide, import where needed,
//! load.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use jiff::Timestamp;
use sha2::{Digest, Sha256 as Hasher};
use weighbridge_gateway::Place;
use weighbridge_import::{MANIFEST_FILE, Manifest};
use weighbridge_inference_wire::PartRole;
use weighbridge_policy::{Approved, Assessment, Context, PolicySet, Principal, approve};
use weighbridge_runtime::{Handle, Options, PartSource, Settings, Supervisor, WorkerCommand};
use weighbridge_types::{Model, Report, Sha256, Shown, Verdict};

use super::import::{Kind, into_folder};
use super::{library, parts};
use crate::commands::scan;
use crate::exit::{Failure, with_causes};

#[derive(Debug, Clone, Args)]
pub struct LoadOptions {
    /// Threads that compute, for each model [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,

    /// Memory for what models remember of texts, for each model, MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub cache: u64,

    /// Longest text, tokens [default: the model's own limit]
    #[arg(long, value_name = "TOKENS")]
    pub context: Option<usize>,

    /// How weights stored as floats are kept when a model is imported [default: int8; f16 for GGUF]
    #[arg(long, value_enum, value_name = "KIND")]
    pub quantisation: Option<Kind>,

    /// Where imports are kept [default: the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub imports: Option<PathBuf>,
}

/// Loads models that policy allows.
pub struct Loader {
    pub supervisor: Supervisor,
    pub options: LoadOptions,
    /// The policies' folder: it may bring advisories, keys and rules, too.
    pub folder: Option<PathBuf>,
    /// The team of this machine.
    pub team: Option<String>,
}

/// A model that runs, and what it was approved by.
pub struct Loaded {
    pub name: String,
    pub path: PathBuf,
    pub files: BTreeMap<String, Assessment>,
    pub handle: Handle,
}

/// A supervisor whose workers are this program.
pub fn supervisor() -> Result<Supervisor, Failure> {
    let arguments = vec!["__model-worker".into(), library::find()?.into_os_string()];
    Ok(Supervisor::new(Settings::new(WorkerCommand { program: parts::program()?, arguments })))
}

impl Loader {
    /// The model at `path`, running; or why `policy` refuses it.
    pub fn load(&self, policy: &PolicySet, path: &Path, name: &str) -> Result<Result<Loaded, String>, Failure> {
        let report = self.inspect(path)?;
        let files = assessments(&report);
        let approved = match self.decided(name, &files, policy) {
            Ok(approved) => approved,
            Err(reason) => return Ok(Err(reason)),
        };
        let folder = if parts::wants_import(path) { Some(self.imported(path, &report)?) } else { None };
        let (sources, manifest) = sources(folder.as_deref().unwrap_or(path), folder.is_some(), &approved, &report)?;
        let settings = Options {
            cache_bytes: self.options.cache << 20,
            context_length: self.options.context,
            threads: self.options.threads.map(usize::from),
            manifest,
            assessment: files.values().max_by_key(|a| a.size_bytes).cloned().map(Arc::new),
            ..Options::default()
        };
        let loaded = self.supervisor.load(approved, sources, settings);
        let handle = loaded.map_err(|e| Failure::Usage(with_causes(&e)))?;
        for (layer, reason) in handle.unconfined() {
            let name = Shown(name);
            eprintln!("weighbridge: `{name}` runs without this layer of its sandbox: {layer}: {}", Shown(&reason));
        }
        Ok(Ok(Loaded { name: name.to_owned(), path: path.to_owned(), files, handle }))
    }

    /// The first file at `path` that is malicious.
    pub fn attack(&self, path: &Path) -> Result<Option<String>, Failure> {
        let report = self.inspect(path)?;
        Ok(report.artifacts.into_iter().find(|a| a.verdict == Verdict::Malicious).map(|a| a.path))
    }

    /// What `policy` says now of a model that was loaded, by all that is known
    /// of its files now.
    pub fn decide_again(&self, policy: &PolicySet, model: &Loaded) -> Result<Approved, String> {
        // Files that are gone or cannot be read do not take back what runs.
        let now = self.inspect(&model.path).map(|report| assessments(&report)).unwrap_or_default();
        let same = |file: &String, old: &Assessment| now.get(file).is_some_and(|new| new.sha256 == old.sha256);
        let files = if model.files.iter().all(|(file, old)| same(file, old)) { &now } else { &model.files };
        self.decided(&model.name, files, policy)
    }

    /// Whether `policy` lets this machine serve a model of these files.
    fn decided(
        &self,
        name: &str,
        files: &BTreeMap<String, Assessment>,
        policy: &PolicySet,
    ) -> Result<Approved, String> {
        let Place { host, team } = self.place();
        let principal = Principal::Host(host.clone().unwrap_or_default());
        let context = Context { host, team, ..Context::at(Timestamp::now()) };
        approve(name, files, &principal, &context, policy).map_err(|e| e.to_string())
    }

    /// This machine, as policy sees it.
    pub fn place(&self) -> Place {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Place { host: Some(host), team: self.team.clone() }
    }

    /// Files that have not changed since they were inspected are not read for
    /// it again: loading compares their content with the digest anyway.
    fn inspect(&self, path: &Path) -> Result<Report, Failure> {
        let mut config = scan::plain(path, self.folder.as_deref())?;
        if path.is_file() && !parts::wants_import(path) {
            // A graph is named, and what lies beside it is served with it.
            config.walk.roots = parts::of_served(path)?.into_iter().map(|(_, open)| open.path).collect();
        }
        if let (Ok(folder), Ok(full)) = (self.imports(), path.canonicalize()) {
            let folder = folder.join("inspected");
            if std::fs::create_dir_all(&folder).is_ok() {
                config.cache = Some(folder.join(short(Hasher::digest(full.as_os_str().as_encoded_bytes()).as_ref())));
            }
        }
        Ok(weighbridge_scanner::scan(&config, &|_| (), &AtomicBool::new(false))?)
    }

    /// The import of `path`: made once for the same bytes and settings.
    fn imported(&self, path: &Path, report: &Report) -> Result<PathBuf, Failure> {
        let mut key = Hasher::new();
        key.update(env!("CARGO_PKG_VERSION"));
        key.update(self.options.quantisation.map_or("", Kind::name));
        for artifact in &report.artifacts {
            key.update([0]);
            key.update(artifact.path.rsplit('/').next().unwrap_or_default());
            key.update(artifact.sha256.map(|d| d.to_string()).unwrap_or_default());
        }
        let folder = self.imports()?.join(short(key.finalize().as_ref()));
        if !folder.join(MANIFEST_FILE).is_file() {
            println!("weighbridge: importing `{}`", Shown(&path.to_string_lossy()));
            into_folder(path, parts::of_source(path)?, &folder, self.options.quantisation, false)?;
        }
        Ok(folder)
    }

    /// Where imports are kept, and what is known of files. Whoever can write
    /// there decides what is served, so it is ours alone.
    fn imports(&self) -> Result<PathBuf, Failure> {
        let folder = match &self.options.imports {
            Some(folder) => folder.clone(),
            None => cache_folder()?.join("weighbridge/imports"),
        };
        let failure = |source| Failure::File { action: "make", path: folder.display().to_string(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failure)?;
        let meta = folder.metadata().map_err(failure)?;
        if meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & 0o022 != 0 {
            return Err(Failure::Usage(format!(
                "`{}` can be written by others, who could put models there; choose a folder of your own with `--imports`",
                folder.display()
            )));
        }
        Ok(folder)
    }
}

/// What is loaded of `folder`, with the digests that it must have; and that of
/// the manifest, if we `imported` it.
fn sources(
    folder: &Path,
    imported: bool,
    approved: &Approved,
    report: &Report,
) -> Result<(Vec<PartSource>, Option<Sha256>), Failure> {
    let opened = parts::of_served(folder)?;
    let found = opened.iter().find(|(role, _)| *role == PartRole::Manifest);
    let manifest = found.map(|(_, open)| Listed::read(&open.path)).transpose()?;
    let mut sources = Vec::new();
    for (role, open) in opened {
        let listed = manifest.as_ref().and_then(|m| m.digest(role, &open.name));
        let sha256 = match listed.or_else(|| inspected(report, &open.path)) {
            Some(known) => known,
            None => digest(&open.path)?,
        };
        // What nobody inspected is not served; settings beside a graph are not needed.
        let needed = matches!(
            role,
            PartRole::Graph | PartRole::Data | PartRole::Manifest | PartRole::Tokenizer | PartRole::Template
        );
        if imported || needed || approved.covers(&sha256) {
            sources.push(PartSource { role, name: open.name, file: open.file, sha256 });
        } else {
            eprintln!("weighbridge: `{}` is left out: it was not inspected", Shown(&open.path.to_string_lossy()));
        }
    }
    Ok((sources, manifest.filter(|_| imported).map(|m| m.sha256)))
}

/// What a manifest says of the files beside it, and its own digest.
struct Listed {
    sha256: Sha256,
    files: BTreeMap<String, Sha256>,
}

impl Listed {
    /// Largest manifest; ours have some KB.
    const BYTES_MAX: u64 = 8 << 20;

    fn read(path: &Path) -> Result<Self, Failure> {
        let failure = |source| Failure::File { action: "read", path: path.display().to_string(), source };
        let mut bytes = Vec::new();
        File::open(path).and_then(|f| f.take(Self::BYTES_MAX).read_to_end(&mut bytes)).map_err(failure)?;
        // One that cannot be read lists nothing; the worker says what is wrong with it.
        let files = serde_json::from_slice::<Manifest>(&bytes).map(|m| m.files).unwrap_or_default();
        let files = files.into_iter().filter_map(|f| Some((f.name, f.sha256.parse().ok()?))).collect();
        Ok(Self { sha256: Sha256::new(Hasher::digest(&bytes).into()), files })
    }

    fn digest(&self, role: PartRole, name: &str) -> Option<Sha256> {
        if role == PartRole::Manifest { Some(self.sha256) } else { self.files.get(name).copied() }
    }
}

/// Every file that the scan found, as policy sees it.
fn assessments(report: &Report) -> BTreeMap<String, Assessment> {
    let model = |path: &str| report.models.iter().find(|m: &&Model| m.files.iter().any(|f| f == path));
    report.artifacts.iter().map(|a| (a.path.clone(), Assessment::of(a, model(&a.path)))).collect()
}

/// The digest that the scan found.
fn inspected(report: &Report, path: &Path) -> Option<Sha256> {
    let path = path.to_str()?;
    report.artifacts.iter().find(|a| a.path == path)?.sha256
}

/// What a model is called if nobody says otherwise.
pub fn name_of(path: &Path) -> String {
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    let name = name.or_else(|| path.parent()?.file_name()).unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Where programs of this user keep what they can make again (XDG Base
/// Directory Specification).
fn cache_folder() -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache"))).ok_or_else(|| {
        Failure::Usage("there is no home folder to keep imports in; name one with `--imports`".to_owned())
    })
}

fn digest(path: &Path) -> Result<Sha256, Failure> {
    let failure = |source| Failure::File { action: "read", path: path.display().to_string(), source };
    let mut file = File::open(path).map_err(failure)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(failure)? {
            0 => return Ok(Sha256::new(hasher.finalize().into())),
            n => hasher.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}

/// Half of a digest: enough for a name.
fn short(digest: &[u8]) -> String {
    digest.iter().take(16).map(|b| format!("{b:02x}")).collect()
}
