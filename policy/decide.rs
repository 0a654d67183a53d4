//! The decision itself: pure, so that every endpoint, the console and a test
//! come to the same answer.

use std::collections::BTreeSet;

use crate::data::{Data, Who};
use crate::entities::{Question, class};
use crate::guard::Facts;
use crate::request::{Principal, Request, Resource};
use crate::set::PolicySet;
use crate::slice::Answer;
use weighbridge_types::Mode;
use weighbridge_types::{Decision, Effect, Obligation, ObligationKind};

/// Groups of one principal.
const GROUPS_MAX: usize = 4096;

/// Answers `request` by `set`.
///
/// A forbid that hits or cannot be evaluated denies, unless an exception sets
/// it aside; then, in lockdown, whatever is not approved is denied; then a
/// permit allows. What nothing speaks of passes with an alert, except in
/// lockdown. A set without policies allows everything and enforces nothing.
#[must_use]
pub fn decide(request: &Request<'_>, set: &PolicySet) -> Decision {
    let context = request.context;
    let mode = context.mode.unwrap_or_else(|| set.data.fleet.mode(context.team.as_deref()));
    if set.is_empty() {
        return Decision {
            effect: Effect::Allow,
            enforced: false,
            mode: Mode::Observe,
            policies: Vec::new(),
            monitored: Vec::new(),
            obligations: Vec::new(),
            exceptions: Vec::new(),
            errors: vec!["there are no policies; nothing is enforced".to_owned()],
        };
    }
    let groups = groups(request.principal, &context.groups, &set.data);
    let who = who(request, &groups);
    let sets = approval_sets(request, set, &who);
    let answer = match set.words.ask(request, &set.data, mode, &groups, &sets) {
        Ok(question) => {
            let facts = match request.resource {
                Resource::Model(model) => {
                    Some(Facts { model, licence_class: class(model, &set.data), scopes: &question.scopes })
                }
                _ => None,
            };
            set.slices.ask(request.action, &question, facts.as_ref())
        }
        // Cannot happen by what a model says, only by an unknown provider.
        Err(error) => return refused(mode, error),
    };
    conclude(request, set, mode, &who, !sets.is_empty(), answer)
}

/// `request` as it is put to the policies, with every fact.
pub(crate) fn question(request: &Request<'_>, set: &PolicySet) -> Result<Question, String> {
    let context = request.context;
    let mode = context.mode.unwrap_or_else(|| set.data.fleet.mode(context.team.as_deref()));
    let groups = groups(request.principal, &context.groups, &set.data);
    let sets = approval_sets(request, set, &who(request, &groups));
    set.words.unlimited().ask(request, &set.data, mode, &groups, &sets)
}

fn who<'a>(request: &Request<'a>, groups: &'a [String]) -> Who<'a> {
    let context = request.context;
    Who {
        now: context.now,
        action: request.action,
        principal: request.principal,
        groups,
        host: context.host.as_deref(),
        team: context.team.as_deref(),
    }
}

fn conclude(
    request: &Request<'_>,
    set: &PolicySet,
    mode: Mode,
    who: &Who<'_>,
    approved: bool,
    answer: Answer,
) -> Decision {
    let alive = |id: &String| set.alive(id, who.now);
    let note = |id: &str| set.policies.get(id).map(|e| &e.annotations);
    let mut decision = Decision {
        effect: Effect::Allow,
        enforced: mode != Mode::Observe,
        mode,
        policies: Vec::new(),
        monitored: Vec::new(),
        obligations: Vec::new(),
        exceptions: Vec::new(),
        errors: Vec::new(),
    };
    let mut forbids: BTreeSet<String> = answer.forbids.into_iter().filter(alive).collect();
    for (id, message) in answer.errors.into_iter().filter(|(id, _)| alive(id)) {
        decision.errors.push(message);
        // Cedar skips what it cannot evaluate; a forbid must not be skipped.
        if note(&id).is_some_and(|a| a.forbids) {
            forbids.insert(id);
        }
    }
    let (monitored, mut forbids): (BTreeSet<_>, BTreeSet<_>) =
        forbids.into_iter().partition(|id| note(id).is_some_and(|a| a.monitors()));
    if let Resource::Model(model) = request.resource {
        for exception in set.data.exceptions_of(model, who) {
            let policy = &exception.policy.value;
            if note(policy).is_some_and(|a| a.exceptions_allowed) && forbids.remove(policy) {
                decision.exceptions.push(exception.id.value.clone());
            }
        }
    }
    let permits: Vec<String> = answer.permits.into_iter().filter(alive).collect();
    let of_mode = vec![format!("mode:{}", mode.name())];
    let needs_approval = mode == Mode::Lockdown && matches!(request.resource, Resource::Model(_)) && !approved;
    let mut obligations: BTreeSet<Obligation> = BTreeSet::new();
    (decision.effect, decision.policies) = if !forbids.is_empty() {
        (Effect::Deny, forbids.into_iter().collect())
    } else if needs_approval {
        obligations.insert(Obligation { kind: ObligationKind::RequireApproval, argument: None });
        (Effect::Deny, of_mode)
    } else if !permits.is_empty() {
        (Effect::Allow, permits)
    } else {
        obligations.insert(Obligation { kind: ObligationKind::Alert, argument: None });
        (if mode == Mode::Lockdown { Effect::Deny } else { Effect::Allow }, of_mode)
    };
    let bound = |id: &String| note(id).map(|a| a.obligations.clone()).unwrap_or_default();
    obligations.extend(decision.policies.iter().flat_map(bound));
    // A trial speaks and does nothing.
    obligations.extend(monitored.iter().flat_map(bound).filter(|o| o.kind == ObligationKind::Alert));
    obligations.retain(|o| mode != Mode::Observe || o.kind == ObligationKind::Alert);
    decision.obligations = obligations.into_iter().collect();
    decision.monitored = monitored.into_iter().collect();
    decision
}

/// A request that cannot be put to the policies at all.
fn refused(mode: Mode, error: String) -> Decision {
    Decision {
        effect: Effect::Deny,
        enforced: mode != Mode::Observe,
        mode,
        policies: Vec::new(),
        monitored: Vec::new(),
        obligations: vec![Obligation { kind: ObligationKind::Alert, argument: None }],
        exceptions: Vec::new(),
        errors: vec![error],
    }
}

/// Approval sets the model is in for this request; `approved` is among them if
/// there is any.
fn approval_sets<'a>(request: &Request<'a>, set: &'a PolicySet, who: &Who<'_>) -> Vec<&'a str> {
    let Resource::Model(model) = request.resource else { return Vec::new() };
    let mut sets: Vec<&str> = Vec::new();
    for approval in set.data.approvals_of(model, who) {
        sets.push("approved");
        sets.extend(approval.set.as_deref());
    }
    sets.sort_unstable();
    sets.dedup();
    sets
}

/// When the last approval that `request` may rest on ends; `None` if there is
/// none or one has no end.
pub(crate) fn approval_end(request: &Request<'_>, set: &PolicySet) -> Option<jiff::Timestamp> {
    let Resource::Model(model) = request.resource else { return None };
    let groups = groups(request.principal, &request.context.groups, &set.data);
    let who = who(request, &groups);
    let ends: Option<Vec<_>> =
        set.data.approvals_of(model, &who).map(|a| a.expires.as_ref().map(|e| e.value.end)).collect();
    ends?.into_iter().max()
}

/// All groups of a principal, those of groups included.
fn groups(principal: &Principal, more: &[String], data: &Data) -> Vec<String> {
    let mut all: Vec<String> = data.groups_of(principal).iter().chain(more).cloned().collect();
    let mut seen: BTreeSet<String> = all.iter().cloned().collect();
    let mut at = 0;
    while let Some(name) = all.get(at) {
        for parent in data.groups.get(name).map(|g| g.groups.as_slice()).unwrap_or_default() {
            if all.len() < GROUPS_MAX && seen.insert(parent.clone()) {
                all.push(parent.clone());
            }
        }
        at += 1;
    }
    all
}
