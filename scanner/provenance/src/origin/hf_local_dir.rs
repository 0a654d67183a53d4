//! Downloads of the Hugging Face client into a folder: beside the files,
//! `.cache/huggingface/download/<path>.metadata` holds commit, entity tag and
//! time, a line each.

use weighbridge_types::{Artifact, Claim, Strength};

use super::check::{self, Check};
use super::{Said, Surroundings, ancestors, claim, is_hex};

/// Longest record, bytes.
const RECORD_BYTES_MAX: usize = 1024;
/// Folders above a file in which its download may have begun.
const DEPTH_MAX: usize = 8;
/// Slack of the client's own comparison of times.
const SLACK_NS: i128 = 1_000_000_000;

/// What a record says.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// 40 hexadecimal digits.
    pub commit: String,
    /// Entity tag of the file.
    pub etag: String,
    /// When it was written, nanoseconds since 1970.
    pub written_ns: i128,
}

/// Reads a record.
pub fn parse(bytes: &[u8]) -> Option<Record> {
    let text = std::str::from_utf8(bytes).ok().filter(|t| t.len() <= RECORD_BYTES_MAX)?;
    let mut lines = text.lines().map(str::trim);
    let commit = lines.next().filter(|c| is_hex(c, 40))?;
    let etag = lines.next().filter(|e| !e.is_empty() && e.len() <= 128 && e.bytes().all(|b| b.is_ascii_graphic()))?;
    Some(Record {
        commit: commit.to_owned(),
        etag: etag.trim_matches('"').to_owned(),
        written_ns: seconds(lines.next()?)?,
    })
}

/// Decimal seconds as nanoseconds, digits beyond those dropped.
fn seconds(text: &str) -> Option<i128> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 12 || part.len() > 30 || !digits(whole) || !digits(part) {
        return None;
    }
    let mut nanoseconds = whole.parse::<i128>().ok()?;
    for at in 0..9 {
        let digit = part.as_bytes().get(at).map_or(0, |b| b - b'0');
        nanoseconds = nanoseconds * 10 + i128::from(digit);
    }
    Some(nanoseconds)
}

/// The claim of the nearest record about the artifact.
pub fn claims(said: &mut Said, artifact: &Artifact, disk: &dyn Surroundings) {
    let found = ancestors(&artifact.path).take(DEPTH_MAX).find_map(|(base, relative)| {
        let path = format!(".cache/huggingface/download/{relative}.metadata");
        let record = parse(&disk.file(base, &path, RECORD_BYTES_MAX)?)?;
        Some((base, relative, record))
    });
    let Some((base, relative, record)) = found else { return };
    let fresh = disk.stamp(base, relative).is_some_and(|s| s.mtime_ns - SLACK_NS <= record.written_ns);
    let (strength, how) = if fresh {
        match check::etag(&record.etag, artifact, disk, base, relative) {
            Check::Same(how) => (Strength::Content, how),
            Check::Open(why) => (Strength::Record, why),
            Check::Differs => {
                let name = "the download record of the Hugging Face client";
                said.findings.push(check::contradiction(name, &record.etag, artifact));
                return;
            }
        }
    } else {
        (Strength::Hint, "the file was modified after the record was written, which the client takes for void")
    };
    let detail = format!("a download record of the Hugging Face client, which does not name the repository; {how}");
    said.claims.push(Claim { revision: Some(record.commit), ..claim(strength, "hf-local-dir", detail) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_three_lines() {
        let commit = "c".repeat(40);
        let record = parse(format!("{commit}\nabc\n1712656091.123456\n").as_bytes()).unwrap();
        assert_eq!(record.written_ns, 1_712_656_091_123_456_000);
        assert_eq!(record.etag, "abc");
        for bad in ["", "main\nabc\n1\n", &format!("{commit}\nabc\n"), &format!("{commit}\nabc\n-1\n")] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(seconds("1e9"), None);
        assert_eq!(seconds("5"), Some(5_000_000_000));
    }
}
