use serde_json::{Value, json};
use weighbridge_types::Verdict;

use crate::core::Outcome;
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn config(extra: Value) -> Outcome {
    let mut document = json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "max_position_embeddings": 8192,
        "vocab_size": 128256,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.46.0",
    });
    if let (Value::Object(map), Value::Object(extra)) = (&mut document, extra) {
        map.extend(extra);
    }
    inspect_bytes("config.json", document.to_string().as_bytes())
}

#[test]
fn facts_of_a_configuration_are_read() {
    let outcome = config(json!({"quantization_config": {"quant_method": "gptq", "bits": 4}}));
    assert_eq!(outcome.format, Some("hf-config"));
    assert!(outcome.is_model);
    assert_eq!(outcome.metadata["architecture"], "LlamaForCausalLM");
    assert_eq!(outcome.metadata["context_length"], 8192);
    assert_eq!(outcome.metadata["quantization"], "gptq-4bit");
    assert_eq!(verdict(&outcome), Verdict::Clean);
}

#[test]
fn local_code_is_a_note_and_a_link() {
    let outcome = config(json!({"auto_map": {"AutoModel": "modeling_x.Model", "AutoTokenizer": ["tok.Slow", null]}}));
    assert_eq!(verdict(&outcome), Verdict::Clean);
    assert_eq!(rules(&outcome), ["hf-local-code", "hf-local-code"]);
    assert_eq!(outcome.links.iter().map(|l| l.target.as_str()).collect::<Vec<_>>(), ["modeling_x.py", "tok.py"]);
}

#[test]
fn code_of_other_repositories_is_suspicious_at_any_depth() {
    for extra in [
        json!({"auto_map": {"AutoModel": "evil/repo--modeling.Model"}}),
        json!({"vision_config": {"auto_map": {"AutoModel": "evil/repo--modeling.Model"}}}),
        json!({"custom_pipelines": {"x": {"impl": "evil/repo--pipe.P", "pt": ["AutoModel"]}}}),
        json!({"custom_generate": "evil/repo"}),
    ] {
        let outcome = config(extra.clone());
        assert_eq!(rules(&outcome), ["hf-remote-code"], "{extra}");
    }
}

#[test]
fn references_that_lead_out_are_malicious() {
    for text in ["../../evil.Model", "/tmp/evil.Model", "http://h/x--m.C", "os.system('id')"] {
        let outcome = config(json!({"auto_map": {"AutoModel": text}}));
        assert_eq!(verdict(&outcome), Verdict::Malicious, "{text}");
    }
}

#[test]
fn kernels_from_repositories_are_malicious_and_names_of_implementations_are_not() {
    for key in ["_attn_implementation_internal", "attn_implementation", "_attn_implementation"] {
        let outcome = config(json!({key: "evil/kernel"}));
        assert_eq!(rules(&outcome), ["hf-kernel-repository"]);
        let outcome = config(json!({key: {"text_config": "paged|evil/kernel:fn"}}));
        assert_eq!(rules(&outcome), ["hf-kernel-repository"]);
        let outcome = config(json!({key: "flash_attention_2"}));
        assert_eq!(verdict(&outcome), Verdict::Clean);
    }
    assert_eq!(verdict(&config(json!({"_attn_implementation_autoset": true}))), Verdict::Clean);
}

#[test]
fn a_library_of_operators_is_suspicious() {
    let genai = |options: Value| {
        let document = json!({"model": {"type": "llama", "decoder": {"session_options": options}}, "search": {}});
        inspect_bytes("genai_config.json", document.to_string().as_bytes())
    };
    let plain = genai(json!({"log_id": "onnxruntime-genai", "provider_options": []}));
    assert_eq!((plain.format, verdict(&plain)), (Some("hf-config"), Verdict::Clean));
    let library = genai(json!({"custom_ops_library": "../../tmp/ops.so"}));
    assert_eq!((rules(&library), verdict(&library)), (vec!["genai-custom-ops-library"], Verdict::Suspicious));
    assert_eq!(verdict(&genai(json!({"custom_ops_library": ""}))), Verdict::Clean);
}

#[test]
fn stored_trust_is_suspicious() {
    assert_eq!(
        rules(&config(json!({"keypoint_detector_config": {"trust_remote_code": true}}))),
        ["hf-trust-remote-code"]
    );
    assert_eq!(verdict(&config(json!({"trust_remote_code": false}))), Verdict::Clean);
}

#[test]
fn hydra_and_jsonpickle_in_json_are_malicious() {
    for extra in [
        json!({"encoder": {"_target_": "os.system", "_args_": ["id"]}}),
        json!({"x": {"py/reduce": [{"py/function": "os.system"}, {"py/tuple": ["id"]}]}}),
        json!({"x": {"py/object": "subprocess.Popen"}}),
        json!({"x": {"py/repr": "os/os.system('id')"}}),
        json!({"x": {"class_path": "subprocess.Popen", "init_args": {"args": "id"}}}),
    ] {
        assert_eq!(verdict(&config(extra.clone())), Verdict::Malicious, "{extra}");
    }
}

#[test]
fn the_value_a_duplicate_replaced_is_inspected_too() {
    let source = br#"{"architectures": ["A"], "model_type": "a",
        "auto_map": {"AutoModel": "../evil.Model"}, "auto_map": {"AutoModel": "modeling.Model"}}"#;
    let outcome = inspect_bytes("config.json", source);
    assert_eq!(rules(&outcome), ["hf-code-outside-repository", "config-duplicate-key", "hf-local-code"]);
}

#[test]
fn other_configurations_are_recognised_by_their_keys() {
    for (name, document) in [
        (
            "generation_config.json",
            json!({"_from_model_config": true, "eos_token_id": 2, "transformers_version": "4.40.0"}),
        ),
        ("preprocessor_config.json", json!({"image_processor_type": "CLIPImageProcessor", "do_resize": true})),
        ("processor_config.json", json!({"processor_class": "LlavaProcessor", "num_additional_image_tokens": 1})),
        ("quantize_config.json", json!({"bits": 4, "group_size": 128, "desc_act": false})),
        ("config.json", json!({"model_type": "llama"})),
    ] {
        let outcome = inspect_bytes(name, document.to_string().as_bytes());
        assert_eq!((outcome.format, verdict(&outcome)), (Some("hf-config"), Verdict::Clean), "{name}");
    }
}

#[test]
fn ordinary_json_is_no_model() {
    for (name, document) in [
        ("package.json", json!({"name": "x", "version": "1.0.0", "architectures": ["x64"]})),
        ("config.json", json!({"port": 8080, "model": "x"})),
        ("tsconfig.json", json!({"compilerOptions": {"target": "es2020"}})),
        ("settings.json", json!({"model_type": "car", "trust_remote_code": true})),
        ("schema.json", json!({"title": "x", "type": "object", "properties": {"auto_map": {"type": "object"}}})),
    ] {
        let outcome = inspect_bytes(name, document.to_string().as_bytes());
        assert!(!outcome.is_model, "{name}: {:?}", outcome.format);
        assert!(outcome.findings.is_empty());
    }
}

#[test]
fn damaged_configurations_are_survived() {
    let sample = json!({"architectures": ["A"], "model_type": "a", "auto_map": {"AutoModel": "o/r--m.C"}}).to_string();
    survives_damage("config.json", sample.as_bytes());
}

#[test]
fn what_sentence_transformers_says_of_pooling_and_length_is_known() {
    let pooling = br#"{"word_embedding_dimension": 384, "pooling_mode_mean_tokens": true}"#;
    let newer = br#"{"embedding_dimension": 384, "pooling_mode": "cls"}"#;
    for (name, bytes) in [
        ("config.json", &pooling[..]),
        ("config.json", newer),
        ("sentence_bert_config.json", br#"{"max_seq_length": 256}"#),
        ("sentence_xlm-roberta_config.json", br#"{"do_lower_case": false}"#),
    ] {
        let outcome = inspect_bytes(name, bytes);
        assert_eq!((outcome.format, verdict(&outcome)), (Some("hf-config"), Verdict::Clean), "{name}");
    }
    assert_ne!(inspect_bytes("config.json", br#"{"embedding_dimension": 4}"#).format, Some("hf-config"));
    assert_ne!(inspect_bytes("other.json", br#"{"max_seq_length": 256}"#).format, Some("hf-config"));
}
