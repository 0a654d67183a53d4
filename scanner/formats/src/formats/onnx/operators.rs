//! What operators of a domain and name are: standard, the model's own,
//! published with a runtime, or in need of somebody's native library.

use std::collections::HashSet;
use std::sync::LazyLock;

use weighbridge_rules::{ONNX_DOMAINS, ONNX_EXTENSIONS, ONNX_OPERATORS};

/// Newest opset of the default domain in the table.
const OPSET_MAX: u64 = 28;
/// Domains whose operators are all in the table.
const STANDARD_DOMAINS: &[&str] = &["ai.onnx", "ai.onnx.ml"];
/// Domains of onnxruntime-extensions.
const EXTENSION_DOMAINS: &[&str] = &["ai.onnx.contrib", "com.microsoft.extensions"];
/// Our own, which the inference service brings along and `weighbridge import`
/// writes (runtime/onnx).
const OUR_DOMAIN: &str = "weighbridge";
const OURS: &[&str] = &["Attention", "Embed", "GatedFeedForward", "MatMul"];
/// Operators that call Python by a name in the model (ONNX Runtime's
/// `PyOp` and `PythonOp`, onnxruntime-extensions' `PyCustomOpDef`).
const PYTHON_PREFIXES: &[&str] = &["PyOp", "PythonOp", "PyCustomOp", "PyFunc", "PythonFunction"];

static OPERATORS: LazyLock<HashSet<&str>> = LazyLock::new(|| lines(ONNX_OPERATORS).collect());
static EXTENSIONS: LazyLock<HashSet<&str>> = LazyLock::new(|| lines(ONNX_EXTENSIONS).collect());

/// What an operator is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Known to ONNX or a usual runtime.
    Known,
    /// Runs Python.
    Python,
    /// Of a standard domain, yet not in its table.
    Unknown,
    /// Of a domain that no usual runtime brings.
    Custom,
}

/// What `name` of `domain` is, in a model that asks for `opset` of the domain.
pub fn kind(domain: &str, name: &str, opset: Option<u64>) -> Kind {
    let domain = if domain.is_empty() { "ai.onnx" } else { domain };
    if PYTHON_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        Kind::Python
    } else if STANDARD_DOMAINS.contains(&domain) {
        // Later opsets bring operators that this table cannot know.
        if is_standard(domain, name) || opset.is_some_and(|v| v > OPSET_MAX) { Kind::Known } else { Kind::Unknown }
    } else if domain == OUR_DOMAIN {
        if OURS.contains(&name) { Kind::Known } else { Kind::Custom }
    } else if EXTENSION_DOMAINS.contains(&domain) {
        if EXTENSIONS.contains(name) { Kind::Known } else { Kind::Custom }
    } else if lines(ONNX_DOMAINS).any(|known| match known.strip_suffix('*') {
        Some(prefix) => domain.starts_with(prefix),
        None => domain == known,
    }) {
        Kind::Known
    } else {
        Kind::Custom
    }
}

/// Whether ONNX itself defines `name` in `domain`.
pub fn is_standard(domain: &str, name: &str) -> bool {
    let domain = if domain.is_empty() { "ai.onnx" } else { domain };
    OPERATORS.contains(format!("{domain} {name}").as_str())
}

fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
}
