use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Device, Use};

/// Parts into which the window of time is cut: bounds memory whatever the
/// number of readings.
const PARTS: u32 = 30;
/// A reading speaks for no more time than this; a daemon that slept saw
/// nothing.
const GAP_MAX: Duration = Duration::from_secs(60);
/// What began ends when the mean falls below this share of the threshold.
const HYSTERESIS: f64 = 0.8;
/// Most uses followed.
const USES_MAX: usize = 65_536;

/// Sustained use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// Mean share of a GPU, percent.
    pub percent: f64,
    /// Over this time.
    pub minutes: u32,
}

/// A process crossed the threshold.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// It has used more than the threshold for its whole time.
    Started {
        /// Process id.
        pid: u32,
        /// [`Device::id`].
        device: String,
        /// Mean share over that time.
        percent: f64,
        /// That time.
        minutes: u32,
    },
    /// It uses clearly less now, or is gone.
    Ended {
        /// Process id.
        pid: u32,
        /// [`Device::id`].
        device: String,
    },
}

/// Tells who uses a GPU for long. Pure: fed with times and readings.
///
/// Inference comes in bursts, so the mean over the whole window counts, not
/// that no reading was low.
#[derive(Debug)]
pub struct Sustained {
    threshold: Threshold,
    uses: HashMap<(String, u32), Window>,
    last: Option<Instant>,
}

/// Use over time, in parts of the window.
#[derive(Debug)]
struct Window {
    parts: VecDeque<Part>,
    active: bool,
}

#[derive(Debug)]
struct Part {
    begun: Instant,
    /// Percent times seconds.
    use_s: f64,
    seconds: f64,
}

impl Sustained {
    /// A threshold of no minutes counts as one, percents as 0 to 100.
    #[must_use]
    pub fn new(threshold: Threshold) -> Self {
        let percent = threshold.percent.clamp(0.0, 100.0);
        let threshold = Threshold { percent, minutes: threshold.minutes.clamp(1, 7 * 24 * 60) };
        Self { threshold, uses: HashMap::new(), last: None }
    }

    /// Takes one reading; what changed comes in the order of devices and
    /// processes.
    pub fn feed(&mut self, now: Instant, devices: &[Device]) -> Vec<Change> {
        let window = Duration::from_secs(u64::from(self.threshold.minutes) * 60);
        let passed = self.last.map(|last| now.saturating_duration_since(last));
        self.last = Some(now);
        if passed.is_some_and(|p| p > GAP_MAX) {
            // What happened in between is unknown: nobody keeps credit for it.
            self.uses.values_mut().for_each(|w| w.parts.clear());
        }
        let seconds = passed.filter(|p| *p <= GAP_MAX).unwrap_or_default().as_secs_f64();
        let mut changes = Vec::new();
        let mut before = std::mem::take(&mut self.uses);
        for device in devices {
            for one in &device.processes {
                let Some(percent) = share(device, one) else { continue };
                let key = (device.id.clone(), one.pid);
                let mut known = before.remove(&key).unwrap_or(Window { parts: VecDeque::new(), active: false });
                known.add(now, window, percent, seconds);
                if let Some(mean) = known.crossed(&self.threshold, window) {
                    let (pid, device) = (one.pid, device.id.clone());
                    changes.push(match known.active {
                        true => Change::Started { pid, device, percent: mean, minutes: self.threshold.minutes },
                        false => Change::Ended { pid, device },
                    });
                }
                if self.uses.len() < USES_MAX {
                    self.uses.insert(key, known);
                }
            }
        }
        // Whoever is not listed has let go of the GPU.
        let mut gone: Vec<_> = before.into_iter().filter(|(_, w)| w.active).map(|(key, _)| key).collect();
        gone.sort();
        changes.extend(gone.into_iter().map(|(device, pid)| Change::Ended { pid, device }));
        changes
    }
}

impl Window {
    fn add(&mut self, now: Instant, window: Duration, percent: f64, seconds: f64) {
        let length = window / PARTS;
        if self.parts.back().is_none_or(|p| now.saturating_duration_since(p.begun) >= length) {
            self.parts.push_back(Part { begun: now, use_s: 0.0, seconds: 0.0 });
        }
        if let Some(part) = self.parts.back_mut() {
            part.use_s += percent.clamp(0.0, 100.0) * seconds;
            part.seconds += seconds;
        }
        while self.parts.front().is_some_and(|p| now.saturating_duration_since(p.begun) > window + length) {
            self.parts.pop_front();
        }
    }

    /// Crosses over if it is time to, and tells the mean.
    fn crossed(&mut self, threshold: &Threshold, window: Duration) -> Option<f64> {
        let seconds: f64 = self.parts.iter().map(|p| p.seconds).sum();
        let mean = self.parts.iter().map(|p| p.use_s).sum::<f64>() / seconds.max(f64::MIN_POSITIVE);
        let change = if self.active {
            seconds > 0.0 && mean < threshold.percent * HYSTERESIS
        } else {
            seconds >= window.as_secs_f64() && mean > threshold.percent
        };
        if change {
            self.active = !self.active;
        }
        change.then_some(mean)
    }
}

/// The process's share. Where only the device's is known, it belongs to the
/// process that alone holds the device.
fn share(device: &Device, one: &Use) -> Option<f64> {
    let alone = device.processes.len() == 1;
    one.utilisation_percent.or(device.utilisation_percent.filter(|_| alone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Vendor;

    fn device(processes: &[(u32, Option<f64>)]) -> Device {
        Device {
            id: "gpu".to_owned(),
            vendor: Vendor::Nvidia,
            name: String::new(),
            memory_total_bytes: None,
            memory_used_bytes: None,
            utilisation_percent: Some(95.0),
            power_watts: None,
            energy_joules: None,
            temperature_c: None,
            processes: processes
                .iter()
                .map(|(pid, p)| Use { pid: *pid, memory_bytes: None, utilisation_percent: *p })
                .collect(),
        }
    }

    /// Feeds a reading every five seconds; when what changed, in seconds.
    fn run(seconds: u64, readings: impl Fn(u64) -> Vec<(u32, Option<f64>)>) -> Vec<(u64, u32, bool)> {
        let mut sustained = Sustained::new(Threshold { percent: 60.0, minutes: 5 });
        let start = Instant::now();
        let mut out = Vec::new();
        for s in (0..=seconds).step_by(5) {
            for change in sustained.feed(start + Duration::from_secs(s), &[device(&readings(s))]) {
                out.push(match change {
                    Change::Started { pid, .. } => (s, pid, true),
                    Change::Ended { pid, .. } => (s, pid, false),
                });
            }
        }
        out
    }

    #[test]
    fn long_use_starts_once_and_ends_with_the_process() {
        let changes = run(900, |s| if s < 600 { vec![(7, Some(90.0))] } else { vec![] });
        assert_eq!(changes, [(300, 7, true), (600, 7, false)]);
    }

    #[test]
    fn bursts_count_by_their_mean() {
        assert_eq!(run(900, |s| vec![(7, Some(if s % 20 < 15 { 100.0 } else { 0.0 }))]).len(), 1);
        assert_eq!(run(900, |s| vec![(7, Some(if s % 20 < 5 { 100.0 } else { 0.0 }))]), []);
        assert_eq!(run(290, |_| vec![(7, Some(100.0))]), []);
    }

    #[test]
    fn use_near_the_threshold_does_not_flap() {
        // 65 % and 55 % in turns of two windows: above 60, never below 48.
        assert_eq!(run(6000, |s| vec![(7, Some(if s / 600 % 2 == 0 { 65.0 } else { 55.0 }))]).len(), 1);
        let changes = run(1500, |s| vec![(7, Some(if s < 600 { 65.0 } else { 10.0 }))]);
        assert_eq!(changes.iter().map(|c| c.2).collect::<Vec<_>>(), [true, false]);
        assert!((600..720).contains(&changes[1].0), "{changes:?}");
    }

    #[test]
    fn the_device_speaks_for_a_process_that_is_alone() {
        assert_eq!(run(400, |_| vec![(7, None)]), [(300, 7, true)]);
        assert_eq!(run(400, |_| vec![(7, None), (8, None)]), []);
    }

    #[test]
    fn time_asleep_is_not_use() {
        let mut sustained = Sustained::new(Threshold { percent: 60.0, minutes: 5 });
        let start = Instant::now();
        let busy = [device(&[(7, Some(100.0))])];
        for s in (0..20).map(|i| i * 90) {
            assert_eq!(sustained.feed(start + Duration::from_secs(s), &busy), []);
        }
    }
}
