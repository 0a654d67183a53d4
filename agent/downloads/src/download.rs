use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

/// One transfer towards this machine: one file, or one process whose file is
/// not known. All texts come from the process and are bounded but not
/// escaped; escape them before they are shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Download {
    /// Unique among all downloads of all runs on this machine.
    pub id: u64,
    /// Inode of the network namespace.
    pub netns: u64,
    /// The process that holds the sockets, the lowest if several do; none if
    /// it was gone before it could be asked.
    pub pid: Option<u32>,
    /// Owner of the sockets.
    pub uid: u32,
    /// Program of that process.
    pub exe: Option<PathBuf>,
    /// Its command line, at most 4 KiB; what looks like a secret is `[redacted]`.
    pub command: Vec<String>,
    /// The process that writes the file; another than `pid` behind a pipe.
    pub writer: Option<u32>,
    /// Far ends, at most 64.
    pub remote: Vec<SocketAddr>,
    /// Open sockets, at most 64; what [`crate::sever`] closes.
    pub sockets: Vec<Socket>,
    /// Payload bytes of TCP, of all sockets; under TLS those of the
    /// ciphertext.
    pub bytes_received: u64,
    /// Bytes per second, smoothed over about two seconds.
    pub rate_bytes_per_s: u64,
    /// The file that grows, as this process sees its name; display only.
    pub file: Option<PathBuf>,
    /// Which file it is.
    pub file_key: Option<FileId>,
    /// Bytes of it on the disk: blocks, so that holes do not count.
    pub size_bytes: u64,
    /// Its length; the whole from the start if the space was reserved.
    pub length_bytes: u64,
    /// What its first bytes say.
    pub format: Option<&'static str>,
    /// Whether that format holds models.
    pub model: bool,
    /// Traces of the hub it comes from, strongest first.
    pub evidence: Vec<Evidence>,
    /// First seen, milliseconds since 1970.
    pub started_ms: u64,
    /// Last seen, milliseconds since 1970.
    pub updated_ms: u64,
    /// No socket is left.
    pub ended: bool,
}

/// Identity of a file on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct FileId {
    /// Device (`st_dev`).
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
}

/// One connection, as the kernel looks it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Socket {
    /// Never used twice in a namespace.
    pub cookie: u64,
    /// Near end, in the family of the socket (`::ffff:1.2.3.4` stays).
    pub local: SocketAddr,
    /// Far end.
    pub remote: SocketAddr,
    /// Bound device, or 0.
    pub interface: u32,
}

/// One trace of where the bytes come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// What kind of trace.
    pub what: What,
    /// The hub or tool it points at, if one.
    pub hub: Option<&'static str>,
    /// What was seen: `org/name`, an address without its query, a host.
    pub value: String,
    /// How far to trust it.
    pub strength: Strength,
}

/// Where a trace was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Name and place of the file, as hub clients lay out their stores.
    Layout,
    /// Arguments of the process.
    Command,
    /// Variables of the process.
    Environment,
    /// Far end of the connection.
    Remote,
}

/// How hard a trace is to fake or to meet by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// Others share it.
    Weak,
    /// The process says so itself.
    Medium,
    /// Only the client of that hub leaves it.
    Strong,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "update", content = "download")]
pub enum Update {
    /// Large enough, or a model.
    Started(Download),
    /// More of it came.
    Progress(Download),
    /// Finished, broken off or severed; `bytes_received` is final.
    Ended(Download),
}

impl Update {
    /// What it is about.
    pub fn download(&self) -> &Download {
        match self {
            Self::Started(d) | Self::Progress(d) | Self::Ended(d) => d,
        }
    }
}
