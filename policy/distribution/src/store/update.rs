use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use tough::schema::Target;
use tough::{Repository, RepositoryLoader, TargetName};
use url::Url;

use super::install::{self, Incoming};
use super::pointer::Pointer;
use super::{Bundle, Store, Updated, refusal, trust};
use crate::error::{Error, Refusal, RefusalKind, UpdateError};
use crate::limits::Limits;
use crate::runtime::block_on;
use crate::source::Source;
use crate::transport::{Courier, METADATA, TARGETS};
use crate::{files, name};

/// Files of a bundle by name: length and SHA-256, signed.
pub type Contents = BTreeMap<String, Target>;

pub fn update(store: &Store, source: Arc<dyn Source>, limits: &Limits) -> Result<Updated, UpdateError> {
    let _lock = files::lock(store.path())?;
    install::clean(store.path())?;
    let incoming = Incoming::new(store.path())?;
    let courier = Courier::new(source, *limits);
    let repository = metadata(store, &incoming, &courier, limits)?;
    let contents = contents(&repository, limits)?;
    let version = repository.targets().signed.version.get();
    let expires = earliest(&repository);
    let root = repository.root().signed.version.get();

    let before = Pointer::read(store.path())?;
    let path = store.bundle_path(version);
    if let Some(pointer) = before.as_ref().filter(|p| p.version == version)
        && install::holds(&path, &contents)
    {
        let bundle = Bundle { version, path, fetched_at: pointer.fetched_at };
        return Ok(Updated { bundle, installed: false, files: contents.len(), expires, root });
    }
    block_on(download(&repository, &contents, &incoming.files(), &courier))??;
    install::put(&incoming.files(), &path, &contents)?;
    let pointer = Pointer::to(version, before.as_ref(), Timestamp::now());
    pointer.write(store.path())?;
    // In force already; what cannot be removed now is removed next time.
    let _ = install::prune(&store.bundles(), &pointer);
    let bundle = Bundle { version, path, fetched_at: pointer.fetched_at };
    Ok(Updated { bundle, installed: true, files: contents.len(), expires, root })
}

/// Steps 5.2 to 5.6 of the specification: root, timestamp, snapshot, targets.
fn metadata(store: &Store, incoming: &Incoming, courier: &Courier, limits: &Limits) -> Result<Repository, UpdateError> {
    let copy = incoming.trust();
    let root = trust::check_out(store.path(), &copy)?;
    let url = |text: &str| Url::parse(text).map_err(|e| Error::Sign(e.to_string()));
    let loader = RepositoryLoader::new(&root, url(METADATA)?, url(TARGETS)?)
        .transport(courier.clone())
        .limits(tough::Limits {
            max_root_size: limits.root_bytes,
            max_targets_size: limits.targets_bytes,
            max_timestamp_size: limits.timestamp_bytes,
            max_snapshot_size: limits.snapshot_bytes,
            max_root_updates: limits.root_updates,
        })
        .datastore(&copy);
    let loaded = block_on(loader.load())?;
    if !loaded.as_ref().is_err_and(refusal::is_of_state) {
        trust::check_in(store.path(), &copy)?;
    }
    loaded.map_err(|e| refusal::meaning(&e, courier.last()))
}

/// What tough leaves to its caller: which names, how many, how much.
fn contents(repository: &Repository, limits: &Limits) -> Result<Contents, UpdateError> {
    let targets = &repository.targets().signed;
    let file = format!("metadata/{}.targets.json", targets.version);
    let refused = |kind, reason: String| UpdateError::Refused(Refusal { kind, file: file.clone(), reason });
    if targets.delegations.as_ref().is_some_and(|d| !d.roles.is_empty() || !d.keys.is_empty()) {
        return Err(refused(RefusalKind::Malformed, "it delegates to other roles, which is not supported".to_owned()));
    }
    if targets.targets.len() as u64 > limits.targets {
        let reason = format!("it lists {} files, and {} are allowed", targets.targets.len(), limits.targets);
        return Err(refused(RefusalKind::TooMuch, reason));
    }
    let (mut contents, mut total) = (Contents::new(), 0_u64);
    for (name, target) in &targets.targets {
        // The name as it was signed; tough would resolve `a/../b` to `b`.
        let name = name.raw();
        if let Some(fault) = name::fault(name) {
            return Err(refused(RefusalKind::TargetName, format!("it lists `{name}`: {fault}")));
        }
        total = total.saturating_add(target.length);
        if target.length > limits.target_bytes || total > limits.bundle_bytes {
            let reason = format!(
                "with `{name}` ({} bytes) it is more than the {} bytes a file and {} in all that are allowed",
                target.length, limits.target_bytes, limits.bundle_bytes
            );
            return Err(refused(RefusalKind::TooMuch, reason));
        }
        contents.insert(name.to_owned(), target.clone());
    }
    let names: Vec<&str> = contents.keys().map(String::as_str).collect();
    if let Some(name) = name::collision(&names) {
        return Err(refused(RefusalKind::TargetName, format!("it lists `{name}` as a file and as a folder")));
    }
    if contents.is_empty() {
        return Err(refused(RefusalKind::Malformed, "it lists no file".to_owned()));
    }
    Ok(contents)
}

/// Fetches every file into `folder`, verified and synced.
async fn download(
    repository: &Repository,
    contents: &Contents,
    folder: &Path,
    courier: &Courier,
) -> Result<(), UpdateError> {
    for name in contents.keys() {
        let path = folder.join(name);
        let failed = |e: std::io::Error| UpdateError::Failed(Error::write(&path, e));
        let meaning = |e: &tough::error::Error| refusal::meaning(e, courier.last());
        std::fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(failed)?;
        let mut file = File::create_new(&path).map_err(failed)?;
        let target = TargetName::new(name.as_str()).map_err(|e| meaning(&e))?;
        let stream = repository.read_target(&target).await.map_err(|e| meaning(&e))?;
        let Some(mut stream) = stream else {
            let reason = "it is listed and cannot be found".to_owned();
            return Err(UpdateError::Refused(Refusal { kind: RefusalKind::Malformed, file: name.clone(), reason }));
        };
        while let Some(chunk) = stream.next().await {
            file.write_all(&chunk.map_err(|e| meaning(&e))?).map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
    }
    sync_folders(folder).map_err(|(path, e)| UpdateError::Failed(Error::write(&path, e)))
}

fn sync_folders(folder: &Path) -> Result<(), (PathBuf, std::io::Error)> {
    let failed = |e| (folder.to_path_buf(), e);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    files::sync_folder(folder).map_err(failed)
}

fn earliest(repository: &Repository) -> Timestamp {
    let roles = [
        repository.root().signed.expires,
        repository.timestamp().signed.expires,
        repository.snapshot().signed.expires,
        repository.targets().signed.expires,
    ];
    roles.into_iter().min().unwrap_or_default()
}
