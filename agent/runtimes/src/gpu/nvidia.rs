use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::Path;
use std::time::Instant;

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;

use super::{Device, GpuError, GpuSource, Use, Vendor};

/// Names of the library: the first is there with the driver alone.
const LIBRARIES: &[&str] = if cfg!(windows) { &["nvml.dll"] } else { &["libnvidia-ml.so.1", "libnvidia-ml.so"] };
/// Most devices asked.
const DEVICES_MAX: u32 = 256;

/// NVIDIA's GPUs by its management library.
pub struct Nvidia {
    nvml: Nvml,
    library: String,
    /// Time of the last utilisation sample seen, microseconds, by device.
    sampled_us: HashMap<String, u64>,
}

impl Nvidia {
    /// The library at `path`, or where the system finds it. `None` on machines
    /// without library, driver or device.
    ///
    /// # Errors
    /// If the library is there and cannot be used.
    pub fn open(path: Option<&Path>) -> Result<Option<Self>, GpuError> {
        let names: Vec<&OsStr> =
            path.map_or_else(|| LIBRARIES.iter().map(OsStr::new).collect(), |p| vec![p.as_os_str()]);
        for name in names {
            let library = name.to_string_lossy().into_owned();
            match Nvml::builder().lib_path(name).init() {
                Ok(nvml) => return Ok(Some(Self { nvml, library, sampled_us: HashMap::new() })),
                Err(NvmlError::DriverNotLoaded | NvmlError::NotFound) => return Ok(None),
                // A path that somebody chose must work.
                Err(NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound) if path.is_none() => {}
                Err(source) => return Err(GpuError::Nvml { library, source }),
            }
        }
        Ok(None)
    }

    fn device(&mut self, index: u32) -> Result<Device, NvmlError> {
        let gpu = self.nvml.device_by_index(index)?;
        let id = gpu.uuid().unwrap_or_else(|_| format!("nvidia:{index}"));
        // Devices that share the machine's memory say "not supported", or zero.
        let memory = gpu.memory_info().ok().filter(|m| m.total > 0);
        let mut uses: BTreeMap<u32, Use> = BTreeMap::new();
        let compute = gpu.running_compute_processes().unwrap_or_default();
        for one in compute.into_iter().chain(gpu.running_graphics_processes().unwrap_or_default()) {
            merge(&mut uses, &one);
        }
        // A process that does compute and graphics is listed twice.
        let since = self.sampled_us.get(&id).copied();
        let samples = match gpu.process_utilization_stats(since) {
            Ok(samples) => Some(samples),
            // Nothing ran since.
            Err(NvmlError::NotFound) => Some(Vec::new()),
            Err(_) => None,
        };
        if let Some(samples) = samples {
            let newest = samples.iter().map(|s| s.timestamp).max();
            let mut sums: HashMap<u32, (f64, f64)> = HashMap::new();
            // Old drivers leave slots of the buffer as they were.
            for s in samples.iter().filter(|s| s.sm_util <= 100 && since.is_none_or(|since| s.timestamp > since)) {
                let (sum, count) = sums.entry(s.pid).or_default();
                *sum += f64::from(s.sm_util);
                *count += 1.0;
            }
            for one in uses.values_mut() {
                one.utilisation_percent = Some(sums.get(&one.pid).map_or(0.0, |(sum, count)| sum / count));
            }
            if let Some(newest) = newest {
                self.sampled_us.insert(id.clone(), newest);
            }
        }
        Ok(Device {
            vendor: Vendor::Nvidia,
            name: gpu.name().unwrap_or_else(|_| format!("NVIDIA GPU {index}")),
            memory_total_bytes: memory.as_ref().map(|m| m.total),
            memory_used_bytes: memory.as_ref().map(|m| m.used),
            utilisation_percent: gpu.utilization_rates().ok().map(|u| f64::from(u.gpu)).filter(|u| *u <= 100.0),
            power_watts: gpu.power_usage().ok().map(|mw| f64::from(mw) / 1000.0),
            energy_joules: gpu.total_energy_consumption().ok().map(|mj| mj as f64 / 1000.0),
            temperature_c: gpu.temperature(TemperatureSensor::Gpu).ok().map(f64::from),
            processes: uses.into_values().collect(),
            id,
        })
    }
}

fn merge(uses: &mut BTreeMap<u32, Use>, one: &ProcessInfo) {
    let memory_bytes = match one.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => Some(bytes),
        UsedGpuMemory::Unavailable => None,
    };
    let entry = uses.entry(one.pid).or_insert(Use { pid: one.pid, memory_bytes: None, utilisation_percent: None });
    entry.memory_bytes = entry.memory_bytes.max(memory_bytes);
}

impl GpuSource for Nvidia {
    fn devices(&mut self, _now: Instant) -> Result<Vec<Device>, GpuError> {
        let failed = |source, library: &str| GpuError::Nvml { library: library.to_owned(), source };
        let count = self.nvml.device_count().map_err(|e| failed(e, &self.library))?;
        let mut devices = Vec::new();
        let mut error = None;
        for index in 0..count.min(DEVICES_MAX) {
            match self.device(index) {
                Ok(device) => devices.push(device),
                Err(e) => error = Some(e),
            }
        }
        // One that fell off the bus does not hide the others.
        match error {
            Some(e) if devices.is_empty() => Err(failed(e, &self.library)),
            _ => Ok(devices),
        }
    }
}
