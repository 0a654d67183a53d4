//! Running inference stacks and other holders of models (proc(5)).

mod api;
mod assemble;
mod catalogue;
mod command;
mod files;
mod http;
mod listens;
mod mounts;
mod procfs;
mod sensor;
mod users;
mod watched;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

pub use sensor::Sensor;
pub use watched::Watched;

/// The stack of processes that hold a model and match no rule.
pub const UNKNOWN: &str = "unknown";

/// How to look.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where procfs is mounted.
    pub proc: PathBuf,
    /// Whether to ask recognised stacks on loopback what they have loaded.
    pub ask_apis: bool,
    /// Processes not to report: our own workers. We ourselves never are.
    pub skip: Vec<u32>,
    /// A process that seems idle is looked at again after this long.
    pub again_after: Duration,
    /// Time for looking into processes in one snapshot; the rest waits for the
    /// next and is counted in [`Snapshot::deferred`].
    pub budget: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            proc: PathBuf::from("/proc"),
            ask_apis: false,
            skip: Vec::new(),
            again_after: Duration::from_secs(60),
            budget: Duration::from_millis(250),
        }
    }
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Snapshot {
    /// Stacks and other holders of models, by process id.
    pub runtimes: Vec<Runtime>,
    /// Processes there are, kernel threads left out.
    pub processes: usize,
    /// Processes not looked into yet, for want of time.
    pub deferred: usize,
    /// Processes whose files we may not see: run as root to see them.
    pub denied: usize,
    /// Processes left alone because the kernel does not return from reading
    /// about them: a hostile file system can do that to any reader.
    pub stuck: Vec<u32>,
    /// Whether a limit cut something off: there may be more than is told.
    pub truncated: bool,
}

/// A process that serves, runs or holds models.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Runtime {
    /// Process id.
    pub pid: u32,
    /// Start, clock ticks after boot: with `pid` it names a process for good.
    pub start_ticks: u64,
    /// Start, seconds since 1970.
    pub started_s: u64,
    /// Real user id.
    pub uid: u32,
    /// Its name in `/etc/passwd`.
    pub user: Option<String>,
    /// Identifier as in `rules/programs.txt` and `rules/processes.txt`, or
    /// [`UNKNOWN`].
    pub stack: String,
    /// What gave the stack away.
    pub evidence: Evidence,
    /// The name the process goes by.
    pub name: String,
    /// The executable, where we may see it.
    pub exe: Option<PathBuf>,
    /// Command line: at most 4 KiB, control characters escaped.
    pub command: String,
    /// The stack that started this one: Ollama of its `llama-server`.
    pub parent: Option<Parent>,
    /// Process ids from the parent up.
    pub ancestors: Vec<u32>,
    /// Models, those proven by a handle first.
    pub loaded: Vec<Loaded>,
    /// Names of models that the stack offers and that run elsewhere, told by
    /// its API. A local port does not prove local inference.
    pub remote_models: Vec<String>,
    /// Where it accepts connections.
    pub listens: Vec<Listen>,
}

/// What gave a stack away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The name or place of the executable, or of the script it interprets.
    Program,
    /// Arguments.
    CommandLine,
    /// What the process calls itself; anybody can call himself so.
    Title,
    /// Nothing but the model it holds.
    Model,
}

/// The stack that a process belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parent {
    /// Its process, unless it is gone and the place of the program told.
    pub pid: Option<u32>,
    /// Its stack.
    pub stack: String,
}

/// A model that a process holds or says it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loaded {
    /// Its path as the process sees it; for [`How::CommandLine`] and
    /// [`How::Api`] this may be a name.
    pub path: PathBuf,
    /// Device, where there is a file that can be touched.
    pub dev: Option<u64>,
    /// Inode number.
    pub ino: Option<u64>,
    /// Length, bytes.
    pub size_bytes: Option<u64>,
    /// Whether no name leads to the file any more.
    pub deleted: bool,
    /// How it was seen.
    pub how: How,
    /// Format by content, as `weighbridge scan` names it; by extension where
    /// content has no signature.
    pub format: Option<String>,
    /// Where the very file can be opened while the process lives, even when
    /// deleted: `/proc/PID/fd/N`. May be a lie by the time it is opened:
    /// compare `dev` and `ino`.
    pub open_at: Option<PathBuf>,
    /// Whether the stack says that this runs on another machine.
    pub remote: bool,
}

/// How a model was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// An open descriptor.
    Descriptor,
    /// A memory map.
    Map,
    /// An argument.
    CommandLine,
    /// An answer of the stack itself.
    Api,
}

/// A listening TCP socket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Listen {
    /// Address; unspecified means all.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Whether others than this machine (or container) can reach it.
    pub exposed: bool,
    /// Inode of the network namespace.
    pub netns: u64,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// Procfs cannot be read.
    #[error("cannot list processes in `{proc}`; mount procfs there")]
    Proc {
        /// Where it was looked for.
        proc: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The kernel does not return.
    #[error("reading about process `{pid}` does not return; it is left out until it does, look at what it holds open")]
    Stuck {
        /// The process.
        pid: u32,
    },
    /// There are too many such processes.
    #[error("{count} reads in `/proc` do not return; end the processes named before")]
    AllStuck {
        /// Threads that wait.
        count: usize,
    },
    /// No thread could be started.
    #[error("cannot start a thread to look at processes")]
    Thread {
        /// What the system said.
        source: std::io::Error,
    },
}

/// One look at all processes, with nothing remembered. Who looks again and
/// again keeps a [`Sensor`].
///
/// # Errors
/// If procfs cannot be read.
pub fn snapshot(options: &Options) -> Result<Snapshot, ProcessError> {
    Sensor::new(options.clone()).snapshot()
}
