//! The policy in force: read again when it changes, and never worse than the
//! last good one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use weighbridge_distribution::{Directory, Limits, Store, UpdateError};
use weighbridge_policy::{Level, PolicySet, Repository};
use weighbridge_scanner::{JudgePlaces, Judges};

use crate::config::PolicyConfig;

/// Most files of a repository whose change is watched.
const FILES_MAX: usize = 20_000;

/// A policy that was read and found sound.
#[derive(Debug)]
pub struct Loaded {
    /// Policies and data.
    pub set: PolicySet,
    /// What files are judged by.
    pub judges: Judges,
    /// Where it lies; none as long as there is no policy.
    pub folder: Option<PathBuf>,
    /// Digest over names, sizes and times of its files, or the version of the
    /// signed bundle: changes whenever decisions may.
    pub revision: String,
    /// When it was read.
    pub loaded_at: Timestamp,
    /// When it was fetched, if it is a signed bundle.
    pub fetched_at: Option<Timestamp>,
}

/// Where the policy comes from, and the one in force.
pub struct Policies {
    config: PolicyConfig,
    state: PathBuf,
    current: RwLock<Arc<Loaded>>,
    /// Why what lies there now is not in force.
    problem: Mutex<Option<String>>,
}

/// What looking at the source changed.
#[derive(Debug, PartialEq, Eq)]
pub enum Refresh {
    /// Nothing.
    Same,
    /// Another policy is in force.
    Changed,
    /// What is there cannot be used; the last good one stays.
    Refused(String),
}

impl Policies {
    /// Nothing is in force until the first [`Self::refresh`].
    ///
    /// # Errors
    /// None in a release: the names of our own types are tested.
    pub fn new(config: PolicyConfig, state: &Path) -> Result<Self, String> {
        let none = Loaded {
            set: PolicySet::empty()?,
            judges: JudgePlaces::default().read(Timestamp::now()).map_err(|e| e.to_string())?,
            folder: None,
            revision: String::new(),
            loaded_at: Timestamp::now(),
            fetched_at: None,
        };
        let current = RwLock::new(Arc::new(none));
        Ok(Self { config, state: state.join("policy"), current, problem: Mutex::new(None) })
    }

    /// The policy in force.
    pub fn current(&self) -> Arc<Loaded> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why what lies at the source is not in force.
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks whether there is another policy, and puts it in force if it is
    /// sound. A refusal is returned once, not at every look.
    pub fn refresh(&self, now: Timestamp) -> Refresh {
        let found = self.find().and_then(|found| {
            if found.revision == self.current().revision { Ok(None) } else { found.load(now).map(Some) }
        });
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(None) => {
                *problem = None;
                Refresh::Same
            }
            Ok(Some(loaded)) => {
                *problem = None;
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
                Refresh::Changed
            }
            Err(reason) if problem.as_ref() == Some(&reason) => Refresh::Same,
            Err(reason) => {
                *problem = Some(reason.clone());
                Refresh::Refused(reason)
            }
        }
    }

    fn find(&self) -> Result<Found, String> {
        if let Some(folder) = &self.config.directory {
            return Ok(Found { revision: fingerprint(folder)?, folder: folder.clone(), fetched_at: None });
        }
        let store = Store::open(&self.state).map_err(|e| e.to_string())?;
        let fetched = self.fetch(&store);
        // Whatever went wrong, the bundle that was verified last holds.
        match store.current().map_err(|e| e.to_string())? {
            Some(bundle) => {
                if let Err(reason) = fetched
                    && self.current().folder.as_ref() == Some(&bundle.path)
                {
                    return Err(reason);
                }
                let revision = format!("bundle {}", bundle.version);
                Ok(Found { revision, folder: bundle.path, fetched_at: Some(bundle.fetched_at) })
            }
            None => Err(fetched.err().unwrap_or_else(|| "the repository holds no bundle".to_owned())),
        }
    }

    fn fetch(&self, store: &Store) -> Result<(), String> {
        let repository = self.config.repository.as_ref().ok_or("no repository is configured")?;
        if !store.has_root() {
            let root = self.config.root.as_ref().ok_or("`policy.root` names no first root to trust")?;
            let bytes = std::fs::read(root).map_err(|e| format!("cannot read `{}`: {e}", root.display()))?;
            store.trust_first(&bytes).map_err(|e| e.to_string())?;
        }
        match store.update(Arc::new(Directory::new(repository)), &Limits::default()) {
            Ok(_) => Ok(()),
            Err(UpdateError::Refused(refusal)) => Err(refusal.to_string()),
            Err(UpdateError::Failed(error)) => Err(error.to_string()),
        }
    }
}

/// A policy that lies somewhere.
struct Found {
    folder: PathBuf,
    revision: String,
    fetched_at: Option<Timestamp>,
}

impl Found {
    fn load(self, now: Timestamp) -> Result<Loaded, String> {
        let set = Repository::load(&self.folder).into_set().map_err(|problems| {
            let errors = problems.iter().filter(|p| p.level == Level::Error).take(3);
            let shown: Vec<String> = errors.map(|p| format!("{}: {p}", p.file)).collect();
            format!("the policies in `{}` cannot be used: {}", self.folder.display(), shown.join("; "))
        })?;
        let judges = JudgePlaces::of_policy(&self.folder).read(now).map_err(|e| e.to_string())?;
        Ok(Loaded {
            set,
            judges,
            folder: Some(self.folder),
            revision: self.revision,
            loaded_at: now,
            fetched_at: self.fetched_at,
        })
    }
}

/// Digest over names, sizes and times of the files in `folder`.
fn fingerprint(folder: &Path) -> Result<String, String> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    let failure = |path: &Path, e: std::io::Error| format!("cannot read `{}`: {e}", path.display());
    let mut files: BTreeMap<PathBuf, (u64, i64, i64)> = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|e| failure(&folder, e))? {
            let entry = entry.map_err(|e| failure(&folder, e))?;
            let (path, meta) = (entry.path(), entry.metadata().map_err(|e| failure(&folder, e))?);
            if meta.is_dir() && entry.file_name() != ".git" {
                folders.push(path);
            } else if meta.is_file() {
                files.insert(path, (meta.len(), meta.mtime(), meta.mtime_nsec()));
            }
            if files.len() + folders.len() > FILES_MAX {
                return Err(format!("more than {FILES_MAX} files in `{}`", folder.display()));
            }
        }
    }
    let mut hasher = Sha256::new();
    for (path, (size, seconds, nanoseconds)) in files {
        hasher.update((path.as_os_str().len() as u64).to_le_bytes());
        hasher.update(path.as_os_str().as_bytes());
        hasher.update(size.to_le_bytes());
        hasher.update(seconds.to_le_bytes());
        hasher.update(nanoseconds.to_le_bytes());
    }
    Ok(hasher.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_good_policy_stays_when_the_new_one_is_broken() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("p");
        weighbridge_policy::init(&folder).unwrap();
        let config = PolicyConfig { directory: Some(folder.clone()), repository: None, root: None, check_seconds: 1 };
        let policies = Policies::new(config, dir.path()).unwrap();
        assert!(policies.current().set.is_empty());
        assert_eq!(policies.refresh(Timestamp::now()), Refresh::Changed);
        assert_eq!(policies.refresh(Timestamp::now()), Refresh::Same);
        let good = policies.current().revision.clone();
        std::fs::write(folder.join("policies/broken.cedar"), "forbid (").unwrap();
        assert!(matches!(policies.refresh(Timestamp::now()), Refresh::Refused(_)));
        assert_eq!(policies.refresh(Timestamp::now()), Refresh::Same, "told once");
        assert_eq!(policies.current().revision, good);
        assert!(policies.problem().unwrap().contains("broken.cedar"));
        std::fs::remove_file(folder.join("policies/broken.cedar")).unwrap();
        assert_eq!(policies.refresh(Timestamp::now()), Refresh::Same);
        assert_eq!(policies.problem(), None);
    }
}
