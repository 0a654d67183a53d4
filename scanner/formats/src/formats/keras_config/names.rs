//! What the names in a configuration stand for.

use std::collections::HashSet;
use std::sync::OnceLock;

use weighbridge_rules::keras as tables;

/// What loading does with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A class or function that models are made of.
    Known,
    /// Code that the configuration does not hold; the loader must bring it.
    Custom,
    /// Nothing that Keras is known to have.
    Unknown,
    /// It reaches files, networks, other models or the interpreter.
    Unsafe,
}

/// Packages whose objects are layers and their like.
const KERAS_PACKAGES: &[&str] =
    &["keras", "tf_keras", "keras_core", "keras_hub", "keras_nlp", "keras_cv", "keras_tuner", "tensorflow_addons"];
/// The same inside TensorFlow.
const KERAS_IN_TENSORFLOW: &[&str] =
    &["tensorflow.keras", "tensorflow.python.keras", "tensorflow.python.feature_column", "tensorflow.python.trackable"];
/// Packages as registered names have them: `Addons>GELU`.
const REGISTERED_PACKAGES: &[&str] =
    &["keras", "tf_keras", "keras_core", "keras_hub", "keras_nlp", "keras_cv", "Addons", "Vision", "Text"];
/// Parts of Keras that are no part of a model: whatever function is named in
/// them, loading calls it.
const UNSAFE_PLACES: &[&str] = &[
    "utils",
    "file_utils",
    "io_utils",
    "python_utils",
    "module_utils",
    "saving",
    "saving_lib",
    "saving_api",
    "serialization_lib",
    "export",
    "datasets",
    "applications",
    "callbacks",
    "wrappers",
    "visualization",
    "testing",
    "distribution",
    "config",
    "preprocessing",
    "legacy_h5_format",
];
/// Utilities of Keras that models do use.
const SAFE_UTILITIES: &[&str] = &["normalize", "to_categorical", "split_dataset", "pad_sequences", "bounding_boxes"];

/// Whether `module` belongs to Keras or a sister library.
pub(super) fn is_keras(module: &str) -> bool {
    KERAS_PACKAGES.contains(&root(module)) || KERAS_IN_TENSORFLOW.iter().any(|place| is_below(module, place))
}

/// Whether `name` is a class of Keras or a sister library.
pub(super) fn is_known_class(name: &str) -> bool {
    let name = unregistered(name);
    sets().classes.contains(canonical(name).as_str()) || sets().classes.contains(canonical(versionless(name)).as_str())
}

fn is_known_function(name: &str) -> bool {
    sets().functions.contains(name) || is_known_class(name)
}

/// What `name` of `module` stands for; `registered` is the name it was
/// registered under and `function` whether it must be one.
pub(super) fn meaning(module: Option<&str>, name: &str, registered: Option<&str>, function: bool) -> Meaning {
    let last = name.rsplit(['.', '>']).next().unwrap_or_default();
    let module = module.unwrap_or_default();
    if is_denied_module(module) || name.contains('.') && is_denied_module(name) || is_denied_builtin(module, last) {
        return Meaning::Unsafe;
    }
    let known =
        if function { is_known_function(last) } else { is_known_class(last) || sets().functions.contains(last) };
    if is_keras(module) {
        if sets().modules.contains(last) || sets().unsafes.contains(last) && !known {
            return Meaning::Unsafe;
        }
        if known || SAFE_UTILITIES.contains(&last) {
            return if is_custom_registration(registered, last) { Meaning::Custom } else { Meaning::Known };
        }
        let is_callable = function || last.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        if is_callable && module.split('.').chain(name.split('.')).any(|part| UNSAFE_PLACES.contains(&part)) {
            return Meaning::Unsafe;
        }
        return if is_custom_registration(registered, last) { Meaning::Custom } else { Meaning::Unknown };
    }
    if is_below(module, "tensorflow") {
        return match operation(&format!("{}.{name}", module.trim_start_matches("tensorflow."))) {
            Meaning::Unsafe => Meaning::Unsafe,
            _ if known || is_below(module, "tensorflow.python") => Meaning::Known,
            _ => Meaning::Unknown,
        };
    }
    if !module.is_empty() && module != "builtins" {
        return Meaning::Custom;
    }
    if is_custom_registration(registered.or(Some(name)), last) || !known {
        return Meaning::Custom;
    }
    Meaning::Known
}

/// Whether calling `path` (`os.system`, `eval`) runs code or reaches files.
pub(super) fn is_dangerous_call(path: &str) -> bool {
    match path.rsplit_once('.') {
        Some((module, _)) => is_denied_module(module),
        None => matches!(path, "eval" | "exec" | "execfile" | "__import__" | "compile" | "open" | "breakpoint"),
    }
}

/// What the TensorFlow function at `path` (without `tf.`) does.
pub(super) fn operation(path: &str) -> Meaning {
    let path = path.strip_prefix("tf.").unwrap_or(path);
    let path = path.strip_prefix("tensorflow.").unwrap_or(path);
    let denied = |path: &str| sets().operations.iter().any(|op| is_below(path, op));
    let last = path.rsplit('.').next().unwrap_or_default();
    if denied(path) || sets().operations.contains(&last) || is_denied_module(path) {
        Meaning::Unsafe
    } else {
        Meaning::Known
    }
}

/// Whether the graph operation `name` (`ReadFile`) reaches outside the graph.
pub(super) fn is_denied_graph_operation(name: &str) -> bool {
    sets().operations.iter().any(|op| op.strip_prefix("raw_ops.") == Some(name))
}

fn is_denied_module(module: &str) -> bool {
    let mut end = module.len();
    loop {
        let Some(prefix) = module.get(..end) else { return false };
        if prefix != "builtins" && sets().modules.contains(prefix) {
            return true;
        }
        match prefix.rfind('.') {
            Some(dot) => end = dot,
            None => return false,
        }
    }
}

fn is_denied_builtin(module: &str, name: &str) -> bool {
    matches!(module, "builtins" | "__builtin__" | "__main__") && sets().builtins.contains(name)
}

/// Whether `registered` says that code registered elsewhere is meant.
fn is_custom_registration(registered: Option<&str>, name: &str) -> bool {
    let Some(registered) = registered.filter(|r| !r.is_empty()) else { return false };
    match registered.rsplit_once('>') {
        // What is registered without a package; Keras 2 does so with its own optimizers.
        Some(("Custom", name)) => !is_known_class(name),
        Some((package, _)) => !REGISTERED_PACKAGES.contains(&package),
        None => registered != name && !is_known_function(registered) && !registered.contains('.'),
    }
}

/// `Dense` of `Addons>Dense`.
fn unregistered(name: &str) -> &str {
    name.rsplit_once('>').filter(|(package, _)| REGISTERED_PACKAGES.contains(package)).map_or(name, |(_, name)| name)
}

/// `LSTM` of `LSTMV2`: TensorFlow numbered its generations of a class.
fn versionless(name: &str) -> &str {
    name.strip_suffix("V1").or(name.strip_suffix("V2")).unwrap_or(name)
}

/// Old configurations write `glorot_uniform` for `GlorotUniform`.
fn canonical(name: &str) -> String {
    name.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect()
}

fn root(module: &str) -> &str {
    module.split('.').next().unwrap_or_default()
}

/// Whether `path` is `place` or lies below it.
fn is_below(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

struct Sets {
    classes: HashSet<String>,
    functions: HashSet<&'static str>,
    unsafes: HashSet<&'static str>,
    modules: HashSet<&'static str>,
    builtins: HashSet<&'static str>,
    operations: HashSet<&'static str>,
}

fn sets() -> &'static Sets {
    static SETS: OnceLock<Sets> = OnceLock::new();
    SETS.get_or_init(|| {
        let lines = |text: &'static str| text.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
        Sets {
            classes: lines(tables::CLASSES).chain(lines(tables::ALIASES)).map(canonical).collect(),
            functions: lines(tables::FUNCTIONS).chain(lines(tables::ALIASES)).collect(),
            unsafes: lines(tables::UNSAFE).collect(),
            modules: lines(tables::MODULES).collect(),
            builtins: lines(tables::BUILTINS).collect(),
            operations: lines(tables::OPERATIONS).collect(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_models_are_known() {
        for (module, name, registered, function) in [
            (Some("keras.layers"), "Dense", None, false),
            (Some("keras.src.models.functional"), "Functional", Some("Functional"), false),
            (Some("keras.src.ops.numpy"), "Add", Some("Add"), false),
            (Some("builtins"), "relu", Some("relu"), true),
            (Some("keras.losses"), "mean_squared_error", None, true),
            (None, "BatchNormalizationV1", None, false),
            (None, "glorot_uniform", None, false),
            (None, "Custom>Adam", None, false),
            (None, "Addons>GroupNormalization", None, false),
            (Some("tensorflow.python.ops.nn_ops"), "leaky_relu", Some("leaky_relu"), true),
            (Some("keras_hub.src.models.bert.bert_backbone"), "BertBackbone", Some("keras_hub>BertBackbone"), false),
        ] {
            assert_eq!(meaning(module, name, registered, function), Meaning::Known, "{module:?} {name}");
        }
    }

    #[test]
    fn ways_out_of_the_model_are_unsafe() {
        for (module, name, function) in [
            (Some("os"), "system", true),
            (Some("subprocess"), "Popen", false),
            (Some("importlib.util"), "find_spec", true),
            (Some("builtins"), "eval", true),
            (Some("builtins"), "exec", false),
            (Some("keras.utils"), "get_file", true),
            (Some("keras.src.utils.file_utils"), "get_file", false),
            (Some("keras"), "utils.get_file", true),
            (Some("keras.models"), "load_model", true),
            (Some("keras.config"), "enable_unsafe_deserialization", true),
            (Some("keras.src.saving.saving_lib"), "load_weights_only", true),
            (Some("keras.src.utils.file_utils"), "shutil", false),
            (Some("keras.datasets.mnist"), "load_data", true),
            (Some("tensorflow.io"), "write_file", true),
            (Some("torch.hub"), "load", true),
            (None, "os.system", true),
        ] {
            assert_eq!(meaning(module, name, None, function), Meaning::Unsafe, "{module:?} {name}");
        }
    }

    #[test]
    fn code_from_elsewhere_is_custom_or_unknown() {
        assert_eq!(meaning(Some("my_package.layers"), "Dense", Some("Dense"), false), Meaning::Custom);
        assert_eq!(meaning(Some("keras.layers"), "Dense", Some("mine>Dense"), false), Meaning::Custom);
        assert_eq!(meaning(None, "Custom>MyLayer", None, false), Meaning::Custom);
        assert_eq!(meaning(None, "FixedDropout", None, false), Meaning::Custom);
        assert_eq!(meaning(Some("builtins"), "my_activation", Some("my_activation"), true), Meaning::Custom);
        assert_eq!(meaning(Some("keras.layers"), "Nonsense", None, false), Meaning::Unknown);
    }

    #[test]
    fn graph_functions_are_told_apart() {
        assert_eq!(operation("math.add"), Meaning::Known);
        assert_eq!(operation("nn.relu"), Meaning::Known);
        assert_eq!(operation("io.read_file"), Meaning::Unsafe);
        assert_eq!(operation("tf.io.gfile.GFile"), Meaning::Unsafe);
        assert_eq!(operation("raw_ops.WriteFile"), Meaning::Unsafe);
        assert_eq!(operation("numpy_function"), Meaning::Unsafe);
        assert!(is_denied_graph_operation("ReadFile") && !is_denied_graph_operation("MatMul"));
    }
}
