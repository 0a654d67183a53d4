//! What the daemon tells: to the record, to `weighbridge status`, and to a
//! console.

use serde::Serialize;
use serde_json::Value;
use weighbridge_types::Severity;

/// Something worth telling.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// How bad it is; the least severe are dropped first when there are too
    /// many.
    pub severity: Severity,
    /// What it is about.
    pub kind: Kind,
    /// One line for people.
    pub text: String,
    /// Everything, for machines.
    pub body: Value,
}

/// Kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A model was decided on, first or differently.
    Decision,
    /// An open was denied by the gate.
    Denied,
    /// Something was done: quarantine, a process ended, a connection cut.
    Action,
    /// Something should have been done and could not be.
    ActionFailed,
    /// Someone asks for an approval.
    Request,
    /// A download began, grew beyond the bound, or ended.
    Download,
    /// An inference stack holds a model that policy refuses, or listens beyond
    /// this machine.
    Runtime,
    /// A GPU is kept busy.
    Gpu,
    /// Another policy is in force, or one was refused.
    Policy,
    /// The daemon itself: start, stop, sweep, gate, faults.
    Daemon,
}

impl Kind {
    /// As in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Denied => "denied",
            Self::Action => "action",
            Self::ActionFailed => "action-failed",
            Self::Request => "request",
            Self::Download => "download",
            Self::Runtime => "runtime",
            Self::Gpu => "gpu",
            Self::Policy => "policy",
            Self::Daemon => "daemon",
        }
    }
}

impl Event {
    pub fn new(severity: Severity, kind: Kind, text: impl Into<String>, body: Value) -> Self {
        Self { severity, kind, text: text.into(), body }
    }
}
