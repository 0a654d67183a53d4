//! Fills in where files and models came from and what they derive from. The
//! evidence is read from the disk after the inspection; artifacts from the
//! cache are treated alike, since what lies around them may have changed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use weighbridge_discovery::{Candidate, FileMeta};
use weighbridge_provenance::lineage::{self, Fingerprint};
use weighbridge_provenance::origin::{
    self, ATTRIBUTES, Catalogue, Origins, Stamp, Surroundings, VALUE_BYTES_MAX, strongest_first,
};
use weighbridge_types::{Artifact, Claim, Model};

/// Most names listed of one folder.
const NAMES_MAX: usize = 4096;
/// Largest file kept in memory for the next that asks, bytes.
const KEPT_BYTES_MAX: usize = 256 << 10;
/// Bytes kept in all.
const KEPT_TOTAL_MAX: usize = 64 << 20;
/// Folders of which it is kept whether they are there.
const FOLDERS_MAX: usize = 65_536;
/// Bytes read in one scan, before evidence is no longer looked for.
const READ_TOTAL_MAX: u64 = 4 << 30;

/// Claims that the open file itself carries.
pub fn of_handle(handle: &File) -> Vec<Claim> {
    let read = |name: &&str| {
        let mut value = vec![0; VALUE_BYTES_MAX];
        // Too long, absent, or a file system without: nothing is said.
        let n = rustix::fs::fgetxattr(handle, *name, value.as_mut_slice()).ok()?;
        value.truncate(n);
        Some(((*name).to_owned(), value))
    };
    origin::of_attributes(&ATTRIBUTES.iter().filter_map(read).collect::<Vec<_>>()).into_iter().collect()
}

/// Adds to each artifact what can be said of its origin.
pub fn of_artifacts(artifacts: &mut [Artifact], catalogue: &Catalogue) {
    let disk = Disk::default();
    let origins = Origins::new(&disk, catalogue);
    for artifact in artifacts {
        // Folders above a file are part of its path only where that is whole.
        let shown = std::mem::take(&mut artifact.path);
        artifact.path =
            std::path::absolute(&shown).ok().and_then(|p| p.to_str().map(str::to_owned)).unwrap_or_default();
        let (claims, findings) = origins.claims(artifact);
        artifact.path = shown;
        artifact.origin = strongest_first(std::mem::take(&mut artifact.origin).into_iter().chain(claims).collect());
        artifact.raise(findings);
    }
}

/// Says of each model what its files say together.
pub fn of_models(models: &mut [Model], artifacts: &[Artifact], catalogue: &Catalogue) {
    let by_path: HashMap<&str, &Artifact> = artifacts.iter().map(|a| (a.path.as_str(), a)).collect();
    let mut prints = Vec::with_capacity(models.len());
    for model in models.iter_mut() {
        let files: Vec<&Artifact> = model.files.iter().filter_map(|f| by_path.get(f.as_str()).copied()).collect();
        model.origin = origin::of_model(&files);
        prints.push(Fingerprint::of(model, &files));
    }
    lineage::relate(models, &prints, catalogue);
}

/// Folder, path below it, and how long the file may be.
type Asked = (String, String, usize);

/// The disk around the artifacts of one scan.
#[derive(Default)]
struct Disk {
    kept: RefCell<HashMap<Asked, Option<Rc<Vec<u8>>>>>,
    kept_bytes: Cell<usize>,
    folders: RefCell<HashMap<PathBuf, bool>>,
    read_bytes: Cell<u64>,
}

impl Disk {
    /// Whether the folders on the way to `relative` are there, so that the
    /// thousand files of a folder without evidence cost one look.
    fn reachable(&self, base: &str, relative: &str) -> bool {
        let mut folder = PathBuf::from(base);
        let Some(inner) = Path::new(relative).parent() else { return true };
        inner.components().all(|component| {
            folder.push(component);
            if let Some(known) = self.folders.borrow().get(&folder) {
                return *known;
            }
            let there = folder.symlink_metadata().is_ok_and(|m| m.is_dir());
            let mut folders = self.folders.borrow_mut();
            if folders.len() < FOLDERS_MAX {
                folders.insert(folder.clone(), there);
            }
            there
        })
    }

    fn read(&self, base: &str, relative: &str, max: usize) -> Option<Rc<Vec<u8>>> {
        if !self.reachable(base, relative) {
            return None;
        }
        let Candidate { handle, meta, .. } = weighbridge_discovery::linked(Path::new(base), relative).ok()?;
        let len = usize::try_from(meta.len).ok().filter(|len| *len <= max)?;
        self.read_bytes.set(self.read_bytes.get().saturating_add(meta.len));
        if self.read_bytes.get() > READ_TOTAL_MAX {
            return None;
        }
        let mut content = vec![0; len];
        handle.read_exact_at(&mut content, 0).ok()?;
        // It grew or was written to meanwhile: no evidence.
        let after = FileMeta::from(&handle.metadata().ok()?);
        (after.len == meta.len && after.mtime_ns == meta.mtime_ns).then(|| Rc::new(content))
    }
}

impl Surroundings for Disk {
    fn file(&self, base: &str, relative: &str, max: usize) -> Option<Rc<Vec<u8>>> {
        let key = (base.to_owned(), relative.to_owned(), max);
        if let Some(known) = self.kept.borrow().get(&key) {
            return known.clone();
        }
        let content = self.read(base, relative, max);
        let bytes = key.0.len() + key.1.len() + content.as_ref().map_or(0, |c| c.len());
        // Absence is kept too: every file of a folder asks for the same.
        if bytes <= KEPT_BYTES_MAX && self.kept_bytes.get() + bytes <= KEPT_TOTAL_MAX {
            self.kept_bytes.set(self.kept_bytes.get() + bytes);
            self.kept.borrow_mut().insert(key, content.clone());
        }
        content
    }

    fn stamp(&self, base: &str, relative: &str) -> Option<Stamp> {
        if !self.reachable(base, relative) {
            return None;
        }
        let meta = weighbridge_discovery::linked(Path::new(base), relative).ok()?.meta;
        Some(Stamp { len: meta.len, mtime_ns: meta.mtime_ns })
    }

    fn names(&self, base: &str, relative: &str) -> Vec<String> {
        let names = weighbridge_discovery::names(Path::new(base), relative, NAMES_MAX).unwrap_or_default();
        names.into_iter().filter_map(|name| name.into_string().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_never_read_through_links_and_within_its_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().to_str().unwrap();
        std::fs::write(dir.path().join("secret"), "s").unwrap();
        std::fs::create_dir(dir.path().join("in")).unwrap();
        std::fs::write(dir.path().join("in/config"), "12345").unwrap();
        std::os::unix::fs::symlink("../secret", dir.path().join("in/link")).unwrap();
        std::os::unix::fs::symlink("in", dir.path().join("linked")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(dir.path().join("fifo")).status().unwrap().success());
        let disk = Disk::default();
        let read = |relative: &str, max| disk.file(base, relative, max).map(|c| c.len());
        assert_eq!(read("in/config", 5), Some(5));
        assert_eq!(read("in/config", 4), None);
        for bad in ["in/link", "linked/config", "fifo", "in", "../x", "missing"] {
            assert_eq!(read(bad, 99), None, "{bad}");
        }
        assert_eq!(disk.names(base, "in"), ["config", "link"]);
        assert!(disk.names(base, "linked").is_empty());
        assert_eq!(disk.stamp(base, "in/config").map(|s| s.len), Some(5));
    }
}
