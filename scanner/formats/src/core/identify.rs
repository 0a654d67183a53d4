use std::io::Read;

use crate::codec::{decompress, hdf5, json, tar, xml, zip};
use crate::core::sniff::HEAD_BYTES;
use crate::core::{Confidence, FileName, FormatSpec, Input, Recognise, Scope, Sniff};
use crate::formats::{FORMATS, by_id, llamafile};

/// Largest JSON document parsed to identify it, bytes.
const JSON_BYTES_MAX: usize = 16 << 20;
/// Bytes unpacked of a gzip file to see what kind of tar archive is in it.
const GZIP_BYTES_MAX: u64 = 256 << 10;

/// Whether these first bytes are worth a full inspection: some format
/// recognises them, or they are a document whose keys must be read to tell.
///
/// Safe outside the confined process: compares fixed bytes, follows no length
/// that the content gives.
#[must_use]
pub fn triage(sniff: &Sniff<'_>) -> bool {
    FORMATS.iter().any(|f| match f.recognise {
        Recognise::Bytes(recognise) => f.scope == Scope::Anywhere && recognise(sniff) > Confidence::No,
        Recognise::Zip(_) | Recognise::Tar(_) | Recognise::Hdf5(_) | Recognise::Json(_) | Recognise::XmlRoot(_) => {
            false
        }
    })
}

/// Whether these first bytes are a companion: worth inspecting only because a
/// model lies beside it. As safe as [`triage`].
#[must_use]
pub fn is_companion(sniff: &Sniff<'_>) -> bool {
    FORMATS.iter().any(|f| {
        f.scope == Scope::BesideModel
            && matches!(f.recognise, Recognise::Bytes(recognise) if recognise(sniff) > Confidence::No)
    })
}

/// The format of `input`, by content; the name only breaks ties.
///
/// # Errors
/// If the content cannot be read.
pub fn identify(input: &Input, name: &FileName) -> std::io::Result<Option<&'static FormatSpec>> {
    // Loaders that go by these names look for HDF5 behind anything.
    if name.has_extension(&["h5", "hdf5"]) && hdf5::locate(input).is_some() {
        return Ok(refine_hdf5(input, name)?.or(by_id("hdf5")));
    }
    let Some((confidence, spec)) = Sniff::of(input, name, |sniff| {
        best(|f| match f.recognise {
            Recognise::Bytes(recognise) => recognise(sniff),
            _ => Confidence::No,
        })
    })?
    else {
        // Behind a user block longer than the first bytes looked at.
        if hdf5::locate(input).is_some_and(|at| at >= HEAD_BYTES as u64) {
            return Ok(refine_hdf5(input, name)?.or(by_id("hdf5")));
        }
        return Ok(None);
    };
    Ok(Some(match spec.id {
        "zip" => zip::Listing::read(input).ok().and_then(|listing| refine_zip(&listing)).unwrap_or(spec),
        // Installers and launchers are programs with an archive too.
        "llamafile" => match zip::Listing::read(input) {
            Ok(listing) if llamafile::confirms(&listing, name) => spec,
            Ok(listing) => return Ok(refine_zip(&listing)),
            Err(_) => return Ok(None),
        },
        "tar" => refine_tar(input).unwrap_or(spec),
        "hdf5" => refine_hdf5(input, name)?.unwrap_or(spec),
        "gzip" => refine_gzip(input).unwrap_or(spec),
        "json" if confidence > Confidence::No => refine_json(input, name)?.unwrap_or(spec),
        "xml" => refine_xml(input).unwrap_or(spec),
        _ => spec,
    }))
}

fn best(confidence: impl Fn(&FormatSpec) -> Confidence) -> Option<(Confidence, &'static FormatSpec)> {
    let mut best: Option<(Confidence, &'static FormatSpec)> = None;
    for spec in FORMATS {
        let c = confidence(spec);
        // Earlier registry entries win ties.
        if c > best.map_or(Confidence::No, |(b, _)| b) {
            best = Some((c, spec));
        }
    }
    best
}

fn refine_zip(listing: &zip::Listing) -> Option<&'static FormatSpec> {
    best(|f| match f.recognise {
        Recognise::Zip(recognise) => recognise(listing),
        _ => Confidence::No,
    })
    .map(|(_, spec)| spec)
}

fn refine_tar(input: &Input) -> Option<&'static FormatSpec> {
    let listing = tar::Listing::read(input).ok()?;
    best(|f| match f.recognise {
        Recognise::Tar(recognise) => recognise(&listing),
        _ => Confidence::No,
    })
    .map(|(_, spec)| spec)
}

fn refine_hdf5(input: &Input, name: &FileName) -> std::io::Result<Option<&'static FormatSpec>> {
    let Ok(root) = hdf5::File::open(input).and_then(|file| file.root()) else { return Ok(None) };
    Sniff::of(input, name, |sniff| {
        best(|f| match f.recognise {
            Recognise::Hdf5(recognise) => recognise(&root, sniff),
            _ => Confidence::No,
        })
        .map(|(_, spec)| spec)
    })
}

/// Of the formats made of a tar archive NeMo alone is also written compressed.
fn refine_gzip(input: &Input) -> Option<&'static FormatSpec> {
    let mut head = Vec::new();
    let unpacked = decompress::Codec::Gzip.open(input.clone());
    // What came before a broken stream is enough.
    let _ = unpacked.take(GZIP_BYTES_MAX).read_to_end(&mut head);
    if tar::is_tar(&head) { refine_tar(&Input::bytes(head)).filter(|spec| spec.id == "nemo") } else { None }
}

fn refine_json(input: &Input, name: &FileName) -> std::io::Result<Option<&'static FormatSpec>> {
    let Ok(document) = json::parse(input, JSON_BYTES_MAX) else { return Ok(None) };
    Sniff::of(input, name, |sniff| {
        best(|f| match f.recognise {
            Recognise::Json(recognise) => recognise(&document.value, sniff),
            _ => Confidence::No,
        })
        .map(|(_, spec)| spec)
    })
}

fn refine_xml(input: &Input) -> Option<&'static FormatSpec> {
    let root = xml::root_element(input)?;
    FORMATS.iter().copied().find(|f| matches!(f.recognise, Recognise::XmlRoot(name) if name == root))
}
