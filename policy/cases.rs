//! Tests of policies: YAML files in `tests/`, each a list of requests with the
//! decisions that must come of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use crate::assessment::Assessment;
use crate::data::Moment;
use crate::decide::decide;
use crate::problem::{Level, Problem, Problems, Source};
use crate::repository::{Repository, parse_yaml, place};
use crate::request::{Action, Context, PathClass, Principal, Request, Resource};
use crate::set::PolicySet;
use weighbridge_types::Mode;
use weighbridge_types::{Decision, Effect};

/// Most cases of one repository.
const CASES_MAX: usize = 100_000;

/// One case, as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Case {
    name: Spanned<String>,
    #[serde(default)]
    model: Option<ModelCase>,
    #[serde(default)]
    provider: Option<String>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    service_account: Option<String>,
    #[serde(default)]
    workload: Option<String>,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    team: Option<String>,
    #[serde(default)]
    mode: Option<Mode>,
    #[serde(default)]
    groups: Vec<String>,
    action: Action,
    #[serde(default)]
    at: Option<Moment>,
    #[serde(default)]
    context: Circumstances,
    expect: Expected,
}

/// A model: facts, and where the others come from.
#[derive(Debug, Deserialize)]
struct ModelCase {
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(flatten)]
    facts: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Circumstances {
    path_class: PathClass,
    opener: Option<String>,
    hub_host: Option<String>,
    bytes: Option<u64>,
    data_class: Option<String>,
    bundle_age_days: Option<u32>,
    gpu_percent: Option<u32>,
    gpu_minutes: Option<u32>,
    executable: Option<String>,
    unit: Option<String>,
    runtime: Option<String>,
}

/// What must come of it; what is not written is not looked at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    effect: Effect,
    #[serde(default)]
    enforced: Option<bool>,
    #[serde(default)]
    policies: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    monitored: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    exceptions: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    obligations: Option<Vec<String>>,
}

/// A case that was run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// File it stands in.
    pub file: String,
    /// Line of its name.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// What is not as expected; nothing if all is.
    pub failures: Vec<String>,
    /// What was decided.
    pub decision: Decision,
}

/// All cases of a repository.
#[derive(Debug, Default)]
pub struct TestRun {
    /// In the order of files and lines.
    pub outcomes: Vec<Outcome>,
    /// Cases that could not be run.
    pub problems: Problems,
    /// Policies that no case was decided by.
    pub untested: Vec<String>,
}

/// Runs the tests of `repository`. Cases without `at` happen at `now`.
#[must_use]
pub fn run_tests(repository: &Repository, now: Timestamp) -> TestRun {
    let (files, problems) = repository.test_files();
    let mut run = TestRun { problems, ..TestRun::default() };
    let Some(set) = repository.set() else { return run };
    let mut fixtures = Fixtures { repository, kept: BTreeMap::new() };
    let mut covered: BTreeSet<String> = BTreeSet::new();
    for source in &files {
        let cases = match parse_yaml::<Vec<Case>>(source) {
            Ok(cases) => cases.unwrap_or_default(),
            Err(problem) => {
                run.problems.push(*problem);
                continue;
            }
        };
        for case in cases {
            if run.outcomes.len() >= CASES_MAX {
                run.problems.push(Problem::of_file(
                    Level::Error,
                    source.name(),
                    format!("more than {CASES_MAX} cases"),
                ));
                return run;
            }
            match judge(&case, set, source, &mut fixtures, now) {
                Ok(outcome) => {
                    covered.extend(outcome.decision.policies.iter().chain(&outcome.decision.monitored).cloned());
                    run.outcomes.push(outcome);
                }
                Err(problems) => run.problems.extend(problems),
            }
        }
    }
    run.untested = set.ids().filter(|id| !covered.contains(*id)).map(str::to_owned).collect();
    run
}

fn judge(
    case: &Case,
    set: &PolicySet,
    source: &Source,
    fixtures: &mut Fixtures<'_>,
    now: Timestamp,
) -> Result<Outcome, Problems> {
    let wrong = |location, message: String| Problem::at(Level::Error, source, place(source, location), message);
    let named = |message: String| vec![wrong(case.name.referenced, format!("`{}`: {message}", case.name.value))];
    let expected = &case.expect;
    let mut unknown = Problems::new();
    for id in expected.policies.iter().chain(&expected.monitored).flatten() {
        if !id.value.starts_with("mode:") && !set.ids().any(|known| known == id.value) {
            unknown.push(wrong(id.referenced, format!("there is no policy `{}`", id.value)));
        }
    }
    for id in expected.exceptions.iter().flatten() {
        if !set.data.exceptions.iter().any(|e| e.id.value == id.value) {
            unknown.push(wrong(id.referenced, format!("there is no exception `{}`", id.value)));
        }
    }
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let principal = principal(case).map_err(named)?;
    let model = case.model.as_ref().map(|m| fixtures.model(m)).transpose().map_err(named)?;
    let host = case.host.clone().unwrap_or_default();
    let resource = match (&model, &case.provider, case.action) {
        (Some(model), None, _) => Resource::Model(model),
        (None, Some(provider), _) => Resource::Provider(provider),
        (None, None, Action::UseGpu) => Resource::Host(&host),
        _ => return Err(named("write one of `model` and `provider`".to_owned())),
    };
    let c = &case.context;
    let context = Context {
        team: case.team.clone(),
        mode: case.mode,
        groups: case.groups.clone(),
        host: case.host.clone(),
        path_class: c.path_class,
        opener: c.opener.clone(),
        hub_host: c.hub_host.clone(),
        bytes: c.bytes,
        data_class: c.data_class.clone(),
        bundle_age_days: c.bundle_age_days,
        gpu_percent: c.gpu_percent,
        gpu_minutes: c.gpu_minutes,
        executable: c.executable.clone(),
        unit: c.unit.clone(),
        runtime: c.runtime.clone(),
        ..Context::at(case.at.map_or(now, |at| at.start))
    };
    let decision = decide(&Request { principal: &principal, action: case.action, resource, context: &context }, set);
    let line = usize::try_from(case.name.referenced.line()).unwrap_or(0);
    let failures = compare(expected, &decision);
    Ok(Outcome { file: source.name().to_owned(), line, name: case.name.value.clone(), failures, decision })
}

fn principal(case: &Case) -> Result<Principal, String> {
    let named = [
        case.user.clone().map(Principal::User),
        case.service_account.clone().map(Principal::ServiceAccount),
        case.workload.clone().map(Principal::Workload),
    ];
    let mut named = named.into_iter().flatten();
    match (named.next(), named.next(), &case.host) {
        (Some(one), None, _) => Ok(one),
        (None, None, Some(host)) => Ok(Principal::Host(host.clone())),
        (None, ..) => Err("write who acts: `user`, `service-account`, `workload` or `host`".to_owned()),
        (Some(_), Some(_), _) => Err("write one of `user`, `service-account` and `workload`".to_owned()),
    }
}

fn compare(expected: &Expected, decision: &Decision) -> Vec<String> {
    let mut failures = Vec::new();
    if expected.effect != decision.effect {
        failures.push(format!("effect is {}, expected {}", decision.effect, expected.effect));
    }
    if let Some(enforced) = expected.enforced.filter(|e| *e != decision.enforced) {
        failures.push(format!("enforced is {}, expected {enforced}", decision.enforced));
    }
    let lists = [
        ("policies", &expected.policies, &decision.policies),
        ("monitored", &expected.monitored, &decision.monitored),
        ("exceptions", &expected.exceptions, &decision.exceptions),
    ];
    for (name, expected, got) in lists {
        if let Some(expected) = expected {
            let expected: BTreeSet<&str> = expected.iter().map(|e| e.value.as_str()).collect();
            let got: BTreeSet<&str> = got.iter().map(String::as_str).collect();
            if expected != got {
                failures.push(format!("{name} are {got:?}, expected {expected:?}"));
            }
        }
    }
    if let Some(expected) = &expected.obligations {
        // Without parentheses, any argument will do.
        let wanted: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
        let got: Vec<(String, &str)> = decision.obligations.iter().map(|o| (o.to_string(), o.kind.name())).collect();
        let met = wanted.iter().all(|w| got.iter().any(|(whole, name)| whole == w || name == w));
        let more = got.iter().any(|(whole, name)| !wanted.contains(whole.as_str()) && !wanted.contains(name));
        if !met || more {
            let got: Vec<&String> = got.iter().map(|(whole, _)| whole).collect();
            failures.push(format!("obligations are {got:?}, expected {wanted:?}"));
        }
    }
    for error in &decision.errors {
        failures.push(format!("a policy could not be evaluated: {error}"));
    }
    failures
}

/// Facts that cases refer to, read once.
struct Fixtures<'a> {
    repository: &'a Repository,
    kept: BTreeMap<String, Value>,
}

impl Fixtures<'_> {
    fn model(&mut self, case: &ModelCase) -> Result<Assessment, String> {
        let base = match (&case.from, &case.path) {
            (None, None) => Assessment::default(),
            (None, Some(_)) => return Err("`path` says which file of a report; say which report in `from`".to_owned()),
            (Some(from), path) => self.read(from, path.as_deref())?,
        };
        let mut facts = match serde_json::to_value(base) {
            Ok(Value::Object(facts)) => facts,
            _ => return Err("the facts cannot be written".to_owned()),
        };
        for (name, value) in &case.facts {
            facts.insert(name.clone(), value.clone());
        }
        serde_json::from_value(Value::Object(facts)).map_err(|e| format!("`model`: {e}"))
    }

    /// The file `path` of the report `from`, or the facts in `from`.
    fn read(&mut self, from: &str, path: Option<&str>) -> Result<Assessment, String> {
        if !self.kept.contains_key(from) {
            let text = self.repository.fixture(from)?;
            let value = serde_json::from_str(&text).map_err(|e| format!("tests/{from}: {e}"))?;
            self.kept.insert(from.to_owned(), value);
        }
        let value = self.kept.get(from).ok_or("no fixture")?;
        if value.get("artifacts").is_none() {
            return serde_json::from_value(value.clone()).map_err(|e| format!("tests/{from}: {e}"));
        }
        let report: weighbridge_types::Report =
            serde_json::from_value(value.clone()).map_err(|e| format!("tests/{from}: {e}"))?;
        let path = path.ok_or_else(|| format!("tests/{from} is a report; say which file in `path`"))?;
        let found = report.artifacts.iter().find(|a| Path::new(&a.path).ends_with(path));
        let artifact = found.ok_or_else(|| format!("there is no file `{path}` in tests/{from}"))?;
        let model = report.models.iter().find(|m| m.files.contains(&artifact.path));
        Ok(Assessment::of(artifact, model))
    }
}
