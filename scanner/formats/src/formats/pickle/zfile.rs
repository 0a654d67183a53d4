//! joblib's own compressed files (before 0.10): `ZF`, the unpacked length in
//! hexadecimal, a zlib stream.

use std::io::Read;

use crate::codec::stream::{self, InputReader};
use crate::core::{Confidence, FormatError, Input, Inspection, Sniff};

/// The longest header: `ZF` and the length, padded with blanks to a width that
/// changed between versions.
const HEADER_BYTES: u64 = 24;
/// The shortest header.
const HEADER_BYTES_MIN: u64 = 16;
/// First byte of a zlib stream with the usual window.
const ZLIB: u8 = 0x78;

/// Recognises the header.
#[must_use]
pub fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if sniff.starts_with(b"ZF0x") { Confidence::Likely } else { Confidence::No }
}

/// Unpacks and inspects the content.
///
/// # Errors
/// [`FormatError::Malformed`] if nothing could be unpacked.
pub fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let head = input.read_vec(0, 64).map_err(|source| FormatError::Io { offset: 0, source })?;
    let start = (HEADER_BYTES_MIN..=HEADER_BYTES)
        .rev()
        .find(|at| usize::try_from(*at).ok().and_then(|at| head.get(at)) == Some(&ZLIB))
        .ok_or_else(|| FormatError::malformed("zlib stream", HEADER_BYTES, "it does not begin"))?;
    let packed = input.tail_from(start);
    let open =
        move || -> Box<dyn Read> { Box::new(flate2::bufread::ZlibDecoder::new(InputReader::buffered(packed.clone()))) };
    let (content, stopped) = stream::unpack(ctx, open)?;
    ctx.child("content", &content);
    if let Some(error) = stopped {
        ctx.stopped(&error);
    }
    Ok(())
}
