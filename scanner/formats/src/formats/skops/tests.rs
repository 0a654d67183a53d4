use serde_json::{Value, json};
use weighbridge_types::Verdict;

use crate::core::Outcome;
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};
use crate::formats::pytorch_zip::tests::archive;

fn node(loader: &str, module: &str, class: &str, content: Value) -> Value {
    json!({"__loader__": loader, "__module__": module, "__class__": class, "content": content, "__id__": 1})
}

fn inspected(inner: Value) -> Outcome {
    let dict = node("DictNode", "builtins", "dict", json!({"x": inner}));
    let mut schema = node("ObjectNode", "sklearn.linear_model._base", "LinearRegression", dict);
    schema["protocol"] = json!(2);
    schema["_skops_version"] = json!("0.13.0");
    inspect_bytes("m.skops", &archive(&[("schema.json", schema.to_string().as_bytes())]))
}

#[test]
fn an_estimator_is_clean_and_named() {
    let outcome = inspected(node("JsonNode", "builtins", "str", json!("1")));
    assert_eq!(outcome.format, Some("skops"));
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["architecture"], "sklearn.linear_model._base.LinearRegression");
    assert_eq!(outcome.metadata["producer"], "skops 0.13.0");
    for (module, class) in [("numpy", "log1p"), ("scipy.special._ufuncs", "expit"), ("builtins", "len")] {
        assert_eq!(
            verdict(&inspected(node("FunctionNode", module, class, Value::Null))),
            Verdict::Clean,
            "{module}.{class}"
        );
    }
}

#[test]
fn functions_that_hand_over_control_are_malicious() {
    for (module, class) in [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("subprocess", "Popen"),
        ("numpy", "load"),
        ("numpy.testing._private.utils", "runstring"),
        ("numpy.f2py.crackfortran", "myeval"),
        ("sklearn.datasets", "fetch_openml"),
        ("importlib", "import_module"),
    ] {
        for loader in ["FunctionNode", "TypeNode", "ObjectNode", "ConstructorFromReduceNode", "PartialNode"] {
            let outcome = inspected(node(loader, module, class, Value::Null));
            assert_eq!(rules(&outcome), ["skops-dangerous-type"], "{loader} {module}.{class}");
        }
    }
}

#[test]
fn operator_nodes_must_be_of_operator() {
    let attrs = |module: &str, class: &str| json!({"__loader__": "OperatorFuncNode", "__module__": module, "__class__": class, "attrs": {}});
    assert_eq!(rules(&inspected(attrs("builtins", "attrgetter"))), ["skops-hidden-access"]);
    assert_eq!(rules(&inspected(attrs("operator", "call"))), ["skops-dangerous-type"]);
    assert_eq!(rules(&inspected(attrs("operator", "methodcaller"))), ["skops-unknown-type"]);
    assert_eq!(verdict(&inspected(attrs("operator", "itemgetter"))), Verdict::Clean);
}

#[test]
fn methods_must_be_those_of_their_owner() {
    let method = |owner: Value, func: &str| {
        node("MethodNode", "sklearn.pipeline", "Pipeline", json!({"func": func, "obj": owner}))
    };
    let honest = node("ObjectNode", "sklearn.pipeline", "Pipeline", Value::Null);
    assert_eq!(verdict(&inspected(method(honest.clone(), "predict"))), Verdict::Clean);
    assert_eq!(rules(&inspected(method(honest, "__init__"))), ["skops-hidden-access"]);
    let other = node("ObjectNode", "sklearn.base", "Other", Value::Null);
    assert_eq!(rules(&inspected(method(other, "predict"))), ["skops-hidden-access"]);
    let kind = node("TypeNode", "sklearn.pipeline", "Pipeline", Value::Null);
    assert_eq!(rules(&inspected(method(kind, "mro"))), ["skops-unknown-type"]);
}

#[test]
fn unknown_types_nodes_and_generators_are_found() {
    assert_eq!(rules(&inspected(node("ObjectNode", "my_package", "Thing", Value::Null))), ["skops-unknown-type"]);
    assert_eq!(rules(&inspected(node("EvalNode", "builtins", "str", Value::Null))), ["skops-unknown-node"]);
    let state = json!({"bit_generator": {"content": {"bit_generator": {"content": "\"seed\""}}}});
    assert_eq!(
        rules(&inspected(node("RandomGeneratorNode", "numpy.random", "Generator", state))),
        ["skops-hidden-access"]
    );
}

#[test]
fn duplicate_keys_are_suspicious() {
    let schema = br#"{"__loader__": "TypeNode", "__module__": "builtins", "__class__": "int", "__class__": "str"}"#;
    assert_eq!(rules(&inspect_bytes("m.skops", &archive(&[("schema.json", schema)]))), ["skops-duplicate-keys"]);
}

#[test]
fn damage_is_survived() {
    let schema = node("ObjectNode", "sklearn.base", "A", node("ListNode", "builtins", "list", json!([1, "a"])));
    survives_damage("m.skops", &archive(&[("schema.json", schema.to_string().as_bytes())]));
}
