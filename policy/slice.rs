//! Policies by what they are about, so that a decision looks only at those
//! that can matter: an allow-list of any length costs one look-up.

use std::collections::{BTreeSet, HashMap};

use cedar_policy::{
    ActionConstraint, Authorizer, Effect, EntityUid, Policy, PolicySet as CedarSet, PolicySetError, ResourceConstraint,
};

use serde_json::Value;

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
    /// Those among them that ask first for one value of one attribute.
    valued: HashMap<(Action, Kind, Fact), Bucket>,
    /// Those about one resource, or about all that is in one entity.
    scoped: HashMap<EntityUid, Bucket>,
}

/// An attribute of a model and its value, as far as slices go by it.
pub(crate) type Fact = (&'static str, String);

/// Attributes that slices go by: needed ones, so that asking never errs.
const SLICED: [&str; 6] = ["verdict", "signature", "format", "licenceClass", "origin", "runsCode"];

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
        let first = first_fact(policy);
        for action in Action::ALL {
            let admits = match (&constraint, words.action(action)) {
                (ActionConstraint::Any, _) => true,
                (ActionConstraint::Eq(uid), Ok(own)) => *uid == own,
                (ActionConstraint::In(uids), Ok(own)) => uids.contains(&own),
                (_, Err(_)) => false,
            };
            for kind in kinds.iter().filter(|_| admits) {
                match &first {
                    Some(fact) => self.valued.entry((action, *kind, fact.clone())).or_default().add(policy)?,
                    None => self.general.entry((action, *kind)).or_default().add(policy)?,
                }
            }
        }
        Ok(())
    }

    /// Asks the policies that can matter.
    pub fn ask(&self, action: Action, question: &Question) -> Answer {
        let mut answer = Answer::default();
        let authorizer = Authorizer::new();
        let scoped = question.scopes.iter().filter_map(|uid| self.scoped.get(uid));
        let valued = question.facts.iter().filter_map(|f| self.valued.get(&(action, question.kind, f.clone())));
        for bucket in self.general.get(&(action, question.kind)).into_iter().chain(valued).chain(scoped) {
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

/// What a policy asks for before anything else, if that is one value of one
/// attribute: where it differs, the policy neither applies nor errs.
fn first_fact(policy: &Policy) -> Option<Fact> {
    let json = policy.to_json().ok()?;
    let condition = json.pointer("/conditions/0").filter(|c| c.get("kind").is_some_and(|kind| kind == "when"))?;
    let mut body = condition.get("body")?;
    while let Some(left) = body.pointer("/&&/left") {
        body = left;
    }
    if let Some(name) = attribute(body) {
        return (name == "runsCode").then(|| (name, true.to_string()));
    }
    let (left, right) = (body.pointer("/==/left")?, body.pointer("/==/right")?);
    let name = attribute(left)?;
    let value = right.get("Value")?;
    let value = match value.pointer("/__entity/id").unwrap_or(value) {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        _ => return None,
    };
    Some((name, value))
}

/// The name in `resource.name`, if slices go by it.
fn attribute(body: &Value) -> Option<&'static str> {
    let resource = body.pointer("/./left/Var").is_some_and(|var| var == "resource");
    let name = body.pointer("/./attr").filter(|_| resource)?.as_str()?;
    SLICED.into_iter().find(|sliced| *sliced == name)
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

fn policy_of(error: &cedar_policy::AuthorizationError) -> String {
    match error {
        cedar_policy::AuthorizationError::PolicyEvaluationError(e) => e.policy_id().to_string(),
    }
}
