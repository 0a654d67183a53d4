//! Local file headers (APPNOTE 4.3.7): what a reader sees that goes through
//! the archive from front to back.

use std::ops::Range;

use crate::codec::zip::{Member, central};
use crate::core::{FormatError, Input, Reader};

/// Bytes of a local header without its variable parts.
const HEADER_BYTES: usize = 30;
/// Bytes searched for signatures in one archive before the rest is left alone.
const SEARCH_BYTES_MAX: u64 = 1 << 30;
/// Bytes searched at a time.
const WINDOW_BYTES: usize = 1 << 20;

/// A local header.
#[derive(Debug, Clone)]
pub(super) struct LocalHeader {
    pub name: Vec<u8>,
    pub flags: u16,
    pub method: u16,
    pub crc32: u32,
    pub compressed_size: u64,
    pub size: u64,
    /// Offset of the member's data.
    pub data: u64,
}

impl LocalHeader {
    /// Whether sizes and CRC follow the data (flag bit 3) instead of standing
    /// in the header.
    pub(super) fn has_descriptor(&self) -> bool {
        self.flags & 8 != 0
    }

    /// Whether this looks like a header and not like four bytes of code or
    /// tensor data that happen to be the signature.
    fn is_plausible(&self) -> bool {
        matches!(self.method, 0..=20 | 93..=99)
            && !self.name.is_empty()
            && self.name.iter().all(|b| *b >= 0x20)
            && self.flags & 0x1780 == 0
    }
}

/// The local header at `offset`. Reads little: archives have many of them.
pub(super) fn header(input: &Input, offset: u64) -> Result<LocalHeader, FormatError> {
    let io = |source| FormatError::Io { offset, source };
    let fixed = input.read_vec(offset, HEADER_BYTES + 64).map_err(io)?;
    let fixed_input = Input::bytes(fixed);
    let mut r = Reader::new(&fixed_input);
    if r.remaining() < HEADER_BYTES as u64 {
        return Err(FormatError::truncated("local header", offset));
    }
    if r.peek(4)? != b"PK\x03\x04" {
        return Err(FormatError::malformed("local header", offset, "another signature"));
    }
    r.skip(6, "signature and version")?;
    let flags = r.u16_le("flags")?;
    let method = r.u16_le("compression method")?;
    r.skip(4, "time and date")?;
    let crc32 = r.u32_le("crc-32")?;
    let compressed_size = u64::from(r.u32_le("compressed size")?);
    let size = u64::from(r.u32_le("uncompressed size")?);
    let name_len = r.u16_le("file name length")?;
    let extra_len = r.u16_le("extra field length")?;
    let variable = usize::from(name_len) + usize::from(extra_len);
    let at = offset + HEADER_BYTES as u64;
    let data = at + variable as u64;
    if data > input.len() {
        return Err(FormatError::truncated("local file name", at));
    }
    let rest = if variable <= 64 && fixed_input.len() >= (HEADER_BYTES + variable) as u64 {
        r.bytes(variable as u64, variable, "local file name")?
    } else {
        input.read_vec(at, variable).map_err(io)?
    };
    let (name, extra) = rest.split_at_checked(name_len.into()).unwrap_or((&rest, &[]));
    let [size, compressed_size] = central::zip64(extra, [size, compressed_size]);
    Ok(LocalHeader { name: name.to_vec(), flags, method, crc32, compressed_size, size, data })
}

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";

/// Members by the local headers found in `range`, at most `max`, in order.
///
/// # Errors
/// [`FormatError::Io`] if the source fails.
pub(super) fn scan(input: &Input, range: Range<u64>, max: usize) -> Result<Vec<Member>, FormatError> {
    let mut out: Vec<Member> = Vec::new();
    let mut search = Search { input, left: SEARCH_BYTES_MAX };
    let mut at = range.start;
    while out.len() < max {
        let Some(offset) = search.find(at..range.end, &[LOCAL])? else { break };
        let Ok(header) = header(input, offset) else {
            at = offset + 4;
            continue;
        };
        if !header.is_plausible() {
            at = offset + 4;
            continue;
        }
        let mut end = header.data.saturating_add(header.compressed_size);
        let mut compressed_size = header.compressed_size;
        if header.has_descriptor() && compressed_size == 0 {
            end = search.find(header.data..range.end, &[DESCRIPTOR, LOCAL, CENTRAL])?.unwrap_or(range.end);
            compressed_size = end.saturating_sub(header.data);
        }
        out.push(Member {
            name: central::text(&header.name),
            flags: header.flags,
            method: header.method,
            crc32: header.crc32,
            compressed_size,
            size: if header.size == 0 && header.method == 0 { compressed_size } else { header.size },
            external_attributes: 0,
            local_header: offset,
            central_header: offset,
        });
        // A size that leads out of the range is no guide to the next header.
        at = if end > range.end { header.data.min(range.end) } else { end.max(offset + 4) };
    }
    Ok(out)
}

/// A search for signatures with a budget: linear, whatever is there.
struct Search<'a> {
    input: &'a Input,
    left: u64,
}

impl Search<'_> {
    /// The first of `signatures`, all of which start with `PK`.
    fn find(&mut self, range: Range<u64>, signatures: &[[u8; 4]]) -> Result<Option<u64>, FormatError> {
        let end = range.end.min(range.start.saturating_add(self.left));
        let mut at = range.start;
        // Most often it stands right there.
        let mut window_bytes = 64;
        while at < end {
            let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(window_bytes);
            let window = self.input.read_vec(at, want).map_err(|source| FormatError::Io { offset: at, source })?;
            let hit = memchr::memmem::find_iter(&window, b"PK")
                .find(|i| window.get(*i..*i + 4).is_some_and(|found| signatures.iter().any(|s| s == found)));
            if let Some(hit) = hit {
                self.left = self.left.saturating_sub(hit as u64);
                return Ok(Some(at + hit as u64));
            }
            let last = window.len() < want || at + want as u64 >= end;
            let step = if last { window.len() } else { want.saturating_sub(3) };
            self.left = self.left.saturating_sub(step as u64);
            if last || step == 0 {
                break;
            }
            at += step as u64;
            window_bytes = WINDOW_BYTES;
        }
        Ok(None)
    }
}
