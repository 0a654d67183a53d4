//! Who else is asked before files are opened.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Most processes and most descriptors of one process looked at.
const PROCESSES_MAX: usize = 65_536;
const DESCRIPTORS_MAX: usize = 4_096;
/// Most listeners told of.
const LISTENERS_MAX: usize = 256;
/// Stack of the thread that looks.
const STACK_BYTES: usize = 256 << 10;
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

/// Processes with groups that are asked for permission.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Listeners {
    /// These, ours included.
    pub found: Vec<Listener>,
    /// Every process was looked at. Not so where one kept the look waiting,
    /// or belongs to others and we are not root.
    pub complete: bool,
}

/// Looks for listeners for at most `within`.
///
/// Looks at `/proc` only, which no listener can be asked about. Still a
/// process that is stuck in execve(2), as any user can arrange, keeps a look
/// at its descriptors waiting for as long as it likes; so another thread
/// looks, and stays behind if it must.
#[must_use]
pub fn listeners(within: Duration) -> Listeners {
    let (out, found) = sync_channel(LISTENERS_MAX);
    let look = move || {
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        for pid in pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).take(PROCESSES_MAX) {
            if listener(pid).is_some_and(|l| out.try_send(Some(l)).is_err()) {
                return;
            }
        }
        // The end, and not the end of a thread that gave up.
        let _ = out.try_send(None);
    };
    let mut all = Listeners::default();
    if std::thread::Builder::new().name("listeners".to_owned()).stack_size(STACK_BYTES).spawn(look).is_err() {
        return all;
    }
    let end = Instant::now() + within;
    while let Ok(next) = found.recv_timeout(end.saturating_duration_since(Instant::now())) {
        match next {
            Some(listener) => all.found.push(listener),
            None => {
                all.complete = true;
                break;
            }
        }
    }
    all
}

fn listener(pid: u32) -> Option<Listener> {
    let process = Path::new("/proc").join(pid.to_string());
    // Not the links in `fd`: reading those waits for execve(2) to be over.
    let classes = fs::read_dir(process.join("fdinfo"))
        .ok()?
        .flatten()
        .take(DESCRIPTORS_MAX)
        .filter_map(|fd| class(&head(&fd.path())?))
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
