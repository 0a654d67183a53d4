//! A policy repository on disk: Cedar files, data files, teams. Whatever is
//! wrong with it is told by file and line; nothing in it can make us panic,
//! follow a link, or take more memory than the named bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cedar_policy::{Policy, PolicyId, PolicySet as CedarSet, ValidationMode};
use miette::{NamedSource, SourceSpan};
use serde::de::DeserializeOwned;
use serde_saphyr::Location;

use crate::annotations::Annotations;
use crate::bundle;
use crate::data::Data;
use crate::problem::{Level, Problem, Problems, Source, fatal};
use crate::set::{Entry, PolicySet, SCHEMA_TEXT, validator};

/// Largest file of policies, bytes.
const POLICY_BYTES_MAX: u64 = 1 << 20;
/// Longest single policy, bytes.
const ONE_POLICY_BYTES_MAX: usize = 16 << 10;
/// Deepest nesting of brackets.
const NESTING_MAX: usize = 100;
/// Most policies.
const POLICIES_MAX: usize = 20_000;
/// Largest data file, bytes.
const DATA_BYTES_MAX: u64 = 16 << 20;
/// Most files, and deepest folder.
const FILES_MAX: usize = 10_000;
const DEPTH_MAX: usize = 8;
/// Stack of the thread that parses: enough for the most nested policy of the
/// greatest length.
const STACK_BYTES: usize = 256 << 20;

/// A repository that was read, usable or not.
#[derive(Debug)]
pub struct Repository {
    /// Everything that is wrong with it.
    pub problems: Problems,
    set: Option<PolicySet>,
    pub(crate) folder: PathBuf,
    pub(crate) sources: BTreeMap<String, Source>,
}

impl Repository {
    /// Reads the repository in `folder`.
    #[must_use]
    pub fn load(folder: &Path) -> Self {
        let owned = folder.to_owned();
        let load = move || Loader::new(owned).load();
        let done = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(load).map(std::thread::JoinHandle::join);
        match done {
            Ok(Ok(repository)) => repository,
            _ => Self {
                problems: vec![Problem::of_file(Level::Error, "", "the policies could not be read: no thread")],
                set: None,
                folder: folder.to_owned(),
                sources: BTreeMap::new(),
            },
        }
    }

    /// The policies, unless an error keeps them from being used.
    ///
    /// # Errors
    /// The problems.
    pub fn into_set(self) -> Result<PolicySet, Problems> {
        self.set.ok_or(self.problems)
    }

    /// As [`Self::into_set`], without taking it.
    #[must_use]
    pub fn set(&self) -> Option<&PolicySet> {
        self.set.as_ref()
    }

    /// Problems that depend on the time: what has expired.
    #[must_use]
    pub fn expired(&self, now: jiff::Timestamp) -> Problems {
        self.set().map(|s| crate::lint::expired(&s.policies, &s.data, &self.sources, now)).unwrap_or_default()
    }

    /// The files of tests, and what is wrong with those that cannot be read.
    pub(crate) fn test_files(&self) -> (Vec<Source>, Problems) {
        if !self.folder.join("tests").is_dir() {
            return (Vec::new(), Vec::new());
        }
        let mut loader = Loader::new(self.folder.clone());
        let names = loader.list("tests", "yaml");
        let sources = names.iter().filter_map(|name| loader.read(name, DATA_BYTES_MAX)).collect();
        (sources, loader.problems)
    }

    /// Files that belong to a bundle.
    pub(crate) fn parts(&self) -> std::io::Result<Vec<String>> {
        let mut loader = Loader::new(self.folder.clone());
        let names = loader.parts();
        match loader.problems.first() {
            Some(problem) => Err(std::io::Error::other(problem.to_string())),
            None => Ok(names),
        }
    }

    /// The text of `tests/NAME`, which must lie below `tests`.
    pub(crate) fn fixture(&self, name: &str) -> Result<String, String> {
        let path = Path::new(name);
        if !path.components().all(|c| matches!(c, std::path::Component::Normal(_))) {
            return Err(format!("`{name}` does not lie below tests/"));
        }
        let mut loader = Loader::new(self.folder.clone());
        let source = loader.read(&format!("tests/{name}"), DATA_BYTES_MAX);
        match (source, loader.problems.first()) {
            (Some(source), _) => Ok(source.inner().to_string()),
            (None, Some(problem)) => Err(problem.to_string()),
            (None, None) => Err(format!("there is no file tests/{name}")),
        }
    }

    /// The folder it was read from.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether there is an error.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.set.is_none()
    }
}

/// Reads one repository.
struct Loader {
    folder: PathBuf,
    problems: Problems,
    policies: BTreeMap<String, Entry>,
    sources: BTreeMap<String, Source>,
    data: Data,
    files: usize,
}

impl Loader {
    fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            problems: Vec::new(),
            policies: BTreeMap::new(),
            sources: BTreeMap::new(),
            data: Data::default(),
            files: 0,
        }
    }

    fn load(mut self) -> Repository {
        if !self.folder.join("policies").is_dir() {
            let message = format!("`{}` is no policy repository: it has no folder `policies`", self.folder.display());
            let help = "`weighbridge policy init DIR` writes a first one";
            self.problems.push(Problem::of_file(Level::Error, "", message).with_help(help));
            return self.finish();
        }
        self.bundle_list();
        for name in self.list("policies", "cedar") {
            self.policy_file(&name);
        }
        if self.policies.is_empty() && self.problems.is_empty() {
            let message = "there are no policies; nothing would be enforced";
            self.problems.push(Problem::of_file(Level::Warning, "policies", message));
        }
        self.schema_copy();
        self.data.approvals = self.lists("approvals");
        self.data.exceptions = self.lists("exceptions");
        self.data.publishers = self.lists("publishers");
        let providers: Vec<crate::Provider> = self.lists("providers");
        self.data.providers = providers.into_iter().map(|p| (p.id.clone(), p)).collect();
        self.data.groups = self.yaml("data/groups.yaml").unwrap_or_default();
        let licences: BTreeMap<String, _> = self.yaml("data/licences.yaml").unwrap_or_default();
        self.data.licences = licences.into_iter().map(|(id, class)| (id.to_lowercase(), class)).collect();
        self.data.fleet = self.yaml("fleet/teams.yaml").unwrap_or_default();
        self.validate();
        let lint = crate::lint::lint(&self.policies, &self.data, &self.sources);
        self.problems.extend(lint);
        self.finish()
    }

    fn finish(mut self) -> Repository {
        let set = if fatal(&self.problems) {
            None
        } else {
            PolicySet::new(self.policies, self.data)
                .map_err(|e| self.problems.push(Problem::of_file(Level::Error, "", e)))
                .ok()
        };
        Repository { problems: self.problems, set, folder: self.folder, sources: self.sources }
    }

    /// Files below `folder` that end in `.extension`, by name. Links are told
    /// and not followed.
    fn list(&mut self, folder: &str, extension: &str) -> Vec<String> {
        let mut out = Vec::new();
        let mut folders = vec![(folder.to_owned(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let entries = match fs::read_dir(self.folder.join(&folder)) {
                Ok(entries) => entries,
                Err(e) => {
                    self.problems.push(Problem::of_file(Level::Error, &folder, format!("cannot be read: {e}")));
                    continue;
                }
            };
            for entry in entries.flatten() {
                let Ok(name) = entry.file_name().into_string() else { continue };
                let path = format!("{folder}/{name}");
                let Ok(kind) = entry.file_type() else { continue };
                self.files += 1;
                if self.files > FILES_MAX {
                    let message = format!("there are more than {FILES_MAX} files");
                    self.problems.push(Problem::of_file(Level::Error, &path, message));
                    return out;
                }
                if kind.is_symlink() && path.ends_with(&format!(".{extension}")) {
                    let message = "is a link; a repository must be whole without its surroundings";
                    self.problems.push(Problem::of_file(Level::Error, &path, message));
                } else if kind.is_dir() && depth < DEPTH_MAX {
                    folders.push((path, depth + 1));
                } else if kind.is_file() && path.ends_with(&format!(".{extension}")) {
                    out.push(path);
                }
            }
        }
        out.sort();
        out
    }

    /// The text of `name`; `None` if it is not there or cannot be used.
    fn read(&mut self, name: &str, max: u64) -> Option<Source> {
        let path = self.folder.join(name);
        let meta = match fs::symlink_metadata(&path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return None,
            Err(e) => {
                self.problems.push(Problem::of_file(Level::Error, name, format!("cannot be read: {e}")));
                return None;
            }
        };
        let text = if !meta.is_file() {
            Err("is no plain file".to_owned())
        } else if meta.len() > max {
            Err(format!("is larger than {} MiB", max >> 20))
        } else {
            let mut text = String::new();
            let read = fs::File::open(&path).and_then(|f| f.take(max).read_to_string(&mut text));
            read.map(|_| text).map_err(|e| format!("cannot be read: {e}"))
        };
        match text {
            Ok(text) => {
                let source: Source = Arc::new(NamedSource::new(name, Arc::from(text)));
                self.sources.insert(name.to_owned(), Arc::clone(&source));
                Some(source)
            }
            Err(message) => {
                self.problems.push(Problem::of_file(Level::Error, name, message));
                None
            }
        }
    }

    fn policy_file(&mut self, name: &str) {
        let Some(source) = self.read(name, POLICY_BYTES_MAX) else { return };
        if let Err((offset, message)) = measure(source.inner()) {
            self.problems.push(Problem::at(Level::Error, &source, Some((offset, 1).into()), message));
            return;
        }
        let set = match source.inner().parse::<CedarSet>() {
            Ok(set) => set,
            Err(errors) => {
                let said = errors.iter().map(|e| Problem::of_cedar(Level::Error, &source, e));
                self.problems.extend(said.take(20));
                return;
            }
        };
        if set.num_of_templates() > 0 {
            let message = "holds a template (`?principal`, `?resource`); write the list as data instead";
            self.problems.push(Problem::of_file(Level::Error, name, message));
        }
        let mut policies: Vec<&Policy> = set.policies().collect();
        policies.sort_by_key(|p| span(p).map(|s| s.offset()));
        for policy in policies {
            self.policy(policy, &source);
        }
    }

    fn policy(&mut self, policy: &Policy, source: &Source) {
        let span = span(policy);
        let annotations = match Annotations::of(policy) {
            Ok(annotations) => annotations,
            Err(wrong) => {
                let head = span.map(|s| head(source, s));
                self.problems.extend(wrong.into_iter().map(|m| Problem::at(Level::Error, source, head, m)));
                return;
            }
        };
        if self.policies.len() >= POLICIES_MAX {
            if self.policies.len() == POLICIES_MAX && !self.policies.contains_key("") {
                let message = format!("there are more than {POLICIES_MAX} policies; write lists as data");
                self.problems.push(Problem::at(Level::Error, source, span, message));
            }
            return;
        }
        let id = annotations.id.clone();
        if let Some(other) = self.policies.get(&id) {
            let message = format!("the id `{id}` is taken by a policy in {}", other.file);
            self.problems.push(Problem::at(Level::Error, source, span.map(|s| head(source, s)), message));
            return;
        }
        let policy = policy.new_id(PolicyId::new(&id));
        self.policies.insert(id, Entry { policy, annotations, file: source.name().to_owned() });
    }

    /// A bundle must be what was bundled.
    fn bundle_list(&mut self) {
        let Some(source) = self.read(bundle::LIST, DATA_BYTES_MAX) else { return };
        let names = self.parts();
        for (file, message) in bundle::differences(&self.folder, source.inner(), &names) {
            let help = "fetch the bundle again; the last good one stays in force meanwhile";
            self.problems.push(Problem::of_file(Level::Error, &file, message).with_help(help));
        }
    }

    /// Files that belong to a bundle.
    fn parts(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        for (folder, extensions) in bundle::PARTS {
            if self.folder.join(folder).is_dir() {
                out.extend(extensions.iter().flat_map(|extension| self.list(folder, extension)).collect::<Vec<_>>());
            }
        }
        out.sort();
        out
    }

    /// A copy of the schema is there for editors; it must be ours.
    fn schema_copy(&mut self) {
        if let Some(source) = self.read("schema.cedarschema", POLICY_BYTES_MAX)
            && source.inner().trim() != SCHEMA_TEXT.trim()
        {
            let message = "differs from the schema of this release, which is the one that counts";
            let help = "`weighbridge policy schema > schema.cedarschema` brings it up to date";
            self.problems.push(Problem::of_file(Level::Warning, "schema.cedarschema", message).with_help(help));
        }
    }

    /// The list `data/NAME.yaml`, and those in `data/NAME/`.
    fn lists<T: DeserializeOwned>(&mut self, name: &str) -> Vec<T> {
        let mut files = vec![format!("data/{name}.yaml")];
        if self.folder.join("data").join(name).is_dir() {
            files.extend(self.list(&format!("data/{name}"), "yaml"));
        }
        files.iter().flat_map(|file| self.yaml::<Vec<T>>(file).unwrap_or_default()).collect()
    }

    fn yaml<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let source = self.read(name, DATA_BYTES_MAX)?;
        match parse_yaml(&source) {
            Ok(value) => value,
            Err(problem) => {
                self.problems.push(*problem);
                None
            }
        }
    }

    fn validate(&mut self) {
        let validator = match validator() {
            Ok(validator) => validator,
            Err(e) => {
                self.problems.push(Problem::of_file(Level::Error, "", e));
                return;
            }
        };
        let Ok(all) = CedarSet::from_policies(self.policies.values().map(|e| e.policy.clone())) else { return };
        let result = validator.validate(&all, ValidationMode::Strict);
        let file = |id: &PolicyId| {
            let entry = self.policies.get(&id.to_string())?;
            self.sources.get(&entry.file)
        };
        let plain = |text: &str| text.split_once(", ").map_or(text, |(_, rest)| rest).to_owned();
        let mut found = Vec::new();
        for e in result.validation_errors() {
            if let Some(source) = file(e.policy_id()) {
                let mut problem = Problem::of_cedar(Level::Error, source, e);
                problem.message = format!("in `{}`: {}", e.policy_id(), plain(&problem.message));
                found.push(problem);
            }
        }
        for w in result.validation_warnings() {
            if let Some(source) = file(w.policy_id()) {
                let mut problem = Problem::of_cedar(Level::Warning, source, w);
                problem.message = format!("in `{}`: {}", w.policy_id(), plain(&problem.message));
                found.push(problem);
            }
        }
        // What is wrong for models is wrong for adapters in the same way.
        let of_models: BTreeSet<String> = found.iter().map(|p| p.message.clone()).collect();
        found.retain(|p| {
            !p.message.contains("`Adapter`") || !of_models.contains(&p.message.replace("`Adapter`", "`Model`"))
        });
        found.sort_by(|a, b| (&a.file, a.line(), &a.message).cmp(&(&b.file, b.line(), &b.message)));
        self.problems.extend(found);
    }
}

/// Refuses what would use up the stack of a recursive parser: policies that
/// are too long, or nested too deep. Otherwise, where and why.
fn measure(text: &str) -> Result<(), (usize, String)> {
    let (mut start, mut depth, mut at) = (0, 0_usize, 0);
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                let end = memchr::memchr(b'\n', bytes.get(at..).unwrap_or_default()).map_or(bytes.len(), |n| at + n);
                // What is said before a policy is no part of it.
                start = if start == at { end + 1 } else { start };
                at = end;
            }
            b'"' => {
                at += 1;
                while let Some(inner) = bytes.get(at).filter(|b| **b != b'"') {
                    at += if *inner == b'\\' { 2 } else { 1 };
                }
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => start = at + 1,
            b' ' | b'\n' | b'\r' | b'\t' if start == at => start = at + 1,
            _ => {}
        }
        if depth > NESTING_MAX {
            return Err((at, format!("brackets are nested deeper than {NESTING_MAX}")));
        }
        if at.saturating_sub(start) > ONE_POLICY_BYTES_MAX {
            let message = format!("the policy is longer than {ONE_POLICY_BYTES_MAX} bytes; write lists as data");
            return Err((start, message));
        }
        at += 1;
    }
    Ok(())
}

/// YAML in `source`; `None` if there is nothing but comments.
pub(crate) fn parse_yaml<T: DeserializeOwned>(source: &Source) -> Result<Option<T>, Box<Problem>> {
    let text = source.inner();
    if text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#')) {
        return Ok(None);
    }
    serde_saphyr::from_str::<Option<T>>(text).map_err(|e| {
        let span = e.location().and_then(|location| place(source, location));
        Box::new(Problem::at(Level::Error, source, span, e.without_snippet().to_string()))
    })
}

/// Bytes at `location`, to the end of its line.
pub(crate) fn place(source: &Source, location: Location) -> Option<SourceSpan> {
    let (line, column) = (usize::try_from(location.line()).ok()?, usize::try_from(location.column()).ok()?);
    let text = source.inner();
    let mut start = 0;
    for _ in 1..line {
        start += text.get(start..)?.find('\n')? + 1;
    }
    let rest = text.get(start..)?;
    let rest = rest.split('\n').next().unwrap_or(rest).trim_end();
    let skipped: usize = rest.chars().take(column.saturating_sub(1)).map(char::len_utf8).sum();
    Some((start + skipped, rest.len().saturating_sub(skipped).max(1)).into())
}

/// Where a policy stands in its file.
pub(crate) fn span(policy: &Policy) -> Option<SourceSpan> {
    policy.as_ref().loc().map(|loc| loc.span)
}

/// The first line of what stands at `span`.
pub(crate) fn head(source: &Source, span: SourceSpan) -> SourceSpan {
    let text = source.inner().get(span.offset()..span.offset().saturating_add(span.len())).unwrap_or_default();
    (span.offset(), text.split('\n').next().unwrap_or_default().len().max(1)).into()
}
