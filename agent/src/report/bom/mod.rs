//! What every bill of materials says, before any format: which file belongs
//! to which model, what each is called, and which facts hold.

mod digest;
mod facts;
mod licence;
mod object;
mod origin;
mod text;
mod weaknesses;

pub use facts::{ITEMS_MAX, lines};
pub use licence::{Licence, licences};
pub use object::Object;
pub use origin::{bundle, signature_facts, strength};
pub use text::{NAME_CHARS_MAX, PATH_CHARS_MAX, TEXT_CHARS_MAX, page_url, purl, text, url};
pub use weaknesses::{Weakness, weaknesses};

use std::collections::{HashMap, HashSet};
use std::io;

use weighbridge_types::{Artifact, Model, Report, Sha256, Verdict};

/// A report seen as models made of files.
pub struct Bill<'a> {
    pub report: &'a Report,
    pub files: Vec<File<'a>>,
    pub models: Vec<ModelEntry<'a>>,
    /// A UUID that follows from the report: the same scan has the same one.
    pub serial: String,
}

/// One file, with its identifier in the bill.
pub struct File<'a> {
    pub artifact: &'a Artifact,
    pub id: String,
    /// Indices of the models it belongs to; it is listed below the first.
    pub models: Vec<usize>,
}

/// One model, with its identifier in the bill.
pub struct ModelEntry<'a> {
    pub model: &'a Model,
    pub id: String,
    /// Indices of its files.
    pub files: Vec<usize>,
}

impl<'a> Bill<'a> {
    /// # Errors
    /// If the report cannot be written as JSON, which its digest needs.
    pub fn new(report: &'a Report) -> io::Result<Self> {
        let mut taken = HashSet::new();
        let mut by_path: HashMap<&str, usize> = HashMap::new();
        let mut files = Vec::with_capacity(report.artifacts.len());
        for (i, artifact) in report.artifacts.iter().enumerate() {
            by_path.entry(&artifact.path).or_insert(i);
            for other in &artifact.also_at {
                by_path.entry(other).or_insert(i);
            }
            let id = unique(&mut taken, digest::id("file", &[&artifact.path]));
            files.push(File { artifact, id, models: Vec::new() });
        }
        let mut models = Vec::with_capacity(report.models.len());
        for (i, model) in report.models.iter().enumerate() {
            let id = unique(&mut taken, digest::id("model", &[&model.path, &model.name]));
            let mut members = Vec::new();
            for j in model.files.iter().filter_map(|path| by_path.get(path.as_str()).copied()) {
                if let Some(file) = files.get_mut(j).filter(|f| !f.models.contains(&i)) {
                    file.models.push(i);
                    members.push(j);
                }
            }
            models.push(ModelEntry { model, id, files: members });
        }
        Ok(Self { report, files, models, serial: digest::serial(report)? })
    }

    /// The files of a model.
    pub fn files_of<'b>(&'b self, entry: &'b ModelEntry<'a>) -> impl Iterator<Item = &'b File<'a>> {
        entry.files.iter().filter_map(|i| self.files.get(*i))
    }

    /// The files of a model that no earlier model lists.
    pub fn own_files<'b>(&'b self, entry: &'b ModelEntry<'a>) -> impl Iterator<Item = &'b File<'a>> {
        self.files_of(entry)
            .filter(|f| f.models.first().and_then(|i| self.models.get(*i)).is_some_and(|first| first.id == entry.id))
    }

    /// Files that belong to no model.
    pub fn loose_files(&self) -> impl Iterator<Item = &File<'a>> {
        self.files.iter().filter(|f| f.models.is_empty())
    }

    /// Models a file belongs to.
    pub fn models_of<'b>(&'b self, file: &'b File<'a>) -> impl Iterator<Item = &'b ModelEntry<'a>> {
        file.models.iter().filter_map(|i| self.models.get(*i))
    }

    /// Whether something of this model was not read or not found.
    pub fn is_incomplete(&self, entry: &ModelEntry<'a>) -> bool {
        !entry.model.missing.is_empty()
            || entry.files.len() < entry.model.files.len()
            || self.files_of(entry).any(File::is_unread)
    }

    /// The digest of a model that was read as a whole, with its kind before
    /// it: of the only file, or over paths, lengths and digests of all.
    pub fn digest_of(&self, entry: &ModelEntry<'a>) -> Option<String> {
        if self.is_incomplete(entry) {
            return None;
        }
        let files: Option<Vec<_>> = self.files_of(entry).map(|f| Some((f.artifact, f.artifact.sha256?))).collect();
        match files?.as_slice() {
            [] => None,
            [(_, only)] => Some(format!("sha256:{only}")),
            many => Some(format!("tree-sha256:{}", digest::tree(&entry.model.path, many))),
        }
    }

    /// The digest of a model that is one file.
    pub fn only_sha256(&self, entry: &ModelEntry<'a>) -> Option<Sha256> {
        let mut files = self.files_of(entry);
        files.next().filter(|_| entry.model.files.len() == 1)?.artifact.sha256
    }

    /// The model of this name or at this path, other than `entry`.
    pub fn find(&self, entry: &ModelEntry<'a>, name: &str) -> Option<&ModelEntry<'a>> {
        self.models.iter().find(|m| m.id != entry.id && (m.model.name == name || m.model.path == name))
    }
}

impl File<'_> {
    /// Whether some of it could not be read or judged.
    pub fn is_unread(&self) -> bool {
        self.artifact.sha256.is_none() || self.artifact.verdict == Verdict::Unknown
    }

    /// The last part of its path.
    pub fn name(&self) -> String {
        let path = self.artifact.path.trim_end_matches('/');
        named(path.rsplit('/').next().unwrap_or(path))
    }
}

/// An identifier for something that is neither file nor model.
pub fn id(kind: &str, parts: &[&str]) -> String {
    digest::id(kind, parts)
}

/// A name to show, never empty.
pub fn named(raw: &str) -> String {
    let shown = text(raw, NAME_CHARS_MAX);
    if shown.is_empty() { "unnamed".to_owned() } else { shown }
}

/// `wanted`, numbered if it is taken.
fn unique(taken: &mut HashSet<String>, wanted: String) -> String {
    let mut id = wanted.clone();
    let mut n = 2;
    while !taken.insert(id.clone()) {
        id = format!("{wanted}-{n}");
        n += 1;
    }
    id
}
