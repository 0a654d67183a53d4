//! The Hugging Face cache layout: `models--org--name/{blobs,snapshots,refs}`,
//! where every file of a snapshot is a link `../../blobs/<etag>`.

use std::path::{Component, Path, PathBuf};

/// The blob that the snapshot link at `path` stands for, if `path` lies in a
/// snapshot and the link leads to a blob of the same repository. No other
/// link is ever followed.
pub fn blob_of(path: &Path) -> Option<PathBuf> {
    let repository = repository_of(path)?;
    let target = std::fs::read_link(path).ok()?;
    let resolved = lexical(path.parent()?, &target)?;
    let blobs = repository.join("blobs");
    (resolved.parent() == Some(&blobs) && is_etag(&resolved)).then_some(resolved)
}

/// Whether `path` is a blob of a repository in a cache.
pub fn is_blob(path: &Path) -> bool {
    let Some(blobs) = path.parent() else { return false };
    blobs.ends_with("blobs") && blobs.parent().is_some_and(is_repository) && is_etag(path)
}

/// `…/models--org--name` of `…/models--org--name/snapshots/<commit>/…`.
fn repository_of(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|a| a.ends_with("snapshots")).and_then(Path::parent).filter(|r| is_repository(r))
}

fn is_repository(path: &Path) -> bool {
    path.file_name().is_some_and(|n| n.to_string_lossy().contains("--"))
}

/// Git object ids, SHA-256 digests, and the odd hash of old caches.
fn is_etag(path: &Path) -> bool {
    path.file_name().and_then(|n| n.to_str()).is_some_and(|n| {
        (16..=128).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'"')
    })
}

/// `target` seen from `folder`, `..` resolved by text alone.
fn lexical(folder: &Path, target: &Path) -> Option<PathBuf> {
    let mut out = if target.is_absolute() { PathBuf::from("/") } else { folder.to_path_buf() };
    for component in target.components() {
        match component {
            Component::ParentDir => {
                if !out.pop() {
                    return None;
                }
            }
            Component::Normal(name) => out.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::Prefix(_) => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_links_to_blobs_of_the_same_repository_count() {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("models--org--name");
        let snapshot = repo.join("snapshots/0123/onnx");
        std::fs::create_dir_all(&snapshot).unwrap();
        let etag = "a".repeat(64);
        symlink(format!("../../../blobs/{etag}"), snapshot.join("good")).unwrap();
        symlink("../../../../../etc/passwd", snapshot.join("out")).unwrap();
        symlink(format!("../../../../models--org--other/blobs/{etag}"), snapshot.join("other")).unwrap();
        assert_eq!(blob_of(&snapshot.join("good")), Some(repo.join("blobs").join(&etag)));
        assert_eq!(blob_of(&snapshot.join("out")), None);
        assert_eq!(blob_of(&snapshot.join("other")), None);
        assert!(is_blob(&repo.join("blobs").join(&etag)));
        assert!(!is_blob(&dir.path().join("blobs").join(&etag)));
    }
}
