//! Reads a tokenizer without the trees that the library makes of a file whose
//! kind of vocabulary it does not know: twice the whole vocabulary, most of
//! which would stay with the process.

use serde::de::DeserializeOwned;
use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::BPE;
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{
    DecoderWrapper, Model, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer, TokenizerImpl,
};

use crate::failure::said;

type Of<M> = TokenizerImpl<M, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// The tokenizer in a file whose vocabulary is of this kind.
///
/// # Errors
/// The library's own words.
pub(super) fn tokenizer(bytes: &[u8], kind: Option<&str>) -> Result<Tokenizer, String> {
    let known = match kind {
        Some("BPE") => known::<BPE>(bytes),
        Some("Unigram") => known::<Unigram>(bytes),
        Some("WordPiece") => known::<WordPiece>(bytes),
        Some("WordLevel") => known::<WordLevel>(bytes),
        _ => None,
    };
    // The library's own way knows more dialects, and says what is wrong.
    known.map_or_else(|| Tokenizer::from_bytes(bytes).map_err(said), Ok)
}

fn known<M: Model + DeserializeOwned + Into<ModelWrapper>>(bytes: &[u8]) -> Option<Tokenizer> {
    serde_json::from_slice::<Of<M>>(bytes).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::samples::{byte_level, sentence_piece};
    use super::*;

    fn whole(tokenizer: &Tokenizer) -> Value {
        serde_json::from_str(&tokenizer.to_string(false).unwrap()).unwrap()
    }

    #[test]
    fn both_ways_read_the_same() {
        let vocabulary = json!({"[UNK]": 0, "a": 1, "##b": 2});
        let pieces = json!({"version": "1.0", "added_tokens": [], "normalizer": {"type": "Lowercase"},
            "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null, "truncation": null,
            "padding": null, "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": vocabulary}});
        let mut words = pieces.clone();
        words["model"] = json!({"type": "WordLevel", "unk_token": "[UNK]", "vocab": vocabulary});
        let mut scores = pieces.clone();
        scores["model"] =
            json!({"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.5]], "byte_fallback": false});
        for file in [byte_level(), sentence_piece(), pieces, words, scores] {
            let bytes = file.to_string();
            let kind = file["model"]["type"].as_str();
            let read = match kind {
                Some("BPE") => known::<BPE>(bytes.as_bytes()),
                Some("Unigram") => known::<Unigram>(bytes.as_bytes()),
                Some("WordPiece") => known::<WordPiece>(bytes.as_bytes()),
                _ => known::<WordLevel>(bytes.as_bytes()),
            };
            let expected = whole(&Tokenizer::from_bytes(&bytes).unwrap());
            assert_eq!(whole(&read.unwrap()), expected, "{kind:?}");
            assert_eq!(whole(&tokenizer(bytes.as_bytes(), None).unwrap()), expected);
        }
    }
}
