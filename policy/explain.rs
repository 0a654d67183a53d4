//! Why a request is decided as it is: the facts, the policies that apply, and
//! for those that do not, which of their conditions is not met.

use cedar_policy::{Authorizer, Policy, PolicyId, PolicySet as CedarSet};
use serde::Serialize;
use serde_json::{Map, Value, json};
use weighbridge_types::{Decision, Severity};

use crate::decide::{decide, question};
use crate::entities::Question;
use crate::request::Request;
use crate::set::{Entry, PolicySet};

/// Most conditions of one policy that are looked at one by one.
const CONDITIONS_MAX: usize = 64;

/// A decision with its reasons.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// What the policies could see: principal, resource, context.
    pub facts: Value,
    /// Every policy, by identifier.
    pub policies: Vec<Explained>,
}

/// One policy, held against the request.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// Its `@id`.
    pub id: String,
    /// Whether it forbids; otherwise it permits.
    pub forbids: bool,
    /// Its `@owner`.
    pub owner: String,
    /// Its `@rationale`.
    pub rationale: String,
    /// Its `@severity`.
    pub severity: Severity,
    /// File it stands in.
    pub file: String,
    /// Whether it applies.
    pub applies: bool,
    /// Why it is out of question: it has expired, or is about something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_of_scope: Option<String>,
    /// Its conditions, one by one.
    pub conditions: Vec<Condition>,
}

/// One condition of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// In Cedar's words.
    pub text: String,
    /// Whether it holds.
    pub met: bool,
    /// Why it could not be evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Explained {
    /// Whether one condition of several alone keeps it from applying.
    #[must_use]
    pub fn is_near(&self) -> bool {
        let unmet = self.conditions.iter().filter(|c| !c.met).count();
        self.out_of_scope.is_none() && unmet == 1 && self.conditions.len() > 1
    }
}

/// Explains the answer to `request`.
///
/// # Errors
/// If the request cannot be put to the policies, such as an unknown provider.
pub fn explain(request: &Request<'_>, set: &PolicySet) -> Result<Explanation, String> {
    let decision = decide(request, set);
    let question = question(request, set)?;
    let facts = json!({
        "principal": entity(&question, question.request.principal()),
        "resource": entity(&question, question.request.resource()),
        "context": question.request.context().and_then(|c| c.to_json_value().ok()),
    });
    let policies = set.policies.iter().map(|(id, entry)| explained(id, entry, set, request, &question)).collect();
    Ok(Explanation { decision, facts, policies })
}

fn entity(question: &Question, uid: Option<&cedar_policy::EntityUid>) -> Value {
    let found = uid.and_then(|uid| question.entities.get(uid)).and_then(|e| e.to_json_value().ok());
    found.unwrap_or_else(|| uid.map(|u| json!({"uid": u.to_string()})).unwrap_or_default())
}

fn explained(id: &str, entry: &Entry, set: &PolicySet, request: &Request<'_>, question: &Question) -> Explained {
    let notes = &entry.annotations;
    let mut out = Explained {
        id: id.to_owned(),
        forbids: notes.forbids,
        owner: notes.owner.clone(),
        rationale: notes.rationale.clone(),
        severity: notes.severity,
        file: entry.file.clone(),
        applies: false,
        out_of_scope: None,
        conditions: Vec::new(),
    };
    if !set.alive(id, request.context.now) {
        out.out_of_scope = Some("it has expired".to_owned());
        return out;
    }
    let Ok(Value::Object(policy)) = entry.policy.to_json() else { return out };
    for part in ["action", "principal", "resource"] {
        let mut scope = anything();
        scope.insert(part.to_owned(), policy.get(part).cloned().unwrap_or_default());
        if !holds(scope, question).is_ok_and(|met| met) {
            out.out_of_scope = Some(format!("it is about another {part}"));
            return out;
        }
    }
    for (kind, body) in parts(&policy) {
        let mut alone = anything();
        alone.insert("conditions".to_owned(), json!([{"kind": kind, "body": body}]));
        let text = text(&alone, kind);
        let (met, error) = match holds(alone, question) {
            Ok(met) => (met, None),
            Err(error) => (false, Some(error)),
        };
        out.conditions.push(Condition { text, met, error });
    }
    out.applies = out.conditions.iter().all(|c| c.met);
    out
}

/// A policy that is about everything and asks for nothing.
fn anything() -> Map<String, Value> {
    let all = json!({"op": "All"});
    let pairs = [("effect", json!("permit")), ("principal", all.clone()), ("action", all.clone()), ("resource", all)];
    let more = [("conditions", json!([])), ("annotations", json!({}))];
    pairs.into_iter().chain(more).map(|(k, v)| (k.to_owned(), v)).collect()
}

/// What must hold one by one: `when {a && b}` is two, `unless {a || b}` too.
fn parts(policy: &Map<String, Value>) -> Vec<(&'static str, Value)> {
    let mut out = Vec::new();
    for condition in policy.get("conditions").and_then(Value::as_array).into_iter().flatten() {
        let Some(body) = condition.get("body") else { continue };
        let (kind, operator) = match condition.get("kind").and_then(Value::as_str) {
            Some("unless") => ("unless", "||"),
            _ => ("when", "&&"),
        };
        let mut stack = vec![body];
        while let Some(body) = stack.pop() {
            match body.get(operator).map(|pair| (pair.get("left"), pair.get("right"))) {
                Some((Some(left), Some(right))) if out.len() + stack.len() < CONDITIONS_MAX => {
                    stack.extend([right, left]);
                }
                _ => out.push((kind, body.clone())),
            }
        }
    }
    out
}

/// Whether the policy written as `json` applies.
fn holds(json: Map<String, Value>, question: &Question) -> Result<bool, String> {
    let policy = Policy::from_json(Some(PolicyId::new("part")), Value::Object(json)).map_err(|e| e.to_string())?;
    let set = CedarSet::from_policies([policy]).map_err(|e| e.to_string())?;
    let response = Authorizer::new().is_authorized(&question.request, &set, &question.entities);
    match response.diagnostics().errors().next() {
        Some(cedar_policy::AuthorizationError::PolicyEvaluationError(e)) => Err(e.inner().to_string()),
        None => Ok(response.diagnostics().reason().next().is_some()),
    }
}

/// The condition of a policy in Cedar's words.
fn text(policy: &Map<String, Value>, kind: &str) -> String {
    let parsed = Policy::from_json(None, Value::Object(policy.clone())).ok().and_then(|p| p.to_cedar());
    let whole = parsed.unwrap_or_default();
    let inner = whole.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(inner, _)| inner);
    let inner = inner.split_whitespace().collect::<Vec<_>>().join(" ");
    if kind == "unless" { format!("not ({inner})") } else { inner }
}
