//! What amdgpu, i915 and xe tell of a device in sysfs
//! (Documentation/gpu/amdgpu/thermal.rst, ABI/testing/sysfs-driver-intel-xe-hwmon).

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{GpuError, Vendor};

/// Most cards, sensors, nodes and processes listed in a folder.
const ENTRIES_MAX: usize = 65_536;
/// Attributes are a page at most.
const ATTRIBUTE_BYTES_MAX: u64 = 4096;
/// Memory up to which a GPU's own is taken for the carve-out of an integrated
/// one, whose models lie in the machine's.
const CARVE_OUT_BYTES_MAX: u64 = 2 << 30;

/// A card as sysfs shows it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Card {
    pub(super) pdev: String,
    pub(super) vendor: Vendor,
    pub(super) name: String,
    pub(super) memory_total_bytes: Option<u64>,
    pub(super) memory_used_bytes: Option<u64>,
    /// Whether it has no memory of its own worth the name.
    pub(super) integrated: bool,
    pub(super) busy_percent: Option<f64>,
    pub(super) power_watts: Option<f64>,
    pub(super) energy_joules: Option<f64>,
    pub(super) temperature_c: Option<f64>,
}

/// The cards of AMD and Intel below `sys`.
pub(super) fn cards(sys: &Path) -> Result<Vec<Card>, GpuError> {
    let drm = sys.join("class/drm");
    let names = match names(&drm) {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(GpuError::Sysfs { path: drm.to_string_lossy().escape_debug().to_string(), source }),
    };
    // `card0` is a device, `card0-HDMI-A-1` a connector of it.
    let is_card = |n: &&String| n.strip_prefix("card").is_some_and(|d| d.parse::<u32>().is_ok());
    Ok(names.iter().filter(is_card).filter_map(|n| card(&drm.join(n).join("device"))).collect())
}

fn card(device: &Path) -> Option<Card> {
    let vendor = match text(&device.join("vendor"))?.as_str() {
        "0x1002" => Vendor::Amd,
        "0x8086" => Vendor::Intel,
        _ => return None,
    };
    let uevent = text(&device.join("uevent"))?;
    let value = |key: &str| uevent.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
    let pdev = value("PCI_SLOT_NAME")?.to_owned();
    let pci_id = value("PCI_ID").unwrap_or("of unknown kind");
    let maker = if vendor == Vendor::Amd { "AMD" } else { "Intel" };
    let product = text(&device.join("product_name")).filter(|n| !n.is_empty());
    let read = |name: &str| number(&device.join(name));
    let vram =
        read("mem_info_vram_total").or_else(|| read("tile0/vram0/total_bytes")).or_else(|| read("lmem_total_bytes"));
    let integrated = vram.is_none_or(|v| v <= CARVE_OUT_BYTES_MAX);
    let gtt = |name: &str| if integrated { read(name).unwrap_or(0) } else { 0 };
    let hwmon = Hwmon::find(device);
    let sensor = |names: &[&str], unit: f64| hwmon.as_ref().and_then(|h| h.first(names)).map(|v| v / unit);
    Some(Card {
        vendor,
        name: product.unwrap_or_else(|| format!("{maker} GPU {pci_id}")),
        memory_total_bytes: vram.map(|v| v.saturating_add(gtt("mem_info_gtt_total"))),
        memory_used_bytes: read("mem_info_vram_used").map(|v| v.saturating_add(gtt("mem_info_gtt_used"))),
        integrated,
        busy_percent: read("gpu_busy_percent").filter(|p| *p <= 100).map(|p| p as f64),
        power_watts: sensor(&["power1_average", "power1_input"], 1e6),
        energy_joules: sensor(&["energy1_input", "energy2_input"], 1e6),
        temperature_c: sensor(&["temp1_input", "temp2_input"], 1e3),
        pdev,
    })
}

/// The sensors of a card.
struct Hwmon(PathBuf);

impl Hwmon {
    fn find(device: &Path) -> Option<Self> {
        let folder = device.join("hwmon");
        let name = names(&folder).ok()?.into_iter().find(|n| n.starts_with("hwmon"))?;
        Some(Self(folder.join(name)))
    }

    fn first(&self, names: &[&str]) -> Option<f64> {
        names.iter().find_map(|n| text(&self.0.join(n))?.parse::<i64>().ok()).map(|v| v as f64)
    }
}

/// Memory that ROCm's processes hold, by PCI address and process: their queues
/// do not appear in fdinfo.
pub(super) fn kfd(sys: &Path) -> HashMap<(String, u32), u64> {
    let root = sys.join("class/kfd/kfd");
    let mut gpus: HashMap<String, String> = HashMap::new();
    for node in names(&root.join("topology/nodes")).unwrap_or_default() {
        let node = root.join("topology/nodes").join(node);
        let Some(id) = text(&node.join("gpu_id")).filter(|id| id != "0") else { continue };
        let properties = text(&node.join("properties")).unwrap_or_default();
        let value = |key: &str| {
            let mut lines = properties.lines().filter_map(|l| l.split_once(' '));
            lines.find(|(k, _)| *k == key).and_then(|(_, v)| v.trim().parse::<u32>().ok())
        };
        // `location_id` is bus, device and function as PCI packs them.
        let Some(at) = value("location_id") else { continue };
        let domain = value("domain").unwrap_or(0);
        gpus.insert(id, format!("{domain:04x}:{:02x}:{:02x}.{:x}", at >> 8 & 0xff, at >> 3 & 0x1f, at & 7));
    }
    let mut out = HashMap::new();
    for name in names(&root.join("proc")).unwrap_or_default() {
        let Ok(pid) = name.parse::<u32>() else { continue };
        for (id, pdev) in &gpus {
            if let Some(bytes) = number(&root.join("proc").join(&name).join(format!("vram_{id}"))) {
                out.insert((pdev.clone(), pid), bytes);
            }
        }
    }
    out
}

/// Names in a folder, in order, at most [`ENTRIES_MAX`].
pub(super) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder)?.take(ENTRIES_MAX) {
        out.extend(entry?.file_name().into_string());
    }
    out.sort();
    Ok(out)
}

fn text(path: &Path) -> Option<String> {
    let mut out = Vec::new();
    File::open(path).ok()?.take(ATTRIBUTE_BYTES_MAX).read_to_end(&mut out).ok()?;
    Some(String::from_utf8_lossy(&out).trim().to_owned())
}

fn number(path: &Path) -> Option<u64> {
    text(path)?.parse().ok()
}
