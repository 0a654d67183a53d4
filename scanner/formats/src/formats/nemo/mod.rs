//! NeMo checkpoints: a tar archive of `model_config.yaml`, weights and other
//! artifacts, plain or compressed with gzip. The configuration names classes
//! to instantiate (Hydra `_target_`), the weights are a pickle.

use crate::codec::decompress::Codec;
use crate::codec::stream::Forward;
use crate::codec::tar::{Listing, Seekable};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope};
use crate::formats::tar::contents::{self, Purpose};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "nemo",
    name: "NVIDIA NeMo checkpoint",
    extensions: &["nemo"],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Tar(recognise),
    inspect,
    rules: &[],
};

/// RFC 1952, 2.3.1.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

fn recognise(listing: &Listing) -> Confidence {
    let weights = [".ckpt", ".distcp", ".pt", ".safetensors"].iter().any(|suffix| listing.any_ends_with(suffix));
    match listing.get("model_config.yaml") {
        Some(_) if weights => Confidence::Certain,
        Some(_) => Confidence::Likely,
        None => Confidence::No,
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let purpose = Purpose::Model { inspected: |_| false };
    let magic = input.head(2).map_err(|source| FormatError::Io { offset: 0, source })?;
    if magic != GZIP_MAGIC {
        return contents::inspect(ctx, Seekable::new(input.clone()), purpose);
    }
    let packed = input.clone();
    let open = Box::new(move || Codec::Gzip.open(packed.clone()));
    let stream = Forward::new(open, ctx.expansion_left());
    contents::inspect(ctx, stream, purpose)
}

#[cfg(test)]
mod tests;
