//! The busy sockets and what they have received.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::diag::Sample;
use crate::download::Socket;

/// Most busy sockets followed at once.
const FLOWS_MAX: usize = 8192;
/// A socket of a process that downloads counts from here, bytes.
const ADOPTED_BYTES_MIN: u64 = 64 * 1024;
/// A socket that receives less than this in a window rests, bytes.
const WINDOW_BYTES_MIN: u64 = 64 * 1024;
/// Length of that window.
const WINDOW: Duration = Duration::from_secs(10);
/// Lists that may lack a socket before it counts as ended.
const MISSED_MAX: u8 = 2;

/// How long a socket that was let go of is remembered: its end may be told
/// late, when the far end has said goodbye (`tcp_fin_timeout` and more).
const BURIED: Duration = Duration::from_secs(180);
/// Most of them.
const BURIED_MAX: usize = 32_768;

/// Namespace and cookie.
pub type Key = (u64, u64);

/// A busy socket.
#[derive(Debug)]
pub struct Flow {
    /// Which.
    pub socket: Socket,
    /// Its owner.
    pub uid: u32,
    /// As in `/proc/PID/fd`.
    pub inode: u32,
    /// Received in all.
    pub bytes: u64,
    /// Of those, what does not belong to the transfer of now.
    pub base: u64,
    /// First seen, milliseconds since 1970.
    pub first_ms: u64,
    /// Whether it receives.
    pub active: bool,
    /// Whether it ended.
    pub gone: bool,
    /// Whether it belongs to a process that is not watched.
    pub exempt: bool,
    /// Who holds it.
    pub holders: Vec<u32>,
    /// Searches for its holders that found none.
    pub attempts: u32,
    /// When to search next.
    pub next_attempt: Instant,
    /// The download it counts for.
    pub download: Option<u64>,
    /// Received since the look before.
    pub delta: u64,
    /// Received when its file was last seen open.
    pub written: u64,
    window: (Instant, u64),
    missed: u8,
    seen: bool,
}

impl Flow {
    /// What counts for the transfer of now.
    pub fn pending(&self) -> u64 {
        self.bytes.saturating_sub(self.base)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Flows {
    /// By namespace and cookie.
    pub map: HashMap<Key, Flow>,
    /// Sockets of processes that download, by inode: their other sockets
    /// count from the start.
    pub adopted: HashMap<u32, u32>,
    /// Whether some could not be followed.
    pub overflow: bool,
    buried: HashMap<Key, Instant>,
    below: u64,
    below_before: u64,
}

impl Flows {
    /// Begins a look.
    pub fn begin(&mut self) {
        self.below_before = std::mem::take(&mut self.below);
        self.overflow = false;
        for flow in self.map.values_mut() {
            flow.seen = false;
            flow.delta = 0;
        }
    }

    /// A socket in the list.
    pub fn listed(&mut self, netns: u64, sample: &Sample, first: bool, threshold: u64, now: (Instant, u64)) {
        let key = (netns, sample.socket.cookie);
        if let Some(flow) = self.map.get_mut(&key) {
            flow.update(sample, now.0);
            flow.seen = true;
            // Nobody holds it any more: the kernel only says goodbye.
            flow.gone |= sample.inode == 0;
            return;
        }
        let adopter = self.adopted.get(&sample.inode).filter(|_| sample.bytes_received >= ADOPTED_BYTES_MIN);
        if sample.bytes_received < threshold && adopter.is_none() {
            self.below = self.below.saturating_add(sample.bytes_received);
        } else if sample.inode != 0 {
            let mut flow = Flow::new(sample, now);
            flow.holders.extend(adopter);
            // Its bytes may be old ones if it was there before us.
            flow.active = !first;
            self.insert(key, flow, now.0);
        }
    }

    /// A socket that ended.
    pub fn destroyed(&mut self, netns: u64, sample: &Sample, report: u64, now: (Instant, u64)) {
        let key = (netns, sample.socket.cookie);
        if let Some(flow) = self.map.get_mut(&key) {
            flow.update(sample, now.0);
            flow.gone = true;
        } else if sample.bytes_received >= report && self.buried.remove(&key).is_none() {
            // It came and went between two looks.
            let flow = Flow { gone: true, active: true, ..Flow::new(sample, now) };
            self.insert(key, flow, now.0);
        }
    }

    /// Ends a look over the namespaces in `complete`.
    pub fn end(&mut self, complete: &BTreeSet<u64>, open: impl Fn(u64) -> bool, now: Instant) {
        for ((netns, _), flow) in &mut self.map {
            if !flow.seen && complete.contains(netns) {
                flow.missed = flow.missed.saturating_add(1);
            } else if flow.seen {
                flow.missed = 0;
            }
            flow.gone |= flow.missed >= MISSED_MAX || !open(*netns);
            flow.turn_window(now);
        }
        self.buried.retain(|_, at| now.saturating_duration_since(*at) < BURIED);
    }

    /// Lets go of the sockets that ended.
    pub fn bury(&mut self, now: Instant) {
        let buried = &mut self.buried;
        self.map.retain(|key, flow| {
            if flow.gone && buried.len() < BURIED_MAX {
                buried.insert(*key, now);
            }
            !flow.gone
        });
    }

    /// Bytes received since the look before, by all that are not exempt;
    /// a lower bound, since small sockets are not told apart.
    pub fn growth(&self) -> u64 {
        let followed = self.map.values().filter(|flow| !flow.exempt).map(|flow| flow.delta);
        followed.fold(self.below.saturating_sub(self.below_before), u64::saturating_add)
    }

    fn insert(&mut self, key: Key, flow: Flow, now: Instant) {
        if self.map.len() >= FLOWS_MAX {
            let idle = self.map.iter().find(|(_, flow)| !flow.active && flow.download.is_none()).map(|(key, _)| *key);
            let Some(idle) = idle else {
                self.overflow = true;
                return;
            };
            self.map.remove(&idle);
            if self.buried.len() < BURIED_MAX {
                self.buried.insert(idle, now);
            }
        }
        self.map.insert(key, flow);
    }
}

impl Flow {
    fn new(sample: &Sample, (now, now_ms): (Instant, u64)) -> Self {
        Self {
            socket: sample.socket,
            uid: sample.uid,
            inode: sample.inode,
            bytes: sample.bytes_received,
            base: 0,
            first_ms: now_ms,
            active: false,
            gone: false,
            exempt: false,
            holders: Vec::new(),
            attempts: 0,
            next_attempt: now,
            download: None,
            delta: sample.bytes_received,
            written: 0,
            window: (now, sample.bytes_received),
            missed: 0,
            seen: true,
        }
    }

    fn update(&mut self, sample: &Sample, now: Instant) {
        // The count of a socket that ended includes its FIN, and starts anew
        // for nothing: it never falls.
        let bytes = sample.bytes_received.max(self.bytes);
        self.delta = self.delta.saturating_add(bytes.saturating_sub(self.bytes));
        self.bytes = bytes;
        if !self.active && bytes.saturating_sub(self.window.1) >= WINDOW_BYTES_MIN {
            self.active = true;
            self.next_attempt = now;
        }
    }

    /// A socket that rests begins a new transfer when it wakes.
    fn turn_window(&mut self, now: Instant) {
        if now.saturating_duration_since(self.window.0) < WINDOW || self.gone {
            return;
        }
        if self.bytes.saturating_sub(self.window.1) < WINDOW_BYTES_MIN {
            self.active = false;
            if self.download.is_none() {
                self.base = self.bytes;
            }
        }
        self.window = (now, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLD: u64 = 1 << 20;

    fn sample(cookie: u64, bytes_received: u64) -> Sample {
        let address = "127.0.0.1:80".parse().unwrap();
        let socket = Socket { cookie, local: address, remote: address, interface: 0 };
        Sample { socket, uid: 0, inode: u32::try_from(cookie).unwrap() + 100, bytes_received }
    }

    fn look(flows: &mut Flows, first: bool, samples: &[(u64, u64)], now: Instant) {
        flows.begin();
        for (cookie, bytes) in samples {
            flows.listed(1, &sample(*cookie, *bytes), first, THRESHOLD, (now, 0));
        }
        flows.end(&BTreeSet::from([1]), |_| true, now);
    }

    #[test]
    fn only_busy_sockets_are_kept() {
        let (mut flows, now) = (Flows::default(), Instant::now());
        look(&mut flows, false, &[(1, THRESHOLD - 1), (2, THRESHOLD)], now);
        assert_eq!(flows.map.keys().collect::<Vec<_>>(), [&(1, 2)]);
    }

    #[test]
    fn growth_below_the_threshold_is_noticed() {
        let (mut flows, now) = (Flows::default(), Instant::now());
        look(&mut flows, false, &[(1, 1000)], now);
        look(&mut flows, false, &[(1, 500_000)], now);
        assert_eq!(flows.growth(), 499_000);
    }

    #[test]
    fn old_bytes_do_not_count_until_new_ones_come_and_never_after_a_rest() {
        let (mut flows, start) = (Flows::default(), Instant::now());
        look(&mut flows, true, &[(1, 10 * THRESHOLD)], start);
        assert!(!flows.map[&(1, 1)].active);
        look(&mut flows, false, &[(1, 10 * THRESHOLD)], start + WINDOW);
        look(&mut flows, false, &[(1, 12 * THRESHOLD)], start + WINDOW + WINDOW / 2);
        let flow = &flows.map[&(1, 1)];
        assert!(flow.active);
        assert_eq!(flow.pending(), 2 * THRESHOLD);
    }

    #[test]
    fn a_socket_missing_twice_has_ended() {
        let (mut flows, now) = (Flows::default(), Instant::now());
        look(&mut flows, false, &[(1, THRESHOLD)], now);
        look(&mut flows, false, &[], now);
        assert!(!flows.map[&(1, 1)].gone);
        look(&mut flows, false, &[], now);
        assert!(flows.map[&(1, 1)].gone);
    }

    #[test]
    fn the_last_count_is_that_of_the_end() {
        let (mut flows, now) = (Flows::default(), Instant::now());
        look(&mut flows, false, &[(1, THRESHOLD)], now);
        flows.destroyed(1, &sample(1, 3 * THRESHOLD), THRESHOLD, (now, 0));
        flows.destroyed(1, &sample(2, THRESHOLD - 1), THRESHOLD, (now, 0));
        assert_eq!((flows.map.len(), flows.map[&(1, 1)].pending()), (1, 3 * THRESHOLD));
        assert!(flows.map[&(1, 1)].gone);
    }

    #[test]
    fn an_end_told_late_is_not_another_download() {
        let (mut flows, now) = (Flows::default(), Instant::now());
        look(&mut flows, false, &[(1, THRESHOLD)], now);
        flows.map.get_mut(&(1, 1)).unwrap().gone = true;
        flows.bury(now);
        assert!(flows.map.is_empty());
        flows.destroyed(1, &sample(1, 3 * THRESHOLD), THRESHOLD, (now, 0));
        assert!(flows.map.is_empty());
        flows.destroyed(1, &sample(2, 3 * THRESHOLD), THRESHOLD, (now, 0));
        assert_eq!(flows.map.len(), 1, "one that was never seen is one");
    }

    #[test]
    fn further_sockets_of_a_downloader_count_early() {
        let mut flows = Flows { adopted: HashMap::from([(101, 7)]), ..Flows::default() };
        look(&mut flows, false, &[(1, ADOPTED_BYTES_MIN), (2, ADOPTED_BYTES_MIN)], Instant::now());
        assert_eq!(flows.map.len(), 1);
        assert_eq!(flows.map[&(1, 1)].holders, [7]);
    }

    #[test]
    fn their_number_is_bounded() {
        let (mut flows, now) = (Flows::default(), Instant::now());
        let samples: Vec<(u64, u64)> = (0..9000).map(|cookie| (cookie, THRESHOLD)).collect();
        look(&mut flows, false, &samples, now);
        assert_eq!(flows.map.len(), FLOWS_MAX);
        assert!(flows.overflow);
    }
}
