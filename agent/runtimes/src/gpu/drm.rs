use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::fdinfo::{self, Client, Engine};
use super::sysfs::{self, Card};
use super::{Device, GpuError, GpuSource, Use};

/// Most descriptors of one process looked at.
const DESCRIPTORS_MAX: usize = 8192;
/// Most clients of all GPUs.
const CLIENTS_MAX: usize = 65_536;
/// Bytes of one fdinfo; i915 with all its regions writes 3 KiB.
const FDINFO_BYTES_MAX: u64 = 16 << 10;
/// All processes are searched for clients this often, those that are clients
/// each time.
const FIND_AGAIN: Duration = Duration::from_secs(15);

/// The GPUs of AMD and Intel: sysfs for devices, fdinfo and KFD for processes.
pub struct Drm {
    sys: PathBuf,
    proc: PathBuf,
    found: Option<Instant>,
    users: HashSet<u32>,
    /// Engines of each client when last read.
    before: HashMap<(String, u64), BTreeMap<String, Engine>>,
    /// Energy of each card when last read, joules.
    energy: HashMap<String, f64>,
    read: Option<Instant>,
}

/// What a process uses of one card.
#[derive(Default)]
struct Usage {
    device_bytes: Option<u64>,
    machine_bytes: Option<u64>,
    /// Share of the time on each class of engines, percent; none before there
    /// are two readings.
    engines: Option<BTreeMap<String, f64>>,
}

impl Drm {
    /// GPUs below the given mounts of sysfs and procfs.
    #[must_use]
    pub fn new(sys: PathBuf, proc: PathBuf) -> Self {
        Self {
            sys,
            proc,
            found: None,
            users: HashSet::new(),
            before: HashMap::new(),
            energy: HashMap::new(),
            read: None,
        }
    }

    /// What each process uses of each card, by PCI address.
    fn usage(&mut self, now: Instant) -> BTreeMap<(String, u32), Usage> {
        let find = self.found.is_none_or(|at| now.saturating_duration_since(at) >= FIND_AGAIN);
        let mut pids: Vec<u32> = if find {
            self.found = Some(now);
            sysfs::names(&self.proc).unwrap_or_default().iter().filter_map(|n| n.parse().ok()).collect()
        } else {
            self.users.iter().copied().collect()
        };
        pids.sort_unstable();
        let passed_s = self.read.map(|at| now.saturating_duration_since(at).as_secs_f64()).filter(|s| *s > 0.0);
        let before = std::mem::take(&mut self.before);
        self.users.clear();
        let mut out: BTreeMap<(String, u32), Usage> = BTreeMap::new();
        for pid in pids {
            for client in clients(&self.proc.join(pid.to_string())) {
                let key = (client.pdev.clone(), client.id);
                self.users.insert(pid);
                // A client that a fork shares counts for the older process.
                if self.before.len() >= CLIENTS_MAX || self.before.contains_key(&key) {
                    continue;
                }
                let usage = out.entry((client.pdev.clone(), pid)).or_default();
                let (device, machine) = client.memory_bytes();
                usage.device_bytes = sum(usage.device_bytes, device);
                usage.machine_bytes = sum(usage.machine_bytes, machine);
                let last = before.get(&key);
                if let (Some(passed_s), Some(last)) = (passed_s, last) {
                    let engines = usage.engines.get_or_insert_default();
                    for (name, engine) in client.engines.iter().filter(|(n, _)| fdinfo::computes(n)) {
                        let was = last.get(name).copied().unwrap_or_default();
                        *engines.entry(name.clone()).or_default() += share(was, *engine, passed_s);
                    }
                }
                self.before.insert(key, never_less(client.engines, last));
            }
        }
        out
    }

    fn device(
        &mut self,
        card: Card,
        usage: &BTreeMap<(String, u32), Usage>,
        kfd: &HashMap<(String, u32), u64>,
        now: Instant,
    ) -> Device {
        let mut uses: BTreeMap<u32, Use> = BTreeMap::new();
        let mut engines: BTreeMap<&str, f64> = BTreeMap::new();
        let mut told = false;
        for ((_, pid), usage) in usage.iter().filter(|((pdev, _), _)| *pdev == card.pdev) {
            let machine = usage.machine_bytes.filter(|_| card.integrated);
            let shares = usage.engines.iter().flatten();
            told |= usage.engines.is_some();
            for (name, share) in shares.clone() {
                *engines.entry(name).or_default() += share;
            }
            let busiest = usage.engines.as_ref().map(|_| shares.map(|(_, s)| *s).fold(0.0, f64::max).min(100.0));
            let memory_bytes = sum(usage.device_bytes, machine);
            uses.insert(*pid, Use { pid: *pid, memory_bytes, utilisation_percent: busiest });
        }
        for ((_, pid), bytes) in kfd.iter().filter(|((pdev, _), _)| *pdev == card.pdev) {
            let one = uses.entry(*pid).or_insert(Use { pid: *pid, memory_bytes: None, utilisation_percent: None });
            one.memory_bytes = one.memory_bytes.max(Some(*bytes));
            // Its queues are not in fdinfo: an idle-looking client says nothing.
            one.utilisation_percent = one.utilisation_percent.filter(|p| *p > 0.0);
        }
        let busiest = told.then(|| engines.values().copied().fold(0.0, f64::max).min(100.0));
        let used = usage.iter().filter(|((pdev, _), _)| *pdev == card.pdev).filter_map(|(_, u)| u.device_bytes);
        Device {
            id: format!("pci:{}", card.pdev),
            vendor: card.vendor,
            memory_total_bytes: card.memory_total_bytes,
            memory_used_bytes: card.memory_used_bytes.or_else(|| used.reduce(u64::saturating_add)),
            utilisation_percent: card.busy_percent.or(busiest),
            power_watts: card.power_watts.or_else(|| self.power(&card, now)),
            energy_joules: card.energy_joules,
            temperature_c: card.temperature_c,
            processes: uses.into_values().collect(),
            name: card.name,
        }
    }

    /// Power from energy, where the driver tells only that.
    fn power(&mut self, card: &Card, now: Instant) -> Option<f64> {
        let energy = card.energy_joules?;
        let before = self.energy.insert(card.pdev.clone(), energy)?;
        let passed_s = now.saturating_duration_since(self.read?).as_secs_f64();
        (passed_s > 0.0 && energy >= before).then(|| (energy - before) / passed_s)
    }
}

impl GpuSource for Drm {
    fn devices(&mut self, now: Instant) -> Result<Vec<Device>, GpuError> {
        let cards = sysfs::cards(&self.sys)?;
        // Without a card nobody is looked at.
        if cards.is_empty() {
            return Ok(Vec::new());
        }
        let usage = self.usage(now);
        let kfd = sysfs::kfd(&self.sys);
        let devices = cards.into_iter().map(|card| self.device(card, &usage, &kfd, now)).collect();
        self.read = Some(now);
        Ok(devices)
    }
}

/// The process's clients, each once: descriptors are duplicated freely.
fn clients(process: &Path) -> Vec<Client> {
    let mut out: Vec<Client> = Vec::new();
    let Ok(descriptors) = std::fs::read_dir(process.join("fd")) else { return out };
    for entry in descriptors.take(DESCRIPTORS_MAX).flatten() {
        let is_gpu = std::fs::read_link(entry.path()).is_ok_and(|to| to.starts_with("/dev/dri"));
        if !is_gpu {
            continue;
        }
        let mut text = Vec::new();
        let info = File::open(process.join("fdinfo").join(entry.file_name()));
        if info.and_then(|f| f.take(FDINFO_BYTES_MAX).read_to_end(&mut text)).is_err() {
            continue;
        }
        if let Some(client) = Client::parse(&String::from_utf8_lossy(&text))
            && !out.iter().any(|c| c.id == client.id && c.pdev == client.pdev)
        {
            out.push(client);
        }
    }
    out
}

/// Share of one class of engines between two readings, percent.
fn share(was: Engine, is: Engine, passed_s: f64) -> f64 {
    let more = |a: Option<u64>, b: Option<u64>| Some(b?.saturating_sub(a?) as f64);
    let capacity = is.capacity() as f64;
    let by_cycles = || {
        let all = more(was.cycles_total, is.cycles_total).filter(|all| *all > 0.0)?;
        Some(more(was.cycles, is.cycles)? / all)
    };
    let by_time = || Some(more(was.busy_ns, is.busy_ns)? / 1e9 / passed_s);
    by_time().or_else(by_cycles).map_or(0.0, |share| (share / capacity * 100.0).min(100.0))
}

/// Counters may step back; the larger value is the true one.
fn never_less(mut is: BTreeMap<String, Engine>, was: Option<&BTreeMap<String, Engine>>) -> BTreeMap<String, Engine> {
    for (name, engine) in &mut is {
        if let Some(was) = was.and_then(|w| w.get(name)) {
            engine.busy_ns = engine.busy_ns.max(was.busy_ns);
            engine.cycles = engine.cycles.max(was.cycles);
        }
    }
    is
}

fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).reduce(u64::saturating_add)
}
