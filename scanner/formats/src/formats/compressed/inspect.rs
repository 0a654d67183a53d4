use std::rc::Rc;

use crate::codec::archive::rules::BOMB;
use crate::codec::decompress::{Codec, Trailing};
use crate::codec::{stream, tar};
use crate::core::{FormatError, Input, Inspection, Interest};
use crate::formats;

/// Bytes unpacked to tell what the content is.
const PEEK_BYTES: usize = 64 << 10;
/// Largest JSON document unpacked to see whether it is a model's.
const DOCUMENT_BYTES_MAX: u64 = 16 << 20;
/// Compressed data does not compress again: more than this, and it was made to
/// explode.
const NESTED_RATIO_MAX: u64 = 20;
/// Smallest stream of which that is said.
const NESTED_BYTES_MIN: u64 = 1024;

/// Suffixes that a compressed file's name loses, and what they become.
const SUFFIXES: &[(&str, &str)] = &[
    (".tgz", ".tar"),
    (".tbz2", ".tar"),
    (".tbz", ".tar"),
    (".txz", ".tar"),
    (".tzst", ".tar"),
    (".gz", ""),
    (".bz2", ""),
    (".xz", ""),
    (".lzma", ""),
    (".zstd", ""),
    (".zst", ""),
    (".lz4", ""),
    (".zlib", ""),
    (".z", ""),
];

/// Looks at the first bytes of what `input` unpacks to, and unpacks the rest
/// only if they may belong to a model.
pub(super) fn inspect(ctx: &mut Inspection<'_>, input: &Input, codec: Codec) -> Result<(), FormatError> {
    let name = inner_name(ctx.name().as_str());
    let head = stream::head(ctx, codec.open(input.clone()), PEEK_BYTES)?;
    let claims_model = ctx.claims_model();
    if let Some(error) = head.stopped.as_ref().filter(|_| head.bytes.is_empty()) {
        // Two bytes that happen to be a zlib header, a damaged log: nothing
        // to say unless it should be a model.
        return if claims_model { Err(clone_of(error)) } else { Ok(()) };
    }
    if tar::is_tar(&head.bytes) {
        let input = input.clone();
        return ctx.within(&name, &Input::bytes(Vec::new()), |ctx, _| {
            formats::tar::inspect_stream(ctx, Box::new(move || codec.open(input.clone())))
        });
    }
    let claimed_len = claimed_len(input, codec);
    let wanted = match ctx.interest(&name, &head.as_input(claimed_len)) {
        Interest::Content | Interest::Named => true,
        Interest::Document => !head.complete && claimed_len <= DOCUMENT_BYTES_MAX,
        Interest::Companion | Interest::Nothing => false,
    };
    if !wanted && !claims_model {
        return Ok(());
    }
    unpack(ctx, input, codec, &name)
}

fn unpack(ctx: &mut Inspection<'_>, input: &Input, codec: Codec, name: &str) -> Result<(), FormatError> {
    let trailing = Trailing::default();
    let packed = input.clone();
    let noting = Rc::clone(&trailing);
    let (content, stopped) = stream::unpack(ctx, move || codec.open_noting(packed.clone(), Rc::clone(&noting)))?;
    let child = ctx.child(name, &content);
    // R compresses its objects by itself: to its users the file is the object.
    if child.format == Some("r-rds") {
        ctx.refine_format("r-rds");
    }
    if is_compressed(child.format) && content.len() > NESTED_BYTES_MIN.max(input.len().saturating_mul(NESTED_RATIO_MAX))
    {
        ctx.find(
            &BOMB,
            0,
            format!("{} compressed bytes are themselves compressed data of {}", input.len(), content.len()),
        );
    }
    if let Some(part) = trailing.get().and_then(|end| input.slice(end, input.len().saturating_sub(end)))
        && !part.is_empty()
        && ctx.interest("(after the stream)", &part) == Interest::Content
    {
        ctx.child("(after the stream)", &part);
    }
    match stopped {
        Some(error) if ctx.holds_model() || ctx.claims_model() || child.format.is_some() => Err(error),
        _ => Ok(()),
    }
}

fn is_compressed(format: Option<&str>) -> bool {
    matches!(format, Some("gzip" | "bzip2" | "xz" | "lzma" | "zstd" | "lz4" | "zlib"))
}

/// The length the content is said to have; a large one where nothing says.
fn claimed_len(input: &Input, codec: Codec) -> u64 {
    const UNKNOWN: u64 = 1 << 50;
    let last = input.tail(4).ok().and_then(|t| t.first_chunk().map(|t| u64::from(u32::from_le_bytes(*t))));
    match codec {
        // ISIZE, the length modulo 2^32 of the last member.
        Codec::Gzip if input.len() < 1 << 28 => last.unwrap_or(UNKNOWN),
        _ => UNKNOWN,
    }
}

fn inner_name(name: &str) -> String {
    for (suffix, replacement) in SUFFIXES {
        if let Some(stem) = name.strip_suffix(suffix).filter(|stem| !stem.is_empty()) {
            return format!("{stem}{replacement}");
        }
    }
    name.to_owned()
}

fn clone_of(error: &FormatError) -> FormatError {
    FormatError::malformed("compressed data", error.offset().unwrap_or(0), error.to_string())
}
