//! A GGUF file, alone or in splits.

mod config;

use weighbridge_formats::formats::gguf::catalogue::{self, Catalogue};

use crate::ImportError;
use crate::error::Name;
use crate::import::{Loaded, Options};
use crate::model::names::Names;
use crate::source::{Part, Source};
use crate::tokenizer;
use crate::weights::{Described, Tensors};

/// Most splits.
const SPLITS_MAX: u64 = 1024;
/// Tensors that the configuration takes in; the graph has no use for them.
pub(crate) const ROPE_TENSORS: &[&str] =
    &["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"];

/// Whether `source` is meant to be one.
pub(crate) fn is_in(source: &Source) -> bool {
    source.parts().iter().any(is_gguf)
}

fn is_gguf(part: &Part) -> bool {
    part.name.to_ascii_lowercase().ends_with(".gguf")
}

/// Reads what the file says of its model.
///
/// # Errors
/// Whatever is missing, malformed or not supported.
pub(crate) fn load(source: &Source, options: &Options) -> Result<Loaded, ImportError> {
    let parts: Vec<&Part> = source.parts().iter().filter(|p| is_gguf(p)).collect();
    let splits = parts.iter().map(|p| {
        let catalogue =
            catalogue::read(&p.input).map_err(|source| ImportError::Format { part: Name::new(&p.name), source })?;
        Ok((*p, catalogue))
    });
    let mut splits = splits.collect::<Result<Vec<_>, ImportError>>()?;
    splits.sort_by_key(|(_, c)| c.unsigned("split.no").unwrap_or(0));
    let Some((first, head)) = splits.first() else { return Err(ImportError::NoModel) };
    check_splits(&first.name, &splits)?;
    let mut tensors = Tensors::default();
    for (part, catalogue) in &splits {
        let number = tensors.part(&part.name, &part.input);
        for e in &catalogue.tensors {
            let described = Described {
                name: &e.name,
                kind: e.kind,
                row: e.row,
                elements: e.elements,
                start: e.start,
                size: e.size,
            };
            tensors.add(number, &described)?;
        }
    }
    let model = config::read(&first.name, head, &tensors, options)?;
    ROPE_TENSORS.iter().for_each(|name| tensors.ignore(name));
    let tokens = tokenizer::from_gguf(&first.name, head, model.sizes.vocabulary)?;
    Ok(Loaded {
        format: "gguf",
        names: Names::gguf(model.family),
        model,
        tensors,
        tokenizer: tokens.json,
        template: head.template("tokenizer.chat_template").map(str::to_owned),
        bos: tokens.bos,
        eos: tokens.eos,
        parts: splits.iter().map(|(p, _)| p.name.clone()).collect(),
    })
}

/// Splits must be all of one model's.
fn check_splits(first: &str, splits: &[(&Part, Catalogue)]) -> Result<(), ImportError> {
    let there = splits.len() as u64;
    let stated = splits.first().and_then(|(_, c)| c.unsigned("split.count")).unwrap_or(1).max(1);
    if stated > SPLITS_MAX || stated != there {
        let reason = format!("is one of {stated} parts, and {there} are there; hand over one model, all of it");
        return Err(ImportError::malformed(first, reason));
    }
    for (n, (part, catalogue)) in splits.iter().enumerate() {
        let (number, count) = (catalogue.unsigned("split.no"), catalogue.unsigned("split.count"));
        if there > 1 && (number != Some(n as u64) || count != Some(stated)) {
            return Err(ImportError::malformed(&part.name, format!("does not say that it is part {n} of {stated}")));
        }
    }
    Ok(())
}
