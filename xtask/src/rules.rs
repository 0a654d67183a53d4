//! `rules/yara/compiled.bin`: our YARA rules as the engine keeps them, so that
//! a scan need not compile them first.

use std::process::Command;

use crate::run::{Result, root, weighbridge};

pub fn run() -> Result {
    let program = weighbridge("dev")?;
    let output = Command::new(program).arg("__compile-rules").output().map_err(|e| e.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let file = root().join("rules/yara/compiled.bin");
    std::fs::write(&file, output.stdout).map_err(|e| format!("cannot write `{}`: {e}", file.display()))
}
