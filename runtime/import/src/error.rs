use std::fmt;
use std::io;

use weighbridge_formats::FormatError;
use weighbridge_kernels::KernelError;
use weighbridge_types::Shown;

/// A name from the model, safe to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Most characters shown.
    const CHARS_MAX: usize = 200;

    pub(crate) fn new(text: &str) -> Self {
        let cut: String = text.chars().take(Self::CHARS_MAX).collect();
        Self(Shown(&cut).to_string())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a model was not imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Neither a GGUF file nor a safetensors folder.
    #[error("the source holds neither a `.gguf` file nor `config.json` beside `.safetensors` files")]
    NoModel,
    /// A file the model needs is not there.
    #[error("the source has no `{part}`; {hint}")]
    Missing {
        /// The file.
        part: Name,
        /// What to do.
        hint: &'static str,
    },
    /// A file breaks its format.
    #[error("`{part}` cannot be read as what it claims to be")]
    Format {
        /// The file.
        part: Name,
        /// What breaks it.
        source: FormatError,
    },
    /// A file says something that cannot be.
    #[error("`{part}`: {reason}")]
    Malformed {
        /// The file.
        part: Name,
        /// What is wrong.
        reason: String,
    },
    /// A file is larger than any honest one.
    #[error("`{part}` is larger than {bytes_max} bytes")]
    TooLarge {
        /// The file.
        part: Name,
        /// Our limit.
        bytes_max: u64,
    },
    /// No importer for this family.
    #[error("models of architecture `{architecture}` cannot be imported; supported: {supported}")]
    Architecture {
        /// What the model calls itself.
        architecture: Name,
        /// What can be imported.
        supported: String,
    },
    /// The family is known, this variant is not.
    #[error("{what} cannot be imported; {hint}")]
    Unsupported {
        /// The feature.
        what: String,
        /// What to use instead.
        hint: &'static str,
    },
    /// A number of the configuration is out of its range.
    #[error("the configuration's `{field}` {reason}")]
    Configuration {
        /// The field.
        field: Name,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor is missing, misshapen or damaged.
    #[error("tensor `{tensor}` {reason}")]
    Tensor {
        /// The tensor.
        tensor: Name,
        /// What is wrong with it.
        reason: String,
    },
    /// Packing refused a tensor's values.
    #[error("tensor `{tensor}` cannot be packed")]
    Pack {
        /// The tensor.
        tensor: Name,
        /// The reason.
        source: KernelError,
    },
    /// Reading failed underneath us.
    #[error("cannot read `{part}`")]
    Read {
        /// The file.
        part: Name,
        /// The system's reason.
        source: io::Error,
    },
    /// Writing failed.
    #[error("cannot write `{file}`; is there room where it goes?")]
    Write {
        /// The file.
        file: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl ImportError {
    pub(crate) fn malformed(part: &str, reason: impl Into<String>) -> Self {
        Self::Malformed { part: Name::new(part), reason: reason.into() }
    }

    pub(crate) fn tensor(tensor: &str, reason: impl Into<String>) -> Self {
        Self::Tensor { tensor: Name::new(tensor), reason: reason.into() }
    }

    pub(crate) fn configuration(field: &str, reason: impl Into<String>) -> Self {
        Self::Configuration { field: Name::new(field), reason: reason.into() }
    }

    pub(crate) fn unsupported(what: impl Into<String>, hint: &'static str) -> Self {
        Self::Unsupported { what: what.into(), hint }
    }
}
