//! The walk: folders in which programs are installed, each once.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use weighbridge_types::ScanError;

use super::folder::{Folder, Kind};
use super::programs::{PROGRAMS, Program};
use super::{Found, Search, packages, python};
use crate::advisory::Catalogue;

/// Deepest folder entered, below the place where the walk began.
const DEPTH_MAX: usize = 12;
/// Most entries looked at.
const ENTRIES_MAX: usize = 5_000_000;
/// Most errors kept.
const ERRORS_MAX: usize = 1_000;

/// Folders of a root in which no program is installed, or that belong to
/// other machines: mounts are named by whoever wants them looked at.
const NOT_IN_ROOT: &[&str] = &[
    "boot",
    "cdrom",
    "dev",
    "etc",
    "lost+found",
    "media",
    "mnt",
    "net",
    "proc",
    "run",
    "sys",
    "tmp",
    "var",
    "System",
    "Volumes",
    "private",
    "cores",
];
/// Places in those after all.
const STILL_IN_ROOT: &[&str] = &["var/lib/local-ai", "var/lib/flatpak/app", "var/www"];
/// Folders without programs of their own that hold very many files.
const SKIPPED: &[&str] = &["node_modules", ".git", "__pycache__", "blobs"];

/// What a walk saw.
#[derive(Default)]
pub(super) struct Seen {
    pub found: Vec<Found>,
    pub errors: Vec<ScanError>,
    pub folders_skipped: u64,
}

pub(super) struct Walker<'a> {
    pub catalogue: &'a Catalogue,
    pub seen: Seen,
    /// Device and inode of folders entered.
    entered: HashSet<(u64, u64)>,
    entries: usize,
}

pub(super) fn walk(search: &Search, catalogue: &Catalogue) -> Seen {
    let mut walker = Walker { catalogue, seen: Seen::default(), entered: HashSet::new(), entries: 0 };
    let root = match Folder::open(&search.root, PathBuf::from("/")) {
        Ok(root) => root,
        Err(e) => {
            walker.error(&search.root, &e);
            return walker.seen;
        }
    };
    for path in &search.extra {
        walker.named(&root, path, search.root == Path::new("/"));
    }
    if search.usual {
        walker.usual(&root, &search.homes);
    }
    walker.seen
}

impl Walker<'_> {
    /// A place that the user named. On this machine, links in it count.
    fn named(&mut self, root: &Folder, path: &Path, here: bool) {
        let open = |p: &Path| {
            let p = if p.as_os_str().is_empty() { Path::new(".") } else { p };
            if here { Folder::open(p, p.to_path_buf()) } else { root.below(p) }
        };
        match open(path) {
            Ok(folder) => self.folder(&folder, 0),
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
                let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return self.error(path, &e) };
                match open(parent) {
                    Ok(folder) => self.file(&folder, name),
                    Err(e) => self.error(path, &e),
                }
            }
            Err(e) => self.error(path, &e),
        }
    }

    fn usual(&mut self, root: &Folder, homes: &[PathBuf]) {
        packages::read(self, root);
        let Ok((entries, _)) = root.entries() else { return };
        for (name, kind) in entries {
            if NOT_IN_ROOT.iter().any(|n| name == *n) {
                continue;
            }
            match kind {
                Kind::File => self.file(root, &name),
                Kind::Folder => self.enter(root, &name, 0),
            }
        }
        for place in STILL_IN_ROOT.iter().map(Path::new).chain(homes.iter().map(PathBuf::as_path)) {
            if let Ok(folder) = root.below(place) {
                self.folder(&folder, 0);
            }
        }
    }

    fn enter(&mut self, parent: &Folder, name: &OsStr, depth: usize) {
        match parent.child(name) {
            Ok(folder) => self.folder(&folder, depth),
            // Gone, or a link by now.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(e) => self.error(&parent.path.join(name), &e),
        }
    }

    fn folder(&mut self, folder: &Folder, depth: usize) {
        if !folder.identity().is_ok_and(|identity| self.entered.insert(identity)) {
            return;
        }
        let (entries, more) = match folder.entries() {
            Ok(entries) => entries,
            Err(e) => return self.error(&folder.path, &e),
        };
        if more {
            self.note(&folder.path, "more entries than are looked at; name its parts to see them all");
        }
        let before = self.entries;
        self.entries = self.entries.saturating_add(entries.len());
        if self.entries > ENTRIES_MAX {
            if before <= ENTRIES_MAX {
                self.note(&folder.path, "stopped after 5,000,000 entries; name folders to look further");
            }
            return;
        }
        match folder.path.file_name().and_then(OsStr::to_str) {
            Some("site-packages" | "dist-packages") => return python::site(self, folder, &entries),
            Some("conda-meta") => return python::conda(self, folder, &entries),
            Some("Cellar") => packages::cellar(self, folder, &entries),
            // The cache of packages of conda: unpacked, not installed.
            Some("pkgs") if folder.has_file("urls.txt") => return,
            _ => {}
        }
        for (name, _) in entries.iter().filter(|(_, kind)| *kind == Kind::File) {
            self.file(folder, name);
        }
        for (name, _) in entries.iter().filter(|(_, kind)| *kind == Kind::Folder) {
            if SKIPPED.iter().any(|n| name == *n) {
                continue;
            }
            if depth >= DEPTH_MAX {
                self.seen.folders_skipped = self.seen.folders_skipped.saturating_add(1);
            } else {
                self.enter(folder, name, depth.saturating_add(1));
            }
        }
    }

    /// Notes a stack.
    pub fn push(&mut self, program: &Program, version: Option<String>, path: PathBuf, evidence: PathBuf) {
        self.seen.found.push(Found::new(program, version, path, evidence));
    }

    /// As [`Walker::push`], by identifier.
    pub fn push_named(&mut self, id: &str, version: Option<String>, path: PathBuf, evidence: PathBuf) {
        if let Some(program) = PROGRAMS.get(id) {
            self.push(program, version, path, evidence);
        }
    }

    pub fn error(&mut self, path: &Path, error: &io::Error) {
        self.note(path, &error.to_string());
    }

    pub fn note(&mut self, path: &Path, message: &str) {
        if self.seen.errors.len() < ERRORS_MAX {
            self.seen.errors.push(ScanError { path: path.to_string_lossy().into_owned(), message: message.to_owned() });
        }
    }
}
