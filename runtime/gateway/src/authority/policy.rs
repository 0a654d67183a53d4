//! Decisions by the policies in force.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use weighbridge_policy::{
    Action, Assessment, Context, Decision, PolicySet, Principal, Request, Resource, decide, explain,
};
use weighbridge_types::{Effect, ObligationKind, Sha256, Verdict};

use super::{Authority, Ruling};
use crate::identity::Caller;
use crate::models::ModelInfo;

/// Most decisions kept, and for how long: approvals end at a time of day.
const KEPT_MAX: usize = 4096;
const KEPT_FOR: Duration = Duration::from_secs(1);

/// This machine, as policies know it.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// Its name.
    pub host: Option<String>,
    /// Its team.
    pub team: Option<String>,
}

/// Asks a [`PolicySet`], which can be replaced while requests are served.
pub struct PolicyAuthority {
    place: Place,
    now: fn() -> Timestamp,
    loaded: RwLock<Arc<Loaded>>,
}

struct Loaded {
    set: PolicySet,
    version: String,
    kept: RwLock<HashMap<Question, (Instant, Ruling)>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    principal: Principal,
    about: About,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum About {
    Model { name: String, digest: Option<Sha256>, assessment: Option<Arc<Assessment>> },
    Provider { name: String, data_class: Option<String> },
}

impl PolicyAuthority {
    /// Decides by `set`, called `version` in records.
    #[must_use]
    pub fn new(set: PolicySet, version: String, place: Place) -> Self {
        Self { place, now: Timestamp::now, loaded: RwLock::new(Loaded::new(set, version)) }
    }

    /// From now on, decides by `set`. What was decided before is forgotten.
    pub fn replace(&self, set: PolicySet, version: String) {
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = Loaded::new(set, version);
    }

    fn rule(&self, question: Question) -> Ruling {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, ruling)) = loaded.kept.read().unwrap_or_else(PoisonError::into_inner).get(&question)
            && at.elapsed() < KEPT_FOR
        {
            return ruling.clone();
        }
        let ruling = self.ask(&question, &loaded);
        let mut kept = loaded.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(question, (Instant::now(), ruling.clone()));
        ruling
    }

    fn ask(&self, question: &Question, loaded: &Loaded) -> Ruling {
        let mut context =
            Context { team: self.place.team.clone(), host: self.place.host.clone(), ..Context::at((self.now)()) };
        let unknown;
        let (action, resource) = match &question.about {
            About::Model { assessment: Some(assessment), .. } => (Action::Infer, Resource::Model(assessment)),
            About::Model { name, digest, assessment: None } => {
                unknown = Assessment {
                    name: name.clone(),
                    sha256: *digest,
                    verdict: Verdict::Unknown,
                    ..Assessment::default()
                };
                (Action::Infer, Resource::Model(&unknown))
            }
            About::Provider { name, data_class } => {
                context.data_class.clone_from(data_class);
                (Action::RouteToProvider, Resource::Provider(name))
            }
        };
        let request = Request { principal: &question.principal, action, resource, context: &context };
        let decision = decide(&request, &loaded.set);
        // What nothing speaks of passes elsewhere; data leaves this machine
        // only where a policy says so.
        let silent = matches!(question.about, About::Provider { .. }) && !is_permitted(&decision);
        let allowed = !decision.refuses() && !silent;
        let reason = match (allowed, decision.refuses()) {
            (true, _) => String::new(),
            (false, true) => reason(&request, &loaded.set, &decision),
            (false, false) => "no policy permits it, and data leaves this machine only where one does".to_owned(),
        };
        let ask = (!allowed).then(|| ask(&question.about, &decision));
        Ruling {
            allowed,
            policies: decision.policies,
            version: loaded.version.clone(),
            obligations: decision.obligations,
            reason,
            ask,
        }
    }
}

impl Loaded {
    fn new(set: PolicySet, version: String) -> Arc<Self> {
        Arc::new(Self { set, version, kept: RwLock::default() })
    }
}

/// Whether a policy, by its name, permits it.
fn is_permitted(decision: &Decision) -> bool {
    decision.effect == Effect::Allow && decision.policies.iter().any(|id| !id.starts_with("mode:"))
}

/// In the words of the policies: what they tell the user, or else their
/// rationale.
fn reason(request: &Request<'_>, set: &PolicySet, decision: &Decision) -> String {
    let told = |kind| decision.obligations.iter().find(|o| o.kind == kind).and_then(|o| o.argument.clone());
    if let Some(text) = told(ObligationKind::NotifyUser) {
        return text;
    }
    let rationales: Vec<String> = explain(request, set)
        .map(|e| e.policies.into_iter().filter(|p| decision.policies.contains(&p.id)).map(|p| p.rationale).collect())
        .unwrap_or_default();
    match (rationales.is_empty(), decision.errors.first()) {
        (false, _) => rationales.join(" "),
        (true, Some(error)) => error.clone(),
        (true, None) => "it is not approved, and only what is approved may be used".to_owned(),
    }
}

fn ask(about: &About, decision: &Decision) -> String {
    let approval = decision.obligations.iter().find(|o| o.kind == ObligationKind::RequireApproval);
    let whom = approval.and_then(|o| o.argument.as_deref()).map(|w| format!(" from {w}")).unwrap_or_default();
    match about {
        About::Model { .. } => format!("`weighbridge request MODEL --reason \"…\"` asks for an approval{whom}"),
        About::Provider { .. } => {
            format!("ask the owner of the policy{whom}, or send the class of your data in X-Weighbridge-Data-Class")
        }
    }
}

impl Authority for PolicyAuthority {
    fn infer(&self, caller: &Caller, model: &ModelInfo) -> Ruling {
        let about = About::Model { name: model.id.clone(), digest: model.digest, assessment: model.assessment.clone() };
        self.rule(Question { principal: caller.principal.clone(), about })
    }

    fn route(&self, caller: &Caller, provider: &str, data_class: Option<&str>) -> Ruling {
        let about = About::Provider { name: provider.to_owned(), data_class: data_class.map(str::to_owned) };
        self.rule(Question { principal: caller.principal.clone(), about })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weighbridge_policy::Repository;

    fn set(policies: &str) -> PolicySet {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("policies/x.cedar", policies);
        write("fleet/teams.yaml", "default: { mode: guard }\n");
        write("data/providers.yaml", "- { id: far, region: eu, data_classes: [public], zero_retention: true }\n");
        Repository::load(dir.path()).into_set().unwrap()
    }

    fn policy(id: &str, obligation: &str, body: &str) -> String {
        format!(
            "@id(\"{id}\") @owner(\"o\") @rationale(\"Because of {id}.\") @severity(\"low\") @obligation(\"{obligation}\")\n{body}\n"
        )
    }

    const ALL: &str = "permit (principal, action, resource);";

    fn bob() -> Caller {
        Caller { principal: Principal::User("bob".to_owned()), ..Caller::anonymous() }
    }

    #[test]
    fn a_refusal_says_by_what_why_and_how_to_ask() {
        let forbid = "forbid (principal == User::\"bob\", action == Action::\"infer\", resource);";
        let set = set(&(policy("all", "", ALL) + &policy("no-bob", "require_approval(\\\"security\\\")", forbid)));
        let authority = PolicyAuthority::new(set, "7".to_owned(), Place::default());
        let refused = authority.infer(&bob(), &ModelInfo::default());
        assert!(!refused.allowed);
        let text = refused.refusal("`m`");
        for part in ["no-bob", "Because of no-bob.", "weighbridge request", "security"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(authority.infer(&Caller::anonymous(), &ModelInfo::default()).allowed);
    }

    #[test]
    fn a_model_nobody_looked_at_is_of_unknown_verdict() {
        let forbid = "forbid (principal, action, resource is Model) when { resource.verdict == Verdict::\"unknown\" };";
        let set = set(&(policy("all", "", ALL) + &policy("known-only", "", forbid)));
        let authority = PolicyAuthority::new(set, "1".to_owned(), Place::default());
        assert!(!authority.infer(&bob(), &ModelInfo::default()).allowed);
        let assessment = Some(Arc::new(Assessment::default()));
        assert!(authority.infer(&bob(), &ModelInfo { assessment, ..ModelInfo::default() }).allowed);
    }

    #[test]
    fn a_new_policy_counts_at_once() {
        let authority = PolicyAuthority::new(set(&policy("all", "", ALL)), "1".to_owned(), Place::default());
        assert!(authority.infer(&bob(), &ModelInfo::default()).allowed);
        authority.replace(set(&policy("none", "", "forbid (principal, action, resource);")), "2".to_owned());
        let ruling = authority.infer(&bob(), &ModelInfo::default());
        assert_eq!((ruling.allowed, ruling.version.as_str()), (false, "2"));
    }

    #[test]
    fn data_stays_where_policies_are_silent() {
        let elsewhere = "permit (principal, action == Action::\"infer\", resource);";
        let empty = PolicySet::empty().unwrap();
        for set in [set(&policy("infer-only", "", elsewhere)), empty] {
            let authority = PolicyAuthority::new(set, "1".to_owned(), Place::default());
            let ruling = authority.route(&bob(), "far", Some("public"));
            assert!(!ruling.allowed && ruling.reason.contains("no policy permits it"), "{ruling:?}");
            assert!(ruling.ask.is_some() && authority.infer(&bob(), &ModelInfo::default()).allowed);
        }
    }

    #[test]
    fn data_goes_where_its_class_may() {
        let forbid = "forbid (principal, action == Action::\"routeToProvider\", resource) unless { context has dataClass && resource.dataClasses.contains(context.dataClass) };";
        let set = set(&(policy("all", "", ALL) + &policy("stays", "", forbid)));
        let authority = PolicyAuthority::new(set, "1".to_owned(), Place::default());
        let may = |provider: &str, class| authority.route(&bob(), provider, class).allowed;
        assert_eq!((may("far", Some("public")), may("far", Some("secret")), may("far", None)), (true, false, false));
        assert!(!may("unknown", Some("public")));
    }
}
