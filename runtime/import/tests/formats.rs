//! What is written: a valid ONNX model, a manifest that agrees with the files,
//! and the same whatever dialect the source was written in.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::{folder, gguf, imported, read};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use weighbridge_import::reference::{Attribute, Graph};
use weighbridge_import::{GRAPH_FILE, MANIFEST_FILE, Manifest, Options, Quantisation, WEIGHTS_FILE};

const F16: Options = Options { quantisation: Some(Quantisation::F16), long_context: false };

/// The environment `cargo xtask test` makes for this test.
fn python() -> Option<PathBuf> {
    let profile = std::env::current_exe().ok()?.parent()?.parent()?.to_owned();
    let python = profile.parent()?.join("venvs/importing/bin/python");
    python.exists().then_some(python)
}

#[test]
fn onnx_reads_what_is_written() {
    let Some(python) = python() else {
        eprintln!("skipped: `cargo xtask test` puts the package `onnx` into `target/venvs/importing`");
        return;
    };
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/check_onnx.py");
    for sample in ["llama_16", "gemma2", "gemma3_text", "phi3", "qwen3", "mixed"] {
        let (_, model) = imported(&gguf(sample), &F16).unwrap();
        let target = tempfile::tempdir().unwrap();
        for (name, bytes) in &model.0 {
            std::fs::write(target.path().join(name), bytes).unwrap();
        }
        let output = Command::new(&python).arg(&script).arg(target.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sample}: {said}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "ok", "{sample}");
    }
}

#[test]
fn the_manifest_names_every_file_by_its_bytes() {
    let mut files = folder("qwen2");
    files.push(("chat_template.jinja", b"{{ messages }}".to_vec()));
    files.push(("generation_config.json", br#"{"eos_token_id": [2, 7]}"#.to_vec()));
    files.push(("tokenizer_config.json", br#"{"bos_token": {"content": "<s>"}}"#.to_vec()));
    files.push(("README.md", b"---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n".to_vec()));
    let (manifest, model) = imported(&files, &Options::default()).unwrap();
    let hash = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
    assert_eq!(manifest.files.len(), 4);
    for entry in &manifest.files {
        let bytes = &model.0[entry.name.as_str()];
        assert_eq!((entry.size_bytes, &entry.sha256), (bytes.len() as u64, &hash(bytes)), "{}", entry.name);
    }
    assert_eq!(manifest.source.parts.len(), 7);
    for entry in &manifest.source.parts {
        let (_, bytes) = files.iter().find(|(name, _)| *name == entry.name).unwrap();
        assert_eq!((entry.size_bytes, &entry.sha256), (bytes.len() as u64, &hash(bytes)), "{}", entry.name);
    }
    let eos: Vec<_> = manifest.eos.iter().map(|t| (t.id, t.text.as_deref())).collect();
    assert_eq!(eos, [(2, Some("</s>")), (7, None)]);
    assert_eq!(manifest.bos.as_ref().and_then(|t| t.text.as_deref()), Some("<s>"));
    assert_eq!(manifest.licence.as_deref(), Some("apache-2.0"));
    assert_eq!((manifest.layers, manifest.heads, manifest.kv_heads, manifest.head_size), (2, 2, 1, 16));
    assert_eq!((manifest.hidden_size, manifest.vocabulary_size, manifest.parameters), (32, 203, 25_216));
    assert_eq!(manifest.layouts.iter().map(|l| l.layout.as_str()).collect::<Vec<_>>(), ["q8"]);
    // A later writer's members are no reason to refuse.
    let mut text: Value = serde_json::from_slice(&model.0[MANIFEST_FILE]).unwrap();
    text["later"] = json!({"member": 1});
    assert_eq!(serde_json::from_value::<Manifest>(text).unwrap(), manifest);
}

#[test]
fn the_manifest_says_how_the_authors_draw() {
    let with = |generation: &Value| {
        let mut files = folder("qwen2");
        files.push(("generation_config.json", generation.to_string().into_bytes()));
        let (manifest, model) = imported(&files, &Options::default()).unwrap();
        let written: Manifest = serde_json::from_slice(&model.0[MANIFEST_FILE]).unwrap();
        assert_eq!(written, manifest);
        manifest.sampling
    };
    let stated = json!({"do_sample": true, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.05});
    let sampling = with(&stated).unwrap();
    assert_eq!((sampling.temperature, sampling.top_p, sampling.top_k), (Some(0.7), Some(0.8), Some(20)));
    assert_eq!((sampling.repetition_penalty, sampling.min_p), (Some(1.05), None));
    let wild = json!({"temperature": -1, "top_k": 1u64 << 40, "top_p": "x", "min_p": 0.1, "repetition_penalty": 1e9});
    let sampling = with(&wild).unwrap();
    assert_eq!((sampling.temperature, sampling.top_k, sampling.top_p), (None, None, None));
    assert_eq!((sampling.min_p, sampling.repetition_penalty), (Some(0.1), None));
    let greedy = with(&json!({"do_sample": false, "temperature": 0.7})).unwrap();
    assert_eq!(greedy.temperature, Some(0.0), "they take the likeliest");
    assert_eq!(with(&json!({"eos_token_id": 2})), None);
    assert_eq!(imported(&folder("qwen2"), &Options::default()).unwrap().0.sampling, None);
}

/// What `transformers` takes members to mean that are not there.
#[test]
fn absent_members_mean_what_transformers_takes_them_for() {
    let windows = |name: &str, change: fn(&mut Value)| {
        let mut files = folder(name);
        let mut config: Value = serde_json::from_slice(&files[0].1).unwrap();
        change(&mut config);
        files[0].1 = config.to_string().into_bytes();
        let (_, model) = imported(&files, &F16).unwrap();
        let graph = Graph::read(&model.0[GRAPH_FILE]).unwrap();
        let attention = graph.nodes.iter().filter(|n| n.op == "Attention");
        let window = |n: &weighbridge_import::reference::Node| {
            n.attributes.iter().find(|(name, _)| name == "window").unwrap().1.clone()
        };
        attention.map(window).collect::<Vec<_>>()
    };
    for name in ["qwen2", "qwen3"] {
        let absent = windows(name, |c| {
            c["sliding_window"] = json!(8);
            c.as_object_mut().unwrap().remove("layer_types");
            c.as_object_mut().unwrap().remove("use_sliding_window");
        });
        assert_eq!(absent, [Attribute::Int(0), Attribute::Int(0)], "{name}");
        let on = windows(name, |c| {
            c["sliding_window"] = json!(8);
            c["use_sliding_window"] = json!(true);
            c["max_window_layers"] = json!(1);
            c.as_object_mut().unwrap().remove("layer_types");
        });
        assert_eq!(on, [Attribute::Int(0), Attribute::Int(8)], "{name}");
    }
}

/// Without an original length the attention factor comes from `factor`.
#[test]
fn long_rotations_without_an_original_length_scale_by_their_factor() {
    let graph = |change: &dyn Fn(&mut Value)| {
        let mut files = folder("phi3_long");
        let mut config: Value = serde_json::from_slice(&files[0].1).unwrap();
        config.as_object_mut().unwrap().remove("original_max_position_embeddings");
        config["rope_parameters"].as_object_mut().unwrap().remove("original_max_position_embeddings");
        change(&mut config);
        files[0].1 = config.to_string().into_bytes();
        imported(&files, &Options { long_context: true, ..F16 }).unwrap().1.0[GRAPH_FILE].clone()
    };
    let context = 256f64;
    let factor = (1.0 + 16f64.ln() / context.ln()).sqrt();
    let by_factor = graph(&|c| c["rope_parameters"]["factor"] = json!(16.0));
    assert!(by_factor == graph(&|c| c["rope_parameters"]["attention_factor"] = json!(factor)));
    assert!(by_factor != graph(&|_| ()));
}

#[test]
fn weights_start_at_pages_and_tied_heads_are_shared() {
    let (_, tied) = imported(&folder("qwen2"), &F16).unwrap();
    let graph = Graph::read(&tied.0[GRAPH_FILE]).unwrap();
    assert!(graph.initialisers.iter().all(|i| i.offset % 4096 == 0));
    let end = graph.initialisers.iter().map(|i| i.offset + i.length).max();
    assert_eq!(end, Some(tied.0[WEIGHTS_FILE].len()));
    let (first, last) = (graph.nodes.first().unwrap(), graph.nodes.last().unwrap());
    assert_eq!((first.op.as_str(), last.op.as_str()), ("Embed", "MatMul"));
    assert_eq!(first.inputs[1], last.inputs[1]);
    let (_, untied) = imported(&folder("llama_16"), &F16).unwrap();
    let graph = Graph::read(&untied.0[GRAPH_FILE]).unwrap();
    assert_ne!(graph.nodes.first().unwrap().inputs[1], graph.nodes.last().unwrap().inputs[1]);
}

#[test]
fn windows_and_rotations_follow_the_layers() {
    let (_, model) = imported(&folder("gemma3_text"), &F16).unwrap();
    let graph = Graph::read(&model.0[GRAPH_FILE]).unwrap();
    let attention: Vec<_> = graph.nodes.iter().filter(|n| n.op == "Attention").collect();
    let window = |n: usize| &attention[n].attributes.iter().find(|(name, _)| name == "window").unwrap().1;
    assert_eq!((window(0), window(1)), (&Attribute::Int(8), &Attribute::Int(0)));
    assert_eq!((attention[0].inputs[1].as_str(), attention[1].inputs[1].as_str()), ("inv_freq.1", "inv_freq.0"));
}

/// `transformers` before 5 wrote rotations otherwise.
#[test]
fn old_and_new_configurations_give_one_graph() {
    let older = |name: &str, change: fn(&mut Value)| {
        let mut files = folder(name);
        let new = imported(&files, &F16).unwrap();
        let mut config: Value = serde_json::from_slice(&files[0].1).unwrap();
        change(&mut config);
        files[0].1 = config.to_string().into_bytes();
        let old = imported(&files, &F16).unwrap();
        assert_eq!(old.1.0[GRAPH_FILE], new.1.0[GRAPH_FILE], "{name}");
        assert_eq!(old.1.0[WEIGHTS_FILE], new.1.0[WEIGHTS_FILE], "{name}");
    };
    let flat = |c: &mut Value| {
        let mut parameters = c.as_object_mut().unwrap().remove("rope_parameters").unwrap();
        c["rope_theta"] = parameters.as_object_mut().unwrap().remove("rope_theta").unwrap();
        c["rope_scaling"] = parameters;
    };
    older("llama_16", flat);
    older("phi3", |c| {
        let mut parameters = c.as_object_mut().unwrap().remove("rope_parameters").unwrap();
        let members = parameters.as_object_mut().unwrap();
        c["rope_theta"] = members.remove("rope_theta").unwrap();
        c["partial_rotary_factor"] = members.remove("partial_rotary_factor").unwrap();
        members.remove("rope_type");
        members.insert("type".to_owned(), json!("longrope"));
        c["rope_scaling"] = parameters;
    });
    older("qwen2_yarn", flat);
    older("gemma3_text", |c| {
        let members = c.as_object_mut().unwrap();
        members.remove("rope_parameters");
        members.remove("layer_types");
        c["rope_theta"] = json!(1e6);
        c["rope_local_base_freq"] = json!(1e4);
        c["rope_scaling"] = json!({"rope_type": "linear", "factor": 8.0});
        c["sliding_window_pattern"] = json!(2);
    });
    older("gemma2", |c| {
        c.as_object_mut().unwrap().remove("layer_types");
    });
}

#[test]
fn shards_are_one_model() {
    let whole = imported(&folder("qwen2"), &F16).unwrap();
    let bytes = read("qwen2", "model.safetensors");
    let length = usize::try_from(u64::from_le_bytes(*bytes.first_chunk().unwrap())).unwrap();
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let mut shards = [(serde_json::Map::new(), Vec::new()), (serde_json::Map::new(), Vec::new())];
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let mut map = serde_json::Map::new();
    for (n, (name, tensor)) in header.as_object().unwrap().iter().filter(|(k, _)| *k != "__metadata__").enumerate() {
        let (entries, data) = &mut shards[n % 2];
        let at = |i: usize| usize::try_from(tensor["data_offsets"][i].as_u64().unwrap()).unwrap();
        let start = data.len();
        data.extend(&bytes[8 + length + at(0)..8 + length + at(1)]);
        let mut tensor = tensor.clone();
        tensor["data_offsets"] = json!([start, data.len()]);
        entries.insert(name.clone(), tensor);
        map.insert(name.clone(), json!(names[n % 2]));
    }
    let mut files: Vec<_> = folder("qwen2").into_iter().filter(|(n, _)| *n != "model.safetensors").collect();
    for (name, (entries, data)) in names.into_iter().zip(shards) {
        let header = Value::Object(entries).to_string();
        files.push((name, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()));
    }
    files.push(("model.safetensors.index.json", json!({"weight_map": map}).to_string().into_bytes()));
    let sharded = imported(&files, &F16).unwrap();
    assert_eq!(sharded.1.0[WEIGHTS_FILE], whole.1.0[WEIGHTS_FILE]);
    assert_eq!(sharded.1.0[GRAPH_FILE], whole.1.0[GRAPH_FILE]);
    assert_eq!(sharded.0.source.parts.len(), 5);
}
