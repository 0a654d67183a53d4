//! The files of a model that is to be imported or served.

use std::fs::File;
use std::path::{Path, PathBuf};

use weighbridge_inference_wire::PartRole;

use crate::exit::Failure;

/// Most files of one model.
const FILES_MAX: usize = 64;
/// How vectors of tokens become a text's.
const POOLING: &str = "1_Pooling/config.json";

/// This program, which is its own workers.
pub fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|source| Failure::File { action: "find", path: "weighbridge".to_owned(), source })
}

/// An open file, with the name it has within its model.
#[derive(Debug)]
pub struct Open {
    pub name: String,
    pub path: PathBuf,
    pub file: File,
}

/// Whether `path` holds a model that must be imported before it is served.
pub fn wants_import(path: &Path) -> bool {
    path.is_file() && is_gguf(path) || path.is_dir() && !path.join("model.onnx").exists() && onnx_in(path).is_none()
}

/// The files that an import of `path` reads: a GGUF file with its splits, or
/// what a folder in the layout of the Hugging Face hub holds.
pub fn of_source(path: &Path) -> Result<Vec<Open>, Failure> {
    if !path.is_dir() {
        return open(path, splits(path)?);
    }
    let mut files: Vec<PathBuf> = files_in(path)?.into_iter().filter(|p| is_source(p)).collect();
    let pooling = path.join(POOLING);
    files.extend(pooling.is_file().then_some(pooling.clone()));
    let mut files = open(path, files)?;
    // The one file of a folder within is called by that, too.
    for file in files.iter_mut().filter(|f| f.path == pooling) {
        POOLING.clone_into(&mut file.name);
    }
    Ok(files)
}

/// The files of a model that is served as it is: an import, or an ONNX export.
pub fn of_served(path: &Path) -> Result<Vec<(PartRole, Open)>, Failure> {
    let folder = if path.is_dir() { path.to_owned() } else { of_graph(path) };
    let graph = if path.is_dir() { onnx_in(path) } else { Some(path.to_owned()) };
    let graph = graph.ok_or_else(|| {
        Failure::Usage(format!("`{}` holds no ONNX graph; name the file, or import the model first", path.display()))
    })?;
    let beside = beside(&graph).to_owned();
    let mut files: Vec<(PartRole, PathBuf)> = vec![(PartRole::Graph, graph.clone())];
    for file in files_in(&beside)?.into_iter().chain(if beside == folder { Vec::new() } else { files_in(&folder)? }) {
        if let Some(role) = role(&file).filter(|_| file != graph) {
            files.push((role, file));
        }
    }
    leave_to_others(&graph, &mut files);
    let pooling = folder.join(POOLING);
    if pooling.is_file() {
        files.push((PartRole::Pooling, pooling));
    }
    let (roles, paths): (Vec<_>, Vec<_>) = files.into_iter().unzip();
    Ok(roles.into_iter().zip(open(path, paths)?).collect())
}

/// The folder that a named graph's model lies in: exports for browsers keep
/// graphs in `onnx`, one for each kind of weights, and all else above.
fn of_graph(graph: &Path) -> PathBuf {
    let beside = beside(graph);
    let above = beside.parent().filter(|_| beside.file_name().is_some_and(|name| name == "onnx"));
    let above = above.map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p });
    above.filter(|p| p.join("tokenizer.json").is_file()).unwrap_or(beside).to_owned()
}

/// The folder of a file, also of one that is named without any.
fn beside(file: &Path) -> &Path {
    file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Drops tensors of other graphs in the folder, where some are this one's by name.
fn leave_to_others(graph: &Path, files: &mut Vec<(PartRole, PathBuf)>) {
    let name = graph.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let own = |path: &Path| path.file_name().is_some_and(|f| f.to_string_lossy().starts_with(&name));
    if files.iter().any(|(role, path)| *role == PartRole::Data && own(path)) {
        files.retain(|(role, path)| *role != PartRole::Data || own(path));
    }
}

/// What a file beside a graph is to it.
fn role(path: &Path) -> Option<PartRole> {
    let name = path.file_name()?.to_str()?;
    Some(match name {
        "weighbridge.json" => PartRole::Manifest,
        "config.json" => PartRole::Config,
        "tokenizer.json" => PartRole::Tokenizer,
        "tokenizer_config.json" => PartRole::TokenizerConfig,
        "chat_template.jinja" => PartRole::Template,
        "generation_config.json" | "genai_config.json" => PartRole::Generation,
        _ if is_sentence(name) => PartRole::Pooling,
        _ if name.ends_with(".onnx.data") || name.ends_with(".onnx_data") || name.ends_with(".data") => PartRole::Data,
        _ => return None,
    })
}

/// What sentence-transformers says of a model.
fn is_sentence(name: &str) -> bool {
    matches!(name, "modules.json" | "config_sentence_transformers.json")
        || name.starts_with("sentence_") && name.ends_with("_config.json")
}

fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"))
}

fn is_source(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else { return false };
    name.ends_with(".safetensors")
        || is_sentence(name)
        || matches!(
            name,
            "config.json"
                | "model.safetensors.index.json"
                | "tokenizer.json"
                | "tokenizer_config.json"
                | "chat_template.jinja"
                | "generation_config.json"
        )
}

/// The graph of a folder: `model.onnx`, or the only one there or in `onnx/`.
fn onnx_in(folder: &Path) -> Option<PathBuf> {
    let usual = [folder.join("model.onnx"), folder.join("onnx/model.onnx")];
    if let Some(found) = usual.into_iter().find(|p| p.is_file()) {
        return Some(found);
    }
    let files = files_in(folder).ok()?;
    let mut graphs = files.into_iter().filter(|p| p.extension().is_some_and(|e| e == "onnx"));
    let first = graphs.next()?;
    graphs.next().is_none().then_some(first)
}

/// A GGUF file and the others of `NAME-00001-of-00003.gguf`.
fn splits(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let stem = name.strip_suffix(".gguf").unwrap_or(name);
    let pattern = stem.rsplit_once("-of-").and_then(|(start, count)| Some((start.rsplit_once('-')?.0, count)));
    let Some((start, count)) = pattern else { return Ok(vec![path.to_owned()]) };
    let folder = beside(path);
    let same = |p: &PathBuf| {
        let name = p.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        name.starts_with(&format!("{start}-")) && name.ends_with(&format!("-of-{count}.gguf"))
    };
    Ok(files_in(folder)?.into_iter().filter(same).collect())
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failure = |source| Failure::File { action: "read", path: folder.display().to_string(), source };
    let entries = std::fs::read_dir(folder).map_err(failure)?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| p.is_file()).collect();
    files.sort();
    Ok(files)
}

fn open(model: &Path, paths: Vec<PathBuf>) -> Result<Vec<Open>, Failure> {
    if paths.is_empty() || paths.len() > FILES_MAX {
        return Err(Failure::Usage(format!(
            "`{}` holds {} files of a model; 1 to {FILES_MAX} can be used",
            model.display(),
            paths.len()
        )));
    }
    let opened = paths.into_iter().map(|path| {
        let file = File::open(&path);
        let file = file.map_err(|source| Failure::File { action: "read", path: path.display().to_string(), source })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Open { name, path, file })
    });
    opened.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_named_without_a_folder_lies_in_this_one() {
        assert_eq!(beside(Path::new("model.onnx")), Path::new("."));
        assert_eq!(beside(Path::new("onnx/model.onnx")), Path::new("onnx"));
        assert_eq!(of_graph(Path::new("model.onnx")), Path::new("."));
    }
}
