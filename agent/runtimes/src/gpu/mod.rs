//! GPUs and who uses them.

#[cfg(target_os = "linux")]
mod drm;
#[cfg(target_os = "linux")]
mod fdinfo;
mod nvidia;
mod sustained;
#[cfg(target_os = "linux")]
mod sysfs;

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;

#[cfg(target_os = "linux")]
pub use drm::Drm;
pub use nvidia::Nvidia;
pub use sustained::{Change, Sustained, Threshold};

/// Who makes a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// By NVML.
    Nvidia,
    /// By amdgpu and KFD.
    Amd,
    /// By i915 and xe.
    Intel,
}

/// A GPU at one moment. What it or its driver cannot tell is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Device {
    /// UUID, or `pci:` and the address: the same after a restart.
    pub id: String,
    /// Its maker.
    pub vendor: Vendor,
    /// Its name.
    pub name: String,
    /// Memory of its own; `None` where it shares the machine's.
    pub memory_total_bytes: Option<u64>,
    /// Memory in use.
    pub memory_used_bytes: Option<u64>,
    /// Share of the time in which something ran, 0 to 100.
    pub utilisation_percent: Option<f64>,
    /// Power drawn.
    pub power_watts: Option<f64>,
    /// Energy drawn since the driver was loaded.
    pub energy_joules: Option<f64>,
    /// Temperature.
    pub temperature_c: Option<f64>,
    /// Processes that use it, by id.
    pub processes: Vec<Use>,
}

/// What a process uses of a GPU.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Use {
    /// Process id.
    pub pid: u32,
    /// Memory.
    pub memory_bytes: Option<u64>,
    /// Share of the time in which its work ran on engines that compute, 0 to
    /// 100. Video and copies do not count.
    pub utilisation_percent: Option<f64>,
}

/// One way to see GPUs.
pub trait GpuSource: Send {
    /// The GPUs at `now`. Shares of time are those since the call before, so
    /// the first may not know them.
    ///
    /// # Errors
    /// If the driver's interface fails as a whole. What a single device cannot
    /// tell is `None`, and no device at all is an empty list.
    fn devices(&mut self, now: Instant) -> Result<Vec<Device>, GpuError>;
}

/// What failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// The library is there and refuses.
    #[error("cannot use `{library}`; compare the versions of the NVIDIA driver and library with `nvidia-smi`")]
    Nvml {
        /// The library.
        library: String,
        /// What it said.
        source: nvml_wrapper::error::NvmlError,
    },
    /// A folder of sysfs exists and cannot be read.
    #[error("cannot list `{path}`; mount sysfs there")]
    Sysfs {
        /// The folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Where to look.
#[derive(Debug, Clone)]
pub struct GpuOptions {
    /// NVML, if not where the system finds it. It runs with our privileges.
    pub nvml: Option<PathBuf>,
    /// Where sysfs is mounted.
    pub sys: PathBuf,
    /// Where procfs is mounted.
    pub proc: PathBuf,
}

impl Default for GpuOptions {
    fn default() -> Self {
        Self { nvml: None, sys: PathBuf::from("/sys"), proc: PathBuf::from("/proc") }
    }
}

/// All GPUs of this machine.
pub struct Gpus {
    sources: Vec<Box<dyn GpuSource>>,
    unusable: Vec<GpuError>,
}

/// What all sources told.
#[derive(Debug, Default)]
pub struct Readings {
    /// The GPUs; none is no error.
    pub devices: Vec<Device>,
    /// Sources that failed; what the others told stands.
    pub errors: Vec<GpuError>,
}

impl Gpus {
    /// Finds out which sources there are. One that is there and cannot be used
    /// is told by the first [`Gpus::read`].
    #[must_use]
    pub fn open(options: &GpuOptions) -> Self {
        let mut gpus = Self { sources: Vec::new(), unusable: Vec::new() };
        match Nvidia::open(options.nvml.as_deref()) {
            Ok(Some(nvidia)) => gpus.sources.push(Box::new(nvidia)),
            Ok(None) => {}
            Err(e) => gpus.unusable.push(e),
        }
        #[cfg(target_os = "linux")]
        gpus.sources.push(Box::new(Drm::new(options.sys.clone(), options.proc.clone())));
        gpus
    }

    /// Asks all sources.
    pub fn read(&mut self, now: Instant) -> Readings {
        let mut out = Readings { devices: Vec::new(), errors: std::mem::take(&mut self.unusable) };
        for source in &mut self.sources {
            match source.devices(now) {
                Ok(devices) => out.devices.extend(devices),
                Err(e) => out.errors.push(e),
            }
        }
        out
    }
}
