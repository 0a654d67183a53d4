//! What a GGUF file says of itself.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use weighbridge_types::LinkKind;

use crate::core::Inspection;
use crate::formats::gguf::metadata::{Metadata, Value};
use crate::formats::gguf::quant::{self, Kind};
use crate::formats::gguf::source::Source;
use crate::formats::gguf::tensors::Tensor;

/// What is kept of each base model.
const BASE_MODEL_TEXTS: &[&str] = &["name", "author", "organization", "version", "url", "repo_url", "doi", "uuid"];
/// Most base models named.
const BASE_MODELS_MAX: u64 = 32;

/// Keys whose text is a fact as it stands.
const TEXTS: &[(&str, &str)] = &[
    ("general.architecture", "architecture"),
    ("general.name", "name"),
    ("general.basename", "basename"),
    ("general.size_label", "size_label"),
    ("general.license", "license"),
    ("general.license.link", "license_link"),
    ("general.finetune", "finetune"),
    ("general.version", "model_version"),
    ("general.author", "author"),
    ("general.organization", "organization"),
    ("general.url", "url"),
    ("general.repo_url", "repo_url"),
    ("general.doi", "doi"),
    ("general.uuid", "uuid"),
    ("general.quantized_by", "quantized_by"),
    ("general.source.url", "source_url"),
    ("general.source.repo_url", "source_repo_url"),
    ("general.source.doi", "source_doi"),
    ("general.source.uuid", "source_uuid"),
    ("general.source.huggingface.repository", "source_repository"),
    ("general.type", "type"),
    ("tokenizer.ggml.model", "tokenizer"),
    ("adapter.type", "adapter"),
];

/// Keys below the architecture's name whose integer is a fact.
const SIZES: &[(&str, &str)] = &[
    ("context_length", "context_length"),
    ("block_count", "block_count"),
    ("embedding_length", "embedding_length"),
    ("attention.head_count", "head_count"),
    ("expert_count", "expert_count"),
];

/// Records metadata and links. `complete` says whether every description was
/// read, so that sums over them hold.
pub fn report(ctx: &mut Inspection<'_>, s: &Source<'_>, metadata: &Metadata, tensors: &[Tensor], complete: bool) {
    ctx.fact("format_version", s.version);
    if s.big_endian {
        ctx.fact("byte_order", "big-endian");
    }
    for (key, fact) in TEXTS {
        if let Some(text) = metadata.text(key) {
            ctx.fact(fact, text);
        }
    }
    let producer = metadata.text("general.quantized_by").or_else(|| metadata.text("general.author"));
    if let Some(producer) = producer {
        ctx.fact("producer", producer);
    }
    if let Some(architecture) = metadata.text("general.architecture") {
        for (key, fact) in SIZES {
            if let Some(n) = metadata.unsigned(&format!("{architecture}.{key}")) {
                ctx.fact(fact, n);
            }
        }
    }
    if let Some(Value::Count(n)) = metadata.get("tokenizer.ggml.tokens") {
        ctx.fact("vocabulary_size", *n);
    }
    for (key, fact) in [("general.tags", "tags"), ("general.languages", "languages")] {
        if let Some(Value::Texts(items)) = metadata.get(key) {
            ctx.fact(fact, items.clone());
        }
    }
    if let Some((_, template)) = metadata.templates.iter().find(|(key, _)| key == "tokenizer.chat_template") {
        ctx.fact("chat_template", template.as_str());
    }
    base_models(ctx, metadata);
    sums(ctx, metadata, tensors, complete);
}

fn base_models(ctx: &mut Inspection<'_>, metadata: &Metadata) {
    let count = metadata.unsigned("general.base_model.count").unwrap_or(0).min(BASE_MODELS_MAX);
    let mut names = Vec::new();
    let mut models = Vec::new();
    for n in 0..count {
        let texts = BASE_MODEL_TEXTS.iter().filter_map(|field| {
            Some(((*field).to_owned(), Json::from(metadata.text(&format!("general.base_model.{n}.{field}"))?)))
        });
        models.push(Json::Object(texts.collect()));
        let url = metadata.text(&format!("general.base_model.{n}.repo_url"));
        if let Some(url) = url {
            ctx.link(LinkKind::BaseModel, url);
        }
        if let Some(name) = metadata.text(&format!("general.base_model.{n}.name")).or(url) {
            names.push(name.to_owned());
        }
    }
    if !models.is_empty() {
        ctx.fact("base_models", models);
    }
    match names.as_slice() {
        [] => {}
        [one] => ctx.fact("base_model", one.as_str()),
        _ => ctx.fact("base_model", names),
    }
}

fn sums(ctx: &mut Inspection<'_>, metadata: &Metadata, tensors: &[Tensor], complete: bool) {
    let mut types: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for tensor in tensors {
        let name = match quant::kind(tensor.kind) {
            Kind::Known(quant) => quant.name,
            _ => "other",
        };
        let (count, elements) = types.entry(name).or_default();
        *count += 1;
        *elements = elements.saturating_add(tensor.elements.unwrap_or(0));
    }
    // One-dimensional tensors stay in F32 whatever the rest is; by elements
    // they never dominate.
    let dominant = types.iter().max_by_key(|(_, (_, elements))| *elements).map(|(name, _)| *name);
    let declared = metadata.unsigned("general.file_type").and_then(quant::file_type);
    if let Some(quantization) = declared.or(dominant) {
        ctx.fact("quantization", quantization);
    }
    if !complete {
        return;
    }
    ctx.fact("tensor_count", tensors.len() as u64);
    let elements = types.values().fold(0u64, |sum, (_, e)| sum.saturating_add(*e));
    if elements > 0 {
        ctx.fact("parameters", elements);
        ctx.fact("dtypes", types.iter().map(|(k, (n, _))| ((*k).to_owned(), Json::from(*n))).collect::<Map<_, _>>());
    }
}
