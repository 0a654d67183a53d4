use std::path::PathBuf;

use super::guard::{enter, guarded};
use super::read;
use crate::download::Evidence;
use crate::evidence;

/// Most bytes of a command line that are kept.
const COMMAND_BYTES_MAX: u64 = 4096;
/// Most bytes of an environment that are searched.
const ENVIRONMENT_BYTES_MAX: u64 = 256 * 1024;
/// Most threads and children looked at.
const CHILDREN_MAX: usize = 64;

/// A process, as it shows itself.
#[derive(Debug, Clone, Default)]
pub struct Process {
    /// Its program.
    pub exe: Option<PathBuf>,
    /// Its arguments, secrets left out.
    pub command: Vec<String>,
    /// Traces of a hub in arguments and variables.
    pub evidence: Vec<Evidence>,
}

/// Reads what `pid` shows; what may not be read is left out.
pub fn describe(pid: u32) -> Process {
    guarded(move || if enter(pid) { look(pid) } else { Process::default() })
}

fn look(pid: u32) -> Process {
    let command = strings(&read(format!("/proc/{pid}/cmdline"), COMMAND_BYTES_MAX).unwrap_or_default());
    let mut evidence = evidence::command(&command);
    let environment = read(format!("/proc/{pid}/environ"), ENVIRONMENT_BYTES_MAX).unwrap_or_default();
    for entry in environment.split(|&byte| byte == 0) {
        let Some((name, value)) = std::str::from_utf8(entry).ok().and_then(|entry| entry.split_once('=')) else {
            continue;
        };
        // The first of a name counts, and there are few names.
        let known = evidence.iter().any(|e| e.value.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')));
        evidence.extend(evidence::variable(name, value).filter(|_| !known));
    }
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    Process { exe, command: evidence::redacted(command), evidence }
}

/// Processes that `pid` started and that still run; each thread has its own.
pub fn children(pid: u32) -> Vec<u32> {
    guarded(move || if enter(pid) { started_by(pid) } else { Vec::new() })
}

fn started_by(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten().take(CHILDREN_MAX);
    let lists = tasks.filter_map(|task| read(task.path().join("children"), 4096));
    let numbers = |list: Vec<u8>| -> Vec<u32> {
        String::from_utf8_lossy(&list).split_ascii_whitespace().filter_map(|child| child.parse().ok()).collect()
    };
    lists.flat_map(numbers).take(CHILDREN_MAX).collect()
}

fn strings(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|&byte| byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn shows_arguments_and_known_variables() {
        let mut child =
            Command::new("sleep").arg("30").env("HF_HOME", "/data/hf").env("HF_TOKEN", "hf_x").spawn().unwrap();
        // The new program may still be setting up.
        while describe(child.id()).command.is_empty() {
            std::thread::yield_now();
        }
        let seen = describe(child.id());
        assert!(children(std::process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(seen.command, ["sleep", "30"]);
        assert!(seen.exe.is_some());
        let values: Vec<&str> = seen.evidence.iter().map(|e| e.value.as_str()).collect();
        assert_eq!(values, ["HF_HOME=/data/hf"]);
        assert!(describe(child.id()).command.is_empty(), "gone");
    }
}
