//! Git checkouts with large files in LFS: the object's name is the SHA-256 of
//! the content, the checkout names a remote and a commit.

use weighbridge_types::{Artifact, Claim, Strength};

use super::check::{self, Check};
use super::{Said, Surroundings, address, ancestors, claim, is_hex};

/// Longest pointer (git-lfs specification: below 1024 bytes).
const POINTER_BYTES_MAX: usize = 1024;
/// Largest `.git/config` read, bytes.
const CONFIG_BYTES_MAX: usize = 256 << 10;
/// Longest `HEAD` or loose reference, bytes.
const REF_BYTES_MAX: usize = 4096;
/// Largest `packed-refs` read, bytes.
const PACKED_BYTES_MAX: usize = 4 << 20;
/// Folders above a file in which its checkout may begin.
const DEPTH_MAX: usize = 16;

/// What a pointer stands for.
#[derive(Debug, PartialEq, Eq)]
pub struct Pointer {
    /// SHA-256 of the content, 64 hexadecimal digits.
    pub oid: String,
    /// Its length, bytes.
    pub size: u64,
}

/// Reads a pointer file.
pub fn pointer(bytes: &[u8]) -> Option<Pointer> {
    let text = std::str::from_utf8(bytes).ok().filter(|t| t.len() < POINTER_BYTES_MAX)?;
    let mut lines = text.lines();
    lines.next().filter(|l| *l == "version https://git-lfs.github.com/spec/v1")?;
    let (mut oid, mut size) = (None, None);
    for line in lines {
        match line.split_once(' ')? {
            ("oid", value) => oid = value.strip_prefix("sha256:").filter(|o| is_hex(o, 64)),
            ("size", value) => size = value.parse().ok(),
            _ => {}
        }
    }
    Some(Pointer { oid: oid?.to_owned(), size: size? })
}

/// The sanitised address of `origin`, or of the first remote, in a
/// `.git/config`.
pub fn remote(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut section = None;
    let mut first = None;
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.strip_prefix("remote \"").and_then(|h| h.split('"').next());
        } else if let Some(name) = section
            && let Some((key, value)) = line.split_once('=')
            && key.trim().eq_ignore_ascii_case("url")
            && let Some(url) = address::url(value.trim().trim_matches('"'))
        {
            if name == "origin" {
                return Some(url);
            }
            first.get_or_insert(url);
        }
    }
    first
}

/// What `HEAD` is.
#[derive(Debug, PartialEq, Eq)]
pub enum Head {
    /// A commit.
    Commit(String),
    /// The name of a reference, fit to be a path.
    Reference(String),
}

/// Reads `HEAD` or a loose reference.
pub fn head(bytes: &[u8]) -> Option<Head> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    if is_commit(text) {
        return Some(Head::Commit(text.to_owned()));
    }
    let name = text.strip_prefix("ref: ")?.trim();
    let plain = name.starts_with("refs/") && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
    plain.then(|| Head::Reference(name.to_owned()))
}

/// The commit of `name` in `packed-refs`.
pub fn packed(bytes: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let entry =
        |line: &str| line.split_once(' ').filter(|(c, n)| *n == name && is_commit(c)).map(|(c, _)| c.to_owned());
    text.lines().find_map(entry)
}

/// SHA-1, or SHA-256 in repositories that use it.
fn is_commit(text: &str) -> bool {
    is_hex(text, 40) || is_hex(text, 64)
}

/// The claim of the checkout in which the artifact lies, if LFS knows it.
pub fn claims(said: &mut Said, artifact: &Artifact, disk: &dyn Surroundings) {
    let found = ancestors(&artifact.path)
        .take(DEPTH_MAX)
        .find_map(|(base, rest)| Some((base, rest, disk.file(base, ".git/config", CONFIG_BYTES_MAX)?)));
    let Some((base, relative, config)) = found else { return };
    let (strength, how) = match evidence(artifact, disk, base, relative) {
        Some(Check::Same(how)) => (Strength::Content, how.to_owned()),
        Some(Check::Open(why)) => (Strength::Record, why.to_owned()),
        Some(Check::Differs) => {
            let oid = relative.rsplit('/').next().unwrap_or_default();
            said.findings.push(check::contradiction("the name of the Git LFS object", oid, artifact));
            return;
        }
        None => return,
    };
    let url = remote(&config);
    let revision = commit(disk, base);
    let purl = url.as_deref().and_then(|u| address::purl_of(u, revision.as_deref()));
    let detail = format!(
        "`{}` of a Git checkout with LFS; {how}; that the checked-out commit holds it was not looked at",
        address::text(relative)
    );
    said.claims.push(Claim { purl, url, revision, ..claim(strength, "git-lfs", detail) });
}

/// What LFS knows of the file: `None` if nothing.
fn evidence(artifact: &Artifact, disk: &dyn Surroundings, base: &str, relative: &str) -> Option<Check> {
    if let Some(object) = relative.strip_prefix(".git/lfs/objects/") {
        let oid = object.rsplit('/').next().filter(|oid| is_hex(oid, 64))?;
        return Some(check::sha256(oid, artifact));
    }
    if artifact.size_bytes < POINTER_BYTES_MAX as u64
        && disk.file(base, relative, POINTER_BYTES_MAX).is_some_and(|c| pointer(&c).is_some())
    {
        return Some(Check::Open("only the pointer is here, the content was not fetched"));
    }
    let digest = artifact.sha256?.to_string();
    let (a, b) = (digest.get(..2)?, digest.get(2..4)?);
    let object = disk.stamp(base, &format!(".git/lfs/objects/{a}/{b}/{digest}"))?;
    (object.len == artifact.size_bytes).then_some(Check::Same("the LFS store holds an object of this SHA-256"))
}

/// The commit that is checked out.
fn commit(disk: &dyn Surroundings, base: &str) -> Option<String> {
    let name = match head(&disk.file(base, ".git/HEAD", REF_BYTES_MAX)?)? {
        Head::Commit(commit) => return Some(commit),
        Head::Reference(name) => name,
    };
    let loose = disk.file(base, &format!(".git/{name}"), REF_BYTES_MAX).and_then(|c| head(&c));
    match loose {
        Some(Head::Commit(commit)) => Some(commit),
        _ => packed(&disk.file(base, ".git/packed-refs", PACKED_BYTES_MAX)?, &name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_exact() {
        let oid = "4".repeat(64);
        let text = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12345\n");
        assert_eq!(pointer(text.as_bytes()), Some(Pointer { oid, size: 12_345 }));
        assert_eq!(pointer(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"), None);
        assert_eq!(pointer(b"hello"), None);
    }

    #[test]
    fn the_remote_is_found_and_its_password_is_not_shown() {
        let config = b"[core]\n\turl = https://no.example/x\n[remote \"fork\"]\n\turl = git@github.com:o/fork.git\n\
                       [remote \"origin\"]\n\turl = https://user:hf_SECRET@huggingface.co/o/n\n\tfetch = +refs\n";
        assert_eq!(remote(config).as_deref(), Some("https://huggingface.co/o/n"));
        assert_eq!(remote(b"[remote \"a\"]\nurl = /srv/x\n"), None);
    }

    #[test]
    fn heads_never_lead_elsewhere() {
        let commit = "5".repeat(40);
        assert_eq!(head(format!("{commit}\n").as_bytes()), Some(Head::Commit(commit.clone())));
        assert_eq!(head(b"ref: refs/heads/main\n"), Some(Head::Reference("refs/heads/main".to_owned())));
        for bad in ["ref: ../../etc/passwd", "ref: refs/../../x", "ref: refs//x", "ref: /etc/passwd", ""] {
            assert_eq!(head(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(
            packed(format!("# pack-refs\n{commit} refs/heads/main\n").as_bytes(), "refs/heads/main"),
            Some(commit)
        );
    }
}
