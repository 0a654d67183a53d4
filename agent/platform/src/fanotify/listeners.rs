//! Who else is asked before files are opened.

use std::fs;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Most processes and most descriptors of one process looked at.
const PROCESSES_MAX: usize = 65_536;
const DESCRIPTORS_MAX: usize = 4_096;
/// Enough of a `fdinfo` for its head; one with many marks runs to megabytes.
const FDINFO_BYTES_MAX: u64 = 512;
/// `FAN_CLASS_CONTENT | FAN_CLASS_PRE_CONTENT`: is asked.
const ASKED: u32 = libc::FAN_CLASS_CONTENT | libc::FAN_CLASS_PRE_CONTENT;

/// A process with a fanotify group that is asked for permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The process.
    pub pid: u32,
    /// Its name for itself (`/proc/PID/comm`); untrusted.
    pub name: String,
    /// Gets events before others do (`FAN_CLASS_PRE_CONTENT`).
    pub pre_content: bool,
}

/// All processes with groups that are asked for permission, ours included.
/// Looks at `/proc` only, which no listener can be asked about, so it cannot
/// deadlock with one. Without root, sees processes of the same user only.
#[must_use]
pub fn listeners() -> Vec<Listener> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .take(PROCESSES_MAX)
        .filter_map(listener)
        .collect()
}

fn listener(pid: u32) -> Option<Listener> {
    let process = Path::new("/proc").join(pid.to_string());
    let classes = fs::read_dir(process.join("fd"))
        .ok()?
        .flatten()
        .take(DESCRIPTORS_MAX)
        .filter(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == "anon_inode:[fanotify]"))
        .filter_map(|fd| class(&head(&process.join("fdinfo").join(fd.file_name()))?))
        .fold(0, |all, flags| all | flags);
    (classes & ASKED != 0).then(|| Listener {
        pid,
        name: head(&process.join("comm")).unwrap_or_default().trim_end().to_owned(),
        pre_content: classes & libc::FAN_CLASS_PRE_CONTENT != 0,
    })
}

/// The flags of `fanotify flags:HEX event-flags:HEX`.
fn class(fdinfo: &str) -> Option<u32> {
    let flags = fdinfo.lines().find_map(|line| line.strip_prefix("fanotify flags:"))?;
    u32::from_str_radix(flags.split_ascii_whitespace().next()?, 16).ok()
}

fn head(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(FDINFO_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::class;

    #[test]
    fn reads_the_class_from_fdinfo() {
        let text =
            "pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t1\nfanotify flags:3c event-flags:8000\nfanotify sdev:1 \n";
        assert_eq!(class(text), Some(0x3c));
        assert_eq!(class("pos:\t0\n"), None);
        assert_eq!(class("fanotify flags:zz event-flags:0"), None);
        assert_eq!(class("fanotify flags:"), None);
    }
}
