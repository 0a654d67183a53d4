//! The one file that says how the daemon runs. Unknown keys are refused, so
//! that a misspelt limit is not a missing one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::error::DaemonError;

/// Largest configuration read, bytes.
const BYTES_MAX: u64 = 1 << 20;

/// `weighbridge.toml`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder for what must survive a restart: inventory, audit, quarantine.
    pub state: PathBuf,
    /// Unix socket of `weighbridge status`, `why` and the like.
    #[serde(default = "socket")]
    pub socket: PathBuf,
    /// Team of this machine, whose mode counts.
    #[serde(default)]
    pub team: Option<String>,
    /// Where the policy comes from.
    pub policy: PolicyConfig,
    /// Which files are looked at, and when.
    #[serde(default)]
    pub files: FilesConfig,
    /// Permission events.
    #[serde(default)]
    pub gate: GateConfig,
    /// Downloads.
    #[serde(default)]
    pub downloads: DownloadsConfig,
    /// Inference stacks that run.
    #[serde(default)]
    pub runtimes: RuntimesConfig,
    /// GPUs.
    #[serde(default)]
    pub gpu: GpuConfig,
    /// What the daemon may do to the machine.
    #[serde(default)]
    pub actions: ActionsConfig,
}

fn socket() -> PathBuf {
    PathBuf::from("/run/weighbridge/control.sock")
}

/// `[policy]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// A repository or bundle on this machine. Whoever can write it decides.
    #[serde(default)]
    pub directory: Option<PathBuf>,
    /// A signed repository (`weighbridge policy publish`) to fetch bundles
    /// from; the first root is trusted with `weighbridge policy fetch`.
    #[serde(default)]
    pub repository: Option<PathBuf>,
    /// Its first root.
    #[serde(default)]
    pub root: Option<PathBuf>,
    /// How often it is looked at.
    #[serde(default = "minute")]
    pub check_seconds: u64,
}

fn minute() -> u64 {
    60
}

/// `[files]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilesConfig {
    /// Folders, and `all` for every local file system.
    pub roots: Vec<PathBuf>,
    /// The places where inference stacks keep models, too.
    pub stores: bool,
    /// Look at new and changed files at once.
    pub watch: bool,
    /// Hours between sweeps, which catch what events missed.
    pub sweep_hours: u64,
    /// Processes that inspect.
    pub jobs: u16,
    /// Seconds without a sign of life after which one is killed.
    pub timeout_seconds: u64,
}

impl Default for FilesConfig {
    fn default() -> Self {
        Self {
            roots: vec![PathBuf::from("all")],
            stores: true,
            watch: true,
            sweep_hours: 168,
            jobs: 1,
            timeout_seconds: 120,
        }
    }
}

/// `[gate]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GateConfig {
    /// Whether opening a denied model fails.
    pub enabled: bool,
    /// Folders on the file systems that are gated. Whole file systems are.
    pub marks: Vec<PathBuf>,
    /// Time after which an open is let through, milliseconds.
    pub deadline_ms: u64,
    /// Programs whose files may be opened while they are being inspected, in
    /// lockdown too.
    pub writers: Vec<PathBuf>,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self { enabled: false, marks: Vec::new(), deadline_ms: 50, writers: Vec::new() }
    }
}

/// `[downloads]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DownloadsConfig {
    /// Whether downloads are watched.
    pub enabled: bool,
    /// Bytes from which a download is told, whatever it is.
    pub report_bytes: u64,
}

impl Default for DownloadsConfig {
    fn default() -> Self {
        Self { enabled: true, report_bytes: 100_000_000 }
    }
}

/// `[runtimes]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimesConfig {
    /// Whether processes are looked at.
    pub enabled: bool,
    /// How often.
    pub seconds: u64,
    /// Ask stacks on loopback which models they hold.
    pub ask: bool,
}

impl Default for RuntimesConfig {
    fn default() -> Self {
        Self { enabled: true, seconds: 10, ask: true }
    }
}

/// `[gpu]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GpuConfig {
    /// Whether GPUs are looked at.
    pub enabled: bool,
    /// Share of one GPU from which use counts, percent.
    pub percent: u32,
    /// For how long.
    pub minutes: u32,
    /// NVIDIA's library, if not where the system keeps it.
    pub nvml: Option<PathBuf>,
}

impl Default for GpuConfig {
    fn default() -> Self {
        Self { enabled: true, percent: 50, minutes: 10, nvml: None }
    }
}

/// `[actions]`: what is not allowed here is only told.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ActionsConfig {
    /// Move denied files into quarantine.
    pub quarantine: bool,
    /// Cut denied downloads.
    pub sever: bool,
    /// End processes that hold denied models.
    pub kill: bool,
    /// Tell the user.
    pub notify: bool,
}

impl Default for ActionsConfig {
    fn default() -> Self {
        Self { quarantine: true, sever: true, kill: true, notify: true }
    }
}

impl Config {
    /// Reads and checks `path`; relative paths in it are relative to its
    /// folder.
    ///
    /// # Errors
    /// [`DaemonError::Config`] names the key and the line.
    pub fn load(path: &Path) -> Result<Self, DaemonError> {
        let wrong = |reason: String| DaemonError::Config { path: path.display().to_string(), reason };
        let length = std::fs::metadata(path).map_err(|e| wrong(e.to_string()))?.len();
        if length > BYTES_MAX {
            return Err(wrong("it is longer than 1 MiB".to_owned()));
        }
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let folder = std::path::absolute(path).map_err(|e| wrong(e.to_string()))?;
        let mut config: Self = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        config.relative_to(folder.parent().unwrap_or(Path::new("/")));
        config.check().map_err(wrong)?;
        Ok(config)
    }

    fn relative_to(&mut self, folder: &Path) {
        let policy = [&mut self.policy.directory, &mut self.policy.repository, &mut self.policy.root];
        let optional = policy.into_iter().chain([&mut self.gpu.nvml]).filter_map(Option::as_mut);
        let all = PathBuf::from("all");
        let roots = self.files.roots.iter_mut().filter(|root| **root != all);
        let paths = optional.chain(roots).chain(&mut self.gate.marks).chain([&mut self.state, &mut self.socket]);
        for path in paths {
            *path = folder.join(&*path);
        }
    }

    fn check(&self) -> Result<(), String> {
        match (&self.policy.directory, &self.policy.repository) {
            (Some(_), Some(_)) => return Err("`policy` has both a directory and a repository; keep one".to_owned()),
            (None, None) => return Err("`policy` needs a `directory` or a `repository`".to_owned()),
            _ => {}
        }
        let bounds = [
            ("policy.check_seconds", self.policy.check_seconds, 1, 86_400),
            ("files.sweep_hours", self.files.sweep_hours, 1, 8_784),
            ("files.jobs", self.files.jobs.into(), 1, 256),
            ("files.timeout_seconds", self.files.timeout_seconds, 1, 86_400),
            ("gate.deadline_ms", self.gate.deadline_ms, 1, 10_000),
            ("runtimes.seconds", self.runtimes.seconds, 1, 86_400),
            ("gpu.percent", self.gpu.percent.into(), 1, 100),
            ("gpu.minutes", self.gpu.minutes.into(), 1, 10_080),
        ];
        for (name, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                return Err(format!("`{name}` is {value}; it must be from {least} to {most}"));
            }
        }
        if self.gate.enabled && self.gate.marks.is_empty() {
            return Err("`gate.enabled` needs `gate.marks`, the folders whose file systems are gated".to_owned());
        }
        Ok(())
    }

    /// Time between sweeps.
    #[must_use]
    pub fn sweep(&self) -> Duration {
        Duration::from_secs(self.files.sweep_hours * 3600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path).map_err(|e| e.to_string())
    }

    #[test]
    fn a_short_file_is_enough_and_paths_are_relative_to_it() {
        let config = load("state = \"s\"\n[policy]\ndirectory = \"p\"\n").unwrap();
        assert!(config.state.is_absolute() && config.state.ends_with("s"));
        assert_eq!(config.files.roots, [PathBuf::from("all")]);
        assert!(!config.gate.enabled && config.actions.quarantine);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, word) in [
            ("state = \"s\"\n[policy]\ndirectory = \"p\"\n[gate]\nenabld = true\n", "enabld"),
            ("state = \"s\"\n[policy]\n", "directory"),
            ("state = \"s\"\n[policy]\ndirectory = \"p\"\n[gpu]\npercent = 0\n", "gpu.percent"),
            ("state = \"s\"\n[policy]\ndirectory = \"p\"\n[gate]\nenabled = true\n", "gate.marks"),
            ("[policy]\ndirectory = \"p\"\n", "state"),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn the_shipped_example_is_one() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/demo.toml");
        Config::load(&example).unwrap();
    }
}
