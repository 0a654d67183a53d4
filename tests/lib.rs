//! What the end-to-end tests share: the binary, scans, places.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

/// The repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The folder that holds this profile's binaries.
#[must_use]
pub fn target_profile() -> PathBuf {
    // target/<profile>/deps/e2e-<hash>
    let test = std::env::current_exe().unwrap_or_default();
    test.parent().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default()
}

/// The console's binary, built once, as [`weighbridge`].
///
/// # Panics
/// If it cannot be built.
#[must_use]
pub fn console() -> PathBuf {
    weighbridge().with_file_name("weighbridge-console")
}

/// The `weighbridge` binary of the profile under test, built if it is not
/// there: `cargo test` does not build other packages' binaries.
///
/// # Panics
/// If it cannot be built.
#[must_use]
#[expect(clippy::expect_used, reason = "helps tests only")]
pub fn weighbridge() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let binary = target_profile().join("weighbridge");
        if !binary.exists() {
            let built = Command::new("cargo").args(["build", "--workspace", "--bins"]).current_dir(root()).status();
            assert!(built.expect("cargo runs").success() && binary.exists(), "cannot build {}", binary.display());
        }
        binary
    })
}

/// Runs `weighbridge` with `arguments`.
///
/// # Panics
/// If it cannot be run.
#[must_use]
#[expect(clippy::expect_used, reason = "helps tests only")]
pub fn run(arguments: &[&str]) -> Output {
    Command::new(weighbridge()).args(arguments).output().expect("weighbridge runs")
}

/// `weighbridge scan --format json` of `paths`: the exit code and the report.
///
/// # Panics
/// If the report is not JSON.
#[must_use]
#[expect(clippy::panic, reason = "helps tests only")]
pub fn scan(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = run(&[&["scan", "--format", "json"], arguments].concat());
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("no JSON report ({e}): {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
}

/// The artifact at `path` in `report`.
#[must_use]
pub fn artifact<'a>(report: &'a Value, path: &str) -> Option<&'a Value> {
    artifacts(report).find(|a| a.get("path").and_then(Value::as_str) == Some(path))
}

/// All artifacts of `report`.
pub fn artifacts(report: &Value) -> impl Iterator<Item = &Value> {
    report.get("artifacts").and_then(Value::as_array).into_iter().flatten()
}

/// A text below `value`, empty if there is none.
#[must_use]
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Rule ids of an artifact's findings.
#[must_use]
pub fn rules(artifact: &Value) -> Vec<&str> {
    artifact.get("findings").and_then(Value::as_array).into_iter().flatten().map(|f| text(f, "/rule")).collect()
}
