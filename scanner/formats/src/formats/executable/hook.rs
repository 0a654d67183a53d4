use crate::codec::python::{self, Trust};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use crate::formats::executable::rules;

/// Largest `.pth` file looked at: they are a few lines.
const PATH_FILE_BYTES_MAX: u64 = 256 << 10;
/// Bytes of a hook inspected.
const HOOK_BYTES_MAX: usize = 256 << 10;

/// What Python runs at every start, and `autorun.inf`, which old versions of
/// Windows ran from a drive.
pub static HOOK: FormatSpec = FormatSpec {
    id: "startup-hook",
    name: "start-up hook",
    extensions: &["inf"],
    runs_code: true,
    is_model: false,
    scope: Scope::BesideModel,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: &[&rules::STARTUP_HOOK],
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let text = sniff.text();
    if text.is_empty() || text.contains(&0) {
        return Confidence::No;
    }
    match sniff.name.as_str() {
        // Told from other Python source by name alone, as the interpreter does.
        "sitecustomize.py" | "usercustomize.py" => Confidence::Certain,
        "autorun.inf" if text.to_ascii_lowercase().starts_with(b"[autorun") => Confidence::Certain,
        _ if sniff.name.has_extension(&["pth"]) && sniff.len <= PATH_FILE_BYTES_MAX && import_line(text).is_some() => {
            Confidence::Certain
        }
        _ => Confidence::No,
    }
}

/// The first line that `site` executes: one that starts with `import` and a
/// space or tab. All other lines must be text.
fn import_line(text: &[u8]) -> Option<&[u8]> {
    let printable = |line: &[u8]| line.iter().all(|b| *b >= 0x20 || *b == b'\t');
    let mut lines = text.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    if !lines.clone().take(64).all(printable) {
        return None;
    }
    lines.find(|line| line.starts_with(b"import ") || line.starts_with(b"import\t"))
}

/// Lines that packaging tools write: namespace packages, editable installs,
/// setuptools' distutils, coverage measurement.
fn is_usual(line: &[u8]) -> bool {
    const USUAL: &[&[u8]] = &[
        b"import sys, types, os;has_mfs = sys.version_info",
        b"import sys,types,os; p = os.path.join(sys._getframe(1).f_locals['sitedir']",
        b"import sys, types, os;p = os.path.join(sys._getframe(1).f_locals['sitedir']",
        b"import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; enabled and __import__('_distutils_hack')",
        b"import __editable__",
        b"import _virtualenv",
        b"import coverage; coverage.process_startup()",
        b"import sys; sys.__plen = len(sys.path)",
        b"import site",
    ];
    USUAL.iter().any(|usual| line.starts_with(usual)) && line.len() < 600
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let text = input.head(HOOK_BYTES_MAX).map_err(|source| FormatError::Io { offset: 0, source })?;
    let line = import_line(&text);
    // In a folder, a file of this name may be the environment's own.
    if ctx.member().is_none() && line.is_some_and(is_usual) {
        return Ok(());
    }
    let shown = line.or_else(|| text.split(|b| *b == b'\n').find(|l| !l.trim_ascii().is_empty())).unwrap_or_default();
    let shown: String = String::from_utf8_lossy(shown).chars().take(200).collect();
    let detail = format!("`{}`: `{shown}`", ctx.name().as_str());
    ctx.find(&rules::STARTUP_HOOK, 0, detail);
    if let Some(code) = python_code(ctx, &text) {
        python::inspect(ctx, &code, "", Trust::Loaded);
    }
    Ok(())
}

/// What Python executes of a hook: a whole module, or the import lines of a
/// path file.
fn python_code(ctx: &Inspection<'_>, text: &[u8]) -> Option<String> {
    if ctx.name().has_extension(&["py"]) {
        return Some(String::from_utf8_lossy(text).into_owned());
    }
    let imports = text.split(|b| *b == b'\n').filter(|l| l.starts_with(b"import ") || l.starts_with(b"import\t"));
    let code = imports.collect::<Vec<_>>().join(&b'\n');
    ctx.name().has_extension(&["pth"]).then(|| String::from_utf8_lossy(&code).into_owned())
}
