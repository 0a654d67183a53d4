use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::Result;

/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(3);

/// How long a program ran, and the most memory one of its processes held.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    pub wall: Duration,
    /// Largest resident set of any process in the tree, bytes.
    pub memory: u64,
    pub code: Option<i32>,
}

/// Runs `program` to its end, or kills it after `limit` (then `None`).
pub fn program(program: &Path, arguments: &[&str], limit: Duration) -> Result<Option<Measured>> {
    let started = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env("NO_ANALYTICS", "1")
        .env("PROMPTFOO_DISABLE_TELEMETRY", "1")
        .env("CI", "1")
        .spawn()
        .map_err(|e| format!("cannot run `{}`: {e}", program.display()))?;
    let mut memory = 0;
    let mut looked = started;
    loop {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            return Ok(Some(Measured { wall: started.elapsed(), memory, code: status.code() }));
        }
        if looked.elapsed() > LOOK_EVERY {
            memory = memory.max(tree_memory(child.id()));
            looked = Instant::now();
        }
        if started.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            return Ok(None);
        }
        // The end is noticed within a hundredth of the time it took.
        std::thread::sleep((started.elapsed() / 100).clamp(Duration::from_micros(50), LOOK_EVERY));
    }
}

/// Largest high-water mark among `pid` and its children.
fn tree_memory(pid: u32) -> u64 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let below = children.split_whitespace().filter_map(|c| c.parse().ok()).map(tree_memory).max().unwrap_or(0);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let own = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .and_then(|v| v.trim().strip_suffix(" kB"))
        .and_then(|v| v.trim().parse::<u64>().ok())
        .map_or(0, |kb| kb * 1024);
    own.max(below)
}

/// The best of `n` runs of `f`: noise only ever adds time.
pub fn best<T>(n: u32, mut f: impl FnMut() -> Result<T>, wall: impl Fn(&T) -> Duration) -> Result<T> {
    let mut best = f()?;
    for _ in 1..n {
        let next = f()?;
        if wall(&next) < wall(&best) {
            best = next;
        }
    }
    Ok(best)
}
