//! Decisions on what a scan found.

use std::collections::HashMap;
use std::path::Path;

use jiff::Timestamp;
use weighbridge_policy::{Assessment, Context, PathClass, PolicySet, Principal, Repository, Request, Resource, decide};
use weighbridge_types::{Model, Report};

use crate::commands::policy::RequestOptions;
use crate::exit::Failure;

/// The policies in `dir`.
pub fn load(dir: &Path) -> Result<PolicySet, Failure> {
    Repository::load(dir).into_set().map_err(|problems| Failure::Policy {
        path: dir.display().to_string(),
        problems: problems.into_iter().filter(|p| p.level == weighbridge_policy::Level::Error).collect(),
    })
}

/// Who asks, and under what circumstances, now.
pub fn request(options: &RequestOptions) -> (Principal, Context) {
    let host = host();
    let principal = options.user.clone().map_or_else(|| Principal::Host(host.clone()), Principal::User);
    let context = Context {
        team: options.team.clone(),
        mode: options.mode,
        groups: options.group.clone(),
        host: Some(host),
        ..Context::at(Timestamp::now())
    };
    (principal, context)
}

/// Decides on every artifact of `report` by `set`, and by `shadow` where it
/// differs.
pub fn on(report: &mut Report, set: &PolicySet, shadow: Option<&PolicySet>, options: &RequestOptions) {
    let (principal, context) = request(options);
    let models: HashMap<&str, &Model> =
        report.models.iter().flat_map(|m| m.files.iter().map(move |f| (f.as_str(), m))).collect();
    for artifact in &mut report.artifacts {
        let assessment = Assessment::of(artifact, models.get(artifact.path.as_str()).copied());
        let context = Context { path_class: PathClass::of(&artifact.path), ..context.clone() };
        let request = Request {
            principal: &principal,
            action: options.action,
            resource: Resource::Model(&assessment),
            context: &context,
        };
        let decision = decide(&request, set);
        artifact.shadow = shadow.map(|shadow| decide(&request, shadow)).filter(|other| other.differs_from(&decision));
        artifact.decision = Some(decision);
    }
}

/// The name of this machine.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
