//! The node tree of a schema, walked without recursion.

use std::collections::BTreeSet;

use serde_json::Value;
use weighbridge_types::Rule;

use super::rules;
use crate::codec::python;
use crate::core::{FormatError, Inspection};

/// Most findings of one schema.
const FINDINGS_MAX: usize = 64;

/// Nodes that skops writes, of all protocol versions.
const LOADERS: &[&str] = &[
    "BytearrayNode",
    "BytesNode",
    "CachedNode",
    "ConstructorFromReduceNode",
    "DTypeNode",
    "DefaultDictNode",
    "DictNode",
    "FunctionNode",
    "JsonNode",
    "ListNode",
    "LossNode",
    "MaskedArrayNode",
    "MethodNode",
    "NdArrayNode",
    "ObjectNode",
    "OperatorFuncNode",
    "PartialNode",
    "QuantileForestNode",
    "RandomGeneratorNode",
    "RandomStateNode",
    "ReduceNode",
    "SGDNode",
    "SetNode",
    "SliceNode",
    "SparseMatrixNode",
    "TreeNode",
    "TupleNode",
    "TypeNode",
    "_DictWithDeprecatedKeysNode",
];

/// Libraries whose types are ordinary in a model.
const LIBRARIES: &[&str] = &[
    "catboost",
    "category_encoders",
    "collections",
    "datetime",
    "decimal",
    "fractions",
    "imblearn",
    "lightgbm",
    "numpy",
    "pandas",
    "quantile_forest",
    "re",
    "scipy",
    "sklearn",
    "uuid",
    "xgboost",
    "zoneinfo",
    "fairlearn",
    "sktime",
    "skops",
    "polars",
    "statsmodels",
    "mapie",
    "feature_engine",
    "sklearn_extra",
    "umap",
    "hdbscan",
    "interpret",
    "ngboost",
];

/// Built-in types that hold data.
const PLAIN_BUILTINS: &[&str] = &[
    "NoneType",
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "map",
    "range",
    "set",
    "slice",
    "str",
    "tuple",
    "ellipsis",
];

/// Parts of names inside known libraries that lead to files, processes or
/// evaluation.
const WAYS_OUT: &[&str] = &[
    "DataSource",
    "_distutils",
    "clear_data_home",
    "ctypeslib",
    "distutils",
    "exec_command",
    "f2py",
    "fromfile",
    "genfromtxt",
    "get_data_home",
    "load",
    "load_files",
    "load_library",
    "load_svmlight_file",
    "loadtxt",
    "memmap",
    "npyio",
    "open_memmap",
    "os",
    "pickle",
    "read_pickle",
    "rundocs",
    "runstring",
    "save",
    "savetxt",
    "savez",
    "savez_compressed",
    "subprocess",
    "sys",
    "eval",
    "tofile",
    "dump",
    "dump_svmlight_file",
    "builtins",
    "__builtins__",
    "__globals__",
    "shutil",
    "importlib",
    "urlopen",
    "urlretrieve",
    "joblib",
    "read_csv",
    "read_table",
    "to_csv",
    "to_pickle",
    "HDFStore",
    "read_html",
    "read_sql",
    "ExcelFile",
    "query",
];

/// Text under `key`.
pub(super) fn text<'v>(node: &'v Value, key: &str) -> Option<&'v str> {
    node.get(key)?.as_str()
}

/// Keys that decide what a node makes.
pub(super) fn is_own_key(key: &str) -> bool {
    matches!(key, "__class__" | "__module__" | "__loader__" | "func" | "content" | "attrs" | "protocol")
}

/// Looks at every node of `schema`.
pub(super) fn walk(ctx: &mut Inspection<'_>, schema: &Value) -> Result<(), FormatError> {
    let mut open = vec![schema];
    let mut raised: BTreeSet<(&str, String)> = BTreeSet::new();
    while let Some(node) = open.pop() {
        ctx.work(1)?;
        match node {
            Value::Array(items) => open.extend(items),
            Value::Object(map) => {
                if map.contains_key("__loader__")
                    && let Some((rule, detail)) = judged(node)
                    && raised.len() < FINDINGS_MAX
                    && raised.insert((rule.id, detail.clone()))
                {
                    ctx.find(rule, None, detail);
                }
                open.extend(map.values());
            }
            _ => {}
        }
    }
    Ok(())
}

fn judged(node: &Value) -> Option<(&'static Rule, String)> {
    let loader = text(node, "__loader__").unwrap_or_default();
    let module = text(node, "__module__").unwrap_or_default();
    let class = text(node, "__class__").unwrap_or_default();
    let name = format!("{module}.{class}");
    if !LOADERS.contains(&loader) {
        return Some((&rules::UNKNOWN_NODE, format!("`{loader}`")));
    }
    match loader {
        // Cached nodes only refer; JSON nodes are parsed as JSON.
        "CachedNode" | "JsonNode" => None,
        "MethodNode" => method(node, module, class),
        "OperatorFuncNode" => operator(module, class),
        "RandomGeneratorNode" => generator(node).or_else(|| type_name(module, class)),
        "PartialNode" if name == "functools.partial" => None,
        _ => type_name(module, class),
    }
}

/// The rule that naming `module.class` breaks.
fn type_name(module: &str, class: &str) -> Option<(&'static Rule, String)> {
    let name = format!("{module}.{class}");
    let top = module.split('.').next().unwrap_or_default();
    let shown = format!("`{name}`");
    if python::danger_of(&name).is_some()
        || matches!(top, "os" | "posix" | "nt" | "sys" | "subprocess" | "importlib" | "ctypes")
    {
        return Some((&rules::DANGEROUS_TYPE, shown));
    }
    if module == "builtins" {
        let plain = PLAIN_BUILTINS.contains(&class);
        let harmless = matches!(
            class,
            "len" | "abs" | "min" | "max" | "sum" | "round" | "sorted" | "any" | "all" | "zip" | "enumerate" | "object"
        );
        return (!plain && !harmless).then_some((&rules::DANGEROUS_TYPE, shown));
    }
    let leads_out = name.split('.').any(|part| WAYS_OUT.contains(&part) || part.starts_with("fetch_"));
    match (LIBRARIES.contains(&top), leads_out) {
        (true, false) => None,
        (true, true) => Some((&rules::DANGEROUS_TYPE, shown)),
        (false, _) if name == "functools.partial" => None,
        (false, _) if module == "operator" && matches!(class, "itemgetter" | "attrgetter") => None,
        (false, _) => Some((&rules::UNKNOWN_TYPE, shown)),
    }
}

/// A bound method: the owner must be what the node says it is, and the method
/// an ordinary one (CVE-2025-54413).
fn method(node: &Value, module: &str, class: &str) -> Option<(&'static Rule, String)> {
    let content = node.get("content")?;
    let function = text(content, "func").unwrap_or_default();
    let owner = content.get("obj").unwrap_or(&Value::Null);
    let owner_loader = text(owner, "__loader__").unwrap_or_default();
    let shown = format!("MethodNode: `{function}` of `{module}.{class}`");
    if function.starts_with("__") || function.contains('.') {
        return Some((&rules::HIDDEN_ACCESS, shown));
    }
    let named = |key: &str, expected: &str| text(owner, key).is_none_or(|t| t == expected);
    if owner_loader != "CachedNode" && !(named("__module__", module) && named("__class__", class)) {
        let real = format!("{}.{}", text(owner, "__module__").unwrap_or("?"), text(owner, "__class__").unwrap_or("?"));
        return Some((&rules::HIDDEN_ACCESS, format!("{shown}, but its owner is `{real}`")));
    }
    if python::danger_of(&format!("{module}.{class}.{function}")).is_some() || WAYS_OUT.contains(&function) {
        return Some((&rules::DANGEROUS_TYPE, shown));
    }
    type_name(module, class).or_else(|| {
        // Methods of instances are ordinary, attributes of types and functions are not.
        matches!(owner_loader, "TypeNode" | "FunctionNode" | "MethodNode").then_some((&rules::UNKNOWN_TYPE, shown))
    })
}

/// `attrgetter`, `itemgetter`, `methodcaller` of the module `operator`, which
/// the node must name (CVE-2025-54412).
fn operator(module: &str, class: &str) -> Option<(&'static Rule, String)> {
    if module != "operator" {
        return Some((&rules::HIDDEN_ACCESS, format!("OperatorFuncNode: `{module}.{class}` is not of `operator`")));
    }
    match class {
        "attrgetter" | "itemgetter" => None,
        "methodcaller" => Some((&rules::UNKNOWN_TYPE, format!("`operator.{class}`"))),
        _ => Some((&rules::DANGEROUS_TYPE, format!("`operator.{class}`"))),
    }
}

/// The bit generator is looked up by name in `numpy.random` and called.
fn generator(node: &Value) -> Option<(&'static Rule, String)> {
    const GENERATORS: &[&str] = &["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"];
    let written = node.pointer("/content/bit_generator/content/bit_generator/content")?.as_str()?;
    let name = written.trim_matches('"');
    (!GENERATORS.contains(&name))
        .then(|| (&rules::HIDDEN_ACCESS, format!("RandomGeneratorNode: `numpy.random.{name}`")))
}
