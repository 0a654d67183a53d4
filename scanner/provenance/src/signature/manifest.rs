//! What was signed: the files of a model, their digests, and how they were
//! enumerated (OpenSSF Model Signing 1.0, sections 5 and 6).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use weighbridge_types::Sha256 as Sha256Digest;

use super::SignatureError;
use super::hash::{Algorithm, hex, unhex};
use crate::json;

/// Longest statement read, bytes.
const STATEMENT_BYTES_MAX: usize = 12 << 20;
/// Most resources in a manifest.
const RESOURCES_MAX: usize = 1_000_000;
/// Names that no signature covers unless it says so, at the top only.
pub const GIT_PATHS: &[&str] = &[".git", ".gitignore", ".gitattributes", ".github"];

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://model_signing/signature/v1.0";
const PREDICATE_STEM: &str = "https://model_signing/signature/v1.";
const PREDICATE_LEGACY: &str = "https://model_signing/Digests/v0.1";

/// The signed files of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What the signer called the model; says nothing.
    pub model_name: String,
    /// The hash of every part.
    pub algorithm: Algorithm,
    /// Length of the ranges that are digested one by one; whole files if
    /// absent.
    pub shard_bytes: Option<u64>,
    /// Whether links were followed.
    pub allow_links: bool,
    /// Paths the signer left out.
    pub ignore_paths: Vec<String>,
    /// Digests by file name.
    pub files: BTreeMap<String, Vec<Part>>,
}

/// A range of a file and its digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Part {
    /// First byte.
    pub start: u64,
    /// Byte after the last; the end of the file if absent.
    pub end: Option<u64>,
    /// Lower-case hexadecimal digits.
    pub digest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawStatement {
    #[serde(rename = "_type")]
    kind: String,
    #[serde(default)]
    subject: Vec<RawSubject>,
    predicate_type: String,
    #[serde(default)]
    predicate: Value,
}

#[derive(Deserialize)]
struct RawSubject {
    #[serde(default)]
    name: String,
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RawPredicate {
    resources: Vec<RawResource>,
    serialization: RawSerialization,
}

#[derive(Deserialize)]
struct RawResource {
    name: String,
    digest: String,
    algorithm: String,
}

#[derive(Deserialize)]
struct RawSerialization {
    method: String,
    hash_type: String,
    /// The reference writes an integer as a floating-point number.
    shard_size: Option<f64>,
    #[serde(default)]
    allow_symlinks: bool,
    #[serde(default)]
    ignore_paths: Vec<String>,
}

impl Manifest {
    /// Reads the manifest out of an in-toto statement. `legacy` also takes the
    /// layout of version 0.2, which signs no names of its own.
    ///
    /// # Errors
    /// [`SignatureError`] names the field.
    pub fn parse(payload: &[u8], legacy: bool) -> Result<Self, SignatureError> {
        let value = json::strict(payload, STATEMENT_BYTES_MAX)?;
        let statement: RawStatement = serde_json::from_value(value)
            .map_err(|e| SignatureError::field("statement", format!("is malformed: {e}")))?;
        if statement.kind != STATEMENT {
            return Err(SignatureError::field("_type", format!("is `{}`, not `{STATEMENT}`", statement.kind)));
        }
        if statement.predicate_type == PREDICATE_LEGACY && legacy {
            return from_subjects(&statement.subject);
        }
        match statement.predicate_type.strip_prefix(PREDICATE_STEM) {
            Some(minor) if minor.parse::<u16>().is_ok() => {}
            _ if statement.predicate_type == PREDICATE_LEGACY => {
                return Err(SignatureError::Unsupported("the signature layout of version 0.2".to_owned()));
            }
            _ => {
                let problem = format!("is `{}`, not a model signature", statement.predicate_type);
                return Err(SignatureError::field("predicateType", problem));
            }
        }
        let [subject] = statement.subject.as_slice() else {
            let problem = format!("holds {} entries instead of one", statement.subject.len());
            return Err(SignatureError::field("subject", problem));
        };
        let predicate: RawPredicate = serde_json::from_value(statement.predicate)
            .map_err(|e| SignatureError::field("predicate", format!("is malformed: {e}")))?;
        check_root(subject, &predicate.resources)?;
        from_resources(subject.name.clone(), predicate)
    }

    /// The statement that says this, as it will be signed.
    ///
    /// # Errors
    /// [`SignatureError`] if there is no file.
    pub fn statement(&self) -> Result<Vec<u8>, SignatureError> {
        let mut resources = BTreeMap::new();
        for (name, parts) in &self.files {
            for part in parts {
                let name = match part.end {
                    Some(end) => format!("{name}:{}:{end}", part.start),
                    None => name.clone(),
                };
                resources.insert(name, &part.digest);
            }
        }
        if resources.is_empty() {
            return Err(SignatureError::field("resources", "would be empty; there is no file to sign"));
        }
        let mut root = Sha256::new();
        for digest in resources.values() {
            root.update(unhex(digest).unwrap_or_default());
        }
        let resources: Vec<Value> = resources
            .iter()
            .map(|(name, digest)| {
                serde_json::json!({ "name": name, "digest": digest, "algorithm": self.algorithm.name() })
            })
            .collect();
        let mut serialization = serde_json::json!({
            "method": if self.shard_bytes.is_some() { "shards" } else { "files" },
            "hash_type": self.algorithm.name(),
            "allow_symlinks": self.allow_links,
            "ignore_paths": self.ignore_paths,
        });
        if let (Some(bytes), Some(fields)) = (self.shard_bytes, serialization.as_object_mut()) {
            fields.insert("shard_size".to_owned(), bytes.into());
        }
        let statement = serde_json::json!({
            "_type": STATEMENT,
            "subject": [{ "name": self.model_name, "digest": { "sha256": Sha256Digest::new(root.finalize().into()).to_string() } }],
            "predicateType": PREDICATE,
            "predicate": { "serialization": serialization, "resources": resources },
        });
        Ok(statement.to_string().into_bytes())
    }
}

/// The root digest: SHA-256 over all digests, in their order. It leaves out
/// the names, so it identifies nothing; it must still agree.
fn check_root(subject: &RawSubject, resources: &[RawResource]) -> Result<(), SignatureError> {
    let mut root = Sha256::new();
    for resource in resources {
        let digest = unhex(&resource.digest)
            .ok_or_else(|| SignatureError::field("predicate.resources[].digest", "is not hexadecimal"))?;
        root.update(digest);
    }
    let root = hex(&root.finalize());
    if subject.digest.get("sha256").is_none_or(|d| !d.eq_ignore_ascii_case(&root)) {
        return Err(SignatureError::field("subject[0].digest.sha256", "is not the digest over all resources"));
    }
    Ok(())
}

fn from_resources(model_name: String, predicate: RawPredicate) -> Result<Manifest, SignatureError> {
    const RESOURCES: &str = "predicate.resources";
    let RawPredicate { resources, serialization } = predicate;
    if resources.is_empty() || resources.len() > RESOURCES_MAX {
        let problem = format!("holds {} entries; 1 to {RESOURCES_MAX} are expected", resources.len());
        return Err(SignatureError::field(RESOURCES, problem));
    }
    let algorithm = Algorithm::named(&serialization.hash_type)
        .ok_or_else(|| SignatureError::Unsupported(format!("the hash `{}`", serialization.hash_type)))?;
    let shard_bytes = shard_bytes(&serialization)?;
    let mut files: BTreeMap<String, Vec<Part>> = BTreeMap::new();
    for resource in resources {
        let own = resource.algorithm.split("-sharded-").next().unwrap_or_default();
        if Algorithm::named(own) != Some(algorithm) {
            let problem = format!("is `{}`, not `{}`", resource.algorithm, serialization.hash_type);
            return Err(SignatureError::field("predicate.resources[].algorithm", problem));
        }
        let (name, start, end) = match shard_bytes {
            None => (resource.name.as_str(), 0, None),
            Some(_) => range(&resource.name)?,
        };
        let digest = resource.digest.to_ascii_lowercase();
        if digest.len() != algorithm.digest_bytes() * 2 {
            let problem = format!("of `{name}` is {} digits long", digest.len());
            return Err(SignatureError::field("predicate.resources[].digest", problem));
        }
        let parts = files.entry(canonical(name)?).or_default();
        if end.is_none() && !parts.is_empty() {
            return Err(SignatureError::field(RESOURCES, format!("names `{name}` twice")));
        }
        parts.push(Part { start, end, digest });
    }
    if let Some(shard_bytes) = shard_bytes {
        for (name, parts) in &mut files {
            parts.sort();
            contiguous(name, parts, shard_bytes)?;
        }
    }
    Ok(Manifest {
        model_name,
        algorithm,
        shard_bytes,
        allow_links: serialization.allow_symlinks,
        ignore_paths: serialization.ignore_paths,
        files,
    })
}

fn shard_bytes(serialization: &RawSerialization) -> Result<Option<u64>, SignatureError> {
    const FIELD: &str = "predicate.serialization.shard_size";
    match (serialization.method.as_str(), serialization.shard_size) {
        ("files", _) => Ok(None),
        ("shards", Some(size)) => {
            // Whole numbers are exact in f64 up to 2^53.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked to be whole and in range"
            )]
            let whole = ((1.0..=9e15).contains(&size) && size.fract() == 0.0).then_some(size as u64);
            whole.map(Some).ok_or_else(|| SignatureError::field(FIELD, format!("is {size}")))
        }
        ("shards", None) => Err(SignatureError::field(FIELD, "is missing")),
        (method, _) => Err(SignatureError::Unsupported(format!("the serialization `{method}`"))),
    }
}

/// `path:start:end`; the path may hold colons itself.
fn range(name: &str) -> Result<(&str, u64, Option<u64>), SignatureError> {
    let problem = || SignatureError::field("predicate.resources[].name", format!("`{name}` is not `path:start:end`"));
    let mut fields = name.rsplitn(3, ':');
    let number = |text: Option<&str>| text.and_then(|t| t.parse().ok()).ok_or_else(problem);
    let end = number(fields.next())?;
    let start = number(fields.next())?;
    Ok((fields.next().ok_or_else(problem)?, start, Some(end)))
}

/// Parts must follow each other from 0, each full but the last.
fn contiguous(name: &str, parts: &[Part], shard_bytes: u64) -> Result<(), SignatureError> {
    let mut at = 0;
    for (i, part) in parts.iter().enumerate() {
        let end = part.end.unwrap_or(at);
        let len = end.saturating_sub(part.start);
        let last = i + 1 == parts.len();
        if part.start != at || end <= part.start || len > shard_bytes || len < shard_bytes && !last {
            let problem = format!("leaves a gap in `{name}` at byte {at}");
            return Err(SignatureError::field("predicate.resources", problem));
        }
        at = end;
    }
    Ok(())
}

/// A name as a manifest must write it: relative, `/` between folders, without
/// `.` and `..`. A single dot stands for a model of one file.
fn canonical(name: &str) -> Result<String, SignatureError> {
    let bad = name.is_empty()
        || name.contains('\0')
        || name != "." && name.split('/').any(|part| matches!(part, "" | "." | ".."));
    if bad {
        let shown = weighbridge_types::Shown(name).to_string();
        return Err(SignatureError::field("predicate.resources[].name", format!("`{shown}` is not a relative path")));
    }
    Ok(name.to_owned())
}

/// Version 0.2 listed the files as subjects.
fn from_subjects(subjects: &[RawSubject]) -> Result<Manifest, SignatureError> {
    let mut files = BTreeMap::new();
    let mut names = BTreeSet::new();
    for subject in subjects {
        let digest = subject.digest.get("sha256");
        let digest = digest.filter(|d| d.len() == 64 && unhex(d).is_some()).map(|d| d.to_ascii_lowercase());
        let digest = digest.ok_or_else(|| SignatureError::field("subject[].digest.sha256", "is missing"))?;
        if !names.insert(&subject.name) {
            return Err(SignatureError::field("subject", format!("names `{}` twice", subject.name)));
        }
        files.insert(canonical(&subject.name)?, vec![Part { start: 0, end: None, digest }]);
    }
    if files.is_empty() {
        return Err(SignatureError::field("subject", "is empty"));
    }
    Ok(Manifest {
        model_name: String::new(),
        algorithm: Algorithm::Sha256,
        shard_bytes: None,
        allow_links: false,
        ignore_paths: Vec::new(),
        files,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn statement(resources: Value, serialization: Value) -> Value {
        let mut root = Sha256::new();
        for resource in resources.as_array().unwrap() {
            root.update(unhex(resource["digest"].as_str().unwrap()).unwrap());
        }
        json!({"_type": STATEMENT, "predicateType": PREDICATE, "subject": [{"name": "m", "digest": {"sha256": hex(&root.finalize())}}],
            "predicate": {"resources": resources, "serialization": serialization}})
    }

    fn files(names: &[&str]) -> Value {
        let resources: Vec<Value> =
            names.iter().map(|n| json!({"name": n, "digest": "ab".repeat(32), "algorithm": "sha256"})).collect();
        statement(Value::Array(resources), json!({"method": "files", "hash_type": "sha256", "allow_symlinks": false}))
    }

    fn parse(value: &Value) -> Result<Manifest, String> {
        Manifest::parse(value.to_string().as_bytes(), false).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_written_reads_back() {
        for shard_bytes in [None, Some(10)] {
            let part = |start, end| Part { start, end, digest: "cd".repeat(32) };
            let parts = match shard_bytes {
                None => vec![part(0, None)],
                Some(_) => vec![part(0, Some(10)), part(10, Some(13))],
            };
            let manifest = Manifest {
                model_name: "bert".to_owned(),
                algorithm: Algorithm::Blake3,
                shard_bytes,
                allow_links: false,
                ignore_paths: vec!["cache".to_owned()],
                files: [("a:1/w".to_owned(), parts)].into(),
            };
            assert_eq!(Manifest::parse(&manifest.statement().unwrap(), false).unwrap(), manifest);
        }
    }

    #[test]
    fn names_must_be_unique_relative_paths() {
        assert!(parse(&files(&["a", "b/c", "d:1"])).is_ok());
        for bad in [&["a", "a"][..], &["../a"], &["/a"], &["a/../b"], &["a//b"], &["a\0b"], &[""], &["./a"], &["a/"]] {
            assert!(parse(&files(bad)).is_err(), "{bad:?}");
        }
        assert!(parse(&files(&[])).unwrap_err().contains("0 entries"));
    }

    #[test]
    fn the_reference_writes_whole_numbers_as_fractions() {
        let shards = |size: Value, names: &[&str]| {
            let resources: Vec<Value> = names
                .iter()
                .map(|n| json!({"name": n, "digest": "ab".repeat(32), "algorithm": "sha256-sharded-10"}))
                .collect();
            let serialization = json!({"method": "shards", "hash_type": "sha256", "shard_size": size});
            parse(&statement(Value::Array(resources), serialization))
        };
        assert_eq!(shards(json!(10.0), &["w:0:10", "w:10:12"]).unwrap().shard_bytes, Some(10));
        for (size, names) in [
            (json!(10.5), &["w:0:10"][..]),
            (json!(0), &["w:0:10"]),
            (json!(-10), &["w:0:10"]),
            (Value::Null, &["w:0:10"]),
            (json!(10), &["w:0:10", "w:11:12"]),
            (json!(10), &["w:0:5", "w:5:10"]),
            (json!(10), &["w:0:10", "w:0:10"]),
            (json!(10), &["w:5:10"]),
            (json!(10), &["w:0:0"]),
            (json!(10), &["w"]),
            (json!(10), &["w:a:b"]),
        ] {
            assert!(shards(size.clone(), names).is_err(), "{size} {names:?}");
        }
    }

    #[test]
    fn the_root_digest_must_agree() {
        let mut value = files(&["a"]);
        value["subject"][0]["digest"]["sha256"] = json!("00".repeat(32));
        assert!(parse(&value).unwrap_err().contains("subject[0].digest.sha256"));
    }

    #[test]
    fn the_layout_of_version_0_2_is_off_by_default() {
        let value = json!({"_type": STATEMENT, "predicateType": PREDICATE_LEGACY,
            "subject": [{"name": "a", "digest": {"sha256": "ab".repeat(32)}}]});
        assert!(parse(&value).is_err());
        assert_eq!(Manifest::parse(value.to_string().as_bytes(), true).unwrap().files.len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300), name in ".{0,40}") {
            let _ = Manifest::parse(&bytes, true);
            let _ = parse(&files(&[&name]));
            let _ = range(&name);
        }
    }
}
