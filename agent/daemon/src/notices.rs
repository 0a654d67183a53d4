//! Telling the person concerned: on the desktop session where there is one,
//! and on their terminals.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use weighbridge_types::Shown;

use crate::users::Users;

/// Longest text shown, characters.
const TEXT_MAX: usize = 600;
/// Most terminals written to.
const TERMINALS_MAX: usize = 32;
/// Time the desktop has to take a notice.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shows `text` to `uid`; returns how many places took it. Hostile parts of
/// the text (file names) cannot control the terminal.
pub fn tell(users: &Users, uid: u32, text: &str) -> usize {
    let text: String = Shown(text).to_string().chars().take(TEXT_MAX).collect();
    let terminals = terminals(uid, Path::new("/dev/pts"));
    let written = terminals.iter().filter(|path| write(path, &text).is_ok()).count();
    written + usize::from(desktop(users, uid, &text))
}

/// Terminals of `uid`.
fn terminals(uid: u32, folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let theirs = |path: &PathBuf| {
        let meta = fs::symlink_metadata(path);
        meta.is_ok_and(|m| m.uid() == uid && m.file_type().is_char_device())
    };
    let numbered = |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().parse::<u32>().is_ok());
    entries.flatten().map(|e| e.path()).filter(numbered).filter(theirs).take(TERMINALS_MAX).collect()
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let mut terminal = OpenOptions::new().write(true).custom_flags(flags).open(path)?;
    terminal.write_all(format!("\r\nWeighbridge: {text}\r\n").as_bytes())
}

/// As the user, over their session bus; false if there is none.
fn desktop(users: &Users, uid: u32, text: &str) -> bool {
    let bus = format!("/run/user/{uid}/bus");
    let Some(gid) = users.group(uid).filter(|_| Path::new(&bus).exists()) else { return false };
    let child = Command::new("notify-send")
        .args(["--app-name=Weighbridge", "--urgency=critical", "Weighbridge", text])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={bus}"))
        .uid(uid)
        .gid(gid)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    let started = std::time::Instant::now();
    while started.elapsed() < PATIENCE {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(Duration::from_millis(50)),
            Err(_) => return false,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbered_devices_of_the_user_are_written_to() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("0"), "").unwrap();
        std::os::unix::fs::symlink("/dev/null", dir.path().join("1")).unwrap();
        assert!(terminals(rustix::process::getuid().as_raw(), dir.path()).is_empty());
    }
}
