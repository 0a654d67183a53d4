//! Texts of tokens as `tokenizer.json` lists them: asking the library for each
//! takes several times as long.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

/// Texts by token; empty where there is none.
pub(super) struct Listed<'a>(Vec<Cow<'a, str>>);

impl<'a> Listed<'a> {
    /// None for a file that keeps its vocabulary in another way than as an
    /// object of numbers.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct File<'a> {
            #[serde(borrow)]
            model: Vocabulary<'a>,
        }
        #[derive(Deserialize)]
        struct Vocabulary<'a> {
            #[serde(borrow)]
            vocab: Listed<'a>,
        }
        serde_json::from_slice::<File<'a>>(bytes).ok().map(|file| file.model.vocab)
    }

    /// Of a token that was not added to the vocabulary.
    pub(super) fn get(&self, token: u32) -> &str {
        self.0.get(token as usize).map_or("", |text| text)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Listed<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Vec<Cow<'de, str>>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tokens")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut texts = Vec::new();
                while let Some((Text(text), token)) = entries.next_entry::<Text<'_>, u32>()? {
                    let token = token as usize;
                    if token >= super::VOCABULARY_MAX {
                        return Err(A::Error::custom("a number beyond any vocabulary"));
                    }
                    if token >= texts.len() {
                        texts.resize(token + 1, Cow::Borrowed(""));
                    }
                    if let Some(place) = texts.get_mut(token) {
                        *place = text;
                    }
                }
                Ok(texts)
            }
        }
        from.deserialize_map(Entries).map(Self)
    }
}

/// Borrowed unless something in it was escaped.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Whole;
        impl<'de> Visitor<'de> for Whole {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        from.deserialize_str(Whole).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::{byte_level, sentence_piece};
    use super::*;

    #[test]
    fn texts_are_those_that_the_library_has() {
        for file in [byte_level(), sentence_piece()] {
            let bytes = file.to_string();
            let listed = Listed::read(bytes.as_bytes()).unwrap();
            let library = tokenizers::Tokenizer::from_bytes(&bytes).unwrap();
            let model = library.get_model();
            let size = u32::try_from(tokenizers::Model::get_vocab_size(model)).unwrap();
            assert!(size > 10);
            for token in 0..size + 10 {
                let text = tokenizers::Model::id_to_token(model, token).unwrap_or_default();
                assert_eq!(listed.get(token), text, "{token}");
            }
        }
    }

    #[test]
    fn other_vocabularies_are_left_to_the_library() {
        for vocab in [json!([["a", -1.0]]), json!({"a": -1}), json!({"a": 1 << 20}), json!(null)] {
            assert!(Listed::read(json!({"model": {"vocab": vocab}}).to_string().as_bytes()).is_none(), "{vocab}");
        }
        let odd = Listed::read(br#"{"model": {"vocab": {"\u00e9\n": 3, "b": 1}}}"#).unwrap();
        assert_eq!([0, 1, 2, 3, 4].map(|token| odd.get(token)), ["", "b", "", "é\n", ""]);
    }
}
