//! Policies by what they are about, so that a decision looks only at those
//! that can matter: an allow-list of any length costs one look-up.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{
    ActionConstraint, Authorizer, Effect, EntityUid, Policy, PolicySet as CedarSet, PolicySetError, ResourceConstraint,
};
use serde_json::Value;

use crate::entities::{Kind, Question, Vocabulary};
use crate::guard::{Facts, Guard, leading};
use crate::request::Action;

/// One policy, to be asked alone: a satisfied forbid would hide the permits.
#[derive(Debug)]
struct Guarded {
    id: String,
    effect: Effect,
    guards: Vec<Guard>,
    policy: CedarSet,
}

/// All policies of a set, by what they are about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slices {
    /// Those without a scope on the resource.
    general: HashMap<(Action, Kind), Vec<Arc<Guarded>>>,
    /// Those about one resource, or about all that is in one entity.
    scoped: HashMap<EntityUid, Vec<Arc<Guarded>>>,
}

/// What Cedar says: policies that apply, and those that failed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub forbids: Vec<String>,
    pub permits: Vec<String>,
    /// Identifier and message.
    pub errors: Vec<(String, String)>,
}

impl Slices {
    pub fn of<'a>(
        policies: impl Iterator<Item = &'a Policy>,
        vocabulary: &Vocabulary,
    ) -> Result<Self, Box<PolicySetError>> {
        let mut slices = Self::default();
        for policy in policies {
            let guarded = Arc::new(Guarded::of(policy)?);
            match policy.resource_constraint() {
                ResourceConstraint::Any => slices.general(policy, &guarded, &Kind::ALL, vocabulary),
                ResourceConstraint::Is(name) => {
                    let kind =
                        Kind::ALL.iter().position(|k| name.basename() == k.name() && name.namespace().is_empty());
                    let kinds = kind.and_then(|at| Kind::ALL.get(at..=at)).unwrap_or_default();
                    slices.general(policy, &guarded, kinds, vocabulary);
                }
                ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
                    slices.scoped.entry(uid).or_default().push(guarded);
                }
            }
        }
        Ok(slices)
    }

    fn general(&mut self, policy: &Policy, guarded: &Arc<Guarded>, kinds: &[Kind], words: &Vocabulary) {
        let constraint = policy.action_constraint();
        for action in Action::ALL {
            let admits = match (&constraint, words.action(action)) {
                (ActionConstraint::Any, _) => true,
                (ActionConstraint::Eq(uid), Ok(own)) => *uid == own,
                (ActionConstraint::In(uids), Ok(own)) => uids.contains(&own),
                (_, Err(_)) => false,
            };
            for kind in kinds.iter().filter(|_| admits) {
                self.general.entry((action, *kind)).or_default().push(Arc::clone(guarded));
            }
        }
    }

    /// Asks the policies that can matter. `facts` are those of a model.
    pub fn ask(&self, action: Action, question: &Question, facts: Option<&Facts<'_>>) -> Answer {
        let mut answer = Answer::default();
        let authorizer = Authorizer::new();
        let scoped = question.scopes.iter().filter_map(|uid| self.scoped.get(uid));
        let general = self.general.get(&(action, question.kind));
        let may_apply = |p: &&Arc<Guarded>| facts.is_none_or(|facts| p.guards.iter().all(|g| g.holds(facts)));
        for policy in general.into_iter().chain(scoped).flatten().filter(may_apply) {
            let response = authorizer.is_authorized(&question.request, &policy.policy, &question.entities);
            if response.diagnostics().reason().next().is_some() {
                let hits = if policy.effect == Effect::Forbid { &mut answer.forbids } else { &mut answer.permits };
                hits.push(policy.id.clone());
            }
            answer.errors.extend(response.diagnostics().errors().map(|e| (policy.id.clone(), e.to_string())));
        }
        answer.forbids.sort();
        answer.permits.sort();
        answer.errors.sort();
        answer
    }
}

impl Guarded {
    fn of(policy: &Policy) -> Result<Self, Box<PolicySetError>> {
        Ok(Self {
            id: policy.id().to_string(),
            effect: policy.effect(),
            guards: leading(policy),
            policy: CedarSet::from_policies([policy.clone()]).map_err(Box::new)?,
        })
    }
}

/// All attributes that a policy mentions, of whatever entity.
pub(crate) fn mentioned(policy: &Policy, into: &mut BTreeSet<String>) {
    let mut stack = vec![policy.to_json().unwrap_or_default()];
    while let Some(value) = stack.pop() {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(name)) = map.get("attr") {
                    into.insert(name.clone());
                }
                stack.extend(map.into_iter().map(|(_, inner)| inner));
            }
            Value::Array(items) => stack.extend(items),
            _ => {}
        }
    }
}
