//! The answer to a request.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a team's endpoints do with decisions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Decide and record; do nothing.
    #[default]
    Observe,
    /// Act on what is forbidden; let through what nothing speaks of.
    Guard,
    /// Only what is approved.
    Lockdown,
}

impl Mode {
    /// As in policies.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Guard => "guard",
            Self::Lockdown => "lockdown",
        }
    }
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It may be done.
    Allow,
    /// It may not.
    Deny,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

/// What must be done along with a decision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Obligation {
    /// Which.
    pub kind: ObligationKind,
    /// Text in parentheses: what to tell the user, whom to ask, the rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argument: Option<String>,
}

impl fmt::Display for Obligation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.argument {
            Some(argument) => write!(f, "{}({argument:?})", self.kind.name()),
            None => f.write_str(self.kind.name()),
        }
    }
}

/// Kinds of obligations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObligationKind {
    /// Tell the administrators.
    Alert,
    /// Move the file where nothing loads it; can be undone.
    Quarantine,
    /// Ask for approval, optionally of whom.
    RequireApproval,
    /// The policy is tried out: it is told, and decides nothing.
    MonitorOnly,
    /// End the connection a download comes through.
    SeverConnection,
    /// End the processes that hold the file.
    KillHolder,
    /// Tell the user, in these words.
    NotifyUser,
    /// At most so often: `10/m`.
    RateLimit,
    /// Keep what was asked and answered in the record.
    RecordPrompt,
}

impl ObligationKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Alert,
        Self::Quarantine,
        Self::RequireApproval,
        Self::MonitorOnly,
        Self::SeverConnection,
        Self::KillHolder,
        Self::NotifyUser,
        Self::RateLimit,
        Self::RecordPrompt,
    ];

    /// As in policies and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Quarantine => "quarantine",
            Self::RequireApproval => "require_approval",
            Self::MonitorOnly => "monitor_only",
            Self::SeverConnection => "sever_connection",
            Self::KillHolder => "kill_holder",
            Self::NotifyUser => "notify_user",
            Self::RateLimit => "rate_limit",
            Self::RecordPrompt => "record_prompt",
        }
    }

    /// Whether it changes something on the machine.
    #[must_use]
    pub fn acts(self) -> bool {
        matches!(self, Self::Quarantine | Self::SeverConnection | Self::KillHolder | Self::RateLimit)
    }
}

/// The answer, with everything needed to explain it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Yes or no.
    pub effect: Effect,
    /// Whether the endpoint must keep to it; in mode `observe` nothing is.
    pub enforced: bool,
    /// The team's mode.
    pub mode: Mode,
    /// `@id` of the policies that determined it, in order; `mode:lockdown` and
    /// `mode:guard` stand for the mode itself.
    pub policies: Vec<String>,
    /// Policies on trial that would have forbidden it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub monitored: Vec<String>,
    /// What must be done along with it.
    pub obligations: Vec<Obligation>,
    /// Exceptions without which it would have been denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<String>,
    /// Policies that could not be evaluated, and why. A forbid among them
    /// denies.
    pub errors: Vec<String>,
}

impl Decision {
    /// Whether anyone would notice that it is this one and not `other`: the
    /// mode alone is no difference.
    #[must_use]
    pub fn differs_from(&self, other: &Self) -> bool {
        Self { mode: other.mode, ..self.clone() } != *other
    }

    /// Whether it must not be done.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.effect == Effect::Deny && self.enforced
    }
}
