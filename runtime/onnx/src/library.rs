//! The shared library, loaded once per process.

use std::path::Path;

use crate::OnnxError;

/// ONNX Runtime, loaded. Telemetry is off.
#[derive(Clone)]
pub struct Library {
    pub(crate) environment: ort::environment::Environment,
}

impl Library {
    /// Loads the library at `path`. Do it before the process gives up its
    /// rights; nothing of a model has been read then.
    ///
    /// # Errors
    /// [`OnnxError::Library`].
    pub fn load(path: &Path) -> Result<Self, OnnxError> {
        let failure = |source| OnnxError::Library { path: path.display().to_string(), source };
        let builder = ort::init_from(path).map_err(|e| failure(e.into()))?;
        let environment = builder.with_telemetry(false).build().map_err(|e| failure(e.into()))?;
        environment.set_log_level(ort::logging::LogLevel::Fatal);
        Ok(Self { environment })
    }
}
