//! Python environments below `target/venvs`, made when needed.

use std::path::PathBuf;

use crate::run::{Result, run, target};

/// The `bin` folder of the environment `name` with `packages` installed.
pub fn with(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = target().join("venvs").join(name);
    let bin = folder.join("bin");
    let stamp = folder.join("weighbridge-packages");
    let wanted = packages.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(bin);
    }
    let shown = folder.display().to_string();
    run("python3", &["-m", "venv", &shown])?;
    let pip = bin.join("pip").display().to_string();
    let mut arguments = vec!["install", "--quiet", "--disable-pip-version-check"];
    arguments.extend(packages);
    run(&pip, &arguments)?;
    std::fs::write(&stamp, wanted).map_err(|e| format!("cannot write `{}`: {e}", stamp.display()))?;
    Ok(bin)
}
