//! One object of a configuration: what its class or function is, and what its
//! arguments make loading do.

use serde_json::{Map, Value};
use weighbridge_types::LinkKind;

use super::names::{self, Meaning};
use super::walk::{Place, Walker, shown};
use super::{blob, lambda, rules};
use crate::codec::location::{Reach, reach};
use crate::core::Input;

/// Values that Keras writes as objects.
const VALUES: &[&str] = &[
    "__tensor__",
    "__numpy__",
    "__keras_tensor__",
    "__tuple__",
    "__ellipsis__",
    "__bytes__",
    "__slice__",
    "__wrapped__",
    "__dict__",
    "slice",
    "Slice",
];
/// Classes with a meaning of their own below.
const SPECIAL: &[&str] = &[
    "Lambda",
    "TFOpLambda",
    "SlicingOpLambda",
    "ClassMethod",
    "InstanceMethod",
    "InstanceProperty",
    "TensorFlowOpLayer",
    "TorchModuleWrapper",
    "TFSMLayer",
    "KerasLayer",
];
/// Arguments that may be a list of words or the path of a file with them
/// (CVE-2025-12058).
const FILE_KEYS: &[&str] = &["vocabulary", "vocabulary_file", "vocab_file", "merges"];

/// Checks `map`. Returns whether it holds a stored function that was looked at
/// as a whole.
pub(super) fn check(walker: &mut Walker<'_, '_>, map: &Map<String, Value>, place: Place<'_>) -> bool {
    let Some(class) = map.get("class_name").and_then(Value::as_str) else { return false };
    let nothing = Value::Null;
    let config = map.get("config").unwrap_or(&nothing);
    files_named(walker, class, config, place);
    foreign_module(walker, map, class, place);
    let last = class.rsplit(['>', '.']).next().unwrap_or_default();
    match last {
        "Lambda" => {
            lambda::layer(walker, config, place);
            true
        }
        "__lambda__" => {
            lambda::stored(walker, config.get("code").or(config.get("value")).unwrap_or(config), place);
            true
        }
        "TFOpLambda" | "SlicingOpLambda" | "ClassMethod" | "InstanceMethod" | "InstanceProperty" => {
            operation(walker, class, config, place);
            false
        }
        "TensorFlowOpLayer" => {
            graph_node(walker, config, place);
            false
        }
        "TorchModuleWrapper" => {
            torch_module(walker, config, place);
            true
        }
        "TFSMLayer" => {
            let path = text(config, "filepath");
            file_named(walker, class, "filepath", path, place);
            false
        }
        "KerasLayer" => {
            let handle = text(config, "handle");
            walker.find(&rules::REMOTE_LAYER, handle, place, format_args!("loads `{}`", shown(handle)));
            false
        }
        _ if VALUES.contains(&class) => false,
        _ => {
            reference(walker, map, class, config, place);
            false
        }
    }
}

/// Special classes count only where they come from: under the module of
/// another package, loading imports that package.
fn foreign_module(walker: &mut Walker<'_, '_>, map: &Map<String, Value>, class: &str, place: Place<'_>) {
    let Some(module) = map.get("module").and_then(Value::as_str) else { return };
    let home = names::is_keras(module) || module == "builtins" || module.starts_with("tensorflow");
    if SPECIAL.contains(&class) && !home {
        reference(walker, map, class, &Value::Null, place);
    }
}

/// A class or function by name.
fn reference(walker: &mut Walker<'_, '_>, map: &Map<String, Value>, class: &str, config: &Value, place: Place<'_>) {
    let field = |key: &str| map.get(key).and_then(Value::as_str);
    let module = field("module");
    let registered = field("registered_name");
    let (name, function) = match class {
        "function" => (config.as_str().or(registered).unwrap_or(class), true),
        "__typespec__" => (field("spec_name").unwrap_or(class), false),
        _ => (class, false),
    };
    let full = module.map_or_else(|| name.to_owned(), |module| format!("{module}.{name}"));
    let is_dangerous = names::is_dangerous_call(name) || registered.is_some_and(names::is_dangerous_call);
    let meaning = names::meaning(module, name, registered, function);
    let detail = match registered.filter(|r| *r != name) {
        Some(registered) => format!("`{}`, registered as `{}`", shown(&full), shown(registered)),
        None => format!("`{}`", shown(&full)),
    };
    match meaning {
        _ if is_dangerous => walker.find(&rules::UNSAFE_REFERENCE, &full, place, detail),
        Meaning::Unsafe => walker.find(&rules::UNSAFE_REFERENCE, &full, place, detail),
        Meaning::Custom => walker.find(&rules::CUSTOM_OBJECT, &full, place, detail),
        Meaning::Unknown => walker.find(&rules::UNKNOWN_OBJECT, &full, place, detail),
        Meaning::Known => {}
    }
}

/// TensorFlow functions that the functional API records by name.
fn operation(walker: &mut Walker<'_, '_>, class: &str, config: &Value, place: Place<'_>) {
    for key in ["function", "cls_symbol", "method_name", "attr_name"] {
        let name = text(config, key);
        if !name.is_empty() && names::operation(name) == Meaning::Unsafe {
            walker.find(&rules::UNSAFE_REFERENCE, name, place, format_args!("{class} calls `tf.{}`", shown(name)));
        }
    }
}

/// One node of a TensorFlow graph, as TensorFlow 2.0 to 2.3 record them.
fn graph_node(walker: &mut Walker<'_, '_>, config: &Value, place: Place<'_>) {
    let node = text(config, "node_def");
    let names = node.split(|c: char| !c.is_ascii_alphanumeric());
    for name in names.filter(|name| names::is_denied_graph_operation(name)) {
        walker.find(&rules::UNSAFE_REFERENCE, name, place, format_args!("graph operation `{name}`"));
    }
}

/// A PyTorch module pickled into the configuration (CVE-2025-49655).
fn torch_module(walker: &mut Walker<'_, '_>, config: &Value, place: Place<'_>) {
    let module = blob::decoded(text(config, "module"));
    if module.is_empty() {
        walker.find(&rules::UNKNOWN_OBJECT, "TorchModuleWrapper", place, "`TorchModuleWrapper` without a module");
        return;
    }
    let detail = format!("`TorchModuleWrapper` with {} bytes of pickled module", module.len());
    walker.find(&rules::TORCH_MODULE, place.layer, place, detail);
    walker.ctx.child(&format!("{}.module", shown(place.layer)), &Input::bytes(module));
}

/// Words read from a file instead of a list.
fn files_named(walker: &mut Walker<'_, '_>, class: &str, config: &Value, place: Place<'_>) {
    for key in FILE_KEYS {
        if let Some(path) = config.get(key).and_then(Value::as_str) {
            file_named(walker, class, key, path, place);
        }
    }
}

fn file_named(walker: &mut Walker<'_, '_>, class: &str, key: &str, path: &str, place: Place<'_>) {
    let rule = match reach(path) {
        Reach::Outside(_) => &rules::FILE_OUTSIDE,
        Reach::Odd(_) | Reach::Inside => &rules::FILE_BESIDE,
    };
    walker.find(rule, path, place, format_args!("`{key}` of {} is `{}`", shown(class), shown(path)));
    walker.ctx.link(LinkKind::ExternalData, path);
}

fn text<'v>(config: &'v Value, key: &str) -> &'v str {
    config.get(key).and_then(Value::as_str).unwrap_or_default()
}
