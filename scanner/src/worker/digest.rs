use std::io;
use std::ops::Range;

use sha2::Digest;
use weighbridge_formats::ContentScanner;
use weighbridge_types::{Finding, Sha256};

use super::source::{FileSource, read_full};

/// Bytes read, digested and searched at a time. A multiple of the source's
/// block size.
const CHUNK_BYTES: usize = 512 * 1024;
/// Bytes of a chunk searched again with the next, so that a pattern across
/// the seam is seen.
const OVERLAP_BYTES: usize = 4096;

/// What one pass over a file yields.
pub struct Pass {
    pub sha256: Sha256,
    pub bytes: u64,
    /// Pattern hits, with offsets in the file.
    pub hits: Vec<Finding>,
    /// Parsers had been shown other bytes than these.
    pub changed: bool,
}

/// Digests `source` from start to end and looks for patterns outside the
/// `opaque` ranges on the way.
pub fn file(
    source: &FileSource,
    len: u64,
    opaque: &[Range<u64>],
    content: &dyn ContentScanner,
    progress: &dyn Fn(u64),
) -> io::Result<Pass> {
    let mut search = Search::new(opaque, content, len);
    let mut hasher = sha2::Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = 0;
    let mut changed = false;
    loop {
        let n = read_full(source.file(), at, &mut chunk)?;
        let data = chunk.get(..n).unwrap_or_default();
        if data.is_empty() {
            break;
        }
        hasher.update(data);
        for (i, block) in data.chunks(FileSource::block_bytes()).enumerate() {
            changed |= !source.agrees(at / FileSource::block_bytes() as u64 + i as u64, block);
        }
        search.feed(at, data);
        at += n as u64;
        progress(n as u64);
    }
    Ok(Pass {
        sha256: Sha256::new(hasher.finalize().into()),
        bytes: at,
        hits: search.hits,
        changed: changed || at != len,
    })
}

/// Digests and searches content already in memory.
pub fn memory(data: &[u8], opaque: &[Range<u64>], content: &dyn ContentScanner) -> Pass {
    let mut search = Search::new(opaque, content, data.len() as u64);
    for (i, chunk) in data.chunks(CHUNK_BYTES).enumerate() {
        search.feed((i * CHUNK_BYTES) as u64, chunk);
    }
    Pass {
        sha256: Sha256::new(sha2::Sha256::digest(data).into()),
        bytes: data.len() as u64,
        hits: search.hits,
        changed: false,
    }
}

/// Looks for patterns in consecutive chunks, outside opaque ranges.
struct Search<'a> {
    opaque: &'a [Range<u64>],
    content: &'a dyn ContentScanner,
    len: u64,
    /// End of the last searched chunk, to be searched again with the next.
    carry: Vec<u8>,
    carry_end: u64,
    hits: Vec<Finding>,
}

impl<'a> Search<'a> {
    fn new(opaque: &'a [Range<u64>], content: &'a dyn ContentScanner, len: u64) -> Self {
        Self { opaque, content, len, carry: Vec::new(), carry_end: 0, hits: Vec::new() }
    }

    fn feed(&mut self, start: u64, data: &[u8]) {
        let end = start + data.len() as u64;
        let mut at = start;
        while at < end {
            // Opaque ranges are sorted; drop those that lie behind.
            while let Some((first, rest)) = self.opaque.split_first()
                && first.end <= at
            {
                self.opaque = rest;
            }
            let (stop, skip_to) = match self.opaque.first() {
                Some(range) if range.start <= at => (at, range.end.min(end)),
                Some(range) if range.start < end => (range.start, range.start),
                _ => (end, end),
            };
            if stop > at {
                let part = data.get(index(at - start)..index(stop - start)).unwrap_or_default();
                self.search(at, part);
            }
            at = stop.max(skip_to);
        }
    }

    fn search(&mut self, at: u64, part: &[u8]) {
        let joined;
        let (base, window) = if self.carry_end == at && !self.carry.is_empty() {
            let mut with_carry = std::mem::take(&mut self.carry);
            let base = at - with_carry.len() as u64;
            with_carry.extend_from_slice(part);
            joined = with_carry;
            (base, joined.as_slice())
        } else {
            (at, part)
        };
        for hit in self.content.scan(window, base, self.len) {
            let mut finding = hit.finding;
            finding.offset = finding.offset.map(|o| o + base);
            // Searched twice in the overlap, reported once.
            if !self.hits.iter().any(|h| h.rule == finding.rule && h.offset == finding.offset) {
                self.hits.push(finding);
            }
        }
        self.carry = window.get(window.len().saturating_sub(OVERLAP_BYTES)..).unwrap_or_default().to_vec();
        self.carry_end = at + part.len() as u64;
    }
}

fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weighbridge_formats::ContentMatch;
    use weighbridge_types::{Rule, Severity, Verdict};

    static NEEDLE: Rule = Rule {
        id: "needle",
        severity: Severity::Low,
        verdict: Verdict::Clean,
        title: "t",
        what: "w",
        why: "w",
        false_positives: "f",
        remedy: "r",
        references: &[],
    };

    struct Needle;
    impl ContentScanner for Needle {
        fn scan(&self, window: &[u8], _: u64, _: u64) -> Vec<ContentMatch> {
            let found = window.windows(6).position(|w| w == b"needle");
            found.map(|at| ContentMatch { finding: Finding::new(&NEEDLE, "x").at(at as u64) }).into_iter().collect()
        }
    }

    #[test]
    fn a_pattern_across_the_seam_is_found_once() {
        let mut data = vec![b'.'; CHUNK_BYTES * 2];
        data[CHUNK_BYTES - 3..CHUNK_BYTES + 3].copy_from_slice(b"needle");
        let pass = memory(&data, &[], &Needle);
        assert_eq!(pass.hits.iter().map(|h| h.offset).collect::<Vec<_>>(), [Some(CHUNK_BYTES as u64 - 3)]);
    }

    #[test]
    fn opaque_ranges_are_not_searched() {
        let mut data = vec![b'.'; CHUNK_BYTES + 1000];
        data[50..56].copy_from_slice(b"needle");
        data[CHUNK_BYTES + 500..CHUNK_BYTES + 506].copy_from_slice(b"needle");
        let opaque = [40..CHUNK_BYTES as u64 + 10];
        let pass = memory(&data, &opaque, &Needle);
        assert_eq!(pass.hits.iter().map(|h| h.offset).collect::<Vec<_>>(), [Some(CHUNK_BYTES as u64 + 500)]);
        assert_eq!(memory(&data, &[0..data.len() as u64], &Needle).hits.len(), 0);
    }
}
