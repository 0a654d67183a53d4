use std::io;

use weighbridge_inference_wire::Failure;
use weighbridge_types::Sha256;

/// Why a model is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// No parts, or more than a worker takes.
    #[error("the model has {count} parts; give 1 to {most}")]
    Parts {
        /// How many.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// A model of that name is served.
    #[error("a model named `{0}` is served already; unload it first")]
    Exists(String),
    /// As many as may be are served.
    #[error("{0} models are served already; unload one first")]
    Full(usize),
    /// It does not fit beside what runs.
    #[error(
        "`{model}` needs {} MiB ({} weights, {} keys and values, {} to compute) and {} MiB are available; \
         unload a model or give it a smaller cache",
        .needed >> 20, .weights >> 20, .cache >> 20, .margin >> 20, .available >> 20
    )]
    Memory {
        /// Name of the model.
        model: String,
        /// Bytes in all.
        needed: u64,
        /// Bytes of its files.
        weights: u64,
        /// Bytes of keys and values.
        cache: u64,
        /// Bytes beside those.
        margin: u64,
        /// Bytes there are.
        available: u64,
    },
    /// A file cannot be read.
    #[error("cannot read `{part}`")]
    Read {
        /// Which.
        part: String,
        /// Why not.
        source: io::Error,
    },
    /// A file changed its length while it was read.
    #[error("`{part}` changed while it was read; scan it again")]
    Changed {
        /// Which.
        part: String,
    },
    /// The bytes are not those the caller meant.
    #[error("`{part}` has the digest {found}, not {expected}; scan it again")]
    Mismatch {
        /// Which.
        part: String,
        /// As computed.
        found: Sha256,
        /// As given.
        expected: Sha256,
    },
    /// Nobody approved these bytes.
    #[error(
        "`{part}` ({digest}) is not among the files that `{model}` was approved with; scan the model and ask again"
    )]
    NotApproved {
        /// Name of the model.
        model: String,
        /// Which file.
        part: String,
        /// Its digest.
        digest: Sha256,
    },
    /// An import that does not hang together.
    #[error("the import of `{model}` cannot be served: {reason}; import it again")]
    Import {
        /// Name of the model.
        model: String,
        /// What is wrong.
        reason: String,
    },
    /// The approval is over.
    #[error("the approval of `{model}` ended at {at}; decide again")]
    Expired {
        /// Name of the model.
        model: String,
        /// When.
        at: jiff::Timestamp,
    },
    /// Nothing of that name is served.
    #[error("no model named `{0}` is served; load it")]
    NotServed(String),
    /// An approval that is not for what is served.
    #[error("the new approval of `{0}` is for other files than those that are served; unload it and load it again")]
    OtherFiles(String),
    /// No worker could be started.
    #[error("cannot start the model worker `{program}`")]
    Start {
        /// Which program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// The worker refuses the model.
    #[error("`{model}` cannot be served: {}", .failure.message)]
    Refused {
        /// Name of the model.
        model: String,
        /// In the worker's words.
        failure: Failure,
    },
    /// It took too long.
    #[error("`{model}` was not ready after {seconds} seconds and was ended")]
    Slow {
        /// Name of the model.
        model: String,
        /// How long.
        seconds: u64,
    },
}
