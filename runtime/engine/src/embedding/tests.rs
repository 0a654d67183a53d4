use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::text::samples;

/// Says which tokens it saw: each token's vector is (token, place, 1).
struct Echo {
    batches: Vec<TokenBatch>,
    size: usize,
}

impl TensorModel for Echo {
    fn run(&mut self, batch: &TokenBatch) -> Result<Hidden, StepError> {
        self.batches.push(batch.clone());
        if self.size == 1 {
            let data = (0..batch.rows)
                .map(|row| batch.mask[row * batch.columns..][..batch.columns].iter().sum::<i64>() as f32);
            return Ok(Hidden { shape: vec![batch.rows, 1], data: data.collect() });
        }
        let token = |at: usize| [batch.tokens[at] as f32, (at % batch.columns) as f32, 1.0];
        let data = (0..batch.rows * batch.columns).flat_map(token).collect();
        Ok(Hidden { shape: vec![batch.rows, batch.columns, 3], data })
    }
}

/// BERT's kind: a token before, one behind, types by pair.
fn bert() -> Arc<Text> {
    let part = |id: &str, kind: u32| json!({"Sequence": {"id": id, "type_id": kind}});
    let mark = |id: &str, kind: u32| json!({"SpecialToken": {"id": id, "type_id": kind}});
    let vocabulary: Value = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "a", "b", "c", "d"]
        .iter()
        .zip(0..)
        .map(|(t, n)| (t.to_string(), json!(n)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let file = json!({"version": "1.0", "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
        "truncation": null, "padding": null, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "added_tokens": [], "post_processor": {"type": "TemplateProcessing",
            "single": [mark("[CLS]", 0), part("A", 0), mark("[SEP]", 0)],
            "pair": [mark("[CLS]", 0), part("A", 0), mark("[SEP]", 0), part("B", 1), mark("[SEP]", 1)],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]},
                               "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}}},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary}});
    Arc::new(samples::load_with(&file, &json!({})))
}

fn embedder(size: usize, settings: Settings) -> Embedder<Echo> {
    Embedder::new(Echo { batches: Vec::new(), size }, bert(), settings, 16)
}

fn vectors(event: &Event) -> Vec<Vec<f32>> {
    let Event::Vectors { size, data } = event else { panic!("{event:?}") };
    let numbers: Vec<f32> =
        STANDARD.decode(data).unwrap().chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    numbers.chunks(*size as usize).map(<[f32]>::to_vec).collect()
}

fn texts(texts: &[&str]) -> Embed {
    Embed {
        texts: texts.iter().map(ToString::to_string).collect(),
        tokens: Vec::new(),
        dimensions: None,
        truncate: true,
    }
}

#[test]
fn order_survives_buckets_and_padding_does_not_count() {
    let settings = Settings { normalises: false, ..Settings::default() };
    let mut embedder = embedder(3, settings);
    let (event, usage) = embedder.embed(&texts(&["a", "a b c d a b c d", "", "b b"])).unwrap();
    assert_eq!(usage.prompt_tokens, 3 + 10 + 2 + 4);
    let vectors = vectors(&event);
    assert_eq!(vectors[0], [(1 + 4 + 2) as f32 / 3.0, 1.0, 1.0]);
    assert_eq!(vectors[1], [47.0 / 10.0, 4.5, 1.0]);
    assert_eq!(vectors[2], [1.5, 0.5, 1.0]);
    assert_eq!(vectors[3], [(1 + 5 + 5 + 2) as f32 / 4.0, 1.5, 1.0]);
    let shapes: Vec<(usize, usize)> = embedder.model.batches.iter().map(|batch| (batch.rows, batch.columns)).collect();
    assert_eq!(shapes, [(1, 10), (3, 4)], "likes with likes, within 16 tokens");
}

#[test]
fn tokens_are_taken_as_they_are() {
    let mut embedder = embedder(3, Settings { tokens_max: 5, ..Settings::default() });
    let of = |tokens: &[&[u32]], truncate| Embed {
        tokens: tokens.iter().map(|t| t.to_vec()).collect(),
        truncate,
        ..texts(&[])
    };
    let (event, usage) = embedder.embed(&of(&[&[4, 5], &[6]], false)).unwrap();
    assert_eq!((vectors(&event).len(), usage.prompt_tokens), (2, 3));
    assert_eq!(embedder.model.batches[0].tokens[..2], [4, 5]);
    for (wrong, kind) in [(vec![u32::MAX], FailureKind::Invalid), (vec![4; 6], FailureKind::TooLong)] {
        assert_eq!(embedder.embed(&of(&[&wrong], false)).unwrap_err().kind, kind);
    }
    assert!(embedder.embed(&of(&[&[4; 6]], true)).is_ok());
}

#[test]
fn every_way_of_pooling() {
    let of = |pooling| {
        let mut embedder = embedder(3, Settings { normalises: false, pooling, ..Settings::default() });
        vectors(&embedder.embed(&texts(&["a", "a b d"])).unwrap().0).remove(0)
    };
    assert_eq!(of(Pooling::First), [1.0, 0.0, 1.0]);
    assert_eq!(of(Pooling::Last), [2.0, 2.0, 1.0]);
    assert_eq!(of(Pooling::Max), [4.0, 2.0, 1.0]);
}

#[test]
fn vectors_have_length_one_and_can_be_cut() {
    let mut embedder = embedder(3, Settings::default());
    let (event, _) = embedder.embed(&Embed { dimensions: Some(2), ..texts(&["a b", "c"]) }).unwrap();
    for vector in vectors(&event) {
        assert_eq!(vector.len(), 2);
        assert!((vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-6);
    }
    for wrong in [0, 4] {
        let failure = embedder.embed(&Embed { dimensions: Some(wrong), ..texts(&["a"]) }).unwrap_err();
        assert_eq!(failure.field.as_deref(), Some("dimensions"));
    }
}

#[test]
fn long_texts_are_cut_or_refused() {
    let mut embedder = embedder(3, Settings { tokens_max: 5, ..Settings::default() });
    embedder.embed(&texts(&["a b c d a b"])).unwrap();
    assert_eq!(embedder.model.batches[0].tokens, [1, 4, 5, 6, 2], "the last token stays");
    let long = "a ".repeat(1 << 22);
    embedder.embed(&texts(&[&long])).unwrap();
    assert_eq!(embedder.model.batches[1].tokens, [1, 4, 4, 4, 2]);
    for text in ["a b c d a b", &long] {
        let failure = embedder.embed(&Embed { truncate: false, ..texts(&[text]) }).unwrap_err();
        assert_eq!(failure.kind, FailureKind::TooLong);
    }
    assert_eq!(embedder.embed(&texts(&[])).unwrap_err().kind, FailureKind::Invalid);
    assert_eq!(embedder.embed(&texts(&["a"; 5000])).unwrap_err().kind, FailureKind::Invalid);
}

#[test]
fn pairs_are_scored_in_order() {
    let mut embedder = embedder(1, Settings { activation: Activation::Raw, ..Settings::default() });
    let request = Rerank { query: "a b".into(), documents: vec!["c".into(), "c d c d".into(), "d d".into()] };
    let (event, _) = embedder.rerank(&request).unwrap();
    assert_eq!(event, Event::Scores { scores: vec![6.0, 9.0, 7.0] });
    assert_eq!(embedder.model.batches[0].types, [0, 0, 0, 0, 1, 1, 1, 1, 1]);
    assert_eq!(Activation::Sigmoid.score(&[0.0]), Some(0.5));
    assert_eq!(Activation::Raw.score(&[1.0, 3.0]), Some(2.0));
    assert_eq!(Activation::Raw.score(&[1.0, 3.0, 2.0]), None);
}

#[test]
fn settings_come_from_the_usual_files() {
    let modules =
        br#"[{"type": "sentence_transformers.models.Transformer"}, {"type": "sentence_transformers.models.Pooling"},
        {"type": "sentence_transformers.models.Normalize"}]"#;
    let pooling =
        br#"{"word_embedding_dimension": 384, "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#;
    let settings = Settings::read(&[
        modules,
        pooling,
        br#"{"max_seq_length": 256}"#,
        br#"{"max_position_embeddings": 512, "pad_token_id": 1}"#,
    ])
    .unwrap();
    assert_eq!(
        settings,
        Settings { pooling: Pooling::First, normalises: true, tokens_max: 256, padding: 1, ..Settings::default() }
    );
    let plain = br#"[{"type": "sentence_transformers.models.Transformer"}]"#;
    assert!(!Settings::read(&[plain]).unwrap().normalises);
    let roberta = br#"{"max_position_embeddings": 514, "model_type": "roberta"}"#;
    assert_eq!(Settings::read(&[roberta, br#"{"max_seq_length": 9999}"#]).unwrap().tokens_max, 512);
    for broken in [
        &b"{"[..],
        br#"{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}"#,
        br#"[{"type": "x.Dense"}]"#,
    ] {
        assert_eq!(Settings::read(&[broken]).unwrap_err().kind, FailureKind::Model);
    }
}

#[test]
fn outputs_of_the_wrong_shape_are_the_models_fault() {
    let batch = TokenBatch { rows: 2, columns: 3, tokens: vec![0; 6], mask: vec![1; 6], types: vec![0; 6] };
    let of =
        |shape: &[usize], count| pool(&Hidden { shape: shape.to_vec(), data: vec![0.0; count] }, &batch, Pooling::Mean);
    for (shape, count) in
        [(&[2, 3, 4][..], 23), (&[2, 2, 4], 16), (&[3, 4], 12), (&[], 1), (&[2, 3, 0], 0), (&[2, 3, usize::MAX], 6)]
    {
        assert_eq!(of(shape, count), None, "{shape:?}");
    }
    assert_eq!(of(&[2, 3, 4], 24).unwrap(), vec![vec![0.0; 4]; 2]);
    assert_eq!(of(&[2], 2).unwrap().len(), 2);
}
