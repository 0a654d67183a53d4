//! Policies by what they are about, so that a decision looks only at those
//! that can matter: an allow-list of any length costs one look-up.

use std::collections::HashMap;

use cedar_policy::{
    ActionConstraint, Authorizer, Effect, EntityUid, Policy, PolicySet as CedarSet, PolicySetError, ResourceConstraint,
};

use crate::entities::{Kind, Question, Vocabulary};
use crate::request::Action;

/// Forbids and permits apart: a satisfied forbid would hide the permits.
#[derive(Debug, Clone, Default)]
struct Bucket {
    forbids: CedarSet,
    permits: CedarSet,
}

/// All policies of a set, in buckets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slices {
    /// Those without a scope on the resource.
    general: HashMap<(Action, Kind), Bucket>,
    /// Those about one resource, or about all that is in one entity.
    scoped: HashMap<EntityUid, Bucket>,
}

/// What Cedar says: policies that apply, and those that failed.
#[derive(Debug, Default)]
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
            match policy.resource_constraint() {
                ResourceConstraint::Any => slices.general(policy, &Kind::ALL, vocabulary)?,
                ResourceConstraint::Is(name) => {
                    let kind =
                        Kind::ALL.iter().position(|k| name.basename() == k.name() && name.namespace().is_empty());
                    let kinds = kind.and_then(|at| Kind::ALL.get(at..=at)).unwrap_or_default();
                    slices.general(policy, kinds, vocabulary)?;
                }
                ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
                    slices.scoped.entry(uid).or_default().add(policy)?;
                }
            }
        }
        Ok(slices)
    }

    fn general(&mut self, policy: &Policy, kinds: &[Kind], words: &Vocabulary) -> Result<(), Box<PolicySetError>> {
        let constraint = policy.action_constraint();
        for action in Action::ALL {
            let admits = match (&constraint, words.action(action)) {
                (ActionConstraint::Any, _) => true,
                (ActionConstraint::Eq(uid), Ok(own)) => *uid == own,
                (ActionConstraint::In(uids), Ok(own)) => uids.contains(&own),
                (_, Err(_)) => false,
            };
            for kind in kinds.iter().filter(|_| admits) {
                self.general.entry((action, *kind)).or_default().add(policy)?;
            }
        }
        Ok(())
    }

    /// Asks the policies that can matter.
    pub fn ask(&self, action: Action, question: &Question) -> Answer {
        let mut answer = Answer::default();
        let authorizer = Authorizer::new();
        let scoped = question.scopes.iter().filter_map(|uid| self.scoped.get(uid));
        for bucket in self.general.get(&(action, question.kind)).into_iter().chain(scoped) {
            for (set, hits) in [(&bucket.forbids, &mut answer.forbids), (&bucket.permits, &mut answer.permits)] {
                if set.is_empty() {
                    continue;
                }
                let response = authorizer.is_authorized(&question.request, set, &question.entities);
                hits.extend(response.diagnostics().reason().map(ToString::to_string));
                let errors = response.diagnostics().errors();
                answer.errors.extend(errors.map(|e| (policy_of(e), e.to_string())));
            }
        }
        answer.forbids.sort();
        answer.permits.sort();
        answer.errors.sort();
        answer
    }
}

impl Bucket {
    fn add(&mut self, policy: &Policy) -> Result<(), Box<PolicySetError>> {
        let set = if policy.effect() == Effect::Forbid { &mut self.forbids } else { &mut self.permits };
        set.add(policy.clone()).map_err(Box::new)
    }
}

fn policy_of(error: &cedar_policy::AuthorizationError) -> String {
    match error {
        cedar_policy::AuthorizationError::PolicyEvaluationError(e) => e.policy_id().to_string(),
    }
}
