use std::io::Read;

use crate::codec::stream::{self, InputReader};
use crate::core::{FormatError, Input, Inspection, Reader};

/// Bytes of an end-of-central-directory record without its comment.
const EOCD_BYTES: u64 = 22;
/// Longest archive comment (16-bit length).
const COMMENT_BYTES_MAX: usize = 0xffff;
/// Bytes of a central directory header without its variable parts.
const CENTRAL_BYTES_MIN: u64 = 46;
/// Most members listed.
const MEMBERS_MAX: u64 = 1_000_000;
/// Longest name or extra field (16-bit length).
const NAME_BYTES_MAX: usize = 0xffff;

/// One member as the central directory describes it.
#[derive(Debug, Clone)]
pub struct Member {
    /// Name, UTF-8 or CP437 decoded lossily; as stored, not cleaned.
    pub name: String,
    /// General purpose bit flags.
    pub flags: u16,
    /// Compression method: 0 stored, 8 deflated, 12 bzip2, 14 LZMA, 93 Zstandard, 95 XZ.
    pub method: u16,
    /// CRC-32 of the content.
    pub crc32: u32,
    /// Bytes in the archive.
    pub compressed_size: u64,
    /// Bytes of the content.
    pub size: u64,
    /// Upper 16 bits hold the Unix mode if made on Unix.
    pub external_attributes: u32,
    /// Offset of the local header, corrected for data before the archive.
    pub local_header: u64,
    /// Offset of the central directory header.
    pub central_header: u64,
}

/// A ZIP archive's table of contents.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Members in the order of the central directory.
    pub members: Vec<Member>,
    /// Bytes before the archive proper.
    pub prefix_bytes: u64,
    /// Offset of the central directory.
    pub central_start: u64,
    /// Offset of the end-of-central-directory record.
    pub end_record: u64,
    /// Archive comment.
    pub comment: Vec<u8>,
}

impl Listing {
    /// Reads the table of contents.
    ///
    /// # Errors
    /// [`FormatError::Malformed`] if there is no archive, and whatever stops
    /// the parse.
    pub fn read(input: &Input) -> Result<Self, FormatError> {
        let end = find_end(input)?;
        let mut listing = Self {
            prefix_bytes: end.prefix,
            central_start: end.central_start,
            end_record: end.offset,
            comment: end.comment,
            members: Vec::new(),
        };
        let mut r = Reader::at(input, end.central_start);
        r.check_count(end.entries.min(MEMBERS_MAX), MEMBERS_MAX, CENTRAL_BYTES_MIN, "total entries")?;
        while r.position() < end.central_start + end.central_bytes && (listing.members.len() as u64) < MEMBERS_MAX {
            listing.members.push(central_header(&mut r, end.prefix)?);
        }
        Ok(listing)
    }

    /// The first member of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|m| m.name == name)
    }

    /// Whether some member's name ends with `suffix`.
    #[must_use]
    pub fn any_ends_with(&self, suffix: &str) -> bool {
        self.members.iter().any(|m| m.name.ends_with(suffix))
    }

    /// The content of `member`: a window of the archive if stored, unpacked
    /// under the budgets otherwise. What breaks off is returned as far as it
    /// goes, with the error.
    ///
    /// # Errors
    /// [`FormatError::Malformed`] for methods that are not known or
    /// encryption, and whatever the local header does wrong.
    pub fn open(
        &self,
        ctx: &mut Inspection<'_>,
        input: &Input,
        member: &Member,
    ) -> Result<(Input, Option<FormatError>), FormatError> {
        let mut r = Reader::at(input, member.local_header);
        r.magic(b"PK\x03\x04")?;
        r.skip(22, "local header")?;
        let name = r.u16_le("local file name length")?;
        let extra = r.u16_le("local extra field length")?;
        r.skip(u64::from(name) + u64::from(extra), "local file name")?;
        let data = r.position();
        let raw =
            input.slice(data, member.compressed_size).ok_or_else(|| FormatError::truncated("member data", data))?;
        let method = member.method;
        match method {
            0 => Ok((raw, None)),
            8 => stream::unpack(ctx, move || -> Box<dyn Read> {
                Box::new(flate2::bufread::DeflateDecoder::new(InputReader::buffered(raw.clone())))
            }),
            12 => stream::unpack(ctx, move || -> Box<dyn Read> {
                Box::new(bzip2::bufread::BzDecoder::new(InputReader::buffered(raw.clone())))
            }),
            _ => Err(FormatError::malformed(
                "compression method",
                member.central_header,
                format!("method {method} is not known"),
            )),
        }
    }
}

struct End {
    offset: u64,
    prefix: u64,
    central_start: u64,
    central_bytes: u64,
    entries: u64,
    comment: Vec<u8>,
}

/// Finds the end record the way CPython does: at the very end without a
/// comment, else the last signature in the last 64 KiB.
fn find_end(input: &Input) -> Result<End, FormatError> {
    let tail =
        input.tail(COMMENT_BYTES_MAX + EOCD_BYTES as usize).map_err(|source| FormatError::Io { offset: 0, source })?;
    let tail_start = input.len() - tail.len() as u64;
    let exact = tail
        .len()
        .checked_sub(22)
        .filter(|at| tail.get(*at..).is_some_and(|t| t.starts_with(b"PK\x05\x06") && t.ends_with(b"\0\0")));
    let at = exact
        .or_else(|| memchr::memmem::rfind(&tail, b"PK\x05\x06"))
        .ok_or_else(|| FormatError::malformed("end of central directory", input.len(), "no such record"))?;
    let offset = tail_start + at as u64;
    let mut r = Reader::at(input, offset);
    r.magic(b"PK\x05\x06")?;
    r.skip(6, "disk numbers")?;
    let mut entries = u64::from(r.u16_le("total entries")?);
    let mut central_bytes = u64::from(r.u32_le("central directory size")?);
    let mut central_at = u64::from(r.u32_le("central directory offset")?);
    let comment_len = r.u16_le("comment length")?;
    let comment = r.bytes(u64::from(comment_len).min(r.remaining()), COMMENT_BYTES_MAX, "comment")?;
    let mut end_of_central = offset;
    if let Some(z) = zip64_end(input, offset)? {
        (entries, central_bytes, central_at, end_of_central) = z;
    }
    let central_start = end_of_central
        .checked_sub(central_bytes)
        .ok_or_else(|| FormatError::malformed("central directory size", offset, "larger than the file"))?;
    let prefix = central_start
        .checked_sub(central_at)
        .ok_or_else(|| FormatError::malformed("central directory offset", offset, "beyond the central directory"))?;
    Ok(End { offset, prefix, central_start, central_bytes, entries, comment })
}

/// ZIP64 end record, if a locator stands right before the end record.
fn zip64_end(input: &Input, end: u64) -> Result<Option<(u64, u64, u64, u64)>, FormatError> {
    let Some(locator) = end.checked_sub(20) else { return Ok(None) };
    let mut r = Reader::at(input, locator);
    if r.peek(4)? != b"PK\x06\x07" {
        return Ok(None);
    }
    // CPython looks right before the locator, wherever the locator points.
    let Some(record) = locator.checked_sub(56) else { return Ok(None) };
    r.seek(record, "zip64 end record")?;
    if r.peek(4)? != b"PK\x06\x06" {
        return Ok(None);
    }
    r.skip(24, "zip64 end record")?;
    r.skip(8, "zip64 entries on this disk")?;
    let entries = r.u64_le("zip64 total entries")?;
    let bytes = r.u64_le("zip64 central directory size")?;
    let start = r.u64_le("zip64 central directory offset")?;
    Ok(Some((entries, bytes, start, record)))
}

fn central_header(r: &mut Reader<'_>, prefix: u64) -> Result<Member, FormatError> {
    let central_header = r.position();
    r.magic(b"PK\x01\x02")?;
    r.skip(4, "versions")?;
    let flags = r.u16_le("flags")?;
    let method = r.u16_le("compression method")?;
    r.skip(4, "time and date")?;
    let crc32 = r.u32_le("crc-32")?;
    let mut compressed_size = u64::from(r.u32_le("compressed size")?);
    let mut size = u64::from(r.u32_le("uncompressed size")?);
    let name_len = r.u16_le("file name length")?;
    let extra_len = r.u16_le("extra field length")?;
    let comment_len = r.u16_le("file comment length")?;
    r.skip(4, "disk and internal attributes")?;
    let external_attributes = r.u32_le("external attributes")?;
    let mut local = u64::from(r.u32_le("local header offset")?);
    let name = r.bytes(name_len.into(), NAME_BYTES_MAX, "file name")?;
    let extra = r.bytes(extra_len.into(), NAME_BYTES_MAX, "extra field")?;
    r.skip(comment_len.into(), "file comment")?;
    zip64_extra(&extra, &mut size, &mut compressed_size, &mut local);
    let local_header = local
        .checked_add(prefix)
        .ok_or_else(|| FormatError::malformed("local header offset", central_header, "overflows"))?;
    Ok(Member {
        name: String::from_utf8_lossy(&name).into_owned(),
        flags,
        method,
        crc32,
        compressed_size,
        size,
        external_attributes,
        local_header,
        central_header,
    })
}

/// Takes 64-bit values from the ZIP64 extra field (header 0x0001) for each
/// 32-bit field that is all ones.
fn zip64_extra(mut extra: &[u8], size: &mut u64, compressed: &mut u64, local: &mut u64) {
    while let Some((header, rest)) = extra.split_first_chunk::<4>() {
        let [id0, id1, len0, len1] = *header;
        let len = usize::from(u16::from_le_bytes([len0, len1]));
        let Some((body, next)) = rest.split_at_checked(len) else { return };
        if u16::from_le_bytes([id0, id1]) == 1 {
            let mut values = body.chunks_exact(8).filter_map(|c| c.first_chunk().map(|c| u64::from_le_bytes(*c)));
            for field in [size, compressed, local] {
                if *field == 0xffff_ffff
                    && let Some(value) = values.next()
                {
                    *field = value;
                }
            }
            return;
        }
        extra = next;
    }
}
