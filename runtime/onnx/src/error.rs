/// Why a model cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The library of ONNX Runtime cannot be used.
    #[error("cannot load ONNX Runtime from `{path}`; install the package again, or run `cargo xtask onnxruntime`")]
    Library {
        /// Where it was looked for.
        path: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// ONNX Runtime does not take the graph.
    #[error("ONNX Runtime refuses the graph: {0}")]
    Graph(String),
    /// The manifest of an imported model is none.
    #[error("`weighbridge.json` cannot be used: {0}; import the model again")]
    Manifest(String),
    /// Not enough memory, or sizes that do not fit each other.
    #[error(transparent)]
    Kernel(#[from] weighbridge_kernels::KernelError),
}

impl OnnxError {
    pub(crate) fn graph<T>(error: ort::Error<T>) -> Self {
        Self::Graph(error.to_string())
    }
}
