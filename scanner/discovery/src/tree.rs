//! Every file below a folder, as a signature over the folder sees it: names
//! relative to it, links only where the signer allowed them, nothing outside.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};

use crate::hf_cache;
use crate::open::{Links, beneath, no_follow, regular};

/// Deepest folder followed.
const DEPTH_MAX: usize = 64;
/// Most entries listed.
const ENTRIES_MAX: usize = 1_000_000;

/// Why a tree cannot be listed as a signature needs it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// Links are not followed unless the signer recorded that they are.
    #[error("`{0}` is a symbolic link, and the signature does not allow links")]
    Link(String),
    /// A link leads out of the tree, in a circle, or nowhere.
    #[error("`{0}` is a symbolic link that leads out of the model, in a circle, or nowhere")]
    LeadsElsewhere(String),
    /// A FIFO, socket or device.
    #[error("`{0}` is neither a file nor a folder")]
    Special(String),
    /// A name that a manifest cannot hold.
    #[error("the name of `{0}` is not UTF-8")]
    NotUtf8(String),
    /// More than [`DEPTH_MAX`] folders deep or [`ENTRIES_MAX`] entries.
    #[error("`{0}` lies more than 64 folders deep or behind a million entries")]
    TooLarge(String),
    /// The system's reason.
    #[error("cannot read `{0}`: {1}")]
    Read(String, io::Error),
}

/// What to list.
pub struct TreeRules<'a> {
    /// Follow links that stay inside the tree.
    pub allow_links: bool,
    /// Names (and all below them) that do not count.
    pub skip: &'a dyn Fn(&str) -> bool,
}

/// One file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Where it lies, as found.
    pub path: PathBuf,
    /// Length in bytes when it was listed.
    pub len: u64,
    /// The blob that a link of a Hugging Face snapshot stands for.
    blob: Option<PathBuf>,
}

/// The files of one model.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
    single: bool,
    allow_links: bool,
    /// Files by name, `/` between folders. A model of one file has one name:
    /// that of the file.
    pub files: BTreeMap<String, TreeFile>,
    /// Files that were skipped, and their lengths.
    pub skipped: BTreeMap<String, u64>,
}

impl Tree {
    /// Lists `model`, a folder or a file. Links in a Hugging Face snapshot
    /// that lead to blobs of the same repository are files of the tree.
    ///
    /// # Errors
    /// [`TreeError`] names the entry.
    pub fn list(model: &Path, rules: &TreeRules<'_>) -> Result<Self, TreeError> {
        let read = |e: io::Error| TreeError::Read(model.display().to_string(), e);
        let blob = hf_cache::blob_of(model);
        let meta = match &blob {
            Some(blob) => std::fs::symlink_metadata(blob),
            // The model itself was named by the user, who may name a link.
            None => std::fs::metadata(model),
        }
        .map_err(read)?;
        let single = meta.is_file();
        let folder = if single { model.parent().filter(|p| !p.as_os_str().is_empty()) } else { Some(model) };
        let folder = folder.unwrap_or(Path::new("."));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, folder, flags, Mode::empty()).map_err(|e| read(e.into()))?;
        let mut tree =
            Self { root, single, allow_links: rules.allow_links, files: BTreeMap::new(), skipped: BTreeMap::new() };
        if single {
            let name = model.file_name().and_then(|n| n.to_str());
            let name = name.ok_or_else(|| TreeError::NotUtf8(model.display().to_string()))?;
            tree.files.insert(name.to_owned(), TreeFile { path: model.to_path_buf(), len: meta.len(), blob });
            return Ok(tree);
        }
        let real = std::fs::canonicalize(model).map_err(read)?;
        Walk { rules, real: &real, tree: &mut tree, entries: 0 }.folder(model, "", &mut vec![real.clone()], false)?;
        Ok(tree)
    }

    /// Opens a listed file, reaching nothing outside the tree.
    ///
    /// # Errors
    /// Whatever the system reports.
    pub fn open(&self, name: &str) -> io::Result<File> {
        let file = self.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        let handle = match &file.blob {
            Some(blob) => no_follow(blob)?,
            // What the user named may be a link.
            None if self.single => File::open(&file.path)?,
            None => {
                let links = if self.allow_links { Links::Inside } else { Links::Refused };
                File::from(beneath(&self.root, Path::new(name), links)?)
            }
        };
        regular(&handle)?;
        Ok(handle)
    }

    /// Whether the model is one file.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.single
    }
}

struct Walk<'a> {
    rules: &'a TreeRules<'a>,
    real: &'a Path,
    tree: &'a mut Tree,
    entries: usize,
}

impl Walk<'_> {
    /// Lists `folder`, called `name` in the tree. `above` are the real folders
    /// on the way down; `skipped` below a skipped name.
    fn folder(&mut self, folder: &Path, name: &str, above: &mut Vec<PathBuf>, skipped: bool) -> Result<(), TreeError> {
        let shown = || folder.display().to_string();
        if above.len() > DEPTH_MAX {
            return Err(TreeError::TooLarge(shown()));
        }
        let mut entries: Vec<_> = std::fs::read_dir(folder)
            .and_then(Iterator::collect::<io::Result<Vec<_>>>)
            .map_err(|e| TreeError::Read(shown(), e))?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(TreeError::TooLarge(shown()));
            }
            let path = entry.path();
            let kind = entry.file_type().map_err(|e| TreeError::Read(path.display().to_string(), e))?;
            let own = entry.file_name();
            let Some(own) = own.to_str() else {
                if skipped {
                    continue;
                }
                return Err(TreeError::NotUtf8(path.display().to_string()));
            };
            let name = if name.is_empty() { own.to_owned() } else { format!("{name}/{own}") };
            let skipped = skipped || (self.rules.skip)(&name);
            self.entry(path, name, kind, above, skipped)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        path: PathBuf,
        name: String,
        kind: std::fs::FileType,
        above: &mut Vec<PathBuf>,
        skipped: bool,
    ) -> Result<(), TreeError> {
        let len = || std::fs::symlink_metadata(&path).map(|m| m.len()).map_err(|e| TreeError::Read(name.clone(), e));
        if kind.is_dir() {
            above.push(path.clone());
            self.folder(&path, &name, above, skipped)?;
            above.pop();
        } else if skipped {
            // What is left out is counted, never followed.
            let len = if kind.is_file() { len()? } else { 0 };
            self.tree.skipped.insert(name, len);
        } else if kind.is_file() {
            let len = len()?;
            self.tree.files.insert(name, TreeFile { path, len, blob: None });
        } else if kind.is_symlink() {
            self.link(path, name, above)?;
        } else {
            return Err(TreeError::Special(name));
        }
        Ok(())
    }

    fn link(&mut self, path: PathBuf, name: String, above: &mut Vec<PathBuf>) -> Result<(), TreeError> {
        if let Some(blob) = hf_cache::blob_of(&path) {
            let meta = std::fs::symlink_metadata(&blob).map_err(|e| TreeError::Read(name.clone(), e))?;
            if !meta.is_file() {
                return Err(TreeError::LeadsElsewhere(name));
            }
            self.tree.files.insert(name, TreeFile { path, len: meta.len(), blob: Some(blob) });
            return Ok(());
        }
        if !self.rules.allow_links {
            return Err(TreeError::Link(name));
        }
        let Ok(real) = std::fs::canonicalize(&path) else { return Err(TreeError::LeadsElsewhere(name)) };
        if !real.starts_with(self.real) || above.contains(&real) || self.real.starts_with(&real) {
            return Err(TreeError::LeadsElsewhere(name));
        }
        let meta = std::fs::symlink_metadata(&real).map_err(|e| TreeError::Read(name.clone(), e))?;
        if meta.is_dir() {
            above.push(real);
            let walked = self.folder(&path, &name, above, false);
            above.pop();
            return walked;
        }
        if !meta.is_file() {
            return Err(TreeError::Special(name));
        }
        self.tree.files.insert(name, TreeFile { path, len: meta.len(), blob: None });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn list(model: &Path, allow_links: bool) -> Result<Tree, TreeError> {
        Tree::list(model, &TreeRules { allow_links, skip: &|name| name == ".git" || name.starts_with(".git/") })
    }

    #[test]
    fn links_count_only_where_allowed_and_only_inside() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("m");
        std::fs::create_dir_all(model.join("sub")).unwrap();
        std::fs::create_dir_all(model.join(".git")).unwrap();
        std::fs::write(model.join("sub/w"), "12345").unwrap();
        std::fs::write(model.join(".git/x"), "1").unwrap();
        std::fs::write(dir.path().join("secret"), "s").unwrap();
        symlink("sub/w", model.join("inside")).unwrap();
        assert!(matches!(list(&model, false), Err(TreeError::Link(name)) if name == "inside"));
        let tree = list(&model, true).unwrap();
        assert_eq!(tree.files.keys().collect::<Vec<_>>(), ["inside", "sub/w"]);
        assert_eq!(tree.skipped.iter().collect::<Vec<_>>(), [(&".git/x".to_owned(), &1)]);
        assert_eq!(io::read_to_string(tree.open("inside").unwrap()).unwrap(), "12345");
        symlink("../secret", model.join("out")).unwrap();
        assert!(matches!(list(&model, true), Err(TreeError::LeadsElsewhere(name)) if name == "out"));
        std::fs::remove_file(model.join("out")).unwrap();
        symlink("..", model.join("sub/up")).unwrap();
        assert!(matches!(list(&model, true), Err(TreeError::LeadsElsewhere(name)) if name == "sub/up"));
    }

    #[test]
    fn a_link_put_in_place_of_a_listed_file_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("m");
        std::fs::create_dir(&model).unwrap();
        std::fs::write(model.join("w"), "1").unwrap();
        std::fs::write(dir.path().join("secret"), "s").unwrap();
        for allow_links in [false, true] {
            let tree = list(&model, allow_links).unwrap();
            std::fs::remove_file(model.join("w")).unwrap();
            symlink("../secret", model.join("w")).unwrap();
            assert!(tree.open("w").is_err());
            std::fs::remove_file(model.join("w")).unwrap();
            std::fs::write(model.join("w"), "1").unwrap();
        }
    }

    #[test]
    fn snapshots_of_the_hugging_face_cache_are_trees_of_their_blobs() {
        let dir = tempfile::tempdir().unwrap();
        let repository = dir.path().join("models--org--name");
        let snapshot = repository.join("snapshots/0123456789abcdef");
        std::fs::create_dir_all(snapshot.join("onnx")).unwrap();
        std::fs::create_dir_all(repository.join("blobs")).unwrap();
        std::fs::write(repository.join("blobs").join("a".repeat(64)), "weights").unwrap();
        symlink(format!("../../../blobs/{}", "a".repeat(64)), snapshot.join("onnx/model.onnx")).unwrap();
        let tree = list(&snapshot, false).unwrap();
        assert_eq!(tree.files.keys().collect::<Vec<_>>(), ["onnx/model.onnx"]);
        assert_eq!(io::read_to_string(tree.open("onnx/model.onnx").unwrap()).unwrap(), "weights");
        let single = list(&snapshot.join("onnx/model.onnx"), false).unwrap();
        assert!(single.is_single());
        assert_eq!(io::read_to_string(single.open("model.onnx").unwrap()).unwrap(), "weights");
        symlink("../../../../etc", snapshot.join("out")).unwrap();
        assert!(matches!(list(&snapshot, false), Err(TreeError::Link(name)) if name == "out"));
    }

    #[test]
    fn special_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(std::process::Command::new("mkfifo").arg(dir.path().join("pipe")).status().unwrap().success());
        assert!(matches!(list(dir.path(), true), Err(TreeError::Special(name)) if name == "pipe"));
    }
}
