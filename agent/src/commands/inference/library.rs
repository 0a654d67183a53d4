//! Where ONNX Runtime's library lies: beside the binary.

use std::path::PathBuf;

use crate::exit::Failure;

/// File name of the library.
const NAME: &str = "libonnxruntime.so";

/// The first of: beside the binary, where packages put it, where `cargo xtask`
/// puts it.
pub fn find() -> Result<PathBuf, Failure> {
    let program = super::parts::program()?;
    let folder = program.parent().map(PathBuf::from).unwrap_or_default();
    let places =
        [folder.join(NAME), folder.join("../lib/weighbridge").join(NAME), folder.join("../onnxruntime").join(NAME)];
    let found = places.iter().find(|place| place.is_file()).cloned();
    found.ok_or_else(|| {
        let looked: Vec<String> = places.iter().map(|p| format!("`{}`", p.display())).collect();
        Failure::Usage(format!(
            "ONNX Runtime is missing: looked for {}; install the package again, or run `cargo xtask onnxruntime`",
            looked.join(", ")
        ))
    })
}
