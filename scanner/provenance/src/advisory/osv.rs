//! OSV documents (schema 1.7), typed.
//!
//! Fields that are not known here are left alone, as the specification asks;
//! a field of the wrong type is an error that names it.

use jiff::Timestamp;
use serde_json::{Map, Value};
use weighbridge_types::{Severity, Sha256};

use super::cvss;
use super::version::Scheme;
use crate::json::{self, JsonError};

/// Largest document read, bytes.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// Why a document is no advisory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdvisoryError {
    /// It is not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A field is absent.
    #[error("the field `{0}` is missing")]
    Missing(String),
    /// A field does not hold what it must.
    #[error("the field `{field}` must be {wanted}")]
    Field {
        /// Path of the field: `affected[0].ranges[1].type`.
        field: String,
        /// What belongs there.
        wanted: &'static str,
    },
}

/// One advisory.
#[derive(Debug, Clone, PartialEq)]
pub struct Advisory {
    /// Identifier: `CVE-…`, `GHSA-…`, ours `x_WBA-…`.
    pub id: String,
    /// Other identifiers of the same problem.
    pub aliases: Vec<String>,
    /// What is wrong, in a sentence.
    pub summary: String,
    /// The rest.
    pub details: String,
    /// By CVSS base score, else by the word of the database; high if neither
    /// is given, since nobody said that it is harmless.
    pub severity: Severity,
    /// What is affected.
    pub affected: Vec<Affected>,
    /// Kind and address of each source.
    pub references: Vec<(String, String)>,
    /// When it appeared.
    pub published: Option<Timestamp>,
    /// When it last changed.
    pub modified: Timestamp,
    /// When it was taken back.
    pub withdrawn: Option<Timestamp>,
    /// How far its facts were checked: free text.
    pub verification: Option<String>,
    /// What OSV has no words for.
    pub weighbridge: Directives,
}

/// Something that an advisory is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Affected {
    /// Ecosystem and name.
    pub package: Option<(String, String)>,
    /// Identifier of an inference stack that no ecosystem lists.
    pub stack: Option<String>,
    /// How its versions are counted.
    pub scheme: Option<Scheme>,
    /// From where to where.
    pub ranges: Vec<Range>,
    /// Versions by name.
    pub versions: Vec<String>,
}

/// A range of versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// How versions are compared.
    pub kind: RangeKind,
    /// The repository, for commits.
    pub repo: Option<String>,
    /// Where it begins and ends, in the order of the document.
    pub events: Vec<Event>,
}

/// How the versions of a [`Range`] are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeKind {
    /// Semantic Versioning.
    Semver,
    /// As the package's ecosystem does.
    Ecosystem,
    /// Commits.
    Git,
}

/// A point in a [`Range`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// First version with the problem; `0` is the beginning.
    Introduced(String),
    /// First version without it.
    Fixed(String),
    /// Last version with it.
    LastAffected(String),
    /// Commits beyond were not looked at.
    Limit(String),
}

/// `database_specific.weighbridge`: models by digest, lineage and name, and
/// what to do about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// Digests of files.
    pub file_sha256: Vec<Sha256>,
    /// Digests of whole models.
    pub tree_sha256: Vec<Sha256>,
    /// Lineage fingerprints, lower case.
    pub norm_fingerprint: Vec<String>,
    /// Repositories, `*` for any part of a component.
    pub repo: Vec<String>,
    /// What a policy should do.
    pub action: Option<Action>,
    /// What to use instead.
    pub replaced_by: Vec<Replacement>,
    /// When the advisory ends.
    pub expires: Option<Timestamp>,
}

/// What a policy should do about a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Do not load it.
    Block,
    /// Tell the user.
    Warn,
}

/// What to use instead of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Its package URL.
    pub purl: String,
    /// Digest of its file.
    pub file_sha256: Option<Sha256>,
}

impl Advisory {
    /// Reads one document of at most [`DOCUMENT_BYTES_MAX`].
    ///
    /// # Errors
    /// [`AdvisoryError`] names the field.
    pub fn parse(bytes: &[u8]) -> Result<Self, AdvisoryError> {
        let value = json::strict(bytes, DOCUMENT_BYTES_MAX)?;
        let root = Node { value: &value, path: String::new() }.object()?;
        let specific = root.object("database_specific")?;
        let directives = match &specific {
            Some(s) => s.object("weighbridge")?.map(|w| directives(&w)).transpose()?,
            None => None,
        };
        let word = specific.as_ref().map_or(Ok(None), |s| severity_word(s))?;
        let advisory = Self {
            id: root.identifier("id")?,
            aliases: root.texts("aliases")?,
            summary: root.text("summary")?.unwrap_or_default(),
            details: root.text("details")?.unwrap_or_default(),
            severity: scored(&root)?.or(word).unwrap_or(Severity::High),
            affected: root.list("affected")?.into_iter().map(|n| affected(&n.object()?)).collect::<Result<_, _>>()?,
            references: root
                .list("references")?
                .into_iter()
                .map(|n| reference(&n.object()?))
                .collect::<Result<_, _>>()?,
            published: root.time("published")?,
            modified: root.time("modified")?.ok_or_else(|| AdvisoryError::Missing("modified".to_owned()))?,
            withdrawn: root.time("withdrawn")?,
            verification: specific.as_ref().map_or(Ok(None), |s| s.text("verification"))?,
            weighbridge: directives.unwrap_or_default(),
        };
        Ok(advisory)
    }

    /// Whether it holds at `now`: neither taken back nor expired.
    #[must_use]
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.withdrawn.is_none_or(|t| now < t) && self.weighbridge.expires.is_none_or(|t| now < t)
    }
}

/// The worst of the CVSS base scores, of versions that are known.
fn scored(root: &Object<'_>) -> Result<Option<Severity>, AdvisoryError> {
    let mut worst = None;
    for entry in root.list("severity")? {
        let entry = entry.object()?;
        let (kind, score) = (entry.required("type")?, entry.required("score")?);
        if kind == "CVSS_V3" || kind == "CVSS_V4" {
            let score = cvss::base_score(&score).ok_or_else(|| entry.error("score", "a CVSS 3 or 4 vector"))?;
            worst = worst.max(Some(cvss::severity(score)));
        }
    }
    Ok(worst)
}

fn severity_word(specific: &Object<'_>) -> Result<Option<Severity>, AdvisoryError> {
    let Some(word) = specific.text("severity")? else { return Ok(None) };
    // GitHub's database says moderate.
    let word = if word.eq_ignore_ascii_case("moderate") { "medium" } else { word.as_str() };
    word.parse().map(Some).map_err(|_| specific.error("severity", "info, low, medium, high or critical"))
}

fn affected(node: &Object<'_>) -> Result<Affected, AdvisoryError> {
    let package = node.object("package")?.map(|p| package(&p)).transpose()?;
    let own = match node.object("database_specific")? {
        Some(specific) => specific.object("weighbridge")?,
        None => None,
    };
    let (mut stack, mut scheme) = (None, None);
    if let Some(own) = own {
        stack = own.text("stack")?;
        if let Some(name) = own.text("scheme")? {
            let known = Scheme::named(&name);
            scheme = Some(known.ok_or_else(|| own.error("scheme", "python, llama-build or year-month"))?);
        }
    }
    Ok(Affected {
        package,
        stack,
        scheme,
        ranges: node.list("ranges")?.into_iter().map(|r| range(&r.object()?)).collect::<Result<_, _>>()?,
        versions: node.texts("versions")?,
    })
}

/// Ecosystem and name, from the package URL if they are not given.
fn package(node: &Object<'_>) -> Result<(String, String), AdvisoryError> {
    if let (Some(ecosystem), Some(name)) = (node.text("ecosystem")?, node.text("name")?) {
        return Ok((ecosystem, name));
    }
    let purl = node.required("purl")?;
    let (kind, rest) =
        purl.strip_prefix("pkg:").and_then(|p| p.split_once('/')).ok_or_else(|| node.error("purl", "a package URL"))?;
    let name = rest.split(['@', '?', '#']).next().unwrap_or(rest);
    let ecosystem = match kind {
        "pypi" => "PyPI",
        "golang" => "Go",
        other => other,
    };
    Ok((ecosystem.to_owned(), name.to_owned()))
}

fn range(node: &Object<'_>) -> Result<Range, AdvisoryError> {
    let kind = match node.required("type")?.as_str() {
        "SEMVER" => RangeKind::Semver,
        "ECOSYSTEM" => RangeKind::Ecosystem,
        "GIT" => RangeKind::Git,
        _ => return Err(node.error("type", "SEMVER, ECOSYSTEM or GIT")),
    };
    let repo = node.text("repo")?;
    if kind == RangeKind::Git && repo.is_none() {
        return Err(AdvisoryError::Missing(node.at("repo")));
    }
    let events: Vec<Event> = node.list("events")?.into_iter().map(|e| event(&e.object()?)).collect::<Result<_, _>>()?;
    if !events.iter().any(|e| matches!(e, Event::Introduced(_))) {
        return Err(node.error("events", "a list with an `introduced` event"));
    }
    Ok(Range { kind, repo, events })
}

fn event(node: &Object<'_>) -> Result<Event, AdvisoryError> {
    if let Some(version) = node.text("introduced")? {
        return Ok(Event::Introduced(version));
    }
    if let Some(version) = node.text("fixed")? {
        return Ok(Event::Fixed(version));
    }
    if let Some(version) = node.text("last_affected")? {
        return Ok(Event::LastAffected(version));
    }
    if let Some(version) = node.text("limit")? {
        return Ok(Event::Limit(version));
    }
    Err(AdvisoryError::Missing(node.at("introduced")))
}

fn reference(node: &Object<'_>) -> Result<(String, String), AdvisoryError> {
    Ok((node.required("type")?, node.required("url")?))
}

fn directives(node: &Object<'_>) -> Result<Directives, AdvisoryError> {
    let action = match node.text("action")?.as_deref() {
        Some("block") => Some(Action::Block),
        Some("warn") => Some(Action::Warn),
        Some(_) => return Err(node.error("action", "block or warn")),
        None => None,
    };
    let replacement = |n: &Object<'_>| {
        Ok(Replacement { purl: n.required("purl")?, file_sha256: n.digests("file_sha256")?.into_iter().next() })
    };
    let hexadecimal = |f: &String| f.len() == 64 && f.bytes().all(|b| b.is_ascii_hexdigit());
    let fingerprints = node.texts("norm_fingerprint")?;
    if !fingerprints.iter().all(hexadecimal) {
        return Err(node.error("norm_fingerprint", "a list of 64 hexadecimal digits"));
    }
    Ok(Directives {
        file_sha256: node.digests("file_sha256")?,
        tree_sha256: node.digests("tree_sha256")?,
        norm_fingerprint: fingerprints.into_iter().map(|f| f.to_ascii_lowercase()).collect(),
        repo: node.texts("repo")?,
        action,
        replaced_by: node
            .list("replaced_by")?
            .into_iter()
            .map(|n| replacement(&n.object()?))
            .collect::<Result<_, AdvisoryError>>()?,
        expires: node.time("expires")?,
    })
}

/// A value and where it stands.
struct Node<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> Node<'a> {
    fn object(self) -> Result<Object<'a>, AdvisoryError> {
        match self.value.as_object() {
            Some(map) => Ok(Object { map, path: self.path }),
            None if self.path.is_empty() => Err(field("(document)", "an object")),
            None => Err(AdvisoryError::Field { field: self.path, wanted: "an object" }),
        }
    }
}

/// An object and where it stands. Absent and `null` are one, as in OSV.
struct Object<'a> {
    map: &'a Map<String, Value>,
    path: String,
}

impl<'a> Object<'a> {
    fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn error(&self, key: &str, wanted: &'static str) -> AdvisoryError {
        AdvisoryError::Field { field: self.at(key), wanted }
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|v| !v.is_null())
    }

    fn text(&self, key: &str) -> Result<Option<String>, AdvisoryError> {
        let text = |v: &Value| v.as_str().map(str::to_owned).ok_or_else(|| self.error(key, "a text"));
        self.get(key).map(text).transpose()
    }

    fn required(&self, key: &str) -> Result<String, AdvisoryError> {
        self.text(key)?.ok_or_else(|| AdvisoryError::Missing(self.at(key)))
    }

    /// A text that can stand in a file name and on a command line.
    fn identifier(&self, key: &str) -> Result<String, AdvisoryError> {
        let id = self.required(key)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b':' | b'.');
        if id.is_empty() || id.len() > 128 || !id.bytes().all(plain) {
            return Err(self.error(key, "an identifier of letters, digits, `-`, `_`, `:` and `.`"));
        }
        Ok(id)
    }

    fn object(&self, key: &str) -> Result<Option<Object<'a>>, AdvisoryError> {
        self.get(key).map(|value| Node { value, path: self.at(key) }.object()).transpose()
    }

    fn list(&self, key: &str) -> Result<Vec<Node<'a>>, AdvisoryError> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let list = value.as_array().ok_or_else(|| self.error(key, "a list"))?;
        Ok(list.iter().enumerate().map(|(i, value)| Node { value, path: format!("{}[{i}]", self.at(key)) }).collect())
    }

    fn texts(&self, key: &str) -> Result<Vec<String>, AdvisoryError> {
        let text = |n: Node<'_>| {
            n.value.as_str().map(str::to_owned).ok_or(AdvisoryError::Field { field: n.path, wanted: "a text" })
        };
        self.list(key)?.into_iter().map(text).collect()
    }

    /// One digest or a list of them.
    fn digests(&self, key: &str) -> Result<Vec<Sha256>, AdvisoryError> {
        let texts = match self.get(key) {
            Some(Value::String(one)) => vec![one.clone()],
            _ => self.texts(key)?,
        };
        let digest = |t: String| t.to_ascii_lowercase().parse().map_err(|_| self.error(key, "64 hexadecimal digits"));
        texts.into_iter().map(digest).collect()
    }

    fn time(&self, key: &str) -> Result<Option<Timestamp>, AdvisoryError> {
        let time = |t: String| t.parse().map_err(|_| self.error(key, "a time (RFC 3339)"));
        self.text(key)?.map(time).transpose()
    }
}

fn field(field: &str, wanted: &'static str) -> AdvisoryError {
    AdvisoryError::Field { field: field.to_owned(), wanted }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn full() -> Value {
        json!({
            "schema_version": "1.7.0", "id": "x_WBA-2026-0001", "modified": "2026-01-02T03:04:05Z",
            "published": "2026-01-01T00:00:00Z", "withdrawn": null, "aliases": ["CVE-2026-1"], "summary": "s", "details": "d",
            "severity": [{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" }],
            "affected": [{
                "package": { "ecosystem": "PyPI", "name": "vllm", "purl": "pkg:pypi/vllm" },
                "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }, { "fixed": "1.0" }] }],
                "versions": ["0.1"],
                "database_specific": { "weighbridge": { "stack": "vllm", "scheme": "python" } }
            }],
            "references": [{ "type": "WEB", "url": "https://example.org" }],
            "unheard_of": { "by": "us" },
            "database_specific": { "severity": "LOW", "weighbridge": {
                "file_sha256": ["a".repeat(64)], "tree_sha256": "b".repeat(64), "norm_fingerprint": ["C".repeat(64)],
                "repo": ["org/*"], "action": "block", "expires": "2030-01-01T00:00:00Z",
                "replaced_by": [{ "purl": "pkg:huggingface/o/n@c", "file_sha256": "d".repeat(64) }]
            } }
        })
    }

    fn parse(value: &Value) -> Result<Advisory, AdvisoryError> {
        Advisory::parse(value.to_string().as_bytes())
    }

    #[test]
    fn reads_every_field() {
        let advisory = parse(&full()).unwrap();
        assert_eq!(advisory.severity, Severity::Critical);
        assert_eq!(advisory.affected[0].package, Some(("PyPI".to_owned(), "vllm".to_owned())));
        assert_eq!(advisory.affected[0].scheme, Some(Scheme::Python));
        assert_eq!(advisory.weighbridge.tree_sha256.len(), 1);
        assert_eq!(advisory.weighbridge.norm_fingerprint, ["c".repeat(64)]);
        assert_eq!(advisory.weighbridge.action, Some(Action::Block));
        assert!(advisory.is_current("2029-01-01T00:00:00Z".parse().unwrap()));
        assert!(!advisory.is_current("2031-01-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn severity_falls_back_on_the_word_and_then_on_high() {
        let mut value = full();
        value["severity"] = json!([{ "type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:P/I:P/A:P" }]);
        assert_eq!(parse(&value).unwrap().severity, Severity::Low);
        value["database_specific"]["severity"] = json!("MODERATE");
        assert_eq!(parse(&value).unwrap().severity, Severity::Medium);
        value.as_object_mut().unwrap().remove("database_specific");
        assert_eq!(parse(&value).unwrap().severity, Severity::High);
    }

    #[test]
    fn a_wrong_type_is_named() {
        for (pointer, wrong, named) in [
            ("/id", json!(7), "id"),
            ("/id", json!("a/../b"), "id"),
            ("/modified", json!("yesterday"), "modified"),
            ("/aliases", json!("CVE-1"), "aliases"),
            ("/aliases/0", json!(1), "aliases[0]"),
            ("/severity/0/score", json!("CVSS:3.1/AV:N"), "severity[0].score"),
            ("/affected/0", json!([]), "affected[0]"),
            ("/affected/0/ranges/0/type", json!("DATE"), "affected[0].ranges[0].type"),
            ("/affected/0/ranges/0/type", json!("GIT"), "affected[0].ranges[0].repo"),
            ("/affected/0/ranges/0/events/1", json!({}), "affected[0].ranges[0].events[1].introduced"),
            ("/affected/0/ranges/0/events", json!([]), "affected[0].ranges[0].events"),
            (
                "/affected/0/database_specific/weighbridge/scheme",
                json!("roman"),
                "affected[0].database_specific.weighbridge.scheme",
            ),
            ("/database_specific/severity", json!("loud"), "database_specific.severity"),
            ("/database_specific/weighbridge/file_sha256/0", json!("abc"), "database_specific.weighbridge.file_sha256"),
            ("/database_specific/weighbridge/action", json!("pray"), "database_specific.weighbridge.action"),
            ("/database_specific/weighbridge/expires", json!(1), "database_specific.weighbridge.expires"),
        ] {
            let mut value = full();
            *value.pointer_mut(pointer).unwrap() = wrong;
            let message = parse(&value).unwrap_err().to_string();
            assert!(message.contains(&format!("`{named}`")), "{pointer}: {message}");
        }
        assert!(Advisory::parse(b"[]").unwrap_err().to_string().contains("an object"));
        assert!(Advisory::parse(&vec![b' '; DOCUMENT_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn a_document_cut_anywhere_is_refused() {
        let text = full().to_string();
        for end in 0..text.len() {
            assert!(Advisory::parse(&text.as_bytes()[..end]).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_flipped_byte_panics(at in 0usize..1200, byte in any::<u8>()) {
            let mut text = full().to_string().into_bytes();
            if let Some(b) = text.get_mut(at) {
                *b = byte;
            }
            let _ = Advisory::parse(&text);
        }
    }
}
