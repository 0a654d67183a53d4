//! Processes that are never asked about.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::message::EXEMPT_MAX;

/// Processes by pid, each held by a descriptor, so that whoever gets the pid
/// of one that has ended is not exempt in its place.
#[derive(Debug)]
pub struct Exempt {
    own: u32,
    others: HashMap<u32, OwnedFd>,
}

impl Exempt {
    /// This process alone.
    pub fn new() -> Self {
        Self { own: std::process::id(), others: HashMap::new() }
    }

    /// Exempts these instead of those before. Processes that have ended, and
    /// those beyond the bound, are left out.
    pub fn replace(&mut self, pids: &[u32]) {
        self.others = pids
            .iter()
            .take(EXEMPT_MAX)
            .filter_map(|pid| {
                let process = pidfd_open(Pid::from_raw(i32::try_from(*pid).ok()?)?, PidfdFlags::empty()).ok()?;
                Some((*pid, process))
            })
            .collect();
    }

    /// Whether `pid` is exempt.
    pub fn contains(&mut self, pid: i32) -> bool {
        let Ok(pid) = u32::try_from(pid) else { return false };
        if pid == self.own {
            return true;
        }
        let Some(process) = self.others.get(&pid) else { return false };
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let alive = matches!(rustix::event::poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&at_once)), Ok(0));
        if !alive {
            self.others.remove(&pid);
        }
        alive
    }
}

#[cfg(test)]
mod tests {
    use super::Exempt;

    #[test]
    fn an_exemption_ends_with_its_process() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let mut exempt = Exempt::new();
        assert!(exempt.contains(i32::try_from(std::process::id()).unwrap()));
        assert!(!exempt.contains(pid) && !exempt.contains(0) && !exempt.contains(-1));
        exempt.replace(&[child.id(), 0, u32::MAX]);
        assert!(exempt.contains(pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!exempt.contains(pid));
    }
}
