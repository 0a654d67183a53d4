//! The formats before GGUF (2022 to August 2023): GGML without a version
//! (whisper.cpp still writes it), GGMF, GGJT and GGLA, and the session files
//! that share their family of signatures.

mod parts;
pub(crate) mod rules;
#[cfg(test)]
mod tests;

use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};
use parts::Alignment;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "ggml-legacy",
    name: "GGML (before GGUF)",
    extensions: &["ggml", "bin", "ggmlv3"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

/// Largest value a hyperparameter plausibly has.
const PARAMETER_MAX: u32 = 1 << 24;

/// The members of the family, by their first four bytes: a little-endian
/// `u32` whose hexadecimal digits spell the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// No version, layout by architecture.
    Ggml,
    /// Version 1, scores in the vocabulary.
    Ggmf,
    /// Versions 1 to 3, tensors aligned.
    Ggjt,
    /// LoRA adapter.
    Ggla,
    /// llama.cpp session or sequence state.
    Session,
}

fn family(magic: &[u8]) -> Option<Family> {
    Some(match magic.first_chunk()? {
        b"lmgg" => Family::Ggml,
        b"fmgg" => Family::Ggmf,
        b"tjgg" => Family::Ggjt,
        b"algg" => Family::Ggla,
        b"nsgg" | b"qsgg" => Family::Session,
        _ => return None,
    })
}

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let Some(family) = family(sniff.head) else { return Confidence::No };
    let Some(next) = sniff.u32_le(4) else { return Confidence::Likely };
    match family {
        Family::Ggml if plausible(next) && sniff.u32_le(8).is_none_or(plausible) => Confidence::Certain,
        Family::Ggml => Confidence::No,
        _ if (1..=64).contains(&next) => Confidence::Certain,
        _ if sniff.name.has_extension(FORMAT.extensions) => Confidence::Likely,
        _ => Confidence::No,
    }
}

fn plausible(parameter: u32) -> bool {
    (1..=PARAMETER_MAX).contains(&parameter)
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    let magic = r.array::<4>("magic")?;
    let Some(family) = family(&magic) else { return Err(FormatError::malformed("magic", 0, "another signature")) };
    match family {
        Family::Ggml => unversioned(ctx, &mut r),
        Family::Ggmf => {
            version(ctx, &mut r, "ggmf", 1)?;
            llama(ctx, &mut r, Alignment::None)
        }
        Family::Ggjt => {
            version(ctx, &mut r, "ggjt", 3)?;
            llama(ctx, &mut r, Alignment::Bytes32)
        }
        Family::Ggla => {
            version(ctx, &mut r, "ggla", 1)?;
            let rank = r.u32_le("rank")?;
            r.skip(4, "alpha")?;
            ctx.fact("adapter", "lora");
            ctx.fact("adapter_rank", rank);
            parts::tensors(ctx, &mut r, Alignment::Bytes32)
        }
        Family::Session => {
            let version = r.u32_le("version")?;
            ctx.fact("format_version", version);
            ctx.find(&rules::SESSION, 0, "the saved state of a conversation");
            Ok(())
        }
    }
}

fn version(ctx: &mut Inspection<'_>, r: &mut Reader<'_>, name: &str, max: u32) -> Result<(), FormatError> {
    let version = r.u32_le("version")?;
    ctx.fact("format_version", format!("{name} {version}"));
    if (1..=max).contains(&version) {
        Ok(())
    } else {
        Err(FormatError::malformed("version", 4, format!("{version} is none of 1 to {max}")))
    }
}

/// Hyperparameters, vocabulary and tensors as llama.cpp wrote them until
/// August 2023.
fn llama(ctx: &mut Inspection<'_>, r: &mut Reader<'_>, alignment: Alignment) -> Result<(), FormatError> {
    const FIELDS: [&str; 7] = ["n_vocab", "n_embd", "n_mult", "n_head", "n_layer", "n_rot", "ftype"];
    let values = parts::parameters(ctx, r, FIELDS)?;
    let [vocabulary, embedding, _, heads, layers, _, file_type] = values;
    ctx.fact("architecture", "llama");
    ctx.fact("vocabulary_size", vocabulary);
    ctx.fact("embedding_length", embedding);
    ctx.fact("head_count", heads);
    ctx.fact("block_count", layers);
    parts::quantization(ctx, file_type);
    parts::vocabulary(ctx, r, vocabulary, true)?;
    parts::tensors(ctx, r, alignment)
}

/// Files without a version: whisper.cpp, or one of the many examples of ggml,
/// each with its own layout.
fn unversioned(ctx: &mut Inspection<'_>, r: &mut Reader<'_>) -> Result<(), FormatError> {
    ctx.fact("format_version", "ggml");
    let input = r.input();
    let mut peeked = Reader::at(input, 4);
    let mut first = [0u32; 11];
    for slot in &mut first {
        *slot = peeked.u32_le("hyperparameters")?;
    }
    let [
        vocabulary,
        audio_context,
        audio_state,
        audio_head,
        audio_layer,
        text_context,
        text_state,
        ..,
        mels,
        file_type,
    ] = first;
    let whisper = matches!(mels, 80 | 128)
        && [vocabulary, audio_context, audio_state, audio_head, audio_layer, text_context, text_state]
            .iter()
            .all(|n| plausible(*n))
        && file_type < 10_000;
    if !whisper {
        // Which architecture it is stands nowhere in the file.
        return Ok(());
    }
    ctx.fact("architecture", "whisper");
    ctx.fact("vocabulary_size", vocabulary);
    ctx.fact("context_length", text_context);
    ctx.fact("block_count", audio_layer);
    parts::quantization(ctx, file_type);
    r.seek(4 + 44, "mel filters")?;
    let filters = u64::from(r.u32_le("n_mel")?);
    let width = u64::from(r.u32_le("n_fft")?);
    let at = r.position();
    let bytes = filters.checked_mul(width).and_then(|n| n.checked_mul(4));
    let bytes =
        bytes.filter(|bytes| *bytes <= r.remaining()).ok_or_else(|| FormatError::truncated("mel filters", at))?;
    r.skip(bytes, "mel filters")?;
    let words = r.u32_le("n_vocab")?;
    parts::vocabulary(ctx, r, words, false)?;
    parts::tensors(ctx, r, Alignment::None)
}
