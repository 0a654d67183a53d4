//! What a change of policy would do to what is there: every model of an
//! inventory is decided by the old and by the new policies.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weighbridge_types::{Decision, Effect, Model, Report};

use crate::assessment::Assessment;
use crate::decide::decide;
use crate::request::{Action, Context, Principal, Request, Resource};
use crate::set::PolicySet;

/// One machine and what is on it: a line of an inventory.
#[derive(Debug, Clone, Deserialize)]
pub struct Machine {
    /// Its name.
    pub host: String,
    /// Its team, whose mode counts.
    #[serde(default)]
    pub team: Option<String>,
    /// A report of `weighbridge scan --format json`.
    pub report: Report,
}

/// What would change.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Plan {
    /// Requests that were decided twice.
    pub decisions: u64,
    /// Machines in the inventory.
    pub hosts: u64,
    /// Changes, those that deny first, then by how many machines they touch.
    pub changes: Vec<Change>,
}

/// A model and an action for which the answer changes.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// The model's name.
    pub model: String,
    /// Digest of the file, where all of it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What is to be done with it.
    pub action: &'static str,
    /// Decision by the old policies.
    pub old: Decision,
    /// Decision by the new ones.
    pub new: Decision,
    /// Machines it is on.
    pub hosts: BTreeSet<String>,
}

/// Decides everything in `machines` by `old` and by `new`, as the machine
/// itself asking for each of `actions`.
#[must_use]
pub fn plan(old: &PolicySet, new: &PolicySet, machines: &[Machine], actions: &[Action], now: Timestamp) -> Plan {
    let mut out = Plan { hosts: machines.len() as u64, ..Plan::default() };
    let mut changes: BTreeMap<String, Change> = BTreeMap::new();
    for machine in machines {
        let principal = Principal::Host(machine.host.clone());
        let context = Context { team: machine.team.clone(), host: Some(machine.host.clone()), ..Context::at(now) };
        let models: HashMap<&str, &Model> =
            machine.report.models.iter().flat_map(|m| m.files.iter().map(move |f| (f.as_str(), m))).collect();
        for artifact in &machine.report.artifacts {
            let assessment = Assessment::of(artifact, models.get(artifact.path.as_str()).copied());
            for action in actions {
                let request = Request {
                    principal: &principal,
                    action: *action,
                    resource: Resource::Model(&assessment),
                    context: &context,
                };
                out.decisions += 1;
                let (before, after) = (decide(&request, old), decide(&request, new));
                if before == after {
                    continue;
                }
                let sha256 = assessment.sha256.map(|d| d.to_string());
                let same = serde_json::to_string(&(&assessment.name, &sha256, action.name(), &before, &after));
                let change = changes.entry(same.unwrap_or_default()).or_insert_with(|| Change {
                    model: assessment.name.clone(),
                    sha256,
                    action: action.name(),
                    old: before,
                    new: after,
                    hosts: BTreeSet::new(),
                });
                change.hosts.insert(machine.host.clone());
            }
        }
    }
    out.changes = changes.into_values().collect();
    let weight = |c: &Change| (c.new.refuses() && !c.old.refuses(), c.old.effect != c.new.effect, c.hosts.len());
    out.changes.sort_by(|a, b| weight(b).cmp(&weight(a)).then_with(|| a.model.cmp(&b.model)));
    out
}

impl Change {
    /// Whether what was allowed will be refused.
    #[must_use]
    pub fn tightens(&self) -> bool {
        self.new.refuses() && !self.old.refuses()
    }

    /// Whether what was refused will be allowed.
    #[must_use]
    pub fn loosens(&self) -> bool {
        self.old.refuses() && self.new.effect == Effect::Allow
    }
}
