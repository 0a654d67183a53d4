//! Compressed files: gzip, bzip2, xz, LZMA, Zstandard, LZ4, zlib. What is in
//! them decides; a log or a source archive yields nothing and costs little.

mod inspect;

use weighbridge_types::Rule;

use crate::codec::archive;
use crate::codec::decompress::{Codec, is_zlib_header};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

const RULES: &[&Rule] = &[&archive::rules::BOMB];

macro_rules! compressed {
    ($(#[doc = $doc:literal] $static:ident $id:literal $name:literal $extensions:expr, $codec:expr, $recognise:expr;)*) => {$(
        #[doc = $doc]
        pub static $static: FormatSpec = FormatSpec {
            id: $id,
            name: $name,
            extensions: $extensions,
            runs_code: false,
            is_model: false,
            scope: Scope::Anywhere,
            recognise: Recognise::Bytes($recognise),
            inspect: |ctx: &mut Inspection<'_>, input: &Input| -> Result<(), FormatError> {
                inspect::inspect(ctx, input, $codec)
            },
            rules: RULES,
        };
    )*};
}

compressed! {
    /// RFC 1952.
    GZIP "gzip" "gzip file" &["gz", "tgz", "rds", "rda", "rdata", "robj"], Codec::Gzip, gzip;
    /// bzip2 1.0.
    BZIP2 "bzip2" "bzip2 file" &["bz2", "tbz", "tbz2", "rds", "rda", "rdata"], Codec::Bzip2, bzip2;
    /// The .xz File Format 1.2.1.
    XZ "xz" "xz file" &["xz", "txz", "rds", "rda", "rdata"], Codec::Xz, |s| likely(s.starts_with(b"\xfd7zXZ\0"));
    /// LZMA SDK, "LZMA file format".
    LZMA "lzma" "LZMA file" &["lzma"], Codec::Lzma, lzma;
    /// RFC 8878.
    ZSTD "zstd" "Zstandard file" &["zst", "zstd", "tzst"], Codec::Zstd, zstd;
    /// LZ4 Frame Format 1.6.4, and the legacy frame.
    LZ4 "lz4" "LZ4 file" &["lz4"], Codec::Lz4, lz4;
    /// RFC 1950.
    ZLIB "zlib" "zlib stream" &["z", "zlib"], Codec::Zlib, zlib;
}

fn likely(yes: bool) -> Confidence {
    if yes { Confidence::Likely } else { Confidence::No }
}

/// Method 8, no reserved flags.
fn gzip(sniff: &Sniff<'_>) -> Confidence {
    likely(sniff.starts_with(b"\x1f\x8b\x08") && sniff.head.get(3).is_some_and(|flags| flags & 0xe0 == 0))
}

/// Level, then a block or the end of the stream.
fn bzip2(sniff: &Sniff<'_>) -> Confidence {
    let level = sniff.starts_with(b"BZh") && matches!(sniff.head.get(3), Some(b'1'..=b'9'));
    likely(level && (sniff.has_at(4, b"1AY&SY") || sniff.has_at(4, b"\x17\x72\x45\x38\x50\x90")))
}

/// No signature: usual properties (lc=3, lp=0, pb=2), a dictionary of 2^n or
/// 2^n + 2^(n-1) bytes, a sane or unknown length, and a range coder's first
/// byte, which is zero. So `file` and libarchive tell it.
fn lzma(sniff: &Sniff<'_>) -> Confidence {
    let dictionary = sniff.u32_le(1).unwrap_or(0);
    let usual = dictionary >= 1 << 12
        && (dictionary.count_ones() == 1
            || (dictionary & (dictionary << 1)).count_ones() == 1 && dictionary.count_ones() == 2);
    let len = sniff.u64_le(5).unwrap_or(0);
    let fits = sniff.starts_with(&[0x5d])
        && usual
        && (len == u64::MAX || (1..1 << 40).contains(&len))
        && sniff.has_at(13, &[0])
        && sniff.len > 14;
    if !fits {
        Confidence::No
    } else if sniff.name.has_extension(&["lzma"]) {
        Confidence::Likely
    } else {
        Confidence::Plausible
    }
}

/// A frame, or a skippable frame that one follows (`zstd` itself writes none
/// first, seekable and parallel writers do).
fn zstd(sniff: &Sniff<'_>) -> Confidence {
    const FRAME: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
    likely(sniff.starts_with(FRAME) || after_skippable(sniff).is_some_and(|rest| rest.starts_with(FRAME)))
}

fn lz4(sniff: &Sniff<'_>) -> Confidence {
    const FRAME: &[u8] = &[0x04, 0x22, 0x4d, 0x18];
    // The version is in the two upper bits of the flags.
    let frame = sniff.starts_with(FRAME) && sniff.head.get(4).is_some_and(|flags| flags >> 6 == 1);
    let legacy = sniff.starts_with(&[0x02, 0x21, 0x4c, 0x18]);
    likely(frame || legacy || after_skippable(sniff).is_some_and(|rest| rest.starts_with(FRAME)))
}

fn after_skippable<'a>(sniff: &'a Sniff<'_>) -> Option<&'a [u8]> {
    let (0x50..=0x5f, true) = (*sniff.head.first()?, sniff.has_at(1, &[0x2a, 0x4d, 0x18])) else { return None };
    let len = usize::try_from(sniff.u32_le(4)?).ok()?;
    sniff.head.get(len.checked_add(8)?..)
}

/// Two bytes are little to go by. Git keeps its objects so, by names of 38
/// hexadecimal digits; disks are full of them and no model is.
fn zlib(sniff: &Sniff<'_>) -> Confidence {
    let [cmf @ 0x78, flg, ..] = *sniff.head else { return Confidence::No };
    let name = sniff.name.as_str();
    let is_git_object = name.len() == 38 && name.bytes().all(|b| b.is_ascii_hexdigit());
    if is_zlib_header(cmf, flg) && !is_git_object && sniff.len > 8 { Confidence::Plausible } else { Confidence::No }
}

#[cfg(test)]
mod tests;
