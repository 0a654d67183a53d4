//! Who wants to do what with which model, and under what circumstances.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use weighbridge_types::Mode;

use crate::Assessment;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Fetch it from a network.
    Download,
    /// Keep it on a disk.
    Store,
    /// Open it with a program that will run it.
    Load,
    /// Offer it to others.
    Serve,
    /// Send it a request.
    Infer,
    /// Copy it off the machine.
    Export,
    /// Send data to a public provider instead.
    RouteToProvider,
    /// Keep a GPU busy.
    UseGpu,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Download,
        Self::Store,
        Self::Load,
        Self::Serve,
        Self::Infer,
        Self::Export,
        Self::RouteToProvider,
        Self::UseGpu,
    ];

    /// As in policies.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Store => "store",
            Self::Load => "load",
            Self::Serve => "serve",
            Self::Infer => "infer",
            Self::Export => "export",
            Self::RouteToProvider => "routeToProvider",
            Self::UseGpu => "useGpu",
        }
    }
}

/// What kind of place a file lies in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathClass {
    /// The store of an inference stack.
    Store,
    /// A cache.
    Cache,
    /// A home directory.
    Home,
    /// A folder for temporary files.
    Temporary,
    /// The system.
    System,
    /// A removable medium.
    Removable,
    /// A network file system.
    Network,
    /// Anywhere else.
    #[default]
    Other,
}

impl PathClass {
    /// What kind of place `path` is, by what it begins with or passes through.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
        let text = absolute.to_string_lossy();
        let through = |part: &str| text.contains(part);
        let below = |parts: &[&str]| parts.iter().any(|part| text.starts_with(part));
        if through("/.ollama/") || through("/.lmstudio/") || through("/ollama/models/") || through("/.docker/models/") {
            Self::Store
        } else if through("/.cache/") || through("/Library/Caches/") {
            Self::Cache
        } else if below(&["/tmp/", "/var/tmp/", "/dev/shm/"]) {
            Self::Temporary
        } else if below(&["/home/", "/root/", "/Users/"]) {
            Self::Home
        } else if below(&["/media/", "/run/media/", "/Volumes/"]) {
            Self::Removable
        } else if below(&["/usr/", "/opt/", "/bin/", "/lib/", "/etc/"]) {
            Self::System
        } else {
            Self::Other
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Cache => "cache",
            Self::Home => "home",
            Self::Temporary => "temporary",
            Self::System => "system",
            Self::Removable => "removable",
            Self::Network => "network",
            Self::Other => "other",
        }
    }
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Principal {
    /// A person.
    User(String),
    /// An account of a program.
    ServiceAccount(String),
    /// A machine.
    Host(String),
    /// A process, by its program's name or runtime kind.
    Workload(String),
}

impl Principal {
    /// Its type in the schema.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "User",
            Self::ServiceAccount(_) => "ServiceAccount",
            Self::Host(_) => "Host",
            Self::Workload(_) => "Workload",
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::User(name) | Self::ServiceAccount(name) | Self::Host(name) | Self::Workload(name) => name,
        }
    }
}

/// What it is done with.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// A model or adapter.
    Model(&'a Assessment),
    /// A provider, by its identifier in `data/providers.yaml`.
    Provider(&'a str),
    /// A machine, for `useGpu`.
    Host(&'a str),
}

/// Circumstances of a request. Nothing is looked up: the caller says when now
/// is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// When.
    pub now: Timestamp,
    /// The team whose mode counts and whose machine it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Instead of the team's mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Groups of the principal beyond those in `data/groups.yaml`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The machine it happens on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Kind of place.
    #[serde(default)]
    pub path_class: PathClass,
    /// Program that opens the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opener: Option<String>,
    /// Host that a download comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub_host: Option<String>,
    /// Bytes of a download so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Class of the data in a prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_class: Option<String>,
    /// Days since the policy was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_age_days: Option<u32>,
    /// Share of one GPU, percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_percent: Option<u32>,
    /// For how long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_minutes: Option<u32>,
    /// SHA-256 of a workload's program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<String>,
    /// systemd unit or container of a workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Runtime kind of a workload: `ollama`, `vllm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
}

impl Context {
    /// Nothing known but the time.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            team: None,
            mode: None,
            groups: Vec::new(),
            host: None,
            path_class: PathClass::Other,
            opener: None,
            hub_host: None,
            bytes: None,
            data_class: None,
            bundle_age_days: None,
            gpu_percent: None,
            gpu_minutes: None,
            executable: None,
            unit: None,
            runtime: None,
        }
    }
}

/// A question to the policies.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who.
    pub principal: &'a Principal,
    /// Does what.
    pub action: Action,
    /// With what.
    pub resource: Resource<'a>,
    /// Under what circumstances.
    pub context: &'a Context,
}

/// A request about a model as it is kept in records and replayed from them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Who.
    pub principal: Principal,
    /// Does what.
    pub action: Action,
    /// With what.
    pub model: Assessment,
    /// Under what circumstances, and when.
    pub context: Context,
}

impl Recorded {
    /// As it is decided.
    #[must_use]
    pub fn request(&self) -> Request<'_> {
        Request {
            principal: &self.principal,
            action: self.action,
            resource: Resource::Model(&self.model),
            context: &self.context,
        }
    }
}
