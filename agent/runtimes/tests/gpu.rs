//! GPUs: a management library built by the test, and recorded trees.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use weighbridge_runtimes::gpu::{
    Change, Device, Drm, GpuError, GpuOptions, GpuSource, Gpus, Nvidia, Sustained, Threshold, Use, Vendor,
};

/// The library from `fixtures/nvml.c`, or `None` without a compiler.
fn library(dir: &Path, define: &str) -> Option<PathBuf> {
    let out = dir.join("libnvidia-ml.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nvml.c");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).arg(&out).arg(source).args((!define.is_empty()).then_some(define));
    match cc.output() {
        Err(_) => {
            println!("skipped: there is no C compiler called cc");
            None
        }
        Ok(done) => {
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            Some(out)
        }
    }
}

/// A recorded machine, as of its first reading, and what the second changes.
fn recorded(text: &str) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = text.split_once("== second\n").unwrap();
    unpack(dir.path(), first);
    (dir, second.to_owned())
}

fn unpack(root: &Path, text: &str) {
    for file in text.split("\n@ ").skip(usize::from(!text.starts_with("@ "))) {
        let (name, content) = file.split_once('\n').unwrap_or((file, ""));
        let name = name.trim_start_matches("@ ");
        let (path, target) = name.split_once(" -> ").map_or((name, None), |(p, t)| (p, Some(t)));
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match target {
            Some(target) => std::os::unix::fs::symlink(target, path).unwrap(),
            None => fs::write(path, content).unwrap(),
        }
    }
}

fn readings(text: &str, passed: Duration) -> (Vec<Device>, Vec<Device>) {
    let (dir, second) = recorded(text);
    let mut drm = Drm::new(dir.path().join("sys"), dir.path().join("proc"));
    let start = Instant::now();
    let first = drm.devices(start).unwrap();
    unpack(dir.path(), &second);
    (first, drm.devices(start + passed).unwrap())
}

#[test]
fn nvidia_tells_devices_memory_power_and_processes() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = library(dir.path(), "") else { return };
    let mut nvidia = Nvidia::open(Some(&library)).unwrap().unwrap();
    let devices = nvidia.devices(Instant::now()).unwrap();
    // The third has fallen off the bus and hides nobody.
    assert_eq!(devices.len(), 2);
    let full = &devices[0];
    assert_eq!(
        (full.id.as_str(), full.name.as_str(), full.vendor),
        ("GPU-one", "NVIDIA H100 80GB HBM3", Vendor::Nvidia)
    );
    assert_eq!((full.memory_total_bytes, full.memory_used_bytes), (Some(80 << 30), Some(20 << 30)));
    assert_eq!((full.utilisation_percent, full.power_watts), (Some(88.0), Some(612.0)));
    assert_eq!((full.energy_joules, full.temperature_c), (Some(7250.0), Some(64.0)));
    let use_of = |pid, memory: Option<u64>, percent| Use { pid, memory_bytes: memory, utilisation_percent: percent };
    assert_eq!(full.processes, [use_of(4001, Some(17 << 30), Some(85.0)), use_of(4002, Some(1 << 30), Some(0.0))]);
    // Later readings count new samples only.
    let again = nvidia.devices(Instant::now()).unwrap();
    assert_eq!(again[0].processes[0].utilisation_percent, Some(85.0));
}

#[test]
fn a_device_without_memory_info_is_told_with_what_it_knows() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = library(dir.path(), "") else { return };
    let mut nvidia = Nvidia::open(Some(&library)).unwrap().unwrap();
    let unified = nvidia.devices(Instant::now()).unwrap().pop().unwrap();
    assert_eq!((unified.memory_total_bytes, unified.memory_used_bytes, unified.energy_joules), (None, None, None));
    assert_eq!((unified.utilisation_percent, unified.power_watts), (Some(70.0), Some(45.5)));
    assert_eq!(unified.processes, [Use { pid: 4003, memory_bytes: None, utilisation_percent: None }]);
}

#[test]
fn sustained_use_of_both_kinds_of_devices_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = library(dir.path(), "") else { return };
    let mut nvidia = Nvidia::open(Some(&library)).unwrap().unwrap();
    let mut sustained = Sustained::new(Threshold { percent: 60.0, minutes: 2 });
    let start = Instant::now();
    let mut changes = Vec::new();
    for s in (0..=130).step_by(10) {
        let now = start + Duration::from_secs(s);
        changes.extend(sustained.feed(now, &nvidia.devices(now).unwrap()));
    }
    let started = |pid, device: &str, percent| Change::Started { pid, device: device.to_owned(), percent, minutes: 2 };
    assert_eq!(changes, [started(4001, "GPU-one", 85.0), started(4003, "GPU-two", 70.0)]);
    let ended = |pid, device: &str| Change::Ended { pid, device: device.to_owned() };
    let after = sustained.feed(start + Duration::from_secs(140), &[]);
    assert_eq!(after, [ended(4001, "GPU-one"), ended(4003, "GPU-two")]);
}

#[test]
fn a_library_without_driver_is_no_gpu_and_one_that_refuses_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let Some(path) = library(dir.path(), "-DFAILS=DRIVER_NOT_LOADED") else { return };
    assert!(Nvidia::open(Some(&path)).unwrap().is_none());
    let dir = tempfile::tempdir().unwrap();
    let path = library(dir.path(), "-DFAILS=LIB_RM_VERSION_MISMATCH").unwrap();
    assert!(matches!(Nvidia::open(Some(&path)), Err(GpuError::Nvml { .. })));
    // A library that somebody chose must be there.
    assert!(Nvidia::open(Some(&dir.path().join("none.so"))).is_err());
}

#[test]
fn amdgpu_tells_busy_memory_and_compute_clients() {
    let (first, second) = readings(include_str!("fixtures/amdgpu.txt"), Duration::from_secs(1));
    assert_eq!(first.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["pci:0000:03:00.0", "pci:0000:c5:00.0"]);
    let card = &second[0];
    assert_eq!((card.name.as_str(), card.vendor), ("Radeon RX 7900 XTX", Vendor::Amd));
    assert_eq!((card.memory_total_bytes, card.memory_used_bytes), (Some(25_753_026_560), Some(9_663_676_416)));
    assert_eq!((card.utilisation_percent, card.power_watts, card.temperature_c), (Some(73.0), Some(265.0), Some(58.0)));
    // Two descriptors and a fork are one client; ROCm's process is only in KFD.
    assert_eq!(card.processes.iter().map(|u| u.pid).collect::<Vec<_>>(), [400, 500]);
    assert_eq!(first[0].processes[0].utilisation_percent, None);
    assert_eq!(card.processes[0].memory_bytes, Some(1 << 30));
    assert!((card.processes[0].utilisation_percent.unwrap() - 65.0).abs() < 0.01, "{:?}", card.processes);
    assert_eq!(card.processes[1], Use { pid: 500, memory_bytes: Some(8 << 30), utilisation_percent: None });
}

#[test]
fn an_integrated_gpu_counts_the_machines_memory_and_counters_that_step_back_are_zero() {
    let (_, second) = readings(include_str!("fixtures/amdgpu.txt"), Duration::from_secs(1));
    let card = &second[1];
    assert_eq!(card.memory_total_bytes, Some(536_870_912 + 133_143_986_176));
    assert_eq!(card.memory_used_bytes, Some(268_435_456 + 68_719_476_736));
    let [one] = &card.processes[..] else { panic!("{:?}", card.processes) };
    assert_eq!((one.pid, one.memory_bytes), (402, Some((1 << 20) + (65_536 << 20))));
    assert_eq!(one.utilisation_percent, Some(0.0));
}

#[test]
fn xe_is_told_by_cycles_and_energy() {
    let (first, second) = readings(include_str!("fixtures/xe.txt"), Duration::from_secs(2));
    assert_eq!((first[0].power_watts, first[0].utilisation_percent), (None, None));
    let card = &second[0];
    assert_eq!((card.vendor, card.memory_total_bytes), (Vendor::Intel, Some(12_884_901_888)));
    assert_eq!(card.memory_used_bytes, Some(4 << 30));
    assert_eq!((card.power_watts, card.energy_joules, card.temperature_c), (Some(120.0), Some(1240.0), Some(47.0)));
    // 200,000 of 100,000 cycles on four engines; the film does not count.
    assert_eq!(card.processes, [Use { pid: 610, memory_bytes: Some(4 << 30), utilisation_percent: Some(50.0) }]);
    assert_eq!(card.utilisation_percent, Some(50.0));
}

#[test]
fn i915_is_told_by_time_on_its_render_engine() {
    let (_, second) = readings(include_str!("fixtures/i915.txt"), Duration::from_secs(2));
    let card = &second[0];
    assert_eq!((card.name.as_str(), card.memory_total_bytes, card.power_watts), ("Intel GPU 8086:46A6", None, None));
    assert_eq!(card.processes, [Use { pid: 77, memory_bytes: Some(48 << 20), utilisation_percent: Some(25.0) }]);
}

#[test]
fn a_machine_without_gpu_has_none_and_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let empty = GpuOptions { nvml: None, sys: dir.path().join("sys"), proc: dir.path().join("proc") };
    let read = Gpus::open(&empty).read(Instant::now());
    assert!(read.errors.is_empty(), "{:?}", read.errors);
    // An NVIDIA GPU of this very machine may be there, others not.
    assert!(read.devices.iter().all(|d| d.vendor == Vendor::Nvidia));
}

#[test]
fn a_source_that_fails_does_not_hide_the_others() {
    let (dir, _) = recorded(include_str!("fixtures/i915.txt"));
    let options = GpuOptions {
        nvml: Some(dir.path().join("none.so")),
        sys: dir.path().join("sys"),
        proc: dir.path().join("proc"),
    };
    let mut gpus = Gpus::open(&options);
    let read = gpus.read(Instant::now());
    assert_eq!((read.devices.len(), read.errors.len()), (1, 1));
    // It is told once.
    assert!(gpus.read(Instant::now()).errors.is_empty());
}

#[test]
fn damaged_trees_are_read_as_far_as_they_go() {
    let (dir, _) = recorded(include_str!("fixtures/amdgpu.txt"));
    let device = dir.path().join("sys/class/drm/card0/device");
    fs::write(device.join("mem_info_vram_total"), "\u{fffd} lots").unwrap();
    fs::write(device.join("gpu_busy_percent"), "101").unwrap();
    fs::remove_file(device.join("hwmon/hwmon3/power1_average")).unwrap();
    fs::write(dir.path().join("proc/400/fdinfo/7"), [0xff; 100_000]).unwrap();
    fs::remove_file(dir.path().join("proc/400/fdinfo/8")).unwrap();
    let mut drm = Drm::new(dir.path().join("sys"), dir.path().join("proc"));
    let devices = drm.devices(Instant::now()).unwrap();
    assert_eq!((devices[0].memory_total_bytes, devices[0].power_watts), (None, None));
    assert_eq!(devices[0].utilisation_percent, None);
    assert_eq!(devices[0].processes.iter().map(|u| u.pid).collect::<Vec<_>>(), [401, 500]);
}
