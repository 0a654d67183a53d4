//! From a vector per token to a vector per text, as sentence-transformers'
//! files say.

use serde_json::Value;
use weighbridge_inference_wire::Failure;

use super::{Hidden, TokenBatch};
use crate::failure::{model, said};

/// Largest file of settings.
const SETTINGS_BYTES_MAX: usize = 1024 * 1024;
/// Longest text where no file says so.
const TOKENS_DEFAULT: usize = 512;

/// How a text's vector comes from its tokens'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooling {
    /// The mean of all.
    #[default]
    Mean,
    /// The first token's.
    First,
    /// The last token's.
    Last,
    /// The largest of all, number by number.
    Max,
}

/// How a reranker's output becomes a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// Between 0 and 1.
    #[default]
    Sigmoid,
    /// As it is.
    Raw,
}

impl Activation {
    /// The score in an output of one number, or of two for "no" and "yes".
    #[must_use]
    pub fn score(self, output: &[f32]) -> Option<f32> {
        let raw = match output {
            [one] => *one,
            [no, yes] => yes - no,
            _ => return None,
        };
        Some(match self {
            Self::Sigmoid => 1.0 / (1.0 + (-raw).exp()),
            Self::Raw => raw,
        })
    }
}

/// How texts become vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Which tokens count.
    pub pooling: Pooling,
    /// Whether vectors get length 1.
    pub normalises: bool,
    /// How pairs are scored.
    pub activation: Activation,
    /// Longest text, tokens.
    pub tokens_max: usize,
    /// Token that fills up.
    pub padding: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pooling: Pooling::Mean,
            normalises: true,
            activation: Activation::Sigmoid,
            tokens_max: TOKENS_DEFAULT,
            padding: 0,
        }
    }
}

impl Settings {
    /// From the files of sentence-transformers, each told by what it has:
    /// `modules.json` (a list), `1_Pooling/config.json` (`pooling_mode_…`),
    /// `sentence_bert_config.json` (`max_seq_length`), `config.json`
    /// (`max_position_embeddings`, `pad_token_id`).
    ///
    /// # Errors
    /// A file that is no JSON, too large, or wants what we cannot do.
    pub fn read(files: &[&[u8]]) -> Result<Self, Failure> {
        let mut settings = Self::default();
        let (mut longest, mut positions) = (None, None);
        for file in files {
            if file.len() > SETTINGS_BYTES_MAX {
                return Err(model(format!("a file of pooling settings has {} bytes", file.len())));
            }
            let file: Value = serde_json::from_slice(file)
                .map_err(|why| model(format!("a file of pooling settings is not JSON: {}", said(why))))?;
            if let Some(modules) = file.as_array() {
                let named = |name: &str| {
                    modules.iter().filter_map(|module| module.get("type")?.as_str()).any(|kind| kind.ends_with(name))
                };
                settings.normalises = named(".Normalize");
                if named(".Dense") {
                    return Err(model("the model wants a dense layer after pooling, which is not part of its graph"));
                }
            }
            settings.pooling = pooling(&file)?.unwrap_or(settings.pooling);
            let size = |name: &str| file.get(name).and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
            longest = longest.or(size("max_seq_length"));
            // RoBERTa counts positions from behind its padding token.
            let offset =
                matches!(file.get("model_type").and_then(Value::as_str), Some("roberta" | "xlm-roberta" | "camembert"));
            positions =
                positions.or(size("max_position_embeddings").map(|size| size.saturating_sub(2 * usize::from(offset))));
            if let Some(padding) = size("pad_token_id").and_then(|token| u32::try_from(token).ok()) {
                settings.padding = padding;
            }
        }
        let most = positions.unwrap_or(usize::MAX);
        settings.tokens_max = longest.or(positions).unwrap_or(TOKENS_DEFAULT).min(most).clamp(1, 1 << 20);
        Ok(settings)
    }
}

fn pooling(file: &Value) -> Result<Option<Pooling>, Failure> {
    let mut modes = Vec::new();
    for (name, on) in file.as_object().into_iter().flatten() {
        if let Some(mode) = name.strip_prefix("pooling_mode_")
            && on.as_bool() == Some(true)
        {
            modes.push(mode);
        }
    }
    match modes.as_slice() {
        [] => Ok(None),
        ["mean_tokens"] => Ok(Some(Pooling::Mean)),
        ["cls_token"] => Ok(Some(Pooling::First)),
        ["lasttoken"] => Ok(Some(Pooling::Last)),
        ["max_tokens"] => Ok(Some(Pooling::Max)),
        other => Err(model(format!(
            "the model pools by {}; mean, cls, max or last token are done",
            said(other.join(" and "))
        ))),
    }
}

/// One vector per row; `None` if the shape is not that of the batch.
#[must_use]
pub fn pool(hidden: &Hidden, batch: &TokenBatch, pooling: Pooling) -> Option<Vec<Vec<f32>>> {
    let (columns, size) = match *hidden.shape.as_slice() {
        [rows] if rows == batch.rows => (1, 1),
        [rows, size] if rows == batch.rows => (1, size),
        [rows, columns, size] if rows == batch.rows && columns == batch.columns => (columns, size),
        _ => return None,
    };
    let pooled_already = hidden.shape.len() < 3;
    if size == 0 || hidden.data.len() != batch.rows.checked_mul(columns)?.checked_mul(size)? {
        return None;
    }
    let rows = hidden.data.chunks_exact(columns * size).zip(batch.mask.chunks_exact(batch.columns.max(1)));
    let vectors = rows.map(|(row, mask)| {
        if pooled_already {
            return row.to_vec();
        }
        let tokens = row.chunks_exact(size).zip(mask).filter(|&(_, &on)| on != 0).map(|(token, _)| token);
        of_tokens(tokens, size, pooling)
    });
    Some(vectors.collect())
}

/// A text's vector from its tokens'.
pub(super) fn of_tokens<'a>(
    mut tokens: impl DoubleEndedIterator<Item = &'a [f32]>,
    size: usize,
    pooling: Pooling,
) -> Vec<f32> {
    match pooling {
        Pooling::First => tokens.next().unwrap_or_default().to_vec(),
        Pooling::Last => tokens.next_back().unwrap_or_default().to_vec(),
        Pooling::Mean => mean(tokens, size),
        Pooling::Max => tokens.fold(vec![f32::MIN; size], |mut most, token| {
            most.iter_mut().zip(token).for_each(|(most, number)| *most = most.max(*number));
            most
        }),
    }
}

fn mean<'a>(tokens: impl Iterator<Item = &'a [f32]>, size: usize) -> Vec<f32> {
    let (mut sum, mut count) = (vec![0.0f64; size], 0.0f64);
    for token in tokens {
        sum.iter_mut().zip(token).for_each(|(sum, number)| *sum += f64::from(*number));
        count += 1.0;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a mean of f32 is one")]
    sum.into_iter().map(|sum| (sum / count.max(1.0)) as f32).collect()
}

/// Gives a vector length 1; nothing but zeros stays so.
pub fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|&number| f64::from(number) * f64::from(number)).sum::<f64>().sqrt();
    if length > 0.0 {
        #[expect(clippy::cast_possible_truncation, reason = "at most 1")]
        vector.iter_mut().for_each(|number| *number = (f64::from(*number) / length) as f32);
    }
}
