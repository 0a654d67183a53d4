//! The chain of roots: each version signed by its own keys and by those of the
//! version before.

use std::collections::HashMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tough::schema::decoded::{Decoded, Hex};
use tough::schema::{RoleType, Root, Signed};

use crate::error::{Error, shown};
use crate::files;
use crate::limits::{Limits, VERSION_MAX};

/// Where the root says for how many days signatures of each role hold; no part
/// of the specification, but signed like the rest, so that who publishes and who
/// renews need no settings of their own.
const VALIDITY: &str = "x-weighbridge-validity-days";

/// Name of the file of a root.
pub fn file_name(version: u64) -> String {
    format!("{version}.root.json")
}

/// Versions 1 to n, each verified.
#[derive(Debug)]
pub struct Chain {
    links: Vec<(Signed<Root>, Vec<u8>)>,
}

impl Chain {
    /// Reads `1.root.json`, `2.root.json`… in `folder`; none if there is no first.
    pub fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let broken = |reason: String| Error::Roots { folder: shown(folder), reason };
        let limits = Limits::default();
        let mut links: Vec<(Signed<Root>, Vec<u8>)> = Vec::new();
        for version in 1..=limits.root_updates {
            let name = file_name(version);
            let path = folder.join(&name);
            let bytes = match files::read(&path, limits.root_bytes) {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => break,
                Err(e) => return Err(Error::read(&path, e)),
            };
            let root = parse(&bytes).map_err(|e| broken(format!("`{name}`: {e}")))?;
            if root.signed.version.get() != version {
                return Err(broken(format!("`{name}` holds version {}", root.signed.version)));
            }
            if let Some((before, _)) = links.last() {
                before
                    .signed
                    .verify_role(&root)
                    .map_err(|e| broken(format!("`{name}` does not follow from version {}: {e}", version - 1)))?;
            }
            links.push((root, bytes));
        }
        Ok(if links.is_empty() { None } else { Some(Self { links }) })
    }

    /// The longer of two that agree as far as both go.
    pub fn longer(self, other: Self, folder: &Path) -> Result<Self, Error> {
        for ((a, one), (_, two)) in self.links.iter().zip(&other.links) {
            if one != two {
                let reason = format!(
                    "version {} is not the one among the keys; these are keys of another fleet, or someone else \
                     wrote to the repository",
                    a.signed.version
                );
                return Err(Error::Roots { folder: shown(folder), reason });
            }
        }
        Ok(if other.links.len() > self.links.len() { other } else { self })
    }

    /// The newest.
    pub fn newest(&self) -> Result<&Signed<Root>, Error> {
        let none = || Error::BadRoot("the chain is empty".to_owned());
        self.links.last().map(|(root, _)| root).ok_or_else(none)
    }

    /// Newest first.
    pub fn backwards(&self) -> impl Iterator<Item = &Root> {
        self.links.iter().rev().map(|(root, _)| &root.signed)
    }

    /// Names and bytes, oldest first.
    pub fn files(&self) -> impl Iterator<Item = (String, &[u8])> {
        self.links.iter().map(|(root, bytes)| (file_name(root.signed.version.get()), bytes.as_slice()))
    }
}

/// A root that is signed by enough of its own keys.
pub fn parse(bytes: &[u8]) -> Result<Signed<Root>, String> {
    let root: Signed<Root> = serde_json::from_slice(bytes).map_err(|e| format!("it is no root metadata: {e}"))?;
    root.signed.verify_role(&root).map_err(|e| e.to_string())?;
    if root.signed.version.get() > VERSION_MAX {
        return Err("its version is out of range".to_owned());
    }
    Ok(root)
}

/// The four roles of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Says whose keys count.
    Root,
    /// Says what the bundle is.
    Targets,
    /// Says which targets are current.
    Snapshot,
    /// Says that this is now.
    Timestamp,
}

impl Role {
    /// All, as the specification orders them.
    pub const ALL: [Self; 4] = [Self::Root, Self::Targets, Self::Snapshot, Self::Timestamp];

    /// `root`, `targets`, `snapshot`, `timestamp`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }

    pub(crate) fn tough(self) -> RoleType {
        match self {
            Self::Root => RoleType::Root,
            Self::Targets => RoleType::Targets,
            Self::Snapshot => RoleType::Snapshot,
            Self::Timestamp => RoleType::Timestamp,
        }
    }
}

/// For how many days signatures of each role hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    root: u32,
    targets: u32,
    snapshot: u32,
    timestamp: u32,
}

impl Default for Validity {
    fn default() -> Self {
        Self { root: 365, targets: 90, snapshot: 7, timestamp: 1 }
    }
}

/// Longest validity: ten years.
const DAYS_MAX: u32 = 3650;

impl Validity {
    /// Sets the days of one role.
    ///
    /// # Errors
    /// [`Error::Numbers`] unless `days` is between 1 and 3650.
    pub fn set(&mut self, role: Role, days: u32) -> Result<(), Error> {
        if days == 0 || days > DAYS_MAX {
            return Err(Error::Numbers("signatures hold between 1 and 3650 days"));
        }
        match role {
            Role::Root => self.root = days,
            Role::Targets => self.targets = days,
            Role::Snapshot => self.snapshot = days,
            Role::Timestamp => self.timestamp = days,
        }
        Ok(())
    }

    /// The days of one role.
    #[must_use]
    pub fn days(&self, role: Role) -> u32 {
        match role {
            Role::Root => self.root,
            Role::Targets => self.targets,
            Role::Snapshot => self.snapshot,
            Role::Timestamp => self.timestamp,
        }
    }

    /// When a signature made `now` expires.
    pub(crate) fn expiry(&self, role: Role, now: Timestamp) -> Result<Timestamp, Error> {
        let days = SignedDuration::from_hours(i64::from(self.days(role)) * 24);
        // Whole seconds: all that metadata can say.
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        now.checked_add(days).map_err(|_| Error::Numbers("the time of expiry is out of range"))
    }

    /// What `root` says; the usual where it says nothing.
    pub(crate) fn of(root: &Root) -> Self {
        let mut validity = Self::default();
        for role in Role::ALL {
            let days = root._extra.get(VALIDITY).and_then(|v| v.get(role.name())).and_then(Value::as_u64);
            if let Some(days) = days.and_then(|d| u32::try_from(d).ok()) {
                // Out of range: the usual.
                let _ = validity.set(role, days);
            }
        }
        validity
    }

    pub(crate) fn write(&self, extra: &mut HashMap<String, Value>) {
        let days: serde_json::Map<_, _> =
            Role::ALL.iter().map(|role| (role.name().to_owned(), json!(self.days(*role)))).collect();
        extra.insert(VALIDITY.to_owned(), Value::Object(days));
    }
}

/// Hexadecimal digits of a key's id.
pub fn hex_id(id: &Decoded<Hex>) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first digits of a key's id, as in names of files.
pub fn short_id(id: &Decoded<Hex>) -> String {
    id.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
