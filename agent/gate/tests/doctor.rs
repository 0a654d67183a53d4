//! The self-test on this kernel. Needs root.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

use weighbridge_gate::doctor::{Coverage, probe};

#[test]
fn the_self_test_says_what_is_covered_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let start = std::time::Instant::now();
    let capabilities = probe(dir.path());
    eprintln!("{capabilities:#?}\n{:?}", start.elapsed());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let names: std::collections::HashSet<_> = capabilities.checks.iter().map(|c| c.name).collect();
    assert_eq!(names.len(), capabilities.checks.len());
    if matches!(capabilities.coverage("open"), Some(Coverage::Unknown(_))) {
        eprintln!("skipped: needs root");
        return;
    }
    for name in ["open", "hard-link", "bind-mount", "reopen"] {
        assert_eq!(capabilities.coverage(name), Some(&Coverage::Covered), "{name}");
    }
    // What no permission event on a file system covers, whatever the kernel.
    assert!(matches!(capabilities.coverage("memfd"), Some(Coverage::Open(_))));
    assert!(matches!(capabilities.coverage("truncate"), Some(Coverage::Open(_))));
}
