//! What drivers write into `/proc/PID/fdinfo/N` of an open GPU
//! (Documentation/gpu/drm-usage-stats.rst).

use std::collections::BTreeMap;

/// Most engines or regions of one client.
const NAMES_MAX: usize = 64;

/// A client of a DRM device: one `open` of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Client {
    /// PCI address.
    pub(super) pdev: String,
    /// Unique for the device.
    pub(super) id: u64,
    pub(super) engines: BTreeMap<String, Engine>,
    regions: BTreeMap<String, Region>,
}

/// Time on one class of engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Engine {
    /// Busy, nanoseconds.
    pub(super) busy_ns: Option<u64>,
    /// Busy, cycles, for drivers that count so.
    pub(super) cycles: Option<u64>,
    /// All cycles that went by.
    pub(super) cycles_total: Option<u64>,
    /// Engines in this class.
    capacity: Option<u64>,
}

impl Engine {
    pub(super) fn capacity(self) -> u64 {
        self.capacity.unwrap_or(1).clamp(1, 1024)
    }
}

/// Memory in one region, by the keys in which drivers tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Region {
    resident: Option<u64>,
    memory: Option<u64>,
    total: Option<u64>,
}

impl Client {
    /// `None` if the descriptor is no GPU, or one without a PCI address.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut client = Self::default();
        let (mut driver, mut id) = (false, None);
        for (key, value) in text.lines().filter_map(|l| l.strip_prefix("drm-")?.split_once(':')) {
            let value = value.trim();
            match key {
                "driver" => driver = true,
                "pdev" => value.clone_into(&mut client.pdev),
                "client-id" => id = value.parse().ok(),
                _ => client.take(key, value),
            }
        }
        client.id = id?;
        (driver && !client.pdev.is_empty() && client.pdev.len() <= 32).then_some(client)
    }

    fn take(&mut self, key: &str, value: &str) {
        let count = value.split_whitespace().next().and_then(|n| n.parse::<u64>().ok());
        let Some((kind, name)) = key.split_once('-') else { return };
        if let ("engine", Some(name)) = (kind, name.strip_prefix("capacity-")) {
            set(&mut self.engines, name, |e| e.capacity = count);
        } else if let ("total", Some(name)) = (kind, name.strip_prefix("cycles-")) {
            set(&mut self.engines, name, |e| e.cycles_total = count);
        } else {
            match kind {
                "engine" => set(&mut self.engines, name, |e| e.busy_ns = count),
                "cycles" => set(&mut self.engines, name, |e| e.cycles = count),
                "resident" => set(&mut self.regions, name, |r| r.resident = bytes(value)),
                "memory" => set(&mut self.regions, name, |r| r.memory = bytes(value)),
                "total" => set(&mut self.regions, name, |r| r.total = bytes(value)),
                _ => {}
            }
        }
    }

    /// Bytes in memory of the device and in memory of the machine. `None`
    /// where the driver says nothing about it.
    pub(super) fn memory_bytes(&self) -> (Option<u64>, Option<u64>) {
        let sum = |wanted: fn(&str) -> bool| {
            let regions = self.regions.iter().filter(|(name, _)| wanted(name));
            regions.filter_map(|(_, r)| r.resident.or(r.memory).or(r.total)).reduce(u64::saturating_add)
        };
        (sum(of_device), sum(of_machine))
    }
}

fn of_device(region: &str) -> bool {
    // amdgpu and xe, i915; a region's instance is a number at its end.
    region.starts_with("vram") || region.starts_with("local")
}

fn of_machine(region: &str) -> bool {
    region.starts_with("gtt") || region.starts_with("system")
}

fn set<T: Default>(map: &mut BTreeMap<String, T>, name: &str, change: impl FnOnce(&mut T)) {
    if map.len() < NAMES_MAX || map.contains_key(name) {
        change(map.entry(name.to_owned()).or_default());
    }
}

/// `12 KiB`, `3 MiB`, `77`.
fn bytes(value: &str) -> Option<u64> {
    let mut words = value.split_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    let unit = match words.next() {
        None | Some("B") => 1,
        Some("KiB") => 1 << 10,
        Some("MiB") => 1 << 20,
        Some("GiB") => 1 << 30,
        Some(_) => return None,
    };
    number.checked_mul(unit)
}

/// Whether an engine computes, by the names of amdgpu, i915 and xe. Video and
/// copy engines do not: a film is no workload.
pub(super) fn computes(engine: &str) -> bool {
    ["gfx", "compute", "render", "rcs", "ccs"].iter().any(|name| engine.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_all_drivers_are_read() {
        let text = "pos:\t0\ndrm-driver:\txe\ndrm-pdev:\t0000:03:00.0\ndrm-client-id:\t9\n\
            drm-cycles-rcs:\t28257900\ndrm-total-cycles-rcs:\t7655183225\ndrm-engine-capacity-ccs:\t4\n\
            drm-total-vram0:\t5 MiB\ndrm-resident-vram0:\t2 MiB\ndrm-memory-gtt:\t7 KiB\ndrm-total-cycles-ccs:\tx\n";
        let client = Client::parse(text).unwrap();
        assert_eq!((client.id, client.pdev.as_str()), (9, "0000:03:00.0"));
        assert_eq!(client.engines["rcs"].cycles, Some(28_257_900));
        assert_eq!(client.engines["ccs"].capacity(), 4);
        assert_eq!(client.memory_bytes(), (Some(2 << 20), Some(7 << 10)));
    }

    #[test]
    fn hostile_numbers_do_not_overflow() {
        let text = "drm-driver: x\ndrm-pdev: p\ndrm-client-id: 1\ndrm-memory-vram: 18446744073709551615 GiB\n\
            drm-engine-capacity-gfx: 0\ndrm-engine-gfx: 18446744073709551615 ns\ndrm-resident-vram1: -4\n";
        let client = Client::parse(text).unwrap();
        assert_eq!(client.memory_bytes(), (None, None));
        assert_eq!(client.engines["gfx"].capacity(), 1);
        let many: String = (0..1000).map(|i| format!("drm-engine-e{i}: 1 ns\n")).collect();
        assert_eq!(Client::parse(&format!("{text}{many}")).unwrap().engines.len(), NAMES_MAX);
        assert_eq!(Client::parse("pos: 0\nflags: 02\n"), None);
        assert_eq!(Client::parse("drm-driver: x\ndrm-client-id: 1\n"), None);
    }
}
