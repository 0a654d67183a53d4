//! Files that give a stack away by their name, and what they say of its
//! version.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use serde_json::Value;

use super::folder::Folder;
use super::programs::{PROGRAMS, Program};
use super::walk::Walker;
use super::{binary, packages};
use crate::advisory::version::Scheme;
use crate::json;

/// Largest text file read, bytes.
const TEXT_BYTES_MAX: u64 = 1 << 20;
/// The part of a large source file in which its version stands, bytes.
const SOURCE_BYTES_MAX: u64 = 512 << 10;

impl Walker<'_> {
    /// Looks at a file. One that cannot be read is told; most names mean
    /// nothing and are not opened.
    pub fn file(&mut self, folder: &Folder, name: &OsStr) {
        let Some(shown) = name.to_str() else { return };
        let read = match shown {
            "TRITON_VERSION" => triton(self, folder, name),
            "Info.plist" => bundle(self, folder, name),
            "package.json" => node(self, folder, name),
            "backend-manifest.json" => lm_studio_engine(self, folder, name),
            "comfyui_version.py" => source(self, folder, name, "comfyui", "__version__"),
            "koboldcpp.py" => source(self, folder, name, "koboldcpp", "KcppVersion"),
            "llama.pc" => llama_text(self, folder, name, "Version:"),
            "llama-config.cmake" => llama_text(self, folder, name, "set(LLAMA_BUILD_NUMBER"),
            "snap.yaml" => {
                packages::snap(self, folder, name);
                Ok(())
            }
            _ => other(self, folder, name, shown),
        };
        if let Err(e) = read {
            self.error(&folder.path.join(name), &e);
        }
    }
}

fn other(walker: &mut Walker<'_>, folder: &Folder, name: &OsStr, shown: &str) -> io::Result<()> {
    let path = folder.path.join(name);
    if let Some(build) = shown
        .strip_prefix("libllama.so.0.0.")
        .or_else(|| shown.strip_prefix("libllama.0.0.").and_then(|rest| rest.strip_suffix(".dylib")))
    {
        walker.push_named("llamacpp", Some(build.to_owned()), folder.path.clone(), path);
        return Ok(());
    }
    if let Some(stem) = shown.strip_suffix(".AppImage") {
        if let Some((program, rest)) = PROGRAMS.appimage(stem) {
            // LM-Studio-0.3.30-1-x64, jan_0.6.8_amd64
            let version = rest.split(['-', '_']).next().filter(|v| v.starts_with(|c: char| c.is_ascii_digit()));
            walker.push(program, version.map(str::to_owned), path.clone(), path);
        }
        return Ok(());
    }
    if shown.ends_with(".llamafile") || shown.ends_with(".llamafile.exe") {
        return llamafile(walker, folder, name);
    }
    match PROGRAMS.file(shown) {
        Some(program) if program.id == "llamafile" => llamafile(walker, folder, name),
        Some(program) => executable(walker, folder, name, program),
        None => Ok(()),
    }
}

fn executable(walker: &mut Walker<'_>, folder: &Folder, name: &OsStr, program: &Program) -> io::Result<()> {
    let file = folder.file(name)?;
    if !binary::is_program(&file)? {
        return Ok(());
    }
    let path = folder.path.join(name);
    let version = if program.scheme == Scheme::LlamaBuild {
        let version = binary::llama_build(&file)?.or_else(|| build_in(&folder.path));
        // The name alone is a word of everyday language.
        if version.is_none() && name == "llama" {
            return Ok(());
        }
        version
    } else if program.go.is_empty() {
        None
    } else {
        // Another program of the same name.
        let binary::GoProgram::This(version) = binary::go_program(&file, &program.go)? else { return Ok(()) };
        version.map(|v| v.trim_start_matches('v').to_owned())
    };
    // The programs of llama.cpp are one stack.
    let place = if program.scheme == Scheme::LlamaBuild { folder.path.clone() } else { path.clone() };
    walker.push(program, version, place, path);
    Ok(())
}

/// The build of llama.cpp that a folder on the way is named for: `b1234`,
/// `llama-b1234-bin-ubuntu-x64`.
fn build_in(path: &Path) -> Option<String> {
    let build = |text: &str| {
        let number = text.strip_prefix('b')?;
        ((3..=7).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit())).then(|| text.to_owned())
    };
    let parts: Vec<_> = path.components().filter_map(|c| c.as_os_str().to_str()).collect();
    parts.into_iter().rev().find_map(|part| part.split('-').find_map(build))
}

fn llamafile(walker: &mut Walker<'_>, folder: &Folder, name: &OsStr) -> io::Result<()> {
    let file = folder.file(name)?;
    if binary::is_program(&file)? {
        let path = folder.path.join(name);
        let version = binary::after_marker(&file, "llamafile v")?;
        walker.push_named("llamafile", version, path.clone(), path);
    }
    Ok(())
}

/// `/opt/tritonserver/TRITON_VERSION` holds the version of the server;
/// advisories count by releases of the container.
fn triton(walker: &mut Walker<'_>, folder: &Folder, name: &OsStr) -> io::Result<()> {
    let bytes = folder.head(name, 64)?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    let rows = weighbridge_rules::TRITON_RELEASES.lines().filter_map(|l| l.split_once('|'));
    let release =
        rows.map(|(a, b)| (a.trim(), b.trim())).find(|(server, _)| *server == text).map(|(_, r)| r.to_owned());
    walker.push_named("triton", release.or(Some(text)), folder.path.clone(), folder.path.join(name));
    Ok(())
}

/// `X.app/Contents/Info.plist` of macOS.
fn bundle(walker: &mut Walker<'_>, folder: &Folder, name: &OsStr) -> io::Result<()> {
    let app = folder.path.parent().filter(|_| folder.path.ends_with("Contents"));
    let stem = app.and_then(Path::file_name).and_then(OsStr::to_str).and_then(|n| n.strip_suffix(".app"));
    let (Some(app), Some(program)) = (app, stem.and_then(|s| PROGRAMS.app(s))) else { return Ok(()) };
    let bytes = folder.read(name, TEXT_BYTES_MAX)?;
    let text = String::from_utf8_lossy(&bytes);
    let value = |key: &str| {
        let (_, rest) = text.split_once(&format!("<key>{key}</key>"))?;
        let (value, _) = rest.trim_start().strip_prefix("<string>")?.split_once("</string>")?;
        Some(value.trim().to_owned())
    };
    walker.push(program, value("CFBundleShortVersionString"), app.to_path_buf(), folder.path.join(name));
    Ok(())
}

fn node(walker: &mut Walker<'_>, folder: &Folder, name: &OsStr) -> io::Result<()> {
    // Not worth a word where it is not one of ours.
    let Ok(bytes) = folder.read(name, TEXT_BYTES_MAX) else { return Ok(()) };
    let Ok(package) = json::strict(&bytes, bytes.len()) else { return Ok(()) };
    let text = |key: &str| package.get(key).and_then(Value::as_str);
    if let Some(program) = text("name").and_then(|n| PROGRAMS.node(n)) {
        walker.push(program, text("version").map(str::to_owned), folder.path.clone(), folder.path.join(name));
    }
    Ok(())
}

/// LM Studio's `extensions/backends/<engine>/backend-manifest.json`. The build
/// of llama.cpp in it stands in the notes beside it, if anywhere.
fn lm_studio_engine(walker: &mut Walker<'_>, folder: &Folder, name: &OsStr) -> io::Result<()> {
    let path = folder.path.join(name);
    let bytes = folder.read(name, TEXT_BYTES_MAX)?;
    let manifest = json::strict(&bytes, bytes.len()).map_err(io::Error::other)?;
    let text = |key: &str| manifest.get(key).and_then(Value::as_str);
    walker.push_named("lmstudio-engine", text("version").map(str::to_owned), folder.path.clone(), path.clone());
    let is_llama = [text("engine"), text("name")].into_iter().flatten().any(|t| t.starts_with("llama.cpp"))
        || folder.path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("llama.cpp"));
    if !is_llama {
        return Ok(());
    }
    let notes = folder.read(OsStr::new("display-data.json"), TEXT_BYTES_MAX).unwrap_or_default();
    let (build, evidence) = match (build_mentioned(&notes), build_mentioned(&bytes)) {
        (Some(build), _) => (Some(build), folder.path.join("display-data.json")),
        (None, build) => (build, path),
    };
    walker.push_named("llamacpp", build, folder.path.clone(), evidence);
    Ok(())
}

/// The highest `b1234` that a text mentions.
fn build_mentioned(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let builds = words.filter_map(|w| w.strip_prefix('b').filter(|n| (4..=6).contains(&n.len()))?.parse::<u64>().ok());
    builds.max().map(|n| format!("b{n}"))
}

/// `name = "1.2.3"` in Python source.
fn source(walker: &mut Walker<'_>, folder: &Folder, file: &OsStr, id: &str, name: &str) -> io::Result<()> {
    let bytes = folder.head(file, SOURCE_BYTES_MAX)?;
    let text = String::from_utf8_lossy(&bytes);
    let value = text.lines().find_map(|line| {
        let rest = line.trim_start().strip_prefix(name)?.trim_start().strip_prefix('=')?.trim_start();
        rest.strip_prefix(['"', '\''])?.split(['"', '\'']).next().map(str::to_owned)
    });
    walker.push_named(id, value, folder.path.clone(), folder.path.join(file));
    Ok(())
}

/// A line of what llama.cpp installs for those who build with it.
fn llama_text(walker: &mut Walker<'_>, folder: &Folder, file: &OsStr, key: &str) -> io::Result<()> {
    let bytes = folder.read(file, TEXT_BYTES_MAX)?;
    let text = String::from_utf8_lossy(&bytes);
    let value =
        text.lines().find_map(|l| l.trim().strip_prefix(key)).map(|v| v.trim().trim_end_matches(')').to_owned());
    if value.is_some() {
        walker.push_named("llamacpp", value, folder.path.clone(), folder.path.join(file));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_are_read_off_folder_names() {
        for (path, build) in [
            ("/home/a/.local/share/Jan/data/llamacpp/backends/b6652/linux/build/bin", Some("b6652")),
            ("/opt/llama-b4321-bin-ubuntu-x64/bin", Some("b4321")),
            ("/opt/b1/bin", None),
            ("/usr/bin", None),
        ] {
            assert_eq!(build_in(Path::new(path)).as_deref(), build, "{path}");
        }
        assert_eq!(build_mentioned(b"updated llama.cpp to b6652 (was b6500), bf16").as_deref(), Some("b6652"));
        assert_eq!(build_mentioned(b"v1.2.3 abc b12"), None);
    }
}
