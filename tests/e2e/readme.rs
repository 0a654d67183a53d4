//! Every command in the README runs.

use std::path::Path;
use std::process::Command;

use weighbridge_tests::{root, target_profile};

/// Commands too long for a test of their own; the test suite itself is one.
const ELSEWHERE: &[&str] = &[
    "cargo xtask test",
    "cargo xtask demo",
    "cargo xtask bench",
    "cargo xtask fuzz",
    "cargo xtask conformance",
    "cargo xtask dist",
    "cargo install",
];

#[test]
fn every_command_in_the_readme_runs_as_written() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mut commands = 0;
    for (command, expected) in shell_commands(&readme) {
        if ELSEWHERE.iter().any(|e| command.starts_with(e)) {
            continue;
        }
        commands += 1;
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("bash")
            .args(["-o", "pipefail", "-c", &command])
            .current_dir(root())
            .env("PATH", format!("{}:{path}", target_profile().display()))
            .output()
            .unwrap();
        let code = output.status.code().unwrap_or(-1);
        assert_eq!(code, expected, "`{command}`: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(commands > 5, "the README shows how it is used");
}

/// Commands in `sh` blocks, with the exit code a comment `# exits with N`
/// announces.
fn shell_commands(markdown: &str) -> Vec<(String, i32)> {
    let mut out = Vec::new();
    let mut inside = false;
    for line in markdown.lines() {
        if let Some(language) = line.strip_prefix("```") {
            inside = language == "sh";
        } else if inside && !line.trim().is_empty() && !line.starts_with('#') {
            let (command, comment) = line.split_once("  #").unwrap_or((line, ""));
            let code = comment.split_once("exits with ").and_then(|(_, n)| n.trim().parse().ok()).unwrap_or(0);
            out.push((command.trim().to_owned(), code));
        }
    }
    out
}

#[test]
fn pictures_and_pages_the_readme_links_to_exist() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for target in readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        if !target.starts_with("http") && !target.starts_with('#') {
            let file = target.split('#').next().unwrap_or_default();
            assert!(root().join(Path::new(file)).exists(), "{target}");
        }
    }
}
