use crate::run::{Result, run as run_shown, target};

/// Runs the engine's own measurements, built as a release.
pub fn run() -> Result {
    run_shown("cargo", &["build", "--quiet", "--release", "--workspace", "--example", "policy-bench"])?;
    let folder = target().join("bench").join("policy");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|e| format!("cannot empty `{}`: {e}", folder.display()))?;
    }
    let program = target().join("release/examples/policy-bench");
    run_shown(&program.display().to_string(), &[&folder.display().to_string()])
}
