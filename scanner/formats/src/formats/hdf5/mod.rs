//! HDF5 files that are no Keras model: data sets, models of other programs.
//! What any HDF5 file can do to its reader is looked at here, for Keras files
//! too.

mod inspect;
mod links;
pub mod rules;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use crate::codec::hdf5::{self, File};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

pub(super) use inspect::inspect_file;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "hdf5",
    name: "HDF5",
    extensions: &["h5", "hdf5", "he5", "h5ad", "nc", "mat", "loom"],
    runs_code: false,
    is_model: false,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

/// Extensions under which HDF5 files are taken for models.
const MODEL_EXTENSIONS: &[&str] = &["h5", "hdf5", "keras"];

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if sniff.starts_with(hdf5::SIGNATURE) {
        return Confidence::Certain;
    }
    // Behind a user block. The first member of a tar stands at 512 too.
    let behind = [512, 1024, 2048].into_iter().any(|at| sniff.has_at(at, hdf5::SIGNATURE));
    match behind && !sniff.has_at(257, b"ustar") {
        true if sniff.name.has_extension(MODEL_EXTENSIONS) => Confidence::Certain,
        true => Confidence::Likely,
        false => Confidence::No,
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    ctx.holds_model |= ctx.name().has_extension(MODEL_EXTENSIONS);
    let file = File::open(input)?;
    let summary = inspect_file(ctx, &file, input, |_, _, _| ControlFlow::Continue(()))?;
    summary.record(ctx);
    Ok(())
}
