//! Python pickles, all protocols.

use crate::core::{FormatError, Input, Inspection};

/// What one pickle stream told.
#[derive(Debug, Default)]
pub struct Facts {
    /// Highest protocol it declares.
    pub protocol: Option<u8>,
    /// Offset after its STOP (or where it broke off).
    pub end: u64,
    /// Whether STOP was reached as the real unpickler would.
    pub complete: bool,
    /// Globals it resolves, `module.name`, in order, without repeats.
    pub globals: Vec<String>,
    /// PyTorch storages named by persistent ids.
    pub storages: Vec<Storage>,
}

/// A PyTorch storage named by a persistent id:
/// `('storage', torch.FloatStorage, key, location, numel)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// `torch.FloatStorage`
    pub dtype: String,
    /// Member `data/<key>` of the archive.
    pub key: String,
    /// `cpu`, `cuda:0`
    pub location: String,
    /// Elements.
    pub numel: u64,
}

/// Interprets the one stream that starts at `start` of `input`, reports its
/// findings and says where it ended. For wrappers that know where streams lie.
///
/// # Errors
/// Whatever stops the parse; findings up to there are reported.
pub fn inspect_stream(_ctx: &mut Inspection<'_>, _input: &Input, start: u64) -> Result<Facts, FormatError> {
    Ok(Facts { end: start, ..Facts::default() })
}

/// Who reads a pickle, and so what its names may mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Python's `pickle`.
    #[default]
    Python,
    /// The C++ unpickler of TorchScript: `__torch__.…` names are types of the
    /// archive's own code, `torch.jit._pickle.…` builds typed lists.
    TorchScript,
    /// `torch.package`: unknown modules are sources of the same archive, which
    /// are inspected by themselves.
    Packaged,
}

/// As [`inspect_stream`], for a stream read by `dialect`.
///
/// # Errors
/// As [`inspect_stream`].
pub fn inspect_stream_as(
    ctx: &mut Inspection<'_>,
    input: &Input,
    start: u64,
    _dialect: Dialect,
) -> Result<Facts, FormatError> {
    inspect_stream(ctx, input, start)
}
