//! Proof that a model may be served.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use weighbridge_types::{Decision, Mode, Obligation, Sha256};

use crate::Assessment;
use crate::decide::{approval_end, decide};
use crate::request::{Action, Context, PathClass, Principal, Request, Resource};
use crate::set::PolicySet;

/// Most files of one model.
const FILES_MAX: usize = 4096;

/// A model that may be served: these bytes, by these policies, until then.
/// Only [`approve`] makes one, so whoever takes one cannot be given a model
/// that nobody decided on.
///
/// ```compile_fail,E0451
/// let forged = weighbridge_policy::Approved {
///     model: "evil".to_owned(),
///     digests: Default::default(),
///     policies: Vec::new(),
///     obligations: Vec::new(),
///     mode: weighbridge_policy::Mode::Guard,
///     decided: jiff::Timestamp::UNIX_EPOCH,
///     expires: None,
/// };
/// ```
///
/// ```compile_fail,E0277
/// let read: weighbridge_policy::Approved = serde_json::from_str("{}").unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    model: String,
    digests: BTreeSet<Sha256>,
    policies: Vec<String>,
    obligations: Vec<Obligation>,
    mode: Mode,
    decided: Timestamp,
    expires: Option<Timestamp>,
}

impl Approved {
    /// Name of the model.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether a file of this content belongs to it.
    #[must_use]
    pub fn covers(&self, digest: &Sha256) -> bool {
        self.digests.contains(digest)
    }

    /// Content of all its files.
    pub fn digests(&self) -> impl Iterator<Item = &Sha256> {
        self.digests.iter()
    }

    /// `@id` of the policies that determined it.
    #[must_use]
    pub fn policies(&self) -> &[String] {
        &self.policies
    }

    /// What must be done along with serving it.
    #[must_use]
    pub fn obligations(&self) -> &[Obligation] {
        &self.obligations
    }

    /// Mode it was decided in: in [`Mode::Observe`] nothing is refused.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// When it was decided.
    #[must_use]
    pub fn decided(&self) -> Timestamp {
        self.decided
    }

    /// When something it rests on (a policy, an exception, an approval) ends
    /// and it must be decided again.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }
}

/// Why a model may not be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotApproved {
    /// Policy refuses one of its files.
    #[error(
        "`{model}` may not be served: `{file}` is refused by {}; ask whoever owns the policy",
        .decision.policies.iter().map(|p| format!("`{p}`")).collect::<Vec<_>>().join(", ")
    )]
    Refused {
        /// Name of the model.
        model: String,
        /// Name of the file.
        file: String,
        /// The whole answer.
        decision: Box<Decision>,
    },
    /// A file without a digest cannot be told from any other.
    #[error("`{model}` may not be served: not all of `{file}` could be read, so that it has no digest; scan it again")]
    Unread {
        /// Name of the model.
        model: String,
        /// Name of the file.
        file: String,
    },
    /// Nothing to serve, or too much.
    #[error("`{model}` has {count} files; a model to be served has 1 to {FILES_MAX}")]
    Files {
        /// Name of the model.
        model: String,
        /// How many.
        count: usize,
    },
}

/// Decides whether `principal` may serve the model `name`, which consists of
/// `files`, each with its path. Every one of them must be allowed, or its
/// refusal not be enforced.
///
/// # Errors
/// [`NotApproved`] names the first file in the way.
pub fn approve(
    name: &str,
    files: &BTreeMap<String, Assessment>,
    principal: &Principal,
    context: &Context,
    set: &PolicySet,
) -> Result<Approved, NotApproved> {
    let model = || name.to_owned();
    if files.is_empty() || files.len() > FILES_MAX {
        return Err(NotApproved::Files { model: model(), count: files.len() });
    }
    let mut digests = BTreeSet::new();
    let (mut policies, mut obligations) = (BTreeSet::new(), BTreeSet::new());
    let (mut mode, mut expires) = (Mode::Observe, None);
    for (file, assessment) in files {
        let context = &Context { path_class: PathClass::of(file), ..context.clone() };
        let request = Request { principal, action: Action::Serve, resource: Resource::Model(assessment), context };
        let decision = decide(&request, set);
        if decision.refuses() {
            return Err(NotApproved::Refused { model: model(), file: file.clone(), decision: Box::new(decision) });
        }
        let Some(digest) = assessment.sha256 else {
            return Err(NotApproved::Unread { model: model(), file: file.clone() });
        };
        digests.insert(digest);
        mode = mode.max(decision.mode);
        let ends = [end(&decision, set), decision.enforced.then(|| approval_end(&request, set)).flatten()];
        expires = ends.into_iter().flatten().chain(expires).min();
        policies.extend(decision.policies);
        obligations.extend(decision.obligations);
    }
    Ok(Approved {
        model: model(),
        digests,
        policies: policies.into_iter().collect(),
        obligations: obligations.into_iter().collect(),
        mode,
        decided: context.now,
        expires,
    })
}

/// When the first of the policies and exceptions of `decision` ends.
fn end(decision: &Decision, set: &PolicySet) -> Option<Timestamp> {
    let policies = decision.policies.iter().filter_map(|id| set.policies.get(id)?.annotations.expires);
    let exceptions = set.data.exceptions.iter().filter(|e| decision.exceptions.contains(&e.id.value));
    policies.chain(exceptions.map(|e| e.expires.value.end)).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Repository;

    const NOW: &str = "2026-11-21T12:00:00Z";

    fn set(mode: &str, policies: &str, approvals: &str) -> PolicySet {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        at("policies/all.cedar", policies);
        at("fleet/teams.yaml", &format!("default:\n  mode: {mode}\n"));
        at("data/approvals.yaml", approvals);
        Repository::load(folder.path())
            .into_set()
            .unwrap_or_else(|problems| panic!("{:?}", problems.into_iter().map(|p| p.message).collect::<Vec<_>>()))
    }

    fn file(byte: u8) -> Assessment {
        Assessment { sha256: Some(Sha256::new([byte; 32])), ..Assessment::default() }
    }

    fn ask(set: &PolicySet, files: &[(&str, Assessment)]) -> Result<Approved, NotApproved> {
        let files = files.iter().map(|(name, file)| ((*name).to_owned(), file.clone())).collect();
        let context = Context::at(NOW.parse().unwrap());
        approve("chat", &files, &Principal::User("alice".to_owned()), &context, set)
    }

    const NOTES: &str = "@owner(\"a@b\") @rationale(\"r\") @severity(\"high\")";

    fn policies() -> String {
        format!(
            "@id(\"may\") {NOTES} @expires(\"2026-12-01\") permit(principal, action, resource);\n\
             @id(\"no-pickles\") {NOTES} forbid(principal, action, resource is Model) when {{ resource.format == \"pickle\" }};\n"
        )
    }

    #[test]
    fn every_file_must_be_allowed() {
        let set = set("guard", &policies(), "[]");
        let pickle = Assessment { format: "pickle".to_owned(), ..file(2) };
        let approved = ask(&set, &[("a", file(1)), ("b", file(3))]).unwrap();
        assert!(approved.covers(&Sha256::new([1; 32])) && approved.covers(&Sha256::new([3; 32])));
        assert!(!approved.covers(&Sha256::new([2; 32])));
        assert_eq!(approved.policies(), ["may"]);
        assert_eq!(approved.expires(), Some("2026-12-02T00:00:00Z".parse().unwrap()));
        let refused = ask(&set, &[("a", file(1)), ("b.pkl", pickle)]).unwrap_err();
        assert!(refused.to_string().contains("`b.pkl` is refused by `no-pickles`"), "{refused}");
    }

    #[test]
    fn what_is_not_enforced_does_not_refuse() {
        let set = set("observe", &policies(), "[]");
        let pickle = Assessment { format: "pickle".to_owned(), ..file(2) };
        assert_eq!(ask(&set, &[("b.pkl", pickle)]).unwrap().mode(), Mode::Observe);
    }

    #[test]
    fn without_digest_or_files_there_is_nothing_to_cover() {
        let set = set("observe", &policies(), "[]");
        assert!(matches!(ask(&set, &[("a", Assessment::default())]), Err(NotApproved::Unread { .. })));
        assert!(matches!(ask(&set, &[]), Err(NotApproved::Files { count: 0, .. })));
    }

    #[test]
    fn it_ends_with_the_last_approval_in_lockdown() {
        let digest = Sha256::new([1; 32]);
        let approval = |day: &str| {
            format!("- for: {{ models: [\"sha256:{digest}\"] }}\n  approver: a\n  reason: r\n  expires: {day}\n")
        };
        let permit = format!("@id(\"may\") {NOTES} permit(principal, action, resource);\n");
        let approvals = format!("{}{}", approval("2026-11-25"), approval("2026-11-28"));
        let set = set("lockdown", &permit, &approvals);
        assert_eq!(ask(&set, &[("a", file(1))]).unwrap().expires(), Some("2026-11-29T00:00:00Z".parse().unwrap()));
        assert!(matches!(ask(&set, &[("a", file(2))]), Err(NotApproved::Refused { .. })));
    }
}
