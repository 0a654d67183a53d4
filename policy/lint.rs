//! What is allowed by the language and still wrong: policies that can never
//! matter, data that names nothing, exceptions that live too long.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{ActionConstraint, Effect, EntityUid, PrincipalConstraint, ResourceConstraint};
use miette::SourceSpan;
use serde_saphyr::{Location, Spanned};

use crate::data::{Data, EXCEPTION_DAYS_MAX, Moment, Scope, check_model, check_principal};
use crate::problem::{Level, Problem, Problems, Source};
use crate::repository::{head, place, span};
use crate::set::Entry;

/// Problems of one kind that are told; a file with a thousand wrong lines is
/// wrong enough after these.
const SAME_MAX: usize = 20;

/// Policies about everything whose shadow is looked at.
const BROAD_MAX: usize = 100;

type Sources = BTreeMap<String, Source>;

pub(crate) fn lint(policies: &BTreeMap<String, Entry>, data: &Data, sources: &Sources) -> Problems {
    let mut out = shadowed(policies, sources);
    out.extend(entities(policies, data, sources));
    out.extend(exceptions(policies, data, sources));
    for approval in &data.approvals {
        scope(&approval.scope, "approvals", sources, &mut out);
    }
    for publisher in &data.publishers {
        for origin in &publisher.origins {
            if let Err(e) = check_model(origin) {
                let message = format!("publisher `{}`: {e}", publisher.id);
                out.push(Problem::of_file(Level::Error, "data/publishers.yaml", message));
            }
        }
    }
    out
}

/// What stands at a given time: policies, approvals and exceptions that have
/// expired.
pub(crate) fn expired(
    policies: &BTreeMap<String, Entry>,
    data: &Data,
    sources: &Sources,
    now: jiff::Timestamp,
) -> Problems {
    let mut out = Problems::new();
    for (id, entry) in policies {
        if entry.annotations.expires.is_some_and(|end| end <= now) {
            let message = format!("`{id}` has expired and no longer counts");
            out.extend(of_policy(Level::Warning, entry, sources, message));
        }
    }
    let mut old = |end: &Spanned<Moment>, what: String, name: &str| {
        if end.value.end <= now {
            out.push(of_data(Level::Warning, name, end.referenced, sources, what));
        }
    };
    for approval in &data.approvals {
        if let Some(end) = &approval.expires {
            old(end, format!("the approval by {} has expired", approval.approver), "approvals");
        }
    }
    for exception in &data.exceptions {
        old(&exception.expires, format!("the exception `{}` has expired", exception.id.value), "exceptions");
    }
    out
}

fn of_policy(level: Level, entry: &Entry, sources: &Sources, message: String) -> Option<Problem> {
    let source = sources.get(&entry.file)?;
    Some(Problem::at(level, source, span(&entry.policy).map(|s| head(source, s)), message))
}

/// A problem in `data/NAME.yaml`, or in the file of `data/NAME/` that has the
/// place.
fn of_data(level: Level, name: &str, location: Location, sources: &Sources, message: String) -> Problem {
    let file = format!("data/{name}.yaml");
    let folder = format!("data/{name}/");
    let mut several = sources.range(folder.clone()..).take_while(|(f, _)| f.starts_with(&folder)).peekable();
    // Places do not tell their file: with several, only the folder is named.
    if several.peek().is_some() {
        return Problem::of_file(level, &format!("data/{name}"), message);
    }
    match sources.get(&file) {
        Some(source) => {
            let span: Option<SourceSpan> = place(source, location);
            Problem::at(level, source, span, message)
        }
        None => Problem::of_file(level, &file, message),
    }
}

fn scope(scope: &Scope, name: &str, sources: &Sources, out: &mut Problems) {
    if scope.models.is_empty() {
        let message = "an entry names no model (`for: {models: [sha256:…]}`), so it is about none";
        out.push(Problem::of_file(Level::Error, &format!("data/{name}.yaml"), message));
    }
    let models = scope.models.iter().filter_map(|m| Some((m.referenced, check_model(&m.value).err()?)));
    let principals = scope.principals.iter().filter_map(|p| Some((p.referenced, check_principal(&p.value).err()?)));
    for (location, message) in models.chain(principals).take(SAME_MAX) {
        out.push(of_data(Level::Error, name, location, sources, message));
    }
}

fn exceptions(policies: &BTreeMap<String, Entry>, data: &Data, sources: &Sources) -> Problems {
    let mut out = Problems::new();
    let mut seen = BTreeSet::new();
    for exception in &data.exceptions {
        scope(&exception.scope, "exceptions", sources, &mut out);
        let id = &exception.id.value;
        let mut wrong = |location: Location, message: String| {
            out.push(of_data(Level::Error, "exceptions", location, sources, message));
        };
        if !seen.insert(id) {
            wrong(exception.id.referenced, format!("the exception `{id}` is there twice"));
        }
        if !exception.within_limit() {
            let message =
                format!("the exception `{id}` lives longer than {EXCEPTION_DAYS_MAX} days after it was granted");
            wrong(exception.expires.referenced, message);
        }
        let policy = &exception.policy;
        match policies.get(&policy.value) {
            None => wrong(policy.referenced, format!("there is no policy `{}`", policy.value)),
            Some(entry) if !entry.annotations.forbids => {
                wrong(policy.referenced, format!("`{}` is a permit; exceptions set a forbid aside", policy.value));
            }
            Some(entry) if !entry.annotations.exceptions_allowed => {
                wrong(policy.referenced, format!("`{}` allows no exceptions", policy.value));
            }
            Some(_) => {}
        }
    }
    out
}

/// Entities that policies name and no data file knows.
fn entities(policies: &BTreeMap<String, Entry>, data: &Data, sources: &Sources) -> Problems {
    let groups = data.groups.keys().chain(data.groups.values().flat_map(|g| &g.groups));
    let publishers = data.publishers.iter().flat_map(|p| std::iter::once(&p.id).chain(&p.groups));
    let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    known.entry("Group").or_default().extend(groups.map(String::as_str));
    known.entry("Publisher").or_default().extend(publishers.map(String::as_str).chain(["known"]));
    let sets = data.approvals.iter().filter_map(|a| a.set.as_deref());
    known.entry("ApprovalSet").or_default().extend(sets.chain(["approved"]));
    known.entry("Team").or_default().extend(data.fleet.teams.keys().map(String::as_str));
    known.entry("Provider").or_default().extend(data.providers.keys().map(String::as_str));
    let mut out = Problems::new();
    for (id, entry) in policies {
        for uid in entry.policy.entity_literals() {
            let (kind, name) = (uid.type_name().basename().to_owned(), uid.id().unescaped().to_owned());
            if known.get(kind.as_str()).is_some_and(|names| !names.contains(name.as_str())) && out.len() < SAME_MAX {
                let message = format!("`{id}` names {kind}::{name:?}, which no data file knows");
                out.extend(of_policy(Level::Warning, entry, sources, message));
            }
        }
    }
    out
}

/// Policies that another one makes pointless.
fn shadowed(policies: &BTreeMap<String, Entry>, sources: &Sources) -> Problems {
    let mut out = Problems::new();
    let flat: Vec<(&str, &Entry, String)> = policies
        .iter()
        .filter_map(|(id, entry)| {
            let mut json = entry.policy.to_json().ok()?;
            json.as_object_mut()?.remove("annotations");
            Some((id.as_str(), entry, json.to_string()))
        })
        .collect();
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    for (id, entry, text) in &flat {
        if let Some(other) = first.get(text.as_str()) {
            let message = format!("`{id}` says the same as `{other}`");
            out.extend(of_policy(Level::Warning, entry, sources, message));
        } else {
            first.insert(text, id);
        }
    }
    let blanket = |e: &&Entry| {
        !e.policy.has_non_scope_constraint() && e.annotations.expires.is_none() && !e.annotations.monitors()
    };
    // Policies about one entity cover only others about the same.
    let mut about: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, (_, entry, _)) in flat.iter().enumerate() {
        about.entry(key(&entry.policy.resource_constraint())).or_default().push(at);
    }
    let everything: Vec<usize> = (0..flat.len()).collect();
    let mut broad = 0;
    for by in policies.values().filter(blanket) {
        let others = match by.policy.resource_constraint() {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => {
                broad += 1;
                &everything
            }
            scoped => about.get(&key(&scoped)).unwrap_or(&everything),
        };
        if broad > BROAD_MAX {
            break;
        }
        for (id, entry, _) in others.iter().filter_map(|at| flat.get(*at)) {
            let other = &by.annotations.id;
            // A forbid hides permits and forbids, a permit only permits.
            let hides = by.policy.effect() == Effect::Forbid || entry.policy.effect() == Effect::Permit;
            let silent = entry.annotations.obligations.is_empty();
            if id == other || !hides || !silent || !covers(&by.policy, &entry.policy) {
                continue;
            }
            let same = covers(&entry.policy, &by.policy) && !entry.policy.has_non_scope_constraint();
            if same && *id < other.as_str() || out.len() >= SAME_MAX {
                continue;
            }
            let message = format!("`{id}` never matters: `{other}` covers all it speaks of, without a condition");
            out.extend(of_policy(Level::Warning, entry, sources, message));
        }
    }
    out
}

fn key(constraint: &ResourceConstraint) -> String {
    format!("{constraint:?}")
}

/// Whether the scope of `a` holds all of the scope of `b`.
fn covers(a: &cedar_policy::Policy, b: &cedar_policy::Policy) -> bool {
    use ResourceConstraint as R;
    let principal = match (a.principal_constraint(), b.principal_constraint()) {
        (PrincipalConstraint::Any, _) => true,
        (a, b) => a == b,
    };
    let list = |constraint: ActionConstraint| -> Option<Vec<EntityUid>> {
        match constraint {
            ActionConstraint::Any => None,
            ActionConstraint::Eq(uid) => Some(vec![uid]),
            ActionConstraint::In(uids) => Some(uids),
        }
    };
    let action = match (list(a.action_constraint()), list(b.action_constraint())) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(a), Some(b)) => b.iter().all(|uid| a.contains(uid)),
    };
    let resource = match (a.resource_constraint(), b.resource_constraint()) {
        (R::Any, _) => true,
        (R::Is(a), R::Is(b) | R::IsIn(b, _)) => a == b,
        (a, b) => a == b,
    };
    principal && action && resource
}
