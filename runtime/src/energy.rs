//! Energy of the processors (Linux, Documentation/power/powercap).

use std::path::{Path, PathBuf};

/// Where the system shows its energy counters.
const ZONES: &str = "/sys/class/powercap";

/// Adds up what the processor packages used. Their counters begin again at a
/// limit, so it must be looked at now and then: every few minutes is enough.
#[derive(Debug)]
pub struct Meter {
    packages: Vec<Package>,
    microjoules: u64,
}

#[derive(Debug)]
struct Package {
    counter: PathBuf,
    /// Where it begins again.
    limit: u64,
    last: u64,
}

impl Meter {
    /// Begins now, at 0.
    #[must_use]
    pub fn start() -> Self {
        Self::at(Path::new(ZONES))
    }

    fn at(zones: &Path) -> Self {
        let zones = std::fs::read_dir(zones).into_iter().flatten().flatten().map(|e| e.path());
        // `intel-rapl:0` is a package (of AMD, too); `intel-rapl:0:0` is a part of it.
        let packages = zones.filter(|zone| {
            let name = zone.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            name.starts_with("intel-rapl:") && name.matches(':').count() == 1
        });
        Self { packages: packages.filter_map(|zone| Package::at(&zone)).collect(), microjoules: 0 }
    }

    /// Joules since the start; `None` if there is no counter that may be read.
    pub fn joules(&mut self) -> Option<f64> {
        if self.packages.is_empty() {
            return None;
        }
        for package in &mut self.packages {
            let used = package.used()?;
            self.microjoules = self.microjoules.saturating_add(used);
        }
        #[expect(clippy::cast_precision_loss, reason = "a measurement")]
        Some(self.microjoules as f64 / 1e6)
    }
}

impl Package {
    fn at(zone: &Path) -> Option<Self> {
        let counter = zone.join("energy_uj");
        let limit = number(&zone.join("max_energy_range_uj"))?;
        Some(Self { last: number(&counter)?, counter, limit })
    }

    /// Microjoules since the last look.
    fn used(&mut self) -> Option<u64> {
        let now = number(&self.counter)?;
        let before = std::mem::replace(&mut self.last, now);
        Some(now.checked_sub(before).unwrap_or_else(|| self.limit.saturating_sub(before).saturating_add(now)))
    }
}

fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn packages_are_added_and_counters_may_begin_again() {
        let zones = tempfile::tempdir().unwrap();
        let write = |zone: &str, used: u64| {
            let zone = zones.path().join(zone);
            fs::create_dir_all(&zone).unwrap();
            fs::write(zone.join("max_energy_range_uj"), "10000000\n").unwrap();
            fs::write(zone.join("energy_uj"), format!("{used}\n")).unwrap();
        };
        for (zone, used) in [("intel-rapl:0", 1_000_000), ("intel-rapl:1", 9_000_000), ("intel-rapl:0:0", 5)] {
            write(zone, used);
        }
        let mut meter = Meter::at(zones.path());
        assert_eq!(meter.joules(), Some(0.0));
        write("intel-rapl:0", 2_500_000);
        write("intel-rapl:1", 500_000);
        assert_eq!(meter.joules(), Some(3.0));
        assert_eq!(meter.joules(), Some(3.0));
        fs::remove_file(zones.path().join("intel-rapl:1/energy_uj")).unwrap();
        assert_eq!(meter.joules(), None, "half of it is no measurement");
    }

    #[test]
    fn without_sensors_there_is_nothing() {
        assert_eq!(Meter::at(Path::new("/nowhere")).joules(), None);
    }
}
