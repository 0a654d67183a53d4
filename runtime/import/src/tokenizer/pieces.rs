//! SentencePiece BPE: scores become merges, spaces become `▁`, what no piece
//! holds becomes bytes.

use serde_json::{Map, Value, json};

use super::{BYTE, NORMAL, UNKNOWN, Vocabulary};
use crate::ImportError;

/// Longest piece that merges are made for, characters: trainers stop at 16,
/// Gemma's runs of spaces at 31.
const PIECE_CHARS_MAX: usize = 128;
/// Most merges: what [`PIECE_CHARS_MAX`] allows a hostile vocabulary is more.
const MERGES_MAX: usize = 1 << 23;

/// The tokenizer of `vocabulary`, whose pieces merge in the order of `scores`.
pub(super) fn json(
    part: &str,
    vocabulary: &Vocabulary,
    vocab: Map<String, Value>,
    scores: &[f64],
    prefix: bool,
) -> Result<Value, ImportError> {
    let pieces = &vocabulary.tokens;
    if scores.len() != pieces.len() || scores.iter().any(|s| !s.is_finite()) {
        return Err(ImportError::malformed(part, "does not have one finite score for each token"));
    }
    let id = |text: &str| vocab.get(text).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let mergeable = |n: usize| vocabulary.kind(n) == NORMAL;
    let mut merges: Vec<(f64, usize, usize)> = Vec::new();
    for (n, piece) in pieces.iter().enumerate().filter(|(n, _)| mergeable(*n)) {
        if piece.len() > 4 * PIECE_CHARS_MAX {
            continue;
        }
        let mut ways: Vec<(usize, usize)> = Vec::new();
        for (at, _) in piece.char_indices().skip(1) {
            let (Some(left), Some(right)) = (piece.get(..at).and_then(id), piece.get(at..).and_then(id)) else {
                continue;
            };
            if mergeable(left) && mergeable(right) {
                ways.push((left, right));
            }
        }
        ways.sort_unstable();
        let score = scores.get(n).copied().unwrap_or(0.0);
        merges.extend(ways.into_iter().map(|(left, right)| (score, left, right)));
        if merges.len() > MERGES_MAX {
            return Err(ImportError::malformed(part, format!("makes more than {MERGES_MAX} merges")));
        }
    }
    // Stable: pieces of one score stay in the order of the vocabulary.
    merges.sort_by(|a, b| b.0.total_cmp(&a.0));
    let text = |n: usize| pieces.get(n).map(String::as_str).unwrap_or_default();
    let merges: Vec<Value> = merges.into_iter().map(|(_, l, r)| json!([text(l), text(r)])).collect();
    let unknown = (0..pieces.len()).find(|n| vocabulary.kind(*n) == UNKNOWN).map(text);
    let bytes = (0..pieces.len()).any(|n| vocabulary.kind(n) == BYTE);
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let back = json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "});
    let normalizer = if prefix {
        json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace]})
    } else {
        replace
    };
    let mut decoders = vec![back, json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
    if prefix {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": normalizer, "pre_tokenizer": null, "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": bytes,
            "ignore_merges": false, "vocab": vocab, "merges": merges,
        },
    }))
}
