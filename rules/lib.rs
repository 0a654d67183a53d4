//! The detector tables and YARA rules of this release, embedded as text.
//!
//! Data only: what the tables mean is known where they are used.
#![forbid(unsafe_code)]

/// Operators of the ONNX standard: `domain name` per line.
pub const ONNX_OPERATORS: &str = include_str!("onnx/operators.txt");
/// Operator domains that come with a runtime or an exporter, one per line.
pub const ONNX_DOMAINS: &str = include_str!("onnx/domains.txt");
/// Operators of onnxruntime-extensions, one per line.
pub const ONNX_EXTENSIONS: &str = include_str!("onnx/extensions.txt");
/// TensorFlow operators that reach outside the graph: `name class reason` per line.
pub const TENSORFLOW_REACHING_OPS: &str = include_str!("tensorflow/ops.txt");
/// Every operator of TensorFlow itself and its companion libraries, one per line.
pub const TENSORFLOW_KNOWN_OPS: &str = include_str!("tensorflow/known_ops.txt");
