//! Models that read whole texts make of them what sentence-transformers makes
//! with the same weights. The samples are made by
//! `tests/fixtures/make_encoders.py`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::HashMap;

use common::{Case, Memory, cases, encoder, imported};
use serde_json::{Value, json};
use weighbridge_import::reference::{Graph, Session};
use weighbridge_import::{GRAPH_FILE, Manifest, Options, Pooling, Quantisation, Score, Task, WEIGHTS_FILE};

const SAMPLES: &[&str] = &["bert", "bert_cls", "bert_rerank", "roberta", "roberta_rerank", "distilbert"];

fn options(quantisation: Quantisation) -> Options {
    Options { quantisation: Some(quantisation), long_context: false }
}

/// What the imported model makes of a case.
fn computed(manifest: &Manifest, model: &Memory, case: &Case) -> Vec<f32> {
    let encoder = manifest.encoder.as_ref().unwrap();
    let graph = Graph::read(&model.0[GRAPH_FILE]).unwrap();
    let positions: Vec<i64> = (i64::from(encoder.first_position)..).take(case.tokens.len()).collect();
    let numbers: HashMap<&str, &[i64]> = HashMap::from([
        ("input_ids", &case.tokens[..]),
        ("position_ids", &positions),
        ("token_type_ids", &case.types),
        ("rows", &[0]),
    ]);
    let output = if encoder.task == Task::Rerank { "logits" } else { "last_hidden_state" };
    let rows = Session::new(&graph, &model.0[WEIGHTS_FILE]).run(&numbers, output).unwrap();
    if encoder.task == Task::Rerank {
        let [score] = rows[0][..] else { panic!("one number for a pair") };
        return vec![if encoder.score == Score::Raw { score } else { 1.0 / (1.0 + (-score).exp()) }];
    }
    let column = |d: usize| rows.iter().map(move |row| row[d]);
    let mut vector: Vec<f32> = match encoder.pooling {
        Pooling::Mean => (0..rows[0].len()).map(|d| column(d).sum::<f32>() / rows.len() as f32).collect(),
        Pooling::Max => (0..rows[0].len()).map(|d| column(d).fold(f32::MIN, f32::max)).collect(),
        Pooling::Cls => rows[0].clone(),
        Pooling::Last => rows.last().unwrap().clone(),
    };
    if encoder.normalises {
        let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|v| *v /= length);
    }
    vector
}

#[test]
fn every_family_computes_what_sentence_transformers_computes() {
    for sample in SAMPLES {
        let (manifest, model) = imported(&encoder(sample), &options(Quantisation::F16)).unwrap();
        assert_eq!(manifest.rounded, [], "{sample}");
        let mut worst = 0.0_f32;
        for case in cases(sample) {
            let ours = computed(&manifest, &model, &case);
            assert_eq!(ours.len(), case.numbers.len(), "{sample}");
            worst = ours.iter().zip(&case.numbers).map(|(a, b)| (a - b).abs()).fold(worst, f32::max);
        }
        println!("{sample}: {worst:e}");
        // Numbers are of the size of 1; both sides compute in f32.
        assert!(worst < 1e-5, "{sample}: {worst}");
    }
}

#[test]
fn eight_bits_come_close() {
    for sample in ["bert", "bert_cls", "roberta", "distilbert"] {
        let (manifest, model) = imported(&encoder(sample), &Options::default()).unwrap();
        assert!(manifest.layouts.iter().any(|share| share.layout == "q8"), "{sample}");
        for case in cases(sample) {
            let ours = computed(&manifest, &model, &case);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let cosine = dot(&ours, &case.numbers) / (dot(&ours, &ours) * dot(&case.numbers, &case.numbers)).sqrt();
            assert!(cosine > 0.995, "{sample}: {cosine}");
        }
    }
}

#[test]
fn manifests_say_what_becomes_of_texts() {
    let of = |sample: &str| imported(&encoder(sample), &Options::default()).unwrap().0;
    let bert = of("bert");
    let said = bert.encoder.unwrap();
    assert_eq!((said.task, said.pooling, said.normalises), (Task::Embed, Pooling::Mean, true));
    assert_eq!((said.tokens_max, said.first_position, said.token_types, said.labels), (60, 0, 2, 0));
    assert_eq!((bert.layers, bert.hidden_size, bert.context_length, bert.heads), (2, 32, 60, 2));
    let read: Vec<&str> = bert.source.parts.iter().map(|p| p.name.as_str()).collect();
    let expected = [
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        "tokenizer_config.json",
    ];
    assert_eq!(read, expected);
    let files: Vec<&str> = bert.files.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(files, ["model.onnx.data", "model.onnx", "tokenizer.json"]);
    let said = of("roberta_rerank").encoder.unwrap();
    assert_eq!((said.task, said.score, said.labels), (Task::Rerank, Score::Raw, 1));
    assert_eq!((said.tokens_max, said.first_position, said.token_types), (64, 2, 1));
    assert_eq!(of("bert_rerank").encoder.unwrap().score, Score::Sigmoid);
    assert_eq!(of("bert_cls").encoder.unwrap().pooling, Pooling::Cls);
    assert!(of("distilbert").parameters > 20_000);
    // Without the files of sentence-transformers it is the mean, as it is.
    let plain: Vec<_> = encoder("bert").into_iter().take(3).collect();
    let said = imported(&plain, &Options::default()).unwrap().0.encoder.unwrap();
    assert_eq!((said.pooling, said.normalises, said.tokens_max), (Pooling::Mean, false, 66));
}

#[test]
fn prompts_go_before_texts_where_the_model_has_one() {
    let mut files = encoder("bert");
    let prompts = json!({"prompts": {"query": "query: "}, "default_prompt_name": "query"});
    files.push(("config_sentence_transformers.json", prompts.to_string().into_bytes()));
    assert_eq!(imported(&files, &Options::default()).unwrap().0.encoder.unwrap().prompt, "query: ");
    files.last_mut().unwrap().1 = json!({"default_prompt_name": "none"}).to_string().into_bytes();
    assert!(refusal(&files).contains("has no prompt `none`"));
}

#[test]
fn tokens_are_all_of_the_first_type_where_the_tokenizer_leaves_types_out() {
    let mut files = encoder("bert");
    let config = files.iter_mut().find(|(name, _)| *name == "tokenizer_config.json").unwrap();
    config.1 = json!({"model_input_names": ["input_ids", "attention_mask"]}).to_string().into_bytes();
    let (manifest, model) = imported(&files, &options(Quantisation::F16)).unwrap();
    assert_eq!(manifest.encoder.as_ref().unwrap().token_types, 1);
    // Texts that are no pairs had the first type anyway.
    let case = &cases("bert")[2];
    let ours = computed(&manifest, &model, case);
    assert!(ours.iter().zip(&case.numbers).all(|(a, b)| (a - b).abs() < 1e-5));
}

fn refusal(files: &[(&str, Vec<u8>)]) -> String {
    match imported(files, &Options::default()) {
        Ok(_) => panic!("imported"),
        Err(error) => error.to_string(),
    }
}

fn with(sample: &str, file: &str, change: impl Fn(&mut Value)) -> String {
    let mut files = encoder(sample);
    let bytes = &mut files.iter_mut().find(|(name, _)| *name == file).unwrap().1;
    let mut json: Value = serde_json::from_slice(bytes).unwrap();
    change(&mut json);
    *bytes = json.to_string().into_bytes();
    refusal(&files)
}

#[test]
fn what_no_graph_of_ours_computes_is_refused_by_its_field() {
    for (field, value, said) in [
        ("position_embedding_type", json!("relative_key"), "`position_embedding_type` is \"relative_key\""),
        ("position_embedding_type", json!("alibi"), "position_embedding_type"),
        ("rope_theta", json!(10000.0), "rope_theta"),
        ("rotary_emb_fraction", json!(1.0), "rotary_emb_fraction"),
        ("auto_map", json!({"AutoModel": "a/b--m.M"}), "auto_map"),
        ("is_decoder", json!(true), "is_decoder"),
        ("add_cross_attention", json!(true), "add_cross_attention"),
        ("quantization_config", json!({"bits": 4}), "quantization_config"),
        ("feed_forward_type", json!("geglu"), "feed_forward_type"),
        ("pruned_heads", json!({"0": [1]}), "pruned_heads"),
        ("embedding_size", json!(16), "embedding_size"),
        ("architectures", json!(["BertForTokenClassification"]), "BertForTokenClassification"),
        ("architectures", json!(["\u{1b}[2JEvil"]), "`architectures`"),
        ("hidden_act", json!("xielu"), "`xielu`"),
        ("hidden_size", json!(64), "vectors have 64 numbers"),
        ("intermediate_size", json!(96), "configuration asks for"),
        ("hidden_size", json!(1u64 << 40), "hidden size"),
        ("num_attention_heads", json!(4), "a multiple of 16"),
        ("num_attention_heads", json!(0), "heads"),
        ("num_hidden_layers", json!(3), "layer.2"),
        ("num_hidden_layers", json!(1), "is not part of"),
        ("vocab_size", json!(96), "configuration asks for 96"),
        ("max_position_embeddings", json!(0), "max_position_embeddings"),
        ("max_position_embeddings", json!(1u64 << 60), "max_position_embeddings"),
        ("max_position_embeddings", json!(64), "configuration asks for 64"),
        ("type_vocab_size", json!(3), "configuration asks for 3"),
        ("type_vocab_size", json!(1u64 << 40), "type_vocab_size"),
        ("layer_norm_eps", json!(1e300), "layer_norm_eps"),
        ("layer_norm_eps", json!("small"), "layer_norm_eps"),
    ] {
        let error = with("bert", "config.json", |c| c[field] = value.clone());
        assert!(error.contains(said), "{field} = {value}: {error}");
        assert!(!error.chars().any(char::is_control), "{error:?}");
    }
    let error = with("roberta", "config.json", |c| c["pad_token_id"] = json!(u64::MAX));
    assert!(error.contains("max_position_embeddings"), "{error}");
    let error = with("bert", "config.json", |c| c["model_type"] = json!("nomic_bert"));
    assert!(error.contains("`nomic_bert`") && error.contains("xlm-roberta"), "{error}");
    // One family's weights are not another's.
    let error = with("bert", "config.json", |c| c["model_type"] = json!("distilbert"));
    assert!(error.contains("n_heads"), "{error}");
}

#[test]
fn what_is_not_pooled_here_is_refused() {
    let modules = |kind: &str, path: &str| {
        let (kind, path) = (format!("sentence_transformers.models.{kind}"), path.to_owned());
        with("bert", "modules.json", move |m| m[2] = json!({"type": kind, "path": path}))
    };
    assert!(modules("Dense", "2_Dense").contains("Dense"));
    assert!(modules("Pooling", "1_Pooling").contains("Pooling"));
    assert!(with("bert", "modules.json", |m| *m = json!({})).contains("is no list"));
    assert!(with("bert", "modules.json", |m| *m = json!([])).contains("names no transformer"));
    assert!(with("bert", "modules.json", |m| m[0]["path"] = json!("0_Transformer")).contains("0_Transformer"));
    assert!(with("bert", "modules.json", |m| m[1]["path"] = json!("../x")).contains("`../x/config.json`"));
    let pooling = "1_Pooling/config.json";
    assert!(with("bert", pooling, |c| c["pooling_mode_cls_token"] = json!(true)).contains("and"));
    assert!(with("bert", pooling, |c| c["word_embedding_dimension"] = json!(64)).contains("word_embedding_dimension"));
    assert!(with("bert", pooling, |c| c["include_prompt"] = json!(false)).contains("include_prompt"));
    let sqrt = with("bert", pooling, |c| *c = json!({"pooling_mode": "mean_sqrt_len_tokens"}));
    assert!(sqrt.contains("mean_sqrt_len_tokens"), "{sqrt}");
    assert!(with("bert", "sentence_bert_config.json", |c| c["max_seq_length"] = json!(0)).contains("max_seq_length"));
    let score = |value: Value| {
        with("bert_rerank", "config.json", move |c| c["sbert_ce_default_activation_function"] = value.clone())
    };
    assert!(score(json!("os.system")).contains("os.system"));
    let files: Vec<_> = encoder("bert").into_iter().filter(|(name, _)| *name != pooling).collect();
    assert!(refusal(&files).contains("1_Pooling/config.json"));
}

#[test]
fn a_classifier_of_many_is_no_reranker() {
    // Its head made of what is a vector of 32 in two rows of 16 would lie.
    let error = with("bert_rerank", "config.json", |c| c["architectures"] = json!(["BertModel"]));
    assert!(error.contains("classifier") && error.contains("is not part of"), "{error}");
    let error = with("bert", "config.json", |c| c["architectures"] = json!(["BertForSequenceClassification"]));
    assert!(error.contains("classifier.weight") && error.contains("is missing"), "{error}");
}

#[test]
fn any_damage_is_survived() {
    for sample in ["bert", "roberta_rerank"] {
        let files = encoder(sample);
        for (n, (_, bytes)) in files.iter().enumerate() {
            for at in (0..bytes.len().min(4000)).step_by(37) {
                for byte in [0, b'"', 0x7f, 0xff] {
                    let mut damaged = files.clone();
                    damaged[n].1[at] = byte;
                    let _ = imported(&damaged, &Options::default());
                }
                let mut cut = files.clone();
                cut[n].1.truncate(at);
                let _ = imported(&cut, &Options::default());
            }
        }
    }
}
