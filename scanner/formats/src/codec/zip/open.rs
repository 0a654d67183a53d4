use std::io::Read;

use crate::codec::decompress::Codec;
use crate::codec::stream::{self, Head};
use crate::codec::zip::{Listing, Member, local, rules};
use crate::core::{FormatError, Input, Inspection};

/// Largest stored member whose CRC-32 is checked unless everything is: larger
/// ones are tensors.
const STORED_CRC_BYTES_MAX: u64 = 4 << 20;

/// The packed bytes of a member and how to unpack them.
struct Packed {
    raw: Input,
    /// `None`: stored.
    codec: Option<Codec>,
    stopped: Option<FormatError>,
}

impl Listing {
    /// The content of `member`: a window of the archive if stored, unpacked
    /// under the budgets otherwise. What breaks off is returned as far as it
    /// goes, with the error. A wrong CRC-32 or length is a finding, not an
    /// error: loaders that skip these checks read the member all the same.
    /// So they do if its encryption flag is set while it is not encrypted.
    ///
    /// # Errors
    /// [`FormatError::Malformed`] for methods that are not known and real
    /// encryption, and whatever the local header does wrong.
    pub fn open(
        &self,
        ctx: &mut Inspection<'_>,
        input: &Input,
        member: &Member,
    ) -> Result<(Input, Option<FormatError>), FormatError> {
        let Packed { raw, codec, stopped } = self.packed(input, member)?;
        let Some(codec) = codec else {
            if stopped.is_none() {
                self.check_stored(ctx, member, &raw)?;
            }
            return Ok((raw, stopped));
        };
        let mut crc = crc32fast::Hasher::new();
        let mut len = 0u64;
        let (content, broken) = stream::unpack_observed(
            ctx,
            move || codec.open(raw.clone()),
            |bytes| {
                crc.update(bytes);
                len += bytes.len() as u64;
            },
        )?;
        if broken.is_none() && stopped.is_none() {
            self.report_content(ctx, member, len, crc.finalize());
        } else if member.flags & 1 != 0 && len == 0 {
            return Err(FormatError::malformed("member data", member.local_header, "encrypted"));
        }
        Ok((content, broken.or(stopped)))
    }

    /// The first bytes of `member`, enough to tell what it is.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn peek(
        &self,
        ctx: &mut Inspection<'_>,
        input: &Input,
        member: &Member,
        max: usize,
    ) -> Result<Head, FormatError> {
        let Packed { raw, codec, stopped } = self.packed(input, member)?;
        if let Some(codec) = codec {
            return stream::head(ctx, codec.open(raw), max);
        }
        let bytes = raw.head(max).map_err(|source| FormatError::Io { offset: member.local_header, source })?;
        Ok(Head { complete: bytes.len() as u64 == raw.len(), bytes, stopped })
    }

    /// Whether a member whose flags say encrypted is in fact plain, so that
    /// loaders that ignore the flags read it (CVE-2025-1945).
    pub(super) fn is_plain(&self, ctx: &mut Inspection<'_>, input: &Input, member: &Member) -> bool {
        let Ok(Packed { raw, codec, stopped: None }) = self.packed(input, member) else { return false };
        match codec {
            // Encryption as in APPNOTE 6.1 adds a header of twelve bytes.
            None => raw.len() == member.size,
            Some(codec) => stream::head(ctx, codec.open(raw).take(1 << 16), 1 << 16)
                .is_ok_and(|head| head.stopped.is_none() && (!head.bytes.is_empty() || member.size == 0)),
        }
    }

    /// Checks the CRC-32 of a stored member of moderate size.
    fn check_stored(&self, ctx: &mut Inspection<'_>, member: &Member, raw: &Input) -> Result<(), FormatError> {
        if raw.len() > STORED_CRC_BYTES_MAX && !ctx.options().deep {
            return Ok(());
        }
        let mut crc = crc32fast::Hasher::new();
        let mut at = 0;
        while at < raw.len() {
            let part = raw.read_vec(at, 1 << 20).map_err(|source| FormatError::Io { offset: at, source })?;
            if part.is_empty() {
                break;
            }
            crc.update(&part);
            at += part.len() as u64;
        }
        self.report_content(ctx, member, at, crc.finalize());
        Ok(())
    }

    fn report_content(&self, ctx: &mut Inspection<'_>, member: &Member, len: u64, crc32: u32) {
        // A member recovered from its local header alone may have neither.
        let known = member.central_header != member.local_header || member.crc32 != 0;
        if known && self.checksummed && crc32 != member.crc32 {
            let detail = format!("`{}`: CRC-32 is {crc32:08x}, the directory says {:08x}", member.name, member.crc32);
            ctx.find(&rules::BAD_CRC, member.central_header, detail);
        }
        if known && len != member.size {
            let detail = format!("`{}`: {len} bytes, the directory says {}", member.name, member.size);
            ctx.find(&rules::SIZE_LIES, member.central_header, detail);
        }
    }

    fn packed(&self, input: &Input, member: &Member) -> Result<Packed, FormatError> {
        let header = local::header(input, member.local_header)?;
        let (raw, stopped) = match input.slice(header.data, member.compressed_size) {
            Some(raw) => (raw, None),
            None => {
                // Up to the directory, so that the archive is not found in itself.
                let end =
                    if self.central_start > header.data { self.central_start.min(input.len()) } else { input.len() };
                let rest = input.slice(header.data, end.saturating_sub(header.data));
                let rest = rest.unwrap_or_else(|| input.tail_from(input.len()));
                (rest, Some(FormatError::truncated("member data", header.data)))
            }
        };
        let codec = match member.method {
            0 => None,
            8 => Some(Codec::Deflate),
            12 => Some(Codec::Bzip2),
            14 => Some(Codec::ZipLzma(if member.flags & 2 != 0 { u64::MAX } else { member.size })),
            93 => Some(Codec::Zstd),
            95 => Some(Codec::Xz),
            // A method nobody knows over bytes that are plainly there.
            _ if member.flags & 1 == 0 && member.size == member.compressed_size && stopped.is_none() => None,
            method => {
                let reason = if method == 99 {
                    "encrypted (AES)".to_owned()
                } else {
                    format!("method {method} cannot be unpacked here")
                };
                return Err(FormatError::malformed("compression method", member.central_header, reason));
            }
        };
        Ok(Packed { raw, codec, stopped })
    }
}
