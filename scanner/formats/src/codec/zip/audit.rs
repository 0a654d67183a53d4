//! Where readers of the same archive part ways.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::codec::zip::local::LocalHeader;
use crate::codec::zip::{Listing, Member, central, end, local};
use crate::core::{FormatError, Input};

/// Most anomalies kept, over all kinds.
const ANOMALIES_MAX: usize = 4096;
/// Most members taken from gaps and other directories.
const EXTRA_MEMBERS_MAX: usize = 4096;
/// Longest data descriptor: signature, CRC-32, two 64-bit sizes.
const DESCRIPTOR_BYTES_MAX: u64 = 24;
/// Flag bits that make readers refuse a member: encrypted, patched data, strong
/// encryption, masked headers (APPNOTE 4.4.4).
const REFUSING_FLAGS: u16 = 0x2061;

/// One thing that readers disagree about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anomaly {
    /// What.
    pub kind: AnomalyKind,
    /// Where: the header concerned.
    pub offset: u64,
    /// Whose name it is about; empty for the archive itself.
    pub member: String,
    /// Evidence in words.
    pub detail: String,
}

/// What readers disagree about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnomalyKind {
    /// The member's name.
    Name,
    /// Its method, sizes, CRC-32, or where it is.
    Header,
    /// Whether its flags forbid reading it.
    Flags,
    /// Which compression method it has.
    Method,
    /// Which of several members of one name is meant.
    Duplicate,
    /// Members share bytes.
    Overlap,
    /// A member that the directory does not list.
    Hidden,
    /// Which directory counts.
    Directory,
    /// How many members there are.
    Count,
    /// The directory is missing or broken.
    Damaged,
    /// Bytes before the archive.
    Prefix,
    /// Bytes after the archive.
    Suffix,
}

/// What [`Listing::audit`] found.
#[derive(Debug, Default)]
pub struct Audit {
    /// In the order they were found.
    pub anomalies: Vec<Anomaly>,
    /// Members only other readers see: not in the directory, or in another
    /// directory.
    pub hidden: Vec<Member>,
    /// Members whose flags say encrypted.
    pub flagged: Vec<Member>,
    /// Bytes before the archive and after it.
    pub around: Vec<Range<u64>>,
}

impl Audit {
    fn add(&mut self, kind: AnomalyKind, offset: u64, member: &str, detail: impl FnOnce() -> String) {
        if self.anomalies.len() < ANOMALIES_MAX {
            self.anomalies.push(Anomaly { kind, offset, member: member.to_owned(), detail: detail() });
        }
    }
}

impl Listing {
    /// Compares what the different parts of the archive say. Reads every local
    /// header once, and the gaps between members.
    ///
    /// # Errors
    /// [`FormatError::Io`] if the source fails.
    pub fn audit(&self, input: &Input) -> Result<Audit, FormatError> {
        let mut audit = Audit::default();
        if let Some(reason) = &self.recovered {
            audit.add(AnomalyKind::Damaged, self.end_record, "", || reason.clone());
        }
        self.names(&mut audit);
        self.count(&mut audit);
        let used = self.local_headers(input, &mut audit);
        self.gaps(input, &used, &mut audit)?;
        self.other_directories(input, &used, &mut audit)?;
        Ok(audit)
    }

    fn names(&self, audit: &mut Audit) {
        let mut first: HashMap<&str, &Member> = HashMap::new();
        let mut folded: HashMap<String, &Member> = HashMap::new();
        for member in &self.members {
            if let Some((seen, _)) = member.name.split_once('\0') {
                audit.add(AnomalyKind::Name, member.central_header, &member.name, || {
                    format!("readers that stop at the NUL see `{seen}`")
                });
            }
            if let Some(other) = first.get(member.name.as_str()) {
                if (other.crc32, other.size) != (member.crc32, member.size) {
                    audit.add(AnomalyKind::Duplicate, member.central_header, &member.name, || {
                        "another member of this name has other content".into()
                    });
                }
                continue;
            }
            first.insert(&member.name, member);
            // miniz, and with it PyTorch, ignores case.
            if let Some(other) = folded.insert(member.name.to_ascii_lowercase(), member) {
                audit.add(AnomalyKind::Duplicate, member.central_header, &member.name, || {
                    format!("differs only in case from `{}`", other.name)
                });
            }
        }
    }

    fn count(&self, audit: &mut Audit) {
        let listed = self.members.len() as u64;
        // Sixteen bits hold the count; old writers let it wrap.
        if self.recovered.is_none() && !self.cut && self.counted != listed && self.counted != listed & 0xffff {
            audit.add(AnomalyKind::Count, self.end_record, "", || {
                format!("the end record counts {}, the directory holds {listed}", self.counted)
            });
        }
    }

    /// Compares each local header with its directory entry. Returns the ranges
    /// that members take, sorted.
    fn local_headers(&self, input: &Input, audit: &mut Audit) -> Vec<Range<u64>> {
        let mut order: Vec<&Member> = self.members.iter().collect();
        order.sort_by_key(|m| m.local_header);
        let mut used: Vec<Range<u64>> = Vec::with_capacity(order.len());
        for member in order {
            let header = match local::header(input, member.local_header) {
                Ok(header) => header,
                Err(error) => {
                    audit.add(AnomalyKind::Header, member.central_header, &member.name, || error.to_string());
                    continue;
                }
            };
            compare(member, &header, audit);
            if member.local_header == member.central_header {
                let end = header.data.saturating_add(member.compressed_size);
                used.push(member.local_header..end);
                continue;
            }
            if let Some(last) = used.last()
                && member.local_header < last.end
            {
                audit.add(AnomalyKind::Overlap, member.local_header, &member.name, || {
                    format!("starts {} bytes inside the member before it", last.end - member.local_header)
                });
            }
            let end = header.data.saturating_add(member.compressed_size);
            if end > self.central_start && self.recovered.is_none() {
                audit.add(AnomalyKind::Overlap, member.local_header, &member.name, || {
                    "reaches into the central directory".into()
                });
            }
            let end = end.max(used.last().map_or(0, |r| r.end));
            used.push(member.local_header..end);
        }
        used
    }

    /// Looks for members in the bytes that none is said to take.
    fn gaps(&self, input: &Input, used: &[Range<u64>], audit: &mut Audit) -> Result<(), FormatError> {
        if self.recovered.is_some() {
            return Ok(());
        }
        let mut found: Vec<Range<u64>> = Vec::new();
        let first = used.first().map_or(self.central_start, |r| r.start).min(input.len());
        if first > 0 {
            audit.add(AnomalyKind::Prefix, 0, "", || format!("{first} bytes"));
            audit.around.push(0..first);
            found.push(0..first);
        }
        let starts = used.iter().skip(1).map(|r| r.start).chain([self.central_start]);
        for (range, next) in used.iter().zip(starts) {
            if next > range.end.saturating_add(DESCRIPTOR_BYTES_MAX) {
                found.push(range.end..next);
            }
        }
        let end = self.end_record.saturating_add(end::END_BYTES as u64).saturating_add(self.comment.len() as u64);
        if end < input.len() {
            let bytes = input.len() - end;
            audit.add(AnomalyKind::Suffix, end, "", || format!("{bytes} bytes"));
            audit.around.push(end..input.len());
            found.push(end..input.len());
        }
        for gap in found {
            let left = EXTRA_MEMBERS_MAX.saturating_sub(audit.hidden.len());
            for member in local::scan(input, gap, left)? {
                audit.add(AnomalyKind::Hidden, member.local_header, &member.name, || {
                    "a local header that the directory does not list".into()
                });
                audit.hidden.push(member);
            }
        }
        Ok(())
    }

    /// Directories that other readers would use.
    fn other_directories(&self, input: &Input, used: &[Range<u64>], audit: &mut Audit) -> Result<(), FormatError> {
        let Ok(main) = end::find(input) else { return Ok(()) };
        let inside_a_member = |offset: u64| {
            let at = used.partition_point(|r| r.start <= offset);
            at.checked_sub(1).and_then(|i| used.get(i)).is_some_and(|r| offset < r.end)
        };
        let mut known: HashSet<(String, u64)> =
            self.members.iter().chain(&audit.hidden).map(|m| (m.name.clone(), m.local_header)).collect();
        for other in end::others(input, &main)? {
            // The end record of an archive stored in this one is not ours.
            if other.offset != main.offset && inside_a_member(other.offset) {
                continue;
            }
            let (listing, _) = Self::from_end(input, &other);
            if listing.members.is_empty() {
                continue;
            }
            let same = listing.members.len() == self.members.len()
                && listing.members.iter().zip(&self.members).all(|(a, b)| {
                    a.name == b.name && a.local_header == b.local_header && a.compressed_size == b.compressed_size
                });
            if same {
                continue;
            }
            audit.add(AnomalyKind::Directory, other.central_start, "", || {
                format!(
                    "{} members by the end record at {}, {} by the one used",
                    listing.members.len(),
                    other.offset,
                    self.members.len()
                )
            });
            for member in listing.members {
                if audit.hidden.len() < EXTRA_MEMBERS_MAX && known.insert((member.name.clone(), member.local_header)) {
                    audit.hidden.push(member);
                }
            }
        }
        Ok(())
    }
}

fn compare(member: &Member, header: &LocalHeader, audit: &mut Audit) {
    let name = central::text(&header.name);
    if name != member.name {
        audit.add(AnomalyKind::Name, member.local_header, &member.name, || {
            format!("the local header says `{name}` (CVE-2025-1944)")
        });
    }
    let mut differences = Vec::new();
    if header.method != member.method {
        differences.push(format!("method {} and {}", header.method, member.method));
    }
    let either = header.flags | member.flags;
    if (header.flags ^ member.flags) & REFUSING_FLAGS != 0 {
        differences.push(format!("flags {:#06x} and {:#06x}", header.flags, member.flags));
    }
    for (what, local, central) in [
        ("CRC-32", header.crc32.into(), member.crc32.into()),
        ("compressed size", header.compressed_size, member.compressed_size),
        ("size", header.size, member.size),
    ] {
        // With a descriptor they may be left at zero here (APPNOTE 4.3.7).
        if local != central && !(either & 8 != 0 && local == 0) {
            differences.push(format!("{what} {local} and {central}"));
        }
    }
    if !differences.is_empty() {
        audit.add(AnomalyKind::Header, member.local_header, &member.name, || {
            format!("local header and directory say: {}", differences.join(", "))
        });
    }
    if either & REFUSING_FLAGS != 0 && audit.flagged.len() < ANOMALIES_MAX {
        audit.flagged.push(member.clone());
    }
    // APPNOTE 4.4.5; 99 is AES and goes with the encryption flag.
    let is_known = match member.method {
        0..=10 | 12 | 14 | 16 | 18..=20 | 93..=98 => true,
        99 => either & 1 != 0,
        _ => false,
    };
    if !is_known {
        audit.add(AnomalyKind::Method, member.central_header, &member.name, || {
            format!("method {} is none that a writer uses", member.method)
        });
    }
}
