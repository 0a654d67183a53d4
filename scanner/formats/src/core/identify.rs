use crate::codec::{json, xml, zip};
use crate::core::{Confidence, FileName, FormatSpec, Input, Recognise, Scope, Sniff};
use crate::formats::{FORMATS, llamafile};

/// Largest JSON document parsed to identify it, bytes.
const JSON_BYTES_MAX: usize = 16 << 20;

/// Whether these first bytes are worth a full inspection: some format
/// recognises them, or they are a document whose keys must be read to tell.
///
/// Safe outside the confined process: compares fixed bytes, follows no length
/// that the content gives.
#[must_use]
pub fn triage(sniff: &Sniff<'_>) -> bool {
    FORMATS.iter().any(|f| match f.recognise {
        Recognise::Bytes(recognise) => f.scope == Scope::Anywhere && recognise(sniff) > Confidence::No,
        Recognise::Zip(_) | Recognise::Json(_) | Recognise::XmlRoot(_) => false,
    })
}

/// The format of `input`, by content; the name only breaks ties.
///
/// # Errors
/// If the content cannot be read.
pub fn identify(input: &Input, name: &FileName) -> std::io::Result<Option<&'static FormatSpec>> {
    let Some((confidence, spec)) = Sniff::of(input, name, |sniff| {
        best(|f| match f.recognise {
            Recognise::Bytes(recognise) => recognise(sniff),
            _ => Confidence::No,
        })
    })?
    else {
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
