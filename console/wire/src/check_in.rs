//! The regular sign of life, and what is answered.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weighbridge_types::{Mode, Sha256};

use crate::limits::{Check, TEXT_BYTES_MAX, bytes, entries, name, seconds};
use crate::{Fingerprint, Order, WireError};

/// Most capabilities told.
const CAPABILITIES_MAX: usize = 64;
/// Most orders given at once.
pub const ORDERS_MAX: usize = 100;

/// An endpoint lives. Below 1 KB where nothing changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckIn {
    /// Of the program.
    pub agent_version: String,
    /// Its clock.
    pub now: Timestamp,
    /// What it does with decisions.
    pub mode: Mode,
    /// Version of the policies in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<String>,
    /// Of its rows of models.
    pub inventory: Fingerprint,
    /// Events that wait, and those dropped since it began because there were
    /// too many.
    #[serde(default)]
    pub events_waiting: u64,
    /// See `events_waiting`.
    #[serde(default)]
    pub events_dropped: u64,
    /// Newest entry of its own record: number, and digest of the chain up to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<(u64, Sha256)>,
    /// What this system lets it see and stop; only where it changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// What it takes of its machine.
    #[serde(default)]
    pub load: Load,
}

/// A thing that works here, or does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// `gate`, `events`, `downloads`, as `weighbridge doctor` names them.
    pub name: String,
    /// Whether it works.
    pub works: bool,
    /// Why not, or how.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What the daemon takes, all its processes together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Resident memory, bytes.
    #[serde(default)]
    pub resident_bytes: u64,
    /// Share of one core since the last check-in.
    #[serde(default)]
    pub cores: f32,
}

/// What a console answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instructions {
    /// When to check in next, seconds; already spread among endpoints.
    pub next_in_s: u32,
    /// The console's clock.
    pub now: Timestamp,
    /// The rows that the console knows; the endpoint sends what differs, or all
    /// where it does not know them any more.
    pub inventory: Fingerprint,
    /// Team of the endpoint.
    pub team: String,
    /// Newest version of the policies for it; it fetches them and believes them
    /// only under the keys it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<Order>,
    /// Whether to ask for a new certificate now.
    #[serde(default)]
    pub renew: bool,
}

/// A request for the next certificate, under the one that still holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// PKCS #10, PEM.
    pub request: String,
}

impl Check for CheckIn {
    fn check(&self) -> Result<(), WireError> {
        name("agent_version", &self.agent_version)?;
        name("policy_version", self.policy_version.as_deref().unwrap_or_default())?;
        entries("capabilities", &self.capabilities, CAPABILITIES_MAX)?;
        for capability in &self.capabilities {
            name("capabilities.name", &capability.name)?;
            bytes("capabilities.detail", &capability.detail, TEXT_BYTES_MAX)?;
        }
        if self.load.cores.is_finite() && self.load.cores >= 0.0 {
            return Ok(());
        }
        Err(WireError::Field { field: "load.cores", reason: "is no share of cores".to_owned() })
    }
}

impl Check for Instructions {
    fn check(&self) -> Result<(), WireError> {
        seconds("next_in_s", self.next_in_s)?;
        name("team", &self.team)?;
        name("policy_version", self.policy_version.as_deref().unwrap_or_default())?;
        entries("orders", &self.orders, ORDERS_MAX)?;
        self.orders.iter().try_for_each(Check::check)
    }
}

impl Check for Renewal {
    fn check(&self) -> Result<(), WireError> {
        bytes("request", &self.request, crate::enrol::REQUEST_PEM_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_check_in_is_small() {
        let idle = CheckIn {
            agent_version: "0.1.0".to_owned(),
            now: "2026-11-22T05:00:00.123456Z".parse().unwrap(),
            mode: Mode::Lockdown,
            policy_version: Some("2026.11.22-1".to_owned()),
            inventory: Fingerprint::default(),
            events_waiting: u64::MAX,
            events_dropped: u64::MAX,
            record: Some((u64::MAX, Sha256::new([0xab; 32]))),
            capabilities: Vec::new(),
            load: Load { resident_bytes: u64::MAX, cores: 0.123_456 },
        };
        assert_eq!(idle.check(), Ok(()));
        assert!(serde_json::to_vec(&idle).unwrap().len() < 600);
        let odd = CheckIn { load: Load { cores: f32::NAN, ..Load::default() }, ..idle };
        assert!(odd.check().unwrap_err().to_string().contains("load.cores"));
    }
}
