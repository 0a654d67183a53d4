//! What a policy asks for first, as far as it can be told without Cedar.
//!
//! A decision puts only those policies to Cedar whose first conditions hold.
//! Conditions are conjoined in the order of the text and Cedar stops at the
//! first that is false (Cedar language reference, "Operators"), so a policy of
//! which a leading condition is false neither applies nor errs, whatever comes
//! after it. Only conditions that cannot err are read here: comparisons of
//! attributes that every model has, and membership.

use cedar_policy::{EntityUid, Policy};
use serde_json::Value;

use crate::assessment::Assessment;
use crate::entities::{rank, strength};

/// Nesting of conditions that are read; deeper ones are left to Cedar.
const DEPTH: usize = 16;

/// A condition that is true or false of every model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Guard {
    /// `resource.word == "text"`, or the entity of that name.
    Word(Word, String),
    /// `resource.number < 5`
    Number(Number, Comparison, i64),
    /// `resource.list.contains("text")`
    Contains(List, String),
    /// `resource.runsCode`
    RunsCode,
    /// `resource in Family::"qwen3"`
    Within(EntityUid),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Name,
    Format,
    Verdict,
    Signature,
    Origin,
    LicenceClass,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    SizeBytes,
    Severity,
    AdvisorySeverity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Findings,
    Signers,
    Origins,
    Licences,
    BaseModels,
    Advisories,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

/// A model, as guards look at it.
pub(crate) struct Facts<'a> {
    pub model: &'a Assessment,
    pub licence_class: &'static str,
    /// The model and all it is in.
    pub scopes: &'a [EntityUid],
}

/// The conditions at the head of `policy` that can be told without Cedar.
pub(crate) fn leading(policy: &Policy) -> Vec<Guard> {
    let Ok(json) = policy.to_json() else { return Vec::new() };
    let mut guards = Vec::new();
    for condition in json.get("conditions").and_then(Value::as_array).into_iter().flatten() {
        let Some(body) = condition.get("body") else { break };
        let complete = match condition.get("kind").and_then(Value::as_str) {
            Some("when") => conjuncts(body, true, &mut guards),
            Some("unless") => conjuncts(body, false, &mut guards),
            _ => false,
        };
        if !complete {
            break;
        }
    }
    guards
}

/// Takes `body` apart, into what must be true (or, for `unless`, false) in
/// turn; false if something in it is left to Cedar.
fn conjuncts(body: &Value, wanted: bool, guards: &mut Vec<Guard>) -> bool {
    let (mut parts, mut rest) = (Vec::new(), body);
    let operator = if wanted { "&&" } else { "||" };
    while let Some((left, right)) = operands(rest, operator) {
        parts.push(right);
        rest = left;
    }
    parts.push(rest);
    for part in parts.into_iter().rev() {
        match Guard::of(part, DEPTH) {
            Some(guard) if wanted => guards.push(guard),
            Some(guard) => guards.push(Guard::Not(Box::new(guard))),
            None => return false,
        }
    }
    true
}

impl Guard {
    /// `body`, an expression in Cedar's JSON form, if it is one.
    fn of(body: &Value, depth: usize) -> Option<Self> {
        let depth = depth.checked_sub(1)?;
        let (operator, inner) = body.as_object().filter(|o| o.len() == 1)?.iter().next()?;
        let both =
            || Some((Box::new(Self::of(inner.get("left")?, depth)?), Box::new(Self::of(inner.get("right")?, depth)?)));
        match operator.as_str() {
            "&&" => both().map(|(left, right)| Self::And(left, right)),
            "||" => both().map(|(left, right)| Self::Or(left, right)),
            "!" => Some(Self::Not(Box::new(Self::of(inner.get("arg")?, depth)?))),
            "." => (attribute(body)? == "runsCode").then_some(Self::RunsCode),
            "in" => {
                let (left, right) = (inner.get("left")?, inner.get("right")?);
                is_resource(left).then(|| entity(right)).flatten().map(Self::Within)
            }
            "contains" => {
                let list = List::of(attribute(inner.get("left")?)?)?;
                Some(Self::Contains(list, literal(inner.get("right")?)?.as_str()?.to_owned()))
            }
            "==" | "!=" | "<" | "<=" | ">" | ">=" => {
                let compared = Self::comparison(operator, attribute(inner.get("left")?)?, inner.get("right")?)?;
                Some(if operator == "!=" { Self::Not(Box::new(compared)) } else { compared })
            }
            _ => None,
        }
    }

    fn comparison(operator: &str, name: &str, right: &Value) -> Option<Self> {
        if let Some(number) = Number::of(name) {
            let comparison = match operator {
                "<" => Comparison::Less,
                "<=" => Comparison::LessOrEqual,
                ">" => Comparison::Greater,
                ">=" => Comparison::GreaterOrEqual,
                _ => Comparison::Equal,
            };
            return Some(Self::Number(number, comparison, literal(right)?.as_i64()?));
        }
        let word = Word::of(name).filter(|_| matches!(operator, "==" | "!="))?;
        let text = match word.entity_type() {
            None => literal(right)?.as_str()?.to_owned(),
            Some(kind) => {
                let uid = entity(right)?;
                let same = uid.type_name().basename() == kind && uid.type_name().namespace().is_empty();
                same.then(|| uid.id().unescaped().to_owned())?
            }
        };
        Some(Self::Word(word, text))
    }

    /// Whether it holds.
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        let model = facts.model;
        match self {
            Self::Word(word, text) => {
                let actual = match word {
                    Word::Name => model.name.as_str(),
                    Word::Format => model.format.as_str(),
                    Word::Verdict => model.verdict.name(),
                    Word::Signature => model.signature.name(),
                    Word::Origin => strength(model.origin),
                    Word::LicenceClass => facts.licence_class,
                };
                actual == text
            }
            Self::Number(number, comparison, against) => {
                let actual = match number {
                    Number::SizeBytes => i64::try_from(model.size_bytes).unwrap_or(i64::MAX),
                    Number::Severity => rank(model.severity),
                    Number::AdvisorySeverity => rank(model.advisory_severity),
                };
                match comparison {
                    Comparison::Less => actual < *against,
                    Comparison::LessOrEqual => actual <= *against,
                    Comparison::Equal => actual == *against,
                    Comparison::GreaterOrEqual => actual >= *against,
                    Comparison::Greater => actual > *against,
                }
            }
            Self::Contains(list, text) => match list {
                List::Findings => model.findings.contains(text),
                List::Signers => model.signers.contains(text),
                List::Origins => model.origins.contains_key(text),
                List::Licences => model.licences.contains(text),
                List::BaseModels => model.base_models.contains(text),
                List::Advisories => model.advisories.contains(text),
            },
            Self::RunsCode => model.runs_code(),
            Self::Within(uid) => facts.scopes.contains(uid),
            Self::Not(inner) => !inner.holds(facts),
            Self::And(left, right) => left.holds(facts) && right.holds(facts),
            Self::Or(left, right) => left.holds(facts) || right.holds(facts),
        }
    }
}

impl Word {
    fn of(attribute: &str) -> Option<Self> {
        Some(match attribute {
            "name" => Self::Name,
            "format" => Self::Format,
            "verdict" => Self::Verdict,
            "signature" => Self::Signature,
            "origin" => Self::Origin,
            "licenceClass" => Self::LicenceClass,
            _ => return None,
        })
    }

    /// The entity type of its values; none if they are strings.
    fn entity_type(self) -> Option<&'static str> {
        match self {
            Self::Name | Self::Format => None,
            Self::Verdict => Some("Verdict"),
            Self::Signature => Some("Signature"),
            Self::Origin => Some("Strength"),
            Self::LicenceClass => Some("LicenceClass"),
        }
    }
}

impl Number {
    fn of(attribute: &str) -> Option<Self> {
        Some(match attribute {
            "sizeBytes" => Self::SizeBytes,
            "severity" => Self::Severity,
            "advisorySeverity" => Self::AdvisorySeverity,
            _ => return None,
        })
    }
}

impl List {
    fn of(attribute: &str) -> Option<Self> {
        Some(match attribute {
            "findings" => Self::Findings,
            "signers" => Self::Signers,
            "origins" => Self::Origins,
            "licences" => Self::Licences,
            "baseModels" => Self::BaseModels,
            "advisories" => Self::Advisories,
            _ => return None,
        })
    }
}

fn operands<'a>(body: &'a Value, operator: &str) -> Option<(&'a Value, &'a Value)> {
    let inner = body.get(operator)?;
    Some((inner.get("left")?, inner.get("right")?))
}

fn is_resource(body: &Value) -> bool {
    body.get("Var").is_some_and(|var| var == "resource")
}

/// The name in `resource.name`.
fn attribute(body: &Value) -> Option<&str> {
    let inner = body.get(".")?;
    is_resource(inner.get("left")?).then(|| inner.get("attr")?.as_str()).flatten()
}

fn literal(body: &Value) -> Option<&Value> {
    body.get("Value").filter(|v| v.is_string() || v.is_i64())
}

fn entity(body: &Value) -> Option<EntityUid> {
    EntityUid::from_json(body.pointer("/Value/__entity")?.clone()).ok()
}
