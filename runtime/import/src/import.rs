use weighbridge_kernels::layout::Layout;

use crate::error::Name;
use crate::graph;
use crate::manifest::{FileEntry, Manifest, Origin, SCHEMA, Token};
use crate::model::Model;
use crate::model::names::Names;
use crate::output::{Output, Sink};
use crate::source::Source;
use crate::weights::{Packer, Tensors};
use crate::{
    GRAPH_FILE, ImportError, MANIFEST_FILE, TEMPLATE_FILE, TOKENIZER_FILE, WEIGHTS_FILE, encoder, gguf, hf, sampling,
};

/// How matrices that are stored as floats are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantisation {
    /// 4 bits, one f16 scale per 32 weights, to the nearest.
    Int4,
    /// 8 bits, one f16 scale per 32 weights, to the nearest.
    Int8,
    /// Half precision.
    F16,
}

impl Quantisation {
    /// How it is packed.
    pub(crate) const fn layout(self) -> Layout {
        match self {
            Self::Int4 => Layout::Q4,
            Self::Int8 => Layout::Q8,
            Self::F16 => Layout::F16,
        }
    }
}

/// What the caller may choose.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// For matrices stored as floats. `None` is [`Quantisation::Int8`] for
    /// safetensors and [`Quantisation::F16`] for GGUF, whose authors chose.
    /// Matrices that are quantised already stay as they are.
    pub quantisation: Option<Quantisation>,
    /// Where a model has two sets of rotations, one for short and one for long
    /// texts (Phi 3), take the long one. The short one is exact for texts
    /// within the manifest's context length.
    pub long_context: bool,
}

/// A model as read, its weights still where they were.
pub(crate) struct Loaded {
    pub(crate) format: &'static str,
    pub(crate) model: Model,
    pub(crate) names: Names,
    pub(crate) tensors: Tensors,
    pub(crate) tokenizer: Vec<u8>,
    pub(crate) template: Option<String>,
    pub(crate) bos: Option<Token>,
    pub(crate) eos: Vec<Token>,
    /// Names of the files that were read.
    pub(crate) parts: Vec<String>,
}

/// Turns the model in `source` into the files of an imported model.
///
/// The manifest is written last: a folder without one is no model.
///
/// # Errors
/// What is missing, damaged, out of range or not supported; what was written
/// until then is to be thrown away.
pub fn import(source: &Source, sink: &mut dyn Sink, options: &Options) -> Result<Manifest, ImportError> {
    if !gguf::is_in(source)
        && let Some(config) = encoder::config(source)?
    {
        return encoder::import(source, &config, sink, options);
    }
    let loaded = if gguf::is_in(source) { gguf::load(source, options)? } else { hf::load(source, options)? };
    let Loaded { model, tensors, .. } = &loaded;
    let default = if loaded.format == "gguf" { Quantisation::F16 } else { Quantisation::Int8 };
    let floats = options.quantisation.unwrap_or(default).layout();
    let parts = entries(source, &loaded.parts)?;
    let mut packer = Packer::new(Output::new(sink, WEIGHTS_FILE));
    let graph = graph::build(model, &loaded.names, tensors, floats, &mut packer)?;
    all_used(tensors, &model.architecture)?;
    let (weights, layouts, rounded) = packer.finish();
    let mut files = vec![weights, Output::whole(sink, GRAPH_FILE, &graph)?];
    files.push(Output::whole(sink, TOKENIZER_FILE, &loaded.tokenizer)?);
    if let Some(template) = &loaded.template {
        files.push(Output::whole(sink, TEMPLATE_FILE, template.as_bytes())?);
    }
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let sizes = model.sizes;
    let manifest = Manifest {
        schema: SCHEMA,
        importer: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned(),
        source: Origin { format: loaded.format.to_owned(), parts },
        architecture: model.architecture.clone(),
        name: model.name.clone(),
        licence: model.licence.clone(),
        layers: count(sizes.layers),
        heads: count(sizes.heads),
        kv_heads: count(sizes.kv_heads),
        head_size: count(sizes.head_size),
        hidden_size: count(sizes.hidden),
        feed_forward_size: count(sizes.feed_forward),
        vocabulary_size: count(sizes.vocabulary),
        context_length: count(sizes.context),
        parameters: tensors.parameters,
        bos: loaded.bos,
        eos: loaded.eos,
        sampling: sampling::read(source)?,
        layouts,
        rounded,
        encoder: None,
        files,
    };
    write_manifest(sink, &manifest)?;
    Ok(manifest)
}

/// What the manifest says of the files that were read.
pub(crate) fn entries(source: &Source, names: &[String]) -> Result<Vec<FileEntry>, ImportError> {
    let missing = |name: &str| ImportError::Missing { part: Name::new(name), hint: "hand over all files of the model" };
    names.iter().map(|name| source.get(name).ok_or_else(|| missing(name))?.entry()).collect()
}

/// Refuses tensors that nobody asked for: the model is not what it seems.
pub(crate) fn all_used(tensors: &Tensors, architecture: &str) -> Result<(), ImportError> {
    let Some(unused) = tensors.unused() else { return Ok(()) };
    let reason = format!("is not part of a `{}` model as this importer knows it", Name::new(architecture));
    Err(ImportError::tensor(unused, reason))
}

/// Writes the last file.
pub(crate) fn write_manifest(sink: &mut dyn Sink, manifest: &Manifest) -> Result<(), ImportError> {
    let mut text = serde_json::to_vec_pretty(manifest)
        .map_err(|e| ImportError::Write { file: MANIFEST_FILE, source: e.into() })?;
    text.push(b'\n');
    Output::whole(sink, MANIFEST_FILE, &text)?;
    Ok(())
}
