//! One pair of kernel sockets per network namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use weighbridge_platform::namespace::inside_network;

use super::cpu_time;
use crate::diag::{Destroyed, Diag, Sample};
use crate::procfs;

/// Most namespaces watched: two descriptors and at most 4 MiB of kernel
/// memory each.
const NAMESPACES_MAX: usize = 256;
/// Shortest time between two searches for namespaces.
const SEARCH_MS: u64 = 2_000;
/// Longest.
const SEARCH_MS_MAX: u64 = 10_000;
/// A search may take this part of a processor, as a divisor.
const SEARCH_SHARE: u32 = 500;
/// How long a namespace that refused us is left alone.
const REFUSED_MS: u64 = 60_000;

/// All namespaces that are watched.
#[derive(Debug)]
pub struct Sensors {
    open: BTreeMap<u64, Sensor>,
    refused: BTreeMap<u64, Instant>,
    next_search: Instant,
    /// Whether there are more namespaces than are watched.
    pub overflow: bool,
}

#[derive(Debug)]
struct Sensor {
    diag: Diag,
    destroyed: Destroyed,
    listed: bool,
}

impl Sensor {
    fn open() -> io::Result<Self> {
        Ok(Self { diag: Diag::open()?, destroyed: Destroyed::open()?, listed: false })
    }
}

impl Sensors {
    /// Opens those of the own namespace.
    pub fn new() -> io::Result<Self> {
        let mut ours = Sensor::open()?;
        // A kernel without inet_diag says so at the first question.
        ours.diag.list(|_| {})?;
        let open = BTreeMap::from([(procfs::current()?, ours)]);
        Ok(Self { open, refused: BTreeMap::new(), next_search: Instant::now(), overflow: false })
    }

    /// Enters new namespaces and leaves those without a process, if it is time.
    pub fn search(&mut self) {
        let now = Instant::now();
        if now < self.next_search {
            return;
        }
        let before = cpu_time();
        let (found, more) = procfs::namespaces(NAMESPACES_MAX);
        self.overflow = more;
        let ours = procfs::current().ok();
        self.open.retain(|inode, _| found.contains_key(inode) || Some(*inode) == ours);
        self.refused.retain(|inode, until| found.contains_key(inode) && *until > now);
        for (inode, pid) in found {
            if self.open.contains_key(&inode) || self.refused.contains_key(&inode) {
                continue;
            }
            match enter(pid, inode) {
                Ok(sensor) => drop(self.open.insert(inode, sensor)),
                Err(_) => drop(self.refused.insert(inode, now + Duration::from_millis(REFUSED_MS))),
            }
        }
        let pause = cpu_time().saturating_sub(before).saturating_mul(SEARCH_SHARE);
        let pause = pause.clamp(Duration::from_millis(SEARCH_MS), Duration::from_millis(SEARCH_MS_MAX));
        self.next_search = Instant::now() + pause;
    }

    /// Hands over every socket, with its namespace and whether this is the
    /// first list of it. Gives the namespaces whose list was complete.
    pub fn list(&mut self, mut each: impl FnMut(u64, Sample, bool)) -> BTreeSet<u64> {
        let mut complete = BTreeSet::new();
        for (inode, sensor) in &mut self.open {
            let first = !sensor.listed;
            if sensor.diag.list(|sample| each(*inode, sample, first)).is_ok() {
                sensor.listed = true;
                complete.insert(*inode);
            }
        }
        complete
    }

    /// Hands over the last counts of sockets that ended.
    pub fn drain(&mut self, mut each: impl FnMut(u64, Sample)) {
        for (inode, sensor) in &mut self.open {
            // Lost news are made good by the list: a socket that is in none ended.
            let _ = sensor.destroyed.drain(|sample| each(*inode, sample));
        }
    }

    /// Whether a namespace is watched.
    pub fn watches(&self, inode: u64) -> bool {
        self.open.contains_key(&inode)
    }

    /// Namespaces watched, and those that refused us.
    pub fn count(&self) -> (usize, usize) {
        (self.open.len(), self.refused.len())
    }
}

fn enter(pid: u32, inode: u64) -> io::Result<Sensor> {
    inside_network(procfs::of_process(pid, inode)?.as_fd(), Sensor::open)?
}
