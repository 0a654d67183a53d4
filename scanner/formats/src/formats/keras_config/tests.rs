use serde_json::{Value, json};
use weighbridge_types::Verdict;

use super::blob::encoded;
use crate::core::Outcome;
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

/// A `Sequential` of these layers, as Keras 3 writes it.
pub fn model(layers: &[Value]) -> Value {
    let input = json!({"module": "keras.layers", "class_name": "InputLayer", "registered_name": null,
                       "config": {"name": "input", "batch_shape": [null, 4], "dtype": "float32"}});
    let layers: Vec<_> = std::iter::once(&input).chain(layers).cloned().collect();
    json!({"module": "keras", "class_name": "Sequential", "registered_name": null,
           "config": {"name": "model", "layers": layers}})
}

/// A layer of this class and arguments.
pub fn layer(class: &str, config: Value) -> Value {
    json!({"module": "keras.layers", "class_name": class, "registered_name": null, "config": config})
}

/// The marshalled `lambda x: __import__('os').system('touch marker') or x` of Python 3.11, as base64.
pub fn dangerous_code() -> &'static str {
    marshal_sample(1)
}

fn harmless_code() -> &'static str {
    marshal_sample(2)
}

fn marshal_sample(column: usize) -> &'static str {
    let lines = include_str!("../../codec/marshal/tests/lambdas.txt");
    lines.lines().find(|l| l.starts_with("311 ")).unwrap().split(' ').nth(column).unwrap()
}

fn inspect(document: &Value) -> Outcome {
    inspect_bytes("model.json", document.to_string().as_bytes())
}

#[track_caller]
fn claims(document: &Value, expected: Verdict, rule: &str) {
    let outcome = inspect(document);
    assert_eq!(outcome.format, Some("keras-config"));
    assert_eq!(verdict(&outcome), expected, "{:?}", outcome.findings);
    assert!(rules(&outcome).contains(&rule), "{:?}", outcome.findings);
}

fn dense() -> Value {
    layer(
        "Dense",
        json!({"name": "dense", "units": 2, "activation": "relu", "kernel_initializer":
        {"module": "keras.initializers", "class_name": "GlorotUniform", "config": {"seed": null}, "registered_name": null}}),
    )
}

#[test]
fn built_in_layers_are_clean_and_described() {
    let outcome = inspect(&model(&[
        dense(),
        layer("Bidirectional", json!({"name": "both", "layer": layer("LSTM", json!({"units": 2}))})),
    ]));
    assert_eq!(outcome.findings, []);
    assert!(outcome.is_model);
    assert_eq!(outcome.metadata["architecture"], "Sequential");
    assert_eq!(outcome.metadata["layer_count"], 3);
    assert_eq!(outcome.metadata["layer_classes"]["Dense"], 1);
    assert_eq!(outcome.metadata["input_shape"], json!([null, 4]));
}

#[test]
fn dangerous_lambdas_are_found_in_every_form_and_place() {
    let code = dangerous_code();
    let keras3 = json!({"class_name": "__lambda__", "config": {"code": code, "defaults": null, "closure": null}});
    let lambdas = [
        layer("Lambda", json!({"name": "l", "function": keras3.clone()})),
        layer(
            "Lambda",
            json!({"name": "l", "function": [code, null, null], "function_type": "lambda", "module": "__main__"}),
        ),
        layer("Lambda", json!({"name": "l", "function": code})),
        layer(
            "Lambda",
            json!({"name": "l", "function": [harmless_code(), null, null], "output_shape": [code, null, null], "output_shape_type": "lambda"}),
        ),
        json!({"class_name": "__lambda__", "config": {"value": [code, null, null]}}),
        layer("Custom>Lambda", json!({"function": keras3.clone()})),
    ];
    for lambda in lambdas {
        for place in [
            lambda.clone(),
            layer("TimeDistributed", json!({"layer": lambda})),
            layer("RNN", json!({"cell": [layer("LSTMCell", json!({})), lambda]})),
            model(std::slice::from_ref(&lambda)),
            json!({"class_name": "Dense", "config": {"activation": lambda}}),
        ] {
            claims(&model(&[place]), Verdict::Malicious, "marshal-dangerous-code");
        }
        let mut compiled = model(&[dense()]);
        compiled["compile_config"] = json!({"loss": [lambda]});
        claims(&compiled, Verdict::Malicious, "marshal-dangerous-code");
    }
}

#[test]
fn other_lambdas_are_opaque_code() {
    claims(
        &model(&[layer("Lambda", json!({"function": [harmless_code(), null, null]}))]),
        Verdict::Suspicious,
        "keras-lambda",
    );
    claims(
        &model(&[layer("Lambda", json!({"function": "my_function", "function_type": "function"}))]),
        Verdict::Suspicious,
        "keras-lambda",
    );
    claims(
        &model(&[layer("Lambda", json!({"function": encoded(b"not a code object of any kind")}))]),
        Verdict::Suspicious,
        "keras-lambda",
    );
}

#[test]
fn source_in_place_of_bytecode_is_dangerous_too() {
    for function in [
        "lambda x: __import__('os').system('touch marker')".to_owned(),
        encoded(b"import os; os.system('touch marker')"),
    ] {
        claims(&model(&[layer("Lambda", json!({"function": function}))]), Verdict::Malicious, "keras-dangerous-code");
    }
}

#[test]
fn names_that_reach_outside_are_malicious() {
    for (module, class, config) in [
        ("os", "function", json!("system")),
        ("builtins", "function", json!("exec")),
        ("builtins", "eval", json!({})),
        ("keras.utils", "function", json!("get_file")),
        ("keras.src.utils.file_utils", "get_file", json!({})),
        ("keras.config", "enable_unsafe_deserialization", json!({})),
        ("keras.models", "function", json!("load_model")),
        ("importlib", "import_module", json!({"name": "os"})),
        ("subprocess", "Lambda", json!({"function": "run"})),
    ] {
        let object = json!({"module": module, "class_name": class, "config": config, "registered_name": class});
        claims(&model(&[object]), Verdict::Malicious, "keras-unsafe-reference");
    }
    claims(&model(&[layer("Dense", json!({"activation": "os.system"}))]), Verdict::Malicious, "keras-unsafe-reference");
    claims(
        &model(&[layer("TFOpLambda", json!({"function": "io.write_file"}))]),
        Verdict::Malicious,
        "keras-unsafe-reference",
    );
    let node = json!({"node_def": "{\"name\": \"r\", \"op\": \"ReadFile\"}"});
    claims(&model(&[layer("TensorFlowOpLayer", node)]), Verdict::Malicious, "keras-unsafe-reference");
}

#[test]
fn tensor_operations_by_name_are_clean() {
    let layers = [
        layer("TFOpLambda", json!({"function": "math.reduce_mean"})),
        layer("SlicingOpLambda", json!({"function": "__operators__.getitem"})),
        json!({"module": "keras.src.ops.numpy", "class_name": "Add", "config": {"name": "add"}, "registered_name": "Add"}),
        json!({"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "relu"}),
    ];
    assert_eq!(inspect(&model(&layers)).findings, []);
}

#[test]
fn objects_from_elsewhere_are_named() {
    let custom = json!({"module": "my.layers", "class_name": "Mine", "config": {}, "registered_name": "my>Mine"});
    claims(&model(&[custom]), Verdict::Suspicious, "keras-custom-object");
    claims(&model(&[layer("NoSuchLayer", json!({}))]), Verdict::Suspicious, "keras-unknown-object");
    let hub = json!({"class_name": "KerasLayer", "config": {"handle": "https://tfhub.dev/x/1"}});
    claims(&model(&[hub]), Verdict::Suspicious, "keras-remote-layer");
}

#[test]
fn vocabularies_are_lists_not_files() {
    let lookup =
        |vocabulary: Value| model(&[layer("StringLookup", json!({"name": "words", "vocabulary": vocabulary}))]);
    assert_eq!(inspect(&lookup(json!(["cat", "import os", "eval(x)"]))).findings, []);
    claims(&lookup(json!("/etc/passwd")), Verdict::Malicious, "keras-file-outside");
    claims(&lookup(json!("http://169.254.169.254/")), Verdict::Malicious, "keras-file-outside");
    claims(&lookup(json!("words.txt")), Verdict::Suspicious, "keras-file-beside");
    let saved = layer("TFSMLayer", json!({"filepath": "/tmp/model"}));
    claims(&model(&[saved]), Verdict::Malicious, "keras-file-outside");
}

#[test]
fn pickled_modules_are_malicious() {
    let wrapped = layer("TorchModuleWrapper", json!({"name": "w", "module": encoded(b"\x80\x02cos\nsystem\n.")}));
    claims(&model(&[wrapped]), Verdict::Malicious, "keras-torch-module");
}

#[test]
fn encoded_content_and_source_are_noticed_anywhere() {
    let blob = encoded(&[b"\x80\x04\x95".as_slice(), &[0; 60], b"."].concat());
    claims(&model(&[layer("Dense", json!({"table": blob}))]), Verdict::Suspicious, "keras-embedded-content");
    claims(&model(&[layer("Dense", json!({"note": "os.system('x')"}))]), Verdict::Suspicious, "keras-code-text");
    let code = layer("Dense", json!({"table": dangerous_code()}));
    claims(&model(&[code]), Verdict::Malicious, "marshal-dangerous-code");
}

#[test]
fn replaced_duplicates_are_inspected() {
    let hidden = layer("Lambda", json!({"function": [dangerous_code(), null, null]}));
    let text = format!(
        "{{\"class_name\": \"Sequential\", \"keras_version\": \"3\", \"config\": {{\"layers\": [{hidden}], \"layers\": []}}}}"
    );
    let outcome = inspect_bytes("model.json", text.as_bytes());
    assert!(rules(&outcome).contains(&"keras-duplicate-keys"));
    assert_eq!(verdict(&outcome), Verdict::Malicious);
}

#[test]
fn what_only_python_reads_is_inspected() {
    let evil = model(&[layer("Lambda", json!({"function": [dangerous_code(), null, null]}))]).to_string();
    let odd = evil.replace("\"name\":\"model\"", "\"name\":\"model\",\"mask_value\":NaN,\"max\":-Infinity");
    assert!(odd.contains("NaN"));
    assert_eq!(verdict(&inspect_bytes("model.json", odd.as_bytes())), Verdict::Malicious);
}

#[test]
fn a_flood_of_objects_is_one_finding_each() {
    let layers: Vec<_> = (0..5000).map(|n| layer("Mine", json!({"name": format!("mine_{n}")}))).collect();
    assert_eq!(inspect(&model(&layers)).findings.len(), 1);
}

#[test]
fn wrong_types_everywhere_are_survived() {
    for value in [json!(null), json!(1), json!("x"), json!([]), json!([[1]]), json!({}), json!({"class_name": 1})] {
        for class in [
            "Lambda",
            "__lambda__",
            "function",
            "TFOpLambda",
            "TorchModuleWrapper",
            "TFSMLayer",
            "__typespec__",
            "Dense",
        ] {
            inspect(&model(&[
                json!({"class_name": class, "module": value, "config": value, "registered_name": value}),
            ]));
            inspect(&model(&[layer(class, json!({"function": value, "module": value, "vocabulary": value}))]));
        }
    }
    survives_damage(
        "model.json",
        model(&[layer("Lambda", json!({"function": [harmless_code(), null, null]}))]).to_string().as_bytes(),
    );
}
