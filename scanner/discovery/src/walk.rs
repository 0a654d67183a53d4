use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ignore::{WalkBuilder, WalkState};

use crate::open::{Glance, glance, no_follow, regular};
use crate::{Candidate, FileMeta, Reason, Sink, hf_cache, pseudo_mounts};

/// How to walk.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    /// Where to begin: files and folders. A root that is a link is followed,
    /// since its user named it; nothing below is.
    pub roots: Vec<PathBuf>,
    /// Single files that are looked at like those met on the way: a watcher
    /// names them.
    pub files: Vec<PathBuf>,
    /// Files that are open already, and the path they are known by.
    pub open: Vec<(Arc<File>, PathBuf)>,
    /// Stay on the file system of each root.
    pub one_file_system: bool,
    /// Threads; 0 chooses.
    pub threads: usize,
}

/// Blobs of Hugging Face caches by path, with the snapshot paths that users
/// know them by. They are yielded after the walk, when their names are known.
type Blobs = Mutex<BTreeMap<PathBuf, Vec<PathBuf>>>;

/// Walks, and yields every file worth inspecting to `sink`, from several
/// threads. What cannot be read is told to the sink and skipped.
pub fn walk(walk: &Walk, sink: &impl Sink) {
    let pseudo: HashSet<PathBuf> = pseudo_mounts().into_iter().collect();
    let blobs = Blobs::default();
    for path in &walk.files {
        found(path, path.clone(), Vec::new(), sink);
    }
    for (handle, path) in &walk.open {
        match handle.try_clone().and_then(|handle| looked_at(handle, path.clone(), Vec::new(), sink)) {
            Ok(other) => sink.seen(other),
            Err(e) => sink.error(path, format!("cannot read it: {e}")),
        }
    }
    let mut folders = Vec::new();
    for root in &walk.roots {
        match std::fs::metadata(root) {
            Ok(meta) if meta.is_dir() => folders.push(root),
            Ok(_) => named_file(root, sink),
            Err(e) => sink.error(root, format!("cannot read it: {e}")),
        }
    }
    if let Some((first, rest)) = folders.split_first() {
        let mut builder = WalkBuilder::new(with_slash(first));
        rest.iter().for_each(|root| {
            builder.add(with_slash(root));
        });
        builder
            .standard_filters(false)
            .follow_links(false)
            .same_file_system(walk.one_file_system)
            .threads(walk.threads);
        // Named roots are walked even if they are pseudo file systems.
        let named: HashSet<PathBuf> = folders.iter().map(|f| f.to_path_buf()).collect();
        builder.filter_entry(move |e| !pseudo.contains(e.path()) || named.contains(e.path()));
        builder.build_parallel().run(|| {
            Box::new(|entry| {
                if sink.stopped() {
                    return WalkState::Quit;
                }
                match entry {
                    Ok(entry) => visit(&entry, sink, &blobs),
                    Err(e) => report(&e, sink),
                }
                WalkState::Continue
            })
        });
    }
    for (blob, mut names) in blobs.into_inner().unwrap_or_default() {
        names.sort();
        names.push(blob.clone());
        let path = names.remove(0);
        found(&blob, path, names, sink);
    }
}

/// A trailing slash makes the walker enter a root that is a link.
fn with_slash(root: &Path) -> PathBuf {
    if root.is_symlink() { root.join("") } else { root.to_path_buf() }
}

fn visit(entry: &ignore::DirEntry, sink: &impl Sink, blobs: &Blobs) {
    let Some(kind) = entry.file_type() else { return };
    let path = entry.path();
    if kind.is_file() {
        if hf_cache::is_blob(path) {
            if let Ok(mut blobs) = blobs.lock() {
                blobs.entry(path.to_path_buf()).or_default();
            }
        } else {
            found(path, path.to_path_buf(), Vec::new(), sink);
        }
    } else if kind.is_symlink()
        && let Some(blob) = hf_cache::blob_of(path)
        && let Ok(mut blobs) = blobs.lock()
    {
        blobs.entry(blob).or_default().push(path.to_path_buf());
    }
}

/// A regular file at `real`, known to its user as `path`.
fn found(real: &Path, path: PathBuf, also_at: Vec<PathBuf>, sink: &impl Sink) {
    match try_found(real, path, also_at, sink) {
        Ok(other) => sink.seen(other),
        // Vanished between listing and opening: nothing is there to report.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => {
            sink.seen(true);
            sink.error(real, format!("cannot read it: {e}"));
        }
    }
}

/// Whether the file is something else than a candidate.
fn try_found(real: &Path, path: PathBuf, also_at: Vec<PathBuf>, sink: &impl Sink) -> io::Result<bool> {
    if sink.remembers() {
        let meta = std::fs::symlink_metadata(real)?;
        if sink.known(&path, &FileMeta::from(&meta), Reason::Found) {
            return Ok(false);
        }
    }
    looked_at(no_follow(real)?, path, also_at, sink)
}

/// As [`try_found`], of an open file.
fn looked_at(handle: File, path: PathBuf, also_at: Vec<PathBuf>, sink: &impl Sink) -> io::Result<bool> {
    match glance(&handle, path.file_name().unwrap_or_default())? {
        Glance::Candidate => {
            let meta = regular(&handle)?;
            sink.candidate(Candidate { handle, path, meta, also_at, reason: Reason::Found });
            Ok(false)
        }
        Glance::Other => {
            if sink.remembers() {
                sink.not_a_candidate(&path, &regular(&handle)?);
            }
            Ok(true)
        }
    }
}

/// A file that the user named: inspected and reported whatever it is.
fn named_file(path: &Path, sink: &impl Sink) {
    // The user may name a link; what it leads to must be a regular file.
    let opened = std::fs::canonicalize(path).and_then(|real| {
        let meta = std::fs::metadata(&real)?;
        if !meta.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file or folder"));
        }
        let handle: File = no_follow(&real)?;
        let meta = regular(&handle)?;
        Ok((handle, meta))
    });
    match opened {
        Ok((_, meta)) if sink.remembers() && sink.known(path, &meta, Reason::Named) => sink.seen(false),
        Ok((handle, meta)) => {
            sink.seen(false);
            sink.candidate(Candidate {
                handle,
                path: path.to_path_buf(),
                meta,
                also_at: hf_cache::blob_of(path).into_iter().collect(),
                reason: Reason::Named,
            });
        }
        Err(e) => sink.error(path, format!("cannot read it: {e}")),
    }
}

fn report(error: &ignore::Error, sink: &impl Sink) {
    let (path, reason) = parts(error);
    // Folders that vanish while they are walked are no error.
    if reason.is_some_and(|e| e.kind() == io::ErrorKind::NotFound) {
        return;
    }
    let message = reason.map_or_else(|| error.to_string(), |e| format!("cannot list it: {e}"));
    sink.error(path.unwrap_or(Path::new("?")), message);
}

fn parts(error: &ignore::Error) -> (Option<&Path>, Option<&io::Error>) {
    match error {
        ignore::Error::WithPath { path, err } => (Some(path), parts(err).1),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => parts(err),
        ignore::Error::Io(e) => (None, Some(e)),
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Collect {
        found: Mutex<Vec<(PathBuf, Vec<PathBuf>)>>,
        errors: Mutex<Vec<PathBuf>>,
        seen: AtomicUsize,
    }

    impl Sink for Collect {
        fn seen(&self, _: bool) {
            self.seen.fetch_add(1, Ordering::Relaxed);
        }
        fn candidate(&self, c: Candidate) {
            self.found.lock().unwrap().push((c.path, c.also_at));
        }
        fn error(&self, path: &Path, _: String) {
            self.errors.lock().unwrap().push(path.to_path_buf());
        }
    }

    fn run(roots: &[&Path]) -> Collect {
        let sink = Collect::default();
        let options = Walk { roots: roots.iter().map(|r| r.to_path_buf()).collect(), ..Walk::default() };
        walk(&options, &sink);
        sink
    }

    const ZIP: &[u8] = b"PK\x03\x04";

    #[test]
    fn finds_by_content_and_by_claim_and_follows_no_links() {
        let dir = tempfile::tempdir().unwrap();
        let p = dir.path();
        std::fs::create_dir(p.join(".hidden")).unwrap();
        std::fs::write(p.join(".hidden/x"), ZIP).unwrap();
        std::fs::write(p.join("weights.pt"), "not one").unwrap();
        std::fs::write(p.join("note.txt"), "hello").unwrap();
        std::fs::write(p.join(".gitignore"), "*").unwrap();
        symlink(p.join("weights.pt"), p.join("link.pt")).unwrap();
        symlink("/etc", p.join("etc")).unwrap();
        symlink("loop", p.join("loop")).unwrap();
        let sink = run(&[p]);
        let mut found: Vec<_> = sink.found.into_inner().unwrap().into_iter().map(|f| f.0).collect();
        found.sort();
        assert_eq!(found, [p.join(".hidden/x"), p.join("weights.pt")]);
        assert_eq!(sink.seen.into_inner(), 4);
    }

    #[test]
    fn snapshot_names_stand_for_their_blobs_wherever_the_walk_begins() {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("models--o--n");
        let snapshot = repo.join("snapshots/c0ffee");
        std::fs::create_dir_all(&snapshot).unwrap();
        std::fs::create_dir(repo.join("blobs")).unwrap();
        let blob = repo.join("blobs").join("b".repeat(40));
        std::fs::write(&blob, ZIP).unwrap();
        symlink(format!("../../blobs/{}", "b".repeat(40)), snapshot.join("model.pt")).unwrap();
        for root in [dir.path(), &snapshot] {
            let found = run(&[root]).found.into_inner().unwrap();
            assert_eq!(found, [(snapshot.join("model.pt"), vec![blob.clone()])]);
        }
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let sink = run(&[Path::new("/nonexistent/x")]);
        assert_eq!(sink.errors.into_inner().unwrap(), [PathBuf::from("/nonexistent/x")]);
    }
}
