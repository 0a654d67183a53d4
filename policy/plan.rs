//! What a change of policy would do to what is there: every model of an
//! inventory is decided by the old and by the new policies.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weighbridge_types::{Decision, Effect, Model, Report};

use crate::assessment::Assessment;
use crate::decide::decide;
use crate::request::{Action, Context, Principal, Recorded, Request, Resource};
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
/// itself asking for each of `actions` at `now`, and every request of `records`
/// under the circumstances it was made in.
#[must_use]
pub fn plan(
    old: &PolicySet,
    new: &PolicySet,
    machines: &[Machine],
    records: &[Recorded],
    actions: &[Action],
    now: Timestamp,
) -> Plan {
    let mut replay = Replay { old, new, decisions: 0, changes: BTreeMap::new() };
    let mut hosts: BTreeSet<&str> = BTreeSet::new();
    for machine in machines {
        hosts.insert(&machine.host);
        let principal = Principal::Host(machine.host.clone());
        let context = Context { team: machine.team.clone(), host: Some(machine.host.clone()), ..Context::at(now) };
        let models: HashMap<&str, &Model> =
            machine.report.models.iter().flat_map(|m| m.files.iter().map(move |f| (f.as_str(), m))).collect();
        for artifact in &machine.report.artifacts {
            let assessment = Assessment::of(artifact, models.get(artifact.path.as_str()).copied());
            let resource = Resource::Model(&assessment);
            for action in actions {
                let request = Request { principal: &principal, action: *action, resource, context: &context };
                replay.decide(&request, &assessment, &machine.host);
            }
        }
    }
    for record in records {
        let host = record.context.host.as_deref().unwrap_or_else(|| record.principal.name());
        hosts.insert(host);
        replay.decide(&record.request(), &record.model, host);
    }
    replay.into_plan(hosts.len() as u64)
}

/// Two sets, and what they differ in so far.
struct Replay<'a> {
    old: &'a PolicySet,
    new: &'a PolicySet,
    decisions: u64,
    changes: BTreeMap<String, Change>,
}

impl Replay<'_> {
    fn decide(&mut self, request: &Request<'_>, model: &Assessment, host: &str) {
        self.decisions += 1;
        let (before, after) = (decide(request, self.old), decide(request, self.new));
        if !before.differs_from(&after) {
            return;
        }
        let (sha256, action) = (model.sha256.map(|d| d.to_string()), request.action.name());
        let same = serde_json::to_string(&(&model.name, &sha256, action, &before, &after));
        let change = self.changes.entry(same.unwrap_or_default()).or_insert_with(|| Change {
            model: model.name.clone(),
            sha256,
            action,
            old: before,
            new: after,
            hosts: BTreeSet::new(),
        });
        change.hosts.insert(host.to_owned());
    }

    fn into_plan(self, hosts: u64) -> Plan {
        let mut changes: Vec<Change> = self.changes.into_values().collect();
        let weight = |c: &Change| (c.tightens(), c.old.effect != c.new.effect, c.hosts.len());
        changes.sort_by(|a, b| weight(b).cmp(&weight(a)).then_with(|| a.model.cmp(&b.model)));
        Plan { decisions: self.decisions, hosts, changes }
    }
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
