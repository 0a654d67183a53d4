//! Programs of Debian's packages below `target/debian`, unpacked and not
//! installed: nothing of the machine changes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::run::{Result, target};

/// The folder into which `packages` are unpacked, fetched when needed.
pub fn with(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = target().join("debian").join(name);
    let stamp = folder.join("weighbridge-packages");
    let wanted = packages.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(folder);
    }
    let _ = fs::remove_dir_all(&folder);
    let fetched = folder.join("fetched");
    fs::create_dir_all(&fetched).map_err(|e| format!("cannot make `{}`: {e}", fetched.display()))?;
    let apt = |arguments: &[&str]| {
        let output = Command::new("apt-get").args(arguments).current_dir(&fetched).output();
        let output = output.map_err(|e| format!("cannot run apt-get: {e}"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or_else(|| format!("apt-get {}: {said}", arguments.join(" ")))
    };
    let download = || apt(&[&["--quiet", "download"], packages].concat());
    // A fresh machine has no lists yet.
    if download().is_err() {
        apt(&["--quiet", "update"])?;
        download()?;
    }
    for entry in fs::read_dir(&fetched).into_iter().flatten().flatten() {
        let done = Command::new("dpkg").arg("--extract").arg(entry.path()).arg(&folder).status();
        if !done.is_ok_and(|s| s.success()) {
            return Err(format!("cannot unpack `{}`", entry.path().display()));
        }
    }
    fs::write(&stamp, wanted).map_err(|e| format!("cannot write `{}`: {e}", stamp.display()))?;
    Ok(folder)
}
