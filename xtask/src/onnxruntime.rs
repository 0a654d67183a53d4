//! The ONNX Runtime library, out of its Python package, which is pinned by
//! checksum. Packages carry it beside the binary.

use std::path::PathBuf;

use crate::run::{Result, target};
use crate::wheel::{self, Wheel};

/// Its version; the crate `ort` asks for this one or a later.
pub const VERSION: &str = "1.31.1";

/// A package for one kind of machine: architecture, platform tag, SHA-256.
const PACKAGES: &[(&str, &str, &str)] =
    &[("x86_64", "manylinux_2_28_x86_64", "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536")];

/// The library, fetched once, as `target/onnxruntime/libonnxruntime.so`.
pub fn library() -> Result<PathBuf> {
    let folder = target().join("onnxruntime");
    let library = folder.join("libonnxruntime.so");
    let stamp = folder.join("weighbridge-version");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == VERSION) && library.exists() {
        return Ok(library);
    }
    let machine = std::env::consts::ARCH;
    let (_, platform, digest) = PACKAGES
        .iter()
        .find(|(name, _, _)| *name == machine)
        .ok_or_else(|| format!("no package of ONNX Runtime {VERSION} is pinned for {machine}; add its checksum"))?;
    let wheel = Wheel {
        package: &format!("onnxruntime=={VERSION}"),
        file: &format!("onnxruntime-{VERSION}-cp312-cp312-{platform}.whl"),
        sha256: digest,
        platform: Some(platform),
    };
    wheel::unpack(&wheel, &folder)?;
    let inside = folder.join("onnxruntime").join(format!("capi/libonnxruntime.so.{VERSION}"));
    let moved = std::fs::rename(&inside, &library)
        .and_then(|()| std::fs::rename(folder.join("onnxruntime/LICENSE"), folder.join("LICENSE")))
        .and_then(|()| {
            std::fs::rename(folder.join("onnxruntime/ThirdPartyNotices.txt"), folder.join("ThirdPartyNotices.txt"))
        })
        .and_then(|()| std::fs::remove_dir_all(folder.join("onnxruntime")))
        .and_then(|()| std::fs::write(&stamp, VERSION));
    moved.map_err(|e| format!("cannot unpack `{}`: {e}", library.display()))?;
    Ok(library)
}
