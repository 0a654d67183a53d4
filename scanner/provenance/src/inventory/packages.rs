//! What package managers of systems have written down.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::folder::{Folder, Kind};
use super::programs::PROGRAMS;
use super::walk::Walker;

/// Largest database read, bytes.
const DATABASE_BYTES_MAX: u64 = 64 << 20;
/// Largest record of one package read, bytes.
const RECORD_BYTES_MAX: u64 = 1 << 20;

/// The databases of dpkg, apk and pacman below `root`.
pub(super) fn read(walker: &mut Walker<'_>, root: &Folder) {
    for (place, file, name, version) in [
        ("var/lib/dpkg", "status", "Package: ", "Version: "),
        ("lib/apk/db", "installed", "P:", "V:"),
        ("usr/lib/apk/db", "installed", "P:", "V:"),
    ] {
        let Ok(folder) = root.below(Path::new(place)) else { continue };
        if !folder.has_file(file) {
            continue;
        }
        match folder.read(OsStr::new(file), DATABASE_BYTES_MAX) {
            Ok(bytes) => stanzas(walker, &folder, file, &String::from_utf8_lossy(&bytes), (name, version)),
            Err(e) => walker.error(&folder.path.join(file), &e),
        }
    }
    let Ok(local) = root.below(Path::new("var/lib/pacman/local")) else { return };
    let Ok((entries, _)) = local.entries() else { return };
    for (entry, _) in entries.iter().filter(|(_, kind)| *kind == Kind::Folder) {
        // name-version-release
        let shown = entry.to_string_lossy();
        let mut parts = shown.rsplitn(3, '-').skip(1);
        if let (Some(version), Some(name)) = (parts.next(), parts.next())
            && let Some(program) = PROGRAMS.package(name)
        {
            let path = local.path.join(entry);
            walker.push(program, Some(upstream(version)), path.clone(), path.join("desc"));
        }
    }
}

fn stanzas(walker: &mut Walker<'_>, folder: &Folder, file: &str, text: &str, (name, version): (&str, &str)) {
    for stanza in text.split("\n\n") {
        let field = |key: &str| stanza.lines().find_map(|l| l.strip_prefix(key)).map(str::trim);
        // dpkg remembers what was removed.
        let gone = field("Status: ").is_some_and(|s| !s.ends_with(" installed"));
        if let Some(program) = field(name).and_then(|n| PROGRAMS.package(n)).filter(|_| !gone) {
            let path = folder.path.join(file);
            walker.push(program, field(version).map(upstream), path.clone(), path);
        }
    }
}

/// The version without the distribution's epoch and release.
fn upstream(version: &str) -> String {
    let version = version.split_once(':').map_or(version, |(_, v)| v);
    version.split('-').next().unwrap_or(version).to_owned()
}

/// Formulas of Homebrew: `Cellar/<name>/<version>`.
pub(super) fn cellar(walker: &mut Walker<'_>, cellar: &Folder, entries: &[(OsString, Kind)]) {
    for (entry, _) in entries.iter().filter(|(_, kind)| *kind == Kind::Folder) {
        let Some(program) = entry.to_str().and_then(|name| PROGRAMS.package(name)) else { continue };
        let Ok((versions, _)) = cellar.child(entry).and_then(|f| f.entries()) else { continue };
        for (version, _) in versions.iter().filter(|(_, kind)| *kind == Kind::Folder) {
            let shown = version.to_string_lossy();
            // `_1` counts repackaging.
            let number = shown.split('_').next().unwrap_or_default().to_owned();
            let path = cellar.path.join(entry).join(version);
            walker.push(program, Some(number), path.clone(), path);
        }
    }
}

/// A snap's `meta/snap.yaml`.
pub(super) fn snap(walker: &mut Walker<'_>, meta: &Folder, file: &OsStr) {
    let Ok(bytes) = meta.read(file, RECORD_BYTES_MAX) else { return };
    let text = String::from_utf8_lossy(&bytes);
    let field = |key: &str| {
        let value = text.lines().find_map(|l| l.strip_prefix(key))?;
        Some(value.trim().trim_matches(['\'', '"']).to_owned())
    };
    if let Some(program) = field("name:").and_then(|n| PROGRAMS.package(&n)) {
        let path = meta.path.parent().unwrap_or(&meta.path).to_path_buf();
        walker.push(
            program,
            field("version:").map(|v| v.trim_start_matches('v').to_owned()),
            path,
            meta.path.join(file),
        );
    }
}
