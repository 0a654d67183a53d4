//! What an administrator has an endpoint do, and what became of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weighbridge_types::Sha256;

use crate::WireError;
use crate::limits::{Check, PATH_BYTES_MAX, TEXT_BYTES_MAX, bytes, entries, name};

/// Most receipts of one message.
const RECEIPTS_MAX: usize = 1_000;

/// A command, to be done once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its number; given again until there is a receipt, done once.
    pub id: String,
    /// Not after this.
    pub expires: Timestamp,
    /// What.
    pub command: Command,
}

/// What can be ordered. Nothing here loosens policy: what policy denies stays
/// denied, whatever is restored or released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
#[non_exhaustive]
pub enum Command {
    /// Look at all files, or at those below a folder, again.
    Rescan {
        /// The folder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
    /// Take a file out of everybody's reach.
    Quarantine {
        /// Where it is.
        path: String,
        /// And what: another content stays where it is.
        sha256: Sha256,
    },
    /// Bring a file back from quarantine.
    Restore {
        /// Its number there.
        item: String,
    },
    /// Send the fact sheet of a file, and the bytes that findings point at.
    CollectEvidence {
        /// Where it is.
        path: String,
        /// And what.
        sha256: Sha256,
    },
    /// One that this version does not know; it says so in its receipt.
    #[serde(other)]
    Unknown,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which.
    pub id: String,
    /// When.
    pub time: Timestamp,
    /// What.
    pub outcome: Outcome,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is done.
    Done,
    /// It was tried and failed.
    Failed,
    /// It came too late.
    Expired,
    /// This version cannot do it, or its own policy forbids it.
    Refused,
}

/// What became of some orders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipts {
    /// Of each.
    pub receipts: Vec<Receipt>,
}

impl Check for Order {
    fn check(&self) -> Result<(), WireError> {
        name("order.id", &self.id)?;
        let path = |path: &str| bytes("order.path", path, PATH_BYTES_MAX);
        match &self.command {
            Command::Rescan { path: Some(at) } | Command::Quarantine { path: at, .. } => path(at),
            Command::CollectEvidence { path: at, .. } => path(at),
            Command::Restore { item } => name("order.item", item),
            Command::Rescan { path: None } | Command::Unknown => Ok(()),
        }
    }
}

impl Check for Receipts {
    fn check(&self) -> Result<(), WireError> {
        entries("receipts", &self.receipts, RECEIPTS_MAX)?;
        for receipt in &self.receipts {
            name("receipts.id", &receipt.id)?;
            bytes("receipts.detail", &receipt.detail, TEXT_BYTES_MAX)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_order_of_a_newer_console_is_known_as_unknown() {
        let newer = json!({"id": "7", "expires": "2027-01-01T00:00:00Z", "command": {"do": "defrost", "depth": 3}});
        let order: Order = serde_json::from_value(newer).unwrap();
        assert_eq!((order.command.clone(), order.check()), (Command::Unknown, Ok(())));
        let rescan = json!({"id": "8", "expires": "2027-01-01T00:00:00Z", "command": {"do": "rescan", "why": "x"}});
        let order: Order = serde_json::from_value(rescan).unwrap();
        assert_eq!(order.command, Command::Rescan { path: None });
    }
}
