//! How a model's authors draw its tokens (`generation_config.json`).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ImportError;
use crate::source::Source;

/// Largest file read, bytes.
const FILE_BYTES_MAX: usize = 4 << 20;
/// Most candidates that mean anything: the largest vocabulary.
const TOP_K_MAX: u64 = crate::model::VOCABULARY_MAX;

/// What answers are drawn with unless a caller asks otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 takes the likeliest token always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Share of probability kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Candidates kept; 0 is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// Least probability kept, as a share of the likeliest token's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f64>,
    /// Divides the logits of tokens seen; 1 leaves them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f64>,
}

/// The values that `source` states. Those out of range are left out: a model
/// is no worse without them.
pub(crate) fn read(source: &Source) -> Result<Option<Sampling>, ImportError> {
    let Some(stated) = source.json("generation_config.json", FILE_BYTES_MAX)? else { return Ok(None) };
    let of = |name: &str, least: f64, most: f64| {
        stated.get(name).and_then(Value::as_f64).filter(|value| (least..=most).contains(value))
    };
    let top_k = stated.get("top_k").and_then(Value::as_u64).filter(|&count| count <= TOP_K_MAX);
    // Whoever draws nothing takes the likeliest.
    let greedy = (stated.get("do_sample").and_then(Value::as_bool) == Some(false)).then_some(0.0);
    let sampling = Sampling {
        temperature: greedy.or(of("temperature", 0.0, 100.0)),
        top_p: of("top_p", 0.0, 1.0),
        top_k: top_k.and_then(|count| u32::try_from(count).ok()),
        min_p: of("min_p", 0.0, 1.0),
        repetition_penalty: of("repetition_penalty", 0.01, 100.0),
    };
    Ok(Some(sampling).filter(|stated| *stated != Sampling::default()))
}
