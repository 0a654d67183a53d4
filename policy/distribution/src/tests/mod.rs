//! A fleet on disk: keys, a repository, an endpoint, and thieves.

mod attacks;
mod installing;
mod publishing;
mod rotation;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tough::editor::signed::SignedRole;
use tough::schema::{Hashes, Metafile, Root, Snapshot, Targets, Timestamp as TimestampRole};

use crate::keys::{KeyFolder, NewKeys, Role, Rotation, init, rotate};
use crate::{Directory, Error, Limits, Published, RefusalKind, Store, UpdateError, Updated, publish, renew, roots};

struct Fleet {
    dir: tempfile::TempDir,
}

impl Fleet {
    /// Keys and a bundle that is published as version 1.
    fn new() -> Self {
        Self::made_at(&NewKeys::default(), Timestamp::now())
    }

    fn made_at(keys: &NewKeys, now: Timestamp) -> Self {
        let fleet = Self { dir: tempfile::tempdir().unwrap() };
        init(&fleet.at("keys"), keys, now).unwrap();
        fleet.bundle(&[("policy.toml", "version 1"), ("rules/deny.toml", "deny")]);
        fleet.publish_at(now).unwrap();
        fleet
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Replaces the bundle.
    fn bundle(&self, files: &[(&str, &str)]) {
        let _ = fs::remove_dir_all(self.at("bundle"));
        for (name, content) in files {
            let path = self.at("bundle").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    fn publish_at(&self, now: Timestamp) -> Result<Published, Error> {
        publish(&self.at("bundle"), KeyFolder::open(self.at("keys")).unwrap(), &self.at("repository"), now)
    }

    fn publish(&self) -> u64 {
        self.publish_at(Timestamp::now()).unwrap().version
    }

    /// Publishes a bundle whose policy says `text`.
    fn publish_text(&self, text: &str) -> u64 {
        self.bundle(&[("policy.toml", text), ("rules/deny.toml", "deny")]);
        self.publish()
    }

    fn renew_at(&self, now: Timestamp) -> Result<u64, Error> {
        let keys = KeyFolder::open(self.at("keys")).unwrap();
        renew(keys, &self.at("repository"), now).map(|renewed| renewed.version)
    }

    fn rotate(&self, role: Role) -> u64 {
        let folder = KeyFolder::open(self.at("keys")).unwrap();
        rotate(&folder, role, &Rotation::default(), Timestamp::now()).unwrap().version
    }

    /// The endpoint, which was given the first root.
    fn store(&self) -> Store {
        let store = Store::open(self.at("state")).unwrap();
        store.trust_first(&fs::read(self.at("keys/root/1.root.json")).unwrap()).unwrap();
        store
    }

    fn update(&self) -> Result<Updated, UpdateError> {
        self.update_within(&Limits::default())
    }

    fn update_within(&self, limits: &Limits) -> Result<Updated, UpdateError> {
        self.store().update(Arc::new(Directory::new(self.at("repository"))), limits)
    }

    /// The policy in force.
    fn in_force(&self) -> (u64, String) {
        let bundle = self.store().current().unwrap().unwrap();
        (bundle.version, fs::read_to_string(bundle.path.join("policy.toml")).unwrap())
    }

    #[track_caller]
    fn assert_installs(&self, version: u64, text: &str) {
        let updated = self.update().unwrap_or_else(|e| panic!("{e}"));
        assert!(updated.installed);
        assert_eq!(self.in_force(), (version, text.to_owned()));
        assert_eq!(self.leftovers(), Vec::<String>::new());
    }

    /// Refused for this reason, because of this file, and nothing changed.
    #[track_caller]
    fn assert_refused(&self, kind: RefusalKind, file: &str) {
        self.assert_refused_within(&Limits::default(), kind, file);
    }

    #[track_caller]
    fn assert_refused_within(&self, limits: &Limits, kind: RefusalKind, file: &str) {
        let before = self.installed();
        match self.update_within(limits) {
            Err(UpdateError::Refused(refusal)) => {
                assert_eq!((refusal.kind, refusal.file.as_str()), (kind, file), "{refusal}");
            }
            other => panic!("not refused: {other:?}"),
        }
        assert_eq!(self.installed(), before);
        assert_eq!(self.leftovers(), Vec::<String>::new());
    }

    /// Could not be done, for a reason that holds `word`, and nothing changed.
    #[track_caller]
    fn assert_fails(&self, word: &str) {
        let before = self.installed();
        match self.update() {
            Err(UpdateError::Failed(e)) => assert!(e.to_string().contains(word), "{e}"),
            other => panic!("did not fail: {other:?}"),
        }
        assert_eq!(self.installed(), before);
        assert_eq!(self.leftovers(), Vec::<String>::new());
    }

    /// Everything that is installed, and the pointer to it.
    fn installed(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = contents(&self.at("state/bundles"));
        if let Ok(pointer) = fs::read(self.at("state/current.json")) {
            found.insert("current.json".into(), pointer);
        }
        found
    }

    fn leftovers(&self) -> Vec<String> {
        let names = fs::read_dir(self.at("state")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|n| n.starts_with("incoming-")).collect()
    }

    /// Keeps a copy of the repository.
    fn save(&self, name: &str) {
        copy(&self.at("repository"), &self.at(name));
    }

    /// Puts a copy in its place.
    fn bring_back(&self, name: &str) {
        fs::remove_dir_all(self.at("repository")).unwrap();
        copy(&self.at(name), &self.at("repository"));
    }

    fn metadata(&self, name: &str) -> PathBuf {
        self.at("repository/metadata").join(name)
    }

    /// Where the repository keeps the file at the top of the bundle that says
    /// `text`.
    fn target(&self, text: &str) -> PathBuf {
        let found = fs::read_dir(self.at("repository/targets")).unwrap().map(|e| e.unwrap().path());
        found.filter(|p| p.is_file()).find(|p| fs::read(p).unwrap() == text.as_bytes()).unwrap()
    }

    /// Someone who holds the keys of these roles.
    fn thief(&self, roles: &[Role]) -> Thief<'_> {
        let folder = self.at("thief");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        for entry in fs::read_dir(self.at("keys")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if roles.iter().any(|role| name.starts_with(role.name()) && path.is_file()) {
                fs::copy(&path, folder.join(name)).unwrap();
            }
        }
        Thief { fleet: self, keys: folder }
    }
}

struct Thief<'a> {
    fleet: &'a Fleet,
    keys: PathBuf,
}

impl Thief<'_> {
    fn root(&self) -> Root {
        let chain = roots::Chain::read(&self.fleet.at("repository/metadata")).unwrap().unwrap();
        chain.newest().unwrap().signed.clone()
    }

    fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> T {
        let text: serde_json::Value = serde_json::from_slice(&fs::read(self.fleet.metadata(name)).unwrap()).unwrap();
        serde_json::from_value(text["signed"].clone()).unwrap()
    }

    /// Signs with what was stolen, and puts it into the repository.
    fn sign<T>(&self, role: Role, content: T) -> Metafile
    where
        T: tough::schema::Role + serde::Serialize + Send,
    {
        let (_, signing) = KeyFolder::open(&self.keys).unwrap().into_chain();
        let signed: SignedRole<T> = signing.sign(&self.root(), role, content).unwrap();
        let name = signed.signed().signed.filename(true);
        fs::write(self.fleet.metadata(&name), signed.buffer()).unwrap();
        Metafile {
            length: Some(*signed.length()),
            hashes: Some(Hashes { sha256: signed.sha256().to_vec().into(), _extra: HashMap::new() }),
            version: signed.signed().signed.version(),
            _extra: HashMap::new(),
        }
    }

    fn timestamp(&self, change: impl FnOnce(&mut TimestampRole)) {
        let mut role: TimestampRole = self.read("timestamp.json");
        role.version = next(role.version);
        role.expires = soon();
        change(&mut role);
        self.sign(Role::Timestamp, role);
    }

    fn snapshot(&self, change: impl FnOnce(&mut Snapshot)) {
        let timestamp: TimestampRole = self.read("timestamp.json");
        let mut role: Snapshot = self.read(&format!("{}.snapshot.json", timestamp.meta["snapshot.json"].version));
        role.version = next(role.version);
        role.expires = soon();
        change(&mut role);
        let named = self.sign(Role::Snapshot, role);
        self.timestamp(|t| {
            t.meta.insert("snapshot.json".to_owned(), named);
        });
    }

    fn targets(&self, change: impl FnOnce(&mut Targets)) {
        let timestamp: TimestampRole = self.read("timestamp.json");
        let snapshot: Snapshot = self.read(&format!("{}.snapshot.json", timestamp.meta["snapshot.json"].version));
        let mut role: Targets = self.read(&format!("{}.targets.json", snapshot.meta["targets.json"].version));
        role.version = next(role.version);
        role.expires = soon();
        change(&mut role);
        let named = self.sign(Role::Targets, role);
        self.snapshot(|s| {
            s.meta.insert("targets.json".to_owned(), named);
        });
    }
}

fn next(version: NonZeroU64) -> NonZeroU64 {
    NonZeroU64::new(version.get() + 1).unwrap()
}

fn soon() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second() + 3600).unwrap()
}

fn days_ago(days: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(days * 24)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}
