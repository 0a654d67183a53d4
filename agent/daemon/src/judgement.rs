//! Requests and their decisions: who wants to do what with which model, here
//! and now.

use jiff::Timestamp;
use serde_json::{Value, json};
use weighbridge_policy::{
    Action, Assessment, Context, Decision, Explanation, PathClass, Principal, Recorded, decide, explain,
};
use weighbridge_types::{Artifact, Model};

use crate::policies::Loaded;

/// This machine, as policies know it.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its name.
    pub host: String,
    /// Its team.
    pub team: Option<String>,
}

impl Place {
    /// The request about `artifact`, a part of `model`.
    pub fn request(
        &self,
        policy: &Loaded,
        principal: Principal,
        action: Action,
        artifact: &Artifact,
        model: Option<&Model>,
        now: Timestamp,
    ) -> Recorded {
        let age = policy.fetched_at.map(|at| now.duration_since(at).as_hours().max(0) / 24);
        Recorded {
            principal,
            action,
            model: Assessment::of(artifact, model),
            context: Context {
                team: self.team.clone(),
                host: Some(self.host.clone()),
                path_class: PathClass::of(&artifact.path),
                bundle_age_days: age.and_then(|days| u32::try_from(days).ok()),
                ..Context::at(now)
            },
        }
    }

    /// As the machine itself.
    pub fn as_host(&self) -> Principal {
        Principal::Host(self.host.clone())
    }
}

/// A request, and what came of it.
#[derive(Debug, Clone)]
pub struct Judged {
    pub request: Recorded,
    pub decision: Decision,
}

/// Decides, by the policy in force.
pub fn judge(policy: &Loaded, request: Recorded) -> Judged {
    let decision = decide(&request.request(), &policy.set);
    Judged { request, decision }
}

impl Judged {
    /// For the audit chain: enough to decide it again.
    pub fn record(&self, policy: &Loaded, path: &str) -> Value {
        json!({
            "path": path,
            "policy": policy.revision,
            "request": self.request,
            "decision": self.decision,
        })
    }

    /// With reasons.
    pub fn explained(&self, policy: &Loaded) -> Result<Explanation, String> {
        explain(&self.request.request(), &policy.set)
    }
}
