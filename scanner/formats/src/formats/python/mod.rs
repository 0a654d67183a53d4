//! Python sources, compiled Python, and path files, where a model brings them:
//! remote code, handlers, scripts, start-up hooks.

mod bytecode;
mod path_file;
mod rules;

#[cfg(test)]
mod tests;

use crate::codec::python::{self, SOURCE_BYTES_MAX, Trust};
use crate::codec::zip::{Listing, Member};
use crate::core::{Confidence, FileName, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "python-source",
    name: "Python code",
    extensions: &["py", "pyw", "pyc", "pyo"],
    runs_code: true,
    is_model: false,
    scope: Scope::BesideModel,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

/// What a file of this format is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Source,
    Bytecode,
    PathFile,
}

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    match kind(sniff.head, sniff.len, sniff.name) {
        Some(Kind::Bytecode) => Confidence::Likely,
        Some(_) => Confidence::Plausible,
        None => Confidence::No,
    }
}

fn kind(head: &[u8], len: u64, name: &FileName) -> Option<Kind> {
    if bytecode::starts_here(head) {
        return Some(Kind::Bytecode);
    }
    if !is_text(head) {
        return None;
    }
    if name.has_extension(&["py", "pyw"]) || has_python_shebang(head) {
        return Some(Kind::Source);
    }
    (name.has_extension(&["pth"]) && path_file::is_plausible(head, len)).then_some(Kind::PathFile)
}

/// Text as Python accepts it: no NUL and hardly any control characters.
fn is_text(head: &[u8]) -> bool {
    let controls = head.iter().filter(|b| **b < 0x20 && !matches!(b, b'\n' | b'\r' | b'\t' | 0x0c | 0x1b)).count();
    !head.contains(&0) && controls * 100 <= head.len()
}

fn has_python_shebang(head: &[u8]) -> bool {
    let line = head.split(|b| *b == b'\n').next().unwrap_or_default();
    line.starts_with(b"#!") && memchr::memmem::find(line, b"python").is_some()
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let head = input.head(4096).map_err(|source| FormatError::Io { offset: 0, source })?;
    match kind(&head, input.len(), ctx.name()) {
        Some(Kind::Bytecode) => bytecode::inspect(ctx, input),
        Some(Kind::PathFile) => path_file::inspect(ctx, input),
        _ => {
            let trust = trust_of(ctx.name());
            if is_startup_hook(ctx.name()) {
                ctx.find(&rules::STARTUP_HOOK, 0, "Python imports a module of this name whenever it starts");
            }
            read(ctx, input, |ctx, source| inspect_source(ctx, source, trust))
        }
    }
}

/// Who runs a source of this name.
fn trust_of(name: &FileName) -> Trust {
    const PREFIXES: &[&str] = &[
        "modeling_",
        "configuration_",
        "tokenization_",
        "processing_",
        "image_processing_",
        "feature_extraction_",
        "video_processing_",
        "modular_",
        "generation_",
        "pipeline_",
        "custom_",
    ];
    const NAMES: &[&str] = &[
        "__init__.py",
        "handler.py",
        "hubconf.py",
        "pipeline.py",
        "model.py",
        "inference.py",
        "generate.py",
        "modeling.py",
        "tokenizer.py",
        "configuration.py",
        "processor.py",
        "loader.py",
        "sitecustomize.py",
        "usercustomize.py",
    ];
    let name = name.as_str();
    if name == "setup.py" {
        Trust::Installer
    } else if NAMES.contains(&name) || PREFIXES.iter().any(|p| name.starts_with(p)) {
        Trust::Loaded
    } else {
        Trust::Beside
    }
}

fn is_startup_hook(name: &FileName) -> bool {
    matches!(name.as_str(), "sitecustomize.py" | "usercustomize.py")
}

/// Inspects `source`, which is the current content.
fn inspect_source(ctx: &mut Inspection<'_>, source: &str, trust: Trust) {
    if let Some(codec) = odd_codec(source) {
        ctx.find(&rules::ODD_ENCODING, 0, format!("declares the encoding `{codec}`"));
    }
    python::inspect(ctx, source, "", trust);
}

/// An encoding declaration (PEP 263) under which the text reads differently.
fn odd_codec(source: &str) -> Option<&str> {
    const ODD: &[&str] = &[
        "rot",
        "utf-7",
        "utf7",
        "u7",
        "hex",
        "base64",
        "zlib",
        "unicode_escape",
        "unicode-escape",
        "raw_unicode",
        "raw-unicode",
        "punycode",
        "idna",
        "uu",
        "bz2",
        "quopri",
    ];
    for line in source.lines().take(2).filter(|l| l.trim_start().starts_with('#')) {
        let Some(at) = line.find("coding") else { continue };
        let rest = line.get(at + 6..).unwrap_or_default().trim_start_matches([':', '=']).trim_start();
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))).unwrap_or(rest.len());
        let codec = rest.get(..end).unwrap_or_default();
        let lower = codec.to_ascii_lowercase();
        if ODD.iter().any(|odd| lower.starts_with(odd)) {
            return Some(codec);
        }
    }
    None
}

/// Hands the text of `content` to `f`, up to the limit.
fn read(
    ctx: &mut Inspection<'_>,
    content: &Input,
    f: impl FnOnce(&mut Inspection<'_>, &str),
) -> Result<(), FormatError> {
    ctx.work(content.len().min(SOURCE_BYTES_MAX as u64))?;
    let bytes = content.head(SOURCE_BYTES_MAX).map_err(|source| FormatError::Io { offset: 0, source })?;
    f(ctx, &String::from_utf8_lossy(&bytes));
    if content.len() > SOURCE_BYTES_MAX as u64 {
        return Err(FormatError::limit("python_source_bytes_max", SOURCE_BYTES_MAX as u64));
    }
    Ok(())
}

/// Hands the text of a member to `f`, inside that member.
///
/// # Errors
/// [`FormatError::Limit`] when a budget is spent.
pub(crate) fn read_member(
    ctx: &mut Inspection<'_>,
    input: &Input,
    listing: &Listing,
    member: &Member,
    f: impl FnOnce(&mut Inspection<'_>, &str),
) -> Result<(), FormatError> {
    ctx.work(1)?;
    if member.size == 0 && member.compressed_size == 0 {
        return Ok(());
    }
    match listing.open(ctx, input, member) {
        Ok((content, stopped)) => {
            ctx.within(&member.name, &content, |ctx, content| {
                if let Err(error) = read(ctx, content, f) {
                    ctx.stopped(&error);
                }
                if let Some(error) = stopped {
                    ctx.stopped(&error);
                }
            });
        }
        Err(error) => ctx.stopped(&error),
    }
    Ok(())
}

/// Inspects a member of a container as source that `trust` runs.
///
/// # Errors
/// [`FormatError::Limit`] when a budget is spent.
pub(crate) fn inspect_member(
    ctx: &mut Inspection<'_>,
    input: &Input,
    listing: &Listing,
    member: &Member,
    trust: Trust,
) -> Result<(), FormatError> {
    read_member(ctx, input, listing, member, |ctx, source| inspect_source(ctx, source, trust))
}
