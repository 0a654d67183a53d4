//! Models saved by PyTorch before 0.1.2: a tar archive of the files `sys_info`,
//! `pickle`, `storages` and `tensors` (`torch/serialization.py`, `legacy_load`).
//! The last three hold pickles, with raw numbers between them.

use crate::codec::tar::{Entry, Listing, Seekable};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope};
use crate::formats::pickle;
use crate::formats::tar::contents::{self, Purpose};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "pytorch-tar",
    name: "PyTorch tar (before 0.1.2)",
    extensions: &["pt", "pth"],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Tar(recognise),
    inspect,
    rules: &[],
};

/// Most pickles read from one file of the archive.
const STREAMS_MAX: u32 = 1 << 20;
/// Most dimensions of a tensor.
const DIMENSIONS_MAX: u32 = 1024;

fn recognise(listing: &Listing) -> Confidence {
    let all = ["pickle", "storages", "tensors"].iter().filter(|name| listing.get(name).is_some()).count();
    match all {
        3 => Confidence::Certain,
        2 => Confidence::Likely,
        _ => Confidence::No,
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let listing = Listing::read(input)?;
    for entry in &listing.entries {
        let Some(between) = between(entry) else { continue };
        let content = content(input, entry);
        let walked = ctx.within(&entry.name, &content, |ctx, content| streams(ctx, content, between));
        if let Err(error) = walked {
            ctx.stopped(&error);
        }
    }
    let inspected = |entry: &Entry| between(entry).is_some();
    contents::inspect(ctx, Seekable::new(input.clone()), Purpose::Model { inspected })
}

/// Steps over what follows a pickle.
type Between = fn(&mut Reader<'_>, &pickle::Facts) -> Result<(), FormatError>;

/// What stands between the pickles of a file; `None` for other files.
fn between(entry: &Entry) -> Option<Between> {
    match entry.name.trim_start_matches("./") {
        "storages" => Some(skip_storage),
        "tensors" => Some(skip_tensor),
        "pickle" | "sys_info" => Some(|_, _| Ok(())),
        _ => None,
    }
}

fn content(input: &Input, entry: &Entry) -> Input {
    input.slice(entry.data, entry.size).unwrap_or_else(|| input.tail_from(entry.data))
}

/// Reads one pickle after another, with what `between` steps over after each.
fn streams(ctx: &mut Inspection<'_>, content: &Input, between: Between) -> Result<(), FormatError> {
    let mut at = 0;
    for index in 0..STREAMS_MAX {
        if at >= content.len() {
            return Ok(());
        }
        let facts = pickle::inspect_stream(ctx, content, at)?;
        if facts.end <= at {
            return Ok(());
        }
        let mut r = Reader::at(content, facts.end);
        // The first pickle is the count alone.
        if index > 0 {
            between(&mut r, &facts)?;
        }
        at = r.position();
    }
    Err(FormatError::limit("torch_tar_streams_max", STREAMS_MAX.into()))
}

/// After `(key, location, type)`: the number of elements and the elements.
/// The last pickle, a list of views, names no type and nothing follows it.
fn skip_storage(r: &mut Reader<'_>, facts: &pickle::Facts) -> Result<(), FormatError> {
    let Some(kind) = facts.globals.iter().rev().find_map(|g| g.strip_suffix("Storage")) else { return Ok(()) };
    let elements = r.u64_le("storage elements")?;
    let element_bytes = match kind.rsplit('.').next().unwrap_or_default() {
        "Double" | "Long" => 8,
        "Half" | "Short" | "BFloat16" => 2,
        "Byte" | "Char" | "Bool" => 1,
        _ => 4,
    };
    let bytes = elements.checked_mul(element_bytes);
    r.skip(bytes.ok_or_else(|| FormatError::truncated("storage", r.position()))?, "storage")
}

/// After `(key, storage, type)`: dimensions, four unused bytes, sizes, strides,
/// offset in the storage.
fn skip_tensor(r: &mut Reader<'_>, _: &pickle::Facts) -> Result<(), FormatError> {
    let dimensions = r.u32_le("tensor dimensions")?;
    if dimensions > DIMENSIONS_MAX {
        return Err(FormatError::limit("torch_tar_dimensions_max", DIMENSIONS_MAX.into()));
    }
    r.skip(4 + 16 * u64::from(dimensions) + 8, "tensor sizes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tar::samples::{archive, file};
    use crate::core::testing::{inspect_bytes, survives_damage};

    fn sample() -> Vec<u8> {
        let mut storages = b"\x80\x02K\x01.\x80\x02X\x05\0\0\0Float.".to_vec();
        storages.extend(2u64.to_le_bytes());
        storages.extend([0; 8]);
        archive(&[
            file("./sys_info", b"\x80\x02}."),
            file("./pickle", b"\x80\x02}."),
            file("./storages", &storages),
            file("./tensors", b"\x80\x02K\0."),
        ])
    }

    #[test]
    fn is_recognised_by_its_files() {
        let outcome = inspect_bytes("model.pth", &sample());
        assert_eq!(outcome.format, Some("pytorch-tar"));
        assert!(outcome.is_model);
        assert_ne!(inspect_bytes("x.tar", &archive(&[file("storages", b"x")])).format, Some("pytorch-tar"));
    }

    #[test]
    fn numbers_between_pickles_are_stepped_over() {
        let mut content = 3u64.to_le_bytes().to_vec();
        content.extend([0; 24]);
        let input = Input::bytes(content);
        let mut r = Reader::new(&input);
        let facts = pickle::Facts { globals: vec!["torch.DoubleStorage".into()], ..pickle::Facts::default() };
        skip_storage(&mut r, &facts).unwrap();
        assert!(r.at_end());
        let input = Input::bytes([2u32.to_le_bytes().to_vec(), vec![0; 44]].concat());
        let mut r = Reader::new(&input);
        skip_tensor(&mut r, &facts).unwrap();
        assert!(r.at_end());
    }

    #[test]
    fn damage_is_survived() {
        survives_damage("model.pth", &sample());
    }
}
