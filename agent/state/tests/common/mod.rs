#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use weighbridge_platform::file::FileKey;
use weighbridge_types::{Artifact, Metadata, Sha256, Verdict};

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_770_000_000 + second).unwrap()
}

pub fn digest(n: u64) -> Sha256 {
    let mut bytes = [0xa5; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Sha256::new(bytes)
}

pub fn key(n: u64) -> FileKey {
    FileKey { dev: u64::MAX - 1, ino: n, size: 1000 + n, mtime_ns: 5, ctime_ns: 6 }
}

pub fn artifact(path: &Path, n: u64, verdict: Verdict) -> Artifact {
    Artifact {
        path: path.to_string_lossy().into_owned(),
        size_bytes: 1000 + n,
        sha256: Some(digest(n)),
        format: "safetensors".to_owned(),
        metadata: Metadata::from_iter([("architecture".to_owned(), "llama".into())]),
        verdict,
        findings: Vec::new(),
        links: Vec::new(),
        also_at: Vec::new(),
        signature: None,
        origin: Vec::new(),
        advisories: Vec::new(),
        decision: None,
        shadow: None,
    }
}

/// A tmpfs made for one test.
pub struct Tmpfs(pub PathBuf);

impl Tmpfs {
    pub fn new(at: &Path, options: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        std::fs::create_dir_all(at).unwrap();
        let data = std::ffi::CString::new(options).unwrap();
        match rustix::mount::mount("tmpfs", at, "tmpfs", rustix::mount::MountFlags::empty(), data.as_c_str()) {
            Ok(()) => Some(Self(at.to_owned())),
            Err(e) => {
                eprintln!("skipped: cannot mount a tmpfs: {e}");
                None
            }
        }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}
