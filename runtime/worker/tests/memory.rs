//! Alone in its process, whose descriptors it counts.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use common::{collect, generate, imported, serve, submit, supervisor};

#[tokio::test(flavor = "multi_thread")]
async fn memory_comes_back_after_unloading() {
    let Some(supervisor) = supervisor() else { return };
    let files = imported();
    let held = || {
        let entries = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
        entries
            .filter_map(|e| std::fs::read_link(e.path()).ok())
            .filter(|l| l.to_string_lossy().contains("memfd:"))
            .count()
    };
    let before = held();
    let model = serve(&supervisor, &files, "small");
    assert!(collect(submit(&model, generate("hello", 50))).await.1.is_ok());
    let id = model.process_id().unwrap();
    assert!(held() > before);
    assert!(supervisor.unload("small"));
    assert!(!std::path::Path::new(&format!("/proc/{id}")).exists(), "the process is gone");
    assert_eq!(held(), before, "no sealed memory is left");
    assert!(model.stats().is_none() && supervisor.find("small").is_none());
}
