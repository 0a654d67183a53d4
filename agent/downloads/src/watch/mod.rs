//! The loop: list the sockets, find who holds the busy ones, join them with
//! the files that grow.

mod choice;
mod flows;
mod group;
mod sensors;
mod tracked;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use self::choice::{Flood, written};
use self::flows::{Flow, Flows, Key};
use self::group::{Group, Look};
use self::sensors::Sensors;
use self::tracked::Tracked;
use crate::monitor::{Coverage, Options, Shared};
use crate::procfs::{Opened, Target, holders};

/// Most downloads followed at once.
const DOWNLOADS_MAX: usize = 1024;
/// Most sockets of downloading processes that count early.
const ADOPTED_MAX: usize = 65_536;
/// Growth between two looks from which they come faster, bytes.
const HOT_BYTES: u64 = 256 * 1024;
/// How long they stay so.
const HOT: Duration = Duration::from_secs(3);
/// Time between two looks: at least, at most, and the part of it, as a
/// divisor, that a look may take of a processor.
const IDLE_PACE: (Duration, Duration, u32) = (Duration::from_secs(1), Duration::from_secs(5), 250);
/// The same while bytes arrive.
const HOT_PACE: (Duration, Duration, u32) = (Duration::from_millis(250), Duration::from_secs(1), 40);
/// Longest time between two searches for the holders of a socket, as a power
/// of two of the shortest.
const ATTEMPTS_MAX: u32 = 5;
/// The shortest.
const ATTEMPT: Duration = Duration::from_millis(250);
/// Looks without growth after which another file may take over.
const STILL_MAX: u8 = 8;
/// Looks at which nobody may hold the file open before it counts as closed.
const ABSENT_MAX: u8 = 2;

/// Everything that is watched.
#[derive(Debug)]
pub struct Watch {
    options: Options,
    shared: Arc<Shared>,
    sensors: Sensors,
    flows: Flows,
    groups: HashMap<u32, Group>,
    tracked: BTreeMap<u64, Tracked>,
    next_id: u64,
    hot_until: Option<Instant>,
    cost: Duration,
}

impl Watch {
    /// Opens what is needed in the own namespace.
    pub fn new(options: Options, shared: Arc<Shared>) -> io::Result<Self> {
        Ok(Self {
            options,
            shared,
            sensors: Sensors::new()?,
            flows: Flows::default(),
            groups: HashMap::new(),
            tracked: BTreeMap::new(),
            // Later runs begin later; below 2^53, so that any JSON reader keeps it.
            next_id: unix_ms().saturating_mul(4096),
            hot_until: None,
            cost: Duration::ZERO,
        })
    }

    /// What is shared with the owner.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// How long to rest before the next look.
    pub fn pause(&self) -> Duration {
        let hot = self.hot_until.is_some_and(|until| Instant::now() < until);
        let (least, most, share) = if hot { HOT_PACE } else { IDLE_PACE };
        self.cost.saturating_mul(share).clamp(least, most)
    }

    /// Looks once at everything.
    pub fn look(&mut self) {
        let before = cpu_time();
        self.sensors.search();
        let now = (Instant::now(), unix_ms());
        let sockets = self.list(now);
        self.resolve(now.0);
        self.join(now.0);
        self.settle(now.0);
        self.tell(now);
        if self.flows.growth() >= HOT_BYTES {
            self.hot_until = Some(now.0 + HOT);
        }
        let (namespaces, refused) = self.sensors.count();
        let overflow = self.sensors.overflow || self.flows.overflow || self.tracked.len() >= DOWNLOADS_MAX;
        self.shared.cover(Coverage { namespaces, refused, overflow, sockets, updates_lost: 0 });
        self.cost = cpu_time().saturating_sub(before);
    }

    fn list(&mut self, now: (Instant, u64)) -> usize {
        let Self { sensors, flows, options, .. } = self;
        let mut sockets: usize = 0;
        flows.begin();
        let complete = sensors.list(|netns, sample, first| {
            sockets = sockets.saturating_add(1);
            flows.listed(netns, &sample, first, options.threshold_bytes, now);
        });
        sensors.drain(|netns, sample| flows.destroyed(netns, &sample, options.report_bytes, now));
        flows.end(&complete, |netns| sensors.watches(netns), now.0);
        sockets
    }

    /// Finds the holders of busy sockets, all in one pass over `/proc`.
    fn resolve(&mut self, now: Instant) {
        let threshold = self.options.threshold_bytes;
        let wants = |flow: &Flow| {
            let ready = flow.active && !flow.gone && !flow.exempt && flow.next_attempt <= now;
            ready && flow.holders.is_empty() && flow.pending() >= threshold
        };
        let targets: HashSet<Target> =
            self.flows.map.values().filter(|flow| wants(flow)).map(|flow| Target::Socket(flow.inode.into())).collect();
        let found = holders(targets);
        for flow in self.flows.map.values_mut().filter(|flow| wants(flow)) {
            flow.holders = found.get(&Target::Socket(flow.inode.into())).cloned().unwrap_or_default();
            flow.attempts = flow.attempts.saturating_add(1);
            let factor = 1_u32 << flow.attempts.min(ATTEMPTS_MAX);
            flow.next_attempt = now + ATTEMPT.saturating_mul(factor);
        }
        for flow in self.flows.map.values_mut() {
            flow.exempt |= flow.holders.iter().any(|pid| self.options.exempt_pids.contains(pid));
        }
    }

    /// Joins the sockets of each process with the files it writes.
    fn join(&mut self, now: Instant) {
        let mut groups: BTreeMap<u32, Vec<Key>> = BTreeMap::new();
        for (key, flow) in &self.flows.map {
            if let Some(pid) = flow.holders.first().filter(|_| flow.active && !flow.gone && !flow.exempt) {
                groups.entry(*pid).or_default().push(*key);
            }
        }
        // A file that waits for its next socket is looked at too.
        for pid in self.tracked.values().filter_map(|tracked| tracked.record.pid) {
            groups.entry(pid).or_default();
        }
        self.groups.retain(|pid, _| groups.contains_key(pid));
        self.flows.adopted.clear();
        for (pid, keys) in groups {
            self.join_group(pid, &keys, now);
        }
    }

    fn join_group(&mut self, pid: u32, keys: &[Key], now: Instant) {
        let of_group = || keys.iter().filter_map(|key| self.flows.map.get(key));
        let mut pids: Vec<u32> = of_group().flat_map(|flow| flow.holders.iter().copied()).collect();
        pids.push(pid);
        pids.sort_unstable();
        pids.dedup();
        let delta = of_group().fold(0, |sum: u64, flow| sum.saturating_add(flow.delta));
        let pending = of_group().map(Flow::pending).max().unwrap_or(0);
        let flood = Flood { pending, delta, now_ns: i128::from(unix_ms()) * 1_000_000 };
        let look = self.groups.entry(pid).or_default().look(&pids, flood, now);
        for inode in look.sockets.iter().filter_map(|inode| u32::try_from(*inode).ok()) {
            if self.flows.adopted.len() < ADOPTED_MAX {
                self.flows.adopted.insert(inode, pid);
            }
        }
        self.attend(pid, &look, flood);
        for key in keys {
            self.place(pid, *key, &look, flood);
        }
    }

    /// Notes which files of the group are still open and still grow.
    fn attend(&mut self, pid: u32, look: &Look, flood: Flood) {
        for tracked in self.tracked.values_mut().filter(|tracked| tracked.record.pid == Some(pid)) {
            let Some(id) = tracked.record.file_key else { continue };
            let mut copies = look.files.iter().filter(|file| file.id == id).peekable();
            tracked.absent = if copies.peek().is_some() { 0 } else { tracked.absent.saturating_add(1) };
            let moves = flood.delta == 0 || copies.any(|file| look.moves(file, flood));
            tracked.still = if moves { 0 } else { tracked.still.saturating_add(1) };
            tracked.finished |= tracked.absent >= ABSENT_MAX;
        }
    }

    /// Finds the download that a socket counts for.
    fn place(&mut self, pid: u32, key: Key, look: &Look, group: Flood) {
        let Some(flow) = self.flows.map.get_mut(&key) else { return };
        if !look.sockets.contains(&flow.inode.into()) {
            // Handed on, or the number of a process that is another one now.
            flow.holders.clear();
            return;
        }
        let flood = Flood { pending: flow.pending(), ..group };
        let current = flow.download.and_then(|id| self.tracked.get(&id));
        let Some((tracked, file)) = current.and_then(|t| Some((t, t.record.file_key?))) else {
            return self.find_file(pid, key, look, flood);
        };
        let other = |flood| look.choose(flood).filter(|better| better.id != file);
        if tracked.absent > 0 {
            // Closed: what came since may belong to the next file already.
            let since = flow.bytes.saturating_sub(flow.written);
            let next = other(Flood { pending: since, ..group });
            if let Some(next) = next {
                self.part(key, written(next).min(since));
                self.attach(pid, key, next);
            } else if tracked.finished {
                self.part(key, 0);
            }
        } else if tracked.still >= STILL_MAX
            && let Some(better) = other(flood)
        {
            self.part(key, 0);
            self.attach(pid, key, better);
        } else {
            flow.written = flow.bytes;
        }
    }

    fn find_file(&mut self, pid: u32, key: Key, look: &Look, flood: Flood) {
        match look.choose(flood) {
            Some(file) => self.attach(pid, key, file),
            None => self.attach_without_file(pid, key),
        }
    }

    /// A socket is through with its download; the last `rest` bytes belong to
    /// its next one.
    fn part(&mut self, key: Key, rest: u64) {
        let Some(flow) = self.flows.map.get_mut(&key) else { return };
        if let Some(tracked) = flow.download.take().and_then(|id| self.tracked.get_mut(&id)) {
            let rest = rest.min(flow.pending());
            tracked.closed = tracked.closed.saturating_add(flow.pending().saturating_sub(rest));
            flow.base = flow.bytes.saturating_sub(rest);
        }
    }

    fn attach(&mut self, pid: u32, key: Key, file: &Opened) {
        let known = self.tracked.iter().find(|(_, tracked)| {
            tracked.record.file_key == Some(file.id) && tracked.record.netns == key.0 && !tracked.finished
        });
        let known = known.map(|(id, _)| *id);
        let current = self.flows.map.get(&key).and_then(|flow| flow.download);
        let Some(id) = known.or(current).or_else(|| self.track(key)) else { return };
        let Some(tracked) = self.tracked.get_mut(&id) else { return };
        tracked.held_by(pid);
        if known.is_none() {
            if !tracked.written_to(file) {
                return;
            }
            // Others that counted for it while it had no file look for their own.
            self.flows.map.values_mut().filter(|flow| flow.download == Some(id)).for_each(|flow| flow.download = None);
        }
        if let Some(flow) = self.flows.map.get_mut(&key) {
            flow.download = Some(id);
            flow.written = flow.bytes;
        }
        if let Some(group) = self.groups.get_mut(&pid).filter(|group| group.fileless == Some(id)) {
            group.fileless = None;
        }
    }

    /// All sockets of a process without a file count for one download.
    fn attach_without_file(&mut self, pid: u32, key: Key) {
        let shared = self.groups.get(&pid).and_then(|group| group.fileless);
        let shared = shared.filter(|id| self.tracked.get(id).is_some_and(|tracked| !tracked.finished));
        let Some(flow) = self.flows.map.get(&key) else { return };
        let large = flow.pending() >= self.options.threshold_bytes;
        let id = flow.download.or(shared).or_else(|| if large { self.track(key) } else { None });
        let Some(tracked) = id.and_then(|id| self.tracked.get_mut(&id)) else { return };
        tracked.held_by(pid);
        if let Some(flow) = self.flows.map.get_mut(&key) {
            flow.download = id;
        }
        self.groups.entry(pid).or_default().fileless = id;
    }

    fn track(&mut self, key: Key) -> Option<u64> {
        if self.tracked.len() >= DOWNLOADS_MAX {
            return None;
        }
        let id = self.next_id;
        self.next_id = self.next_id.saturating_add(1);
        self.tracked.insert(id, Tracked::new(id, key.0, self.flows.map.get(&key)?));
        Some(id)
    }

    /// Adds up what the sockets of each download received and lets go of
    /// those that ended.
    fn settle(&mut self, now: Instant) {
        let Options { report_bytes, .. } = self.options;
        let of_nobody = |flow: &Flow| {
            let searched = flow.gone || (flow.holders.is_empty() && flow.attempts > 2);
            flow.download.is_none() && flow.active && !flow.exempt && searched && flow.pending() >= report_bytes
        };
        let orphans: Vec<Key> = self.flows.map.iter().filter(|(_, f)| of_nobody(f)).map(|(key, _)| *key).collect();
        for key in orphans {
            let id = self.track(key);
            let Some(flow) = self.flows.map.get_mut(&key) else { continue };
            flow.download = id;
            if let (Some(tracked), Some(pid)) = (id.and_then(|id| self.tracked.get_mut(&id)), flow.holders.first()) {
                tracked.held_by(*pid);
            }
        }
        // Without a file, a socket that rests is through.
        let rests = |flow: &Flow| {
            let fileless = |id| self.tracked.get(&id).is_some_and(|t: &Tracked| t.record.file_key.is_none());
            !flow.active && !flow.gone && flow.download.is_some_and(fileless)
        };
        let resting: Vec<Key> = self.flows.map.iter().filter(|(_, f)| rests(f)).map(|(key, _)| *key).collect();
        resting.into_iter().for_each(|key| self.part(key, 0));
        self.tracked.values_mut().for_each(Tracked::begin);
        for flow in self.flows.map.values() {
            if let Some(tracked) = flow.download.and_then(|id| self.tracked.get_mut(&id)) {
                tracked.count(flow);
            }
        }
        self.flows.bury(now);
    }

    fn tell(&mut self, (now, now_ms): (Instant, u64)) {
        let mut over: BTreeSet<u64> = BTreeSet::new();
        for (id, tracked) in &mut self.tracked {
            tracked.refresh(now, now_ms);
            if let Some(update) = tracked.update(self.options.report_bytes, now) {
                self.shared.tell(update);
            }
            if tracked.record.ended {
                over.insert(*id);
            }
        }
        let parting = |flow: &Flow| flow.download.is_some_and(|id| over.contains(&id));
        let keys: Vec<Key> = self.flows.map.iter().filter(|(_, flow)| parting(flow)).map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| self.part(key, 0));
        for id in over {
            if let Some(update) = self.tracked.remove(&id).and_then(Tracked::ended) {
                self.shared.tell(update);
            }
        }
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Processor time of this thread.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
