//! The files of a model held against its manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use weighbridge_discovery::{Tree, TreeRules};
use weighbridge_types::Coverage;

use super::SignatureError;
use super::error::FileProblem;
use super::hash::{self, Algorithm};
use super::manifest::{GIT_PATHS, Manifest, Part};

/// Most unsigned files digested to tell whether one is a renamed signed file.
const RENAMES_MAX: usize = 64;

/// Which files of a model count.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Paths left out: absolute, or relative to the model.
    pub ignore_paths: Vec<PathBuf>,
    /// The bundle, which is never part of the model.
    pub bundle: PathBuf,
    /// Count `.git` and the like.
    pub include_git_paths: bool,
    /// Follow links that stay inside the model, whatever the signer recorded.
    pub allow_links: bool,
    /// Accept files that nobody signed.
    pub danger_ignore_unsigned_files: bool,
}

/// What the comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// How much the signature covers.
    pub coverage: Coverage,
    /// Files that are there and that it does not cover.
    pub ignored: Vec<String>,
}

/// Digests of the files of a tree.
pub type Digests = BTreeMap<String, Vec<Part>>;

/// Names, at the top of `model`, that do not count: what is relative to it
/// stays so, what is absolute must lie below it.
fn skipped_names(model: &Path, scope: &Scope, recorded: &[String]) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    if !scope.include_git_paths {
        names.extend(GIT_PATHS.iter().map(|s| (*s).to_owned()));
    }
    // What the signer recorded is relative by definition.
    names.extend(recorded.iter().filter_map(|r| plain(Path::new(r))));
    let absolute = std::path::absolute(model).unwrap_or_else(|_| model.to_path_buf());
    let real = std::fs::canonicalize(model).unwrap_or_else(|_| absolute.clone());
    for path in scope.ignore_paths.iter().chain(std::iter::once(&scope.bundle)) {
        if path.as_os_str().is_empty() {
            continue;
        }
        let from_here = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let inside = from_here.strip_prefix(&absolute).or_else(|_| from_here.strip_prefix(&real));
        match inside {
            Ok(relative) => names.extend(plain(relative)),
            Err(_) if path.is_relative() && path != &scope.bundle => names.extend(plain(path)),
            Err(_) => {}
        }
    }
    names
}

/// What the bundle is called inside `model`, if it lies there.
fn bundle_name(model: &Path, scope: &Scope) -> Option<String> {
    let model = std::fs::canonicalize(model).ok()?;
    let bundle = std::fs::canonicalize(scope.bundle.parent()?).ok()?.join(scope.bundle.file_name()?);
    plain(bundle.strip_prefix(model).ok()?)
}

/// A relative path without `.` and `..`, as a name.
fn plain(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            _ => return None,
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// Lists the files of `model` that count.
///
/// # Errors
/// [`SignatureError::Tree`]
pub fn list(model: &Path, scope: &Scope, recorded: &[String], allow_links: bool) -> Result<Tree, SignatureError> {
    let names = skipped_names(model, scope, recorded);
    let skip = |name: &str| names.contains(name);
    Ok(Tree::list(model, &TreeRules { allow_links: allow_links || scope.allow_links, skip: &skip })?)
}

/// The paths that a new signature records as left out.
pub fn recorded_ignore_paths(model: &Path, scope: &Scope) -> Vec<String> {
    skipped_names(model, scope, &[]).into_iter().collect()
}

/// Digests `names` of `tree` on all cores. `progress` is told of bytes read.
///
/// # Errors
/// [`SignatureError::ReadFile`] and [`SignatureError::Changed`] name the file.
pub fn digest(
    tree: &Tree,
    names: &[&String],
    algorithm: Algorithm,
    shard_bytes: Option<u64>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Digests, SignatureError> {
    in_parallel(names, &|name| digest_one(tree, name, algorithm, shard_bytes, None, progress))
}

/// As [`digest`], for files whose SHA-256 may be known from an inspection:
/// what is digested must be those bytes.
///
/// # Errors
/// As [`digest`]; [`SignatureError::Changed`] if a file is no longer what was
/// inspected.
pub fn digest_bound(
    tree: &Tree,
    names: &[&String],
    algorithm: Algorithm,
    shard_bytes: Option<u64>,
    inspected: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<Digests, SignatureError> {
    in_parallel(names, &|name| digest_one(tree, name, algorithm, shard_bytes, inspected(name).as_deref(), &|_| {}))
}

fn in_parallel(
    names: &[&String],
    digest_one: &(dyn Fn(&str) -> Result<Vec<Part>, SignatureError> + Sync),
) -> Result<Digests, SignatureError> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Digests::new());
    let failed = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(names.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match digest_one(name) {
                        Ok(parts) => {
                            done.lock()
                                .unwrap_or_else(std::sync::PoisonError::into_inner)
                                .insert((*name).clone(), parts);
                        }
                        Err(error) => {
                            *failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
                            next.store(names.len(), Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)),
    }
}

fn digest_one(
    tree: &Tree,
    name: &str,
    algorithm: Algorithm,
    shard_bytes: Option<u64>,
    sha256: Option<&str>,
    progress: &dyn Fn(u64),
) -> Result<Vec<Part>, SignatureError> {
    let read = |source: io::Error| SignatureError::ReadFile { name: name.to_owned(), source };
    let file = tree.open(name).map_err(read)?;
    let marks = |file: &File| file.metadata().map(|m| (m.len(), m.mtime(), m.mtime_nsec())).map_err(read);
    let before = marks(&file)?;
    let mut counted = Counted { file: &file, progress };
    let (digested, same) = match sha256 {
        None => (hash::digest(&mut counted, algorithm, shard_bytes).map_err(read)?, true),
        Some(known) => {
            let mut reader = hash::Sha256Reader::new(counted);
            let digested = hash::digest(&mut reader, algorithm, shard_bytes).map_err(read)?;
            (digested, reader.finish() == known)
        }
    };
    if !same || before != marks(&file)? || digested.len != before.0 {
        return Err(SignatureError::Changed(name.to_owned()));
    }
    Ok(digested.parts)
}

struct Counted<'a> {
    file: &'a File,
    progress: &'a dyn Fn(u64),
}

impl Read for Counted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buf)?;
        (self.progress)(n as u64);
        Ok(n)
    }
}

/// Gives the digests of the named files of a tree.
pub type DigestFiles<'a> = &'a mut dyn FnMut(&Tree, &[&String]) -> Result<Digests, SignatureError>;

/// Holds the files of `model` against `manifest`. `digests` gives the digests
/// of the named files of the tree.
///
/// # Errors
/// [`SignatureError::Files`] lists every file that differs, and whatever
/// listing and `digests` report.
pub fn compare(
    model: &Path,
    manifest: &Manifest,
    scope: &Scope,
    digests: DigestFiles<'_>,
) -> Result<Compared, SignatureError> {
    let tree = list(model, scope, &manifest.ignore_paths, manifest.allow_links)?;
    let signed = signed_names(&tree, manifest);
    let mut compared = Compared::default();
    let mut problems = Vec::new();
    let mut extra: Vec<&String> = Vec::new();
    for (name, file) in &tree.files {
        if signed.contains_key(name) {
            continue;
        }
        // Empty files have no shards, so nothing could have been signed.
        if manifest.shard_bytes.is_some() && file.len == 0 || scope.danger_ignore_unsigned_files {
            ignore(&mut compared, name, file.len);
        } else {
            extra.push(name);
        }
    }
    let present: Vec<&String> = signed.keys().copied().filter(|name| tree.files.contains_key(*name)).collect();
    let missing: Vec<&String> = signed.keys().copied().filter(|name| !tree.files.contains_key(*name)).collect();
    let mut wanted = present.clone();
    if !missing.is_empty() && extra.len() <= RENAMES_MAX {
        wanted.extend(&extra);
    }
    let found = digests(&tree, &wanted)?;
    for name in present {
        let Some(file) = tree.files.get(name) else { continue };
        if found.get(name) == signed.get(name).copied() {
            compared.coverage.files_signed += 1;
            compared.coverage.bytes_signed += file.len;
        } else {
            problems.push(FileProblem::Altered(name.clone()));
        }
    }
    for name in missing {
        let moved = extra.iter().position(|e| found.contains_key(*e) && found.get(*e) == signed.get(name).copied());
        problems.push(match moved {
            Some(i) => FileProblem::Renamed { from: name.clone(), to: extra.remove(i).clone() },
            None => FileProblem::Missing(name.clone()),
        });
    }
    problems.extend(extra.into_iter().cloned().map(FileProblem::Unsigned));
    if !problems.is_empty() {
        problems.sort();
        return Err(SignatureError::Files(problems));
    }
    let bundle = bundle_name(model, scope);
    for (name, len) in tree.skipped.iter().filter(|(name, _)| Some(*name) != bundle.as_ref()) {
        ignore(&mut compared, name, *len);
    }
    Ok(compared)
}

fn ignore(compared: &mut Compared, name: &str, len: u64) {
    compared.coverage.files_ignored += 1;
    compared.coverage.bytes_ignored += len;
    compared.ignored.push(name.to_owned());
}

/// The signed parts by the name a file has in the tree. A model of one file
/// may have been signed as `.`, and under another name it is still the file.
fn signed_names<'a>(tree: &'a Tree, manifest: &'a Manifest) -> BTreeMap<&'a String, &'a Vec<Part>> {
    if tree.is_single()
        && let (Some(name), [(signed, parts)]) =
            (tree.files.keys().next(), manifest.files.iter().collect::<Vec<_>>().as_slice())
        && (*signed == "." || !signed.contains('/'))
    {
        return [(name, *parts)].into();
    }
    manifest.files.iter().collect()
}
