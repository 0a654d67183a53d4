//! Data beside the policies: who approved what, which exceptions stand, who
//! publishes models, which providers there are. Data, so that approving never
//! edits code, and so that a decision costs a look-up, however long the list.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde::Deserialize;
use serde_saphyr::Spanned;
use weighbridge_types::{Sha256, Strength};

use crate::assessment::Assessment;
use crate::licence::LicenceClass;
use crate::request::{Action, Principal};
use weighbridge_types::Mode;

/// Longest life of an exception.
pub(crate) const EXCEPTION_DAYS_MAX: i64 = 90;

/// A date or time in a file. A date means its whole day (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Its beginning.
    pub start: Timestamp,
    /// Its end; the same for a time.
    pub end: Timestamp,
}

impl Moment {
    /// `2026-12-31` or `2026-12-31T12:00:00Z`.
    ///
    /// # Errors
    /// In words, what it should look like.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self { start: at, end: at });
        }
        let wrong = || format!("`{text}` is no date like 2026-12-31 and no time like 2026-12-31T12:00:00Z");
        let day: Date = text.parse().map_err(|_| wrong())?;
        let start = day.to_zoned(TimeZone::UTC).map_err(|_| wrong())?.timestamp();
        let end = start.checked_add(SignedDuration::from_hours(24)).map_err(|_| wrong())?;
        Ok(Self { start, end })
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Which models, actions and principals an entry is about.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scope {
    /// `sha256:…`, `pkg:huggingface/Org/Name` or `pkg:huggingface/Org/*`.
    pub models: Vec<Spanned<String>>,
    /// All, if none is named.
    pub actions: Vec<Action>,
    /// `user:alice`, `group:research`, `host:…`, `team:…`, `workload:…`,
    /// `service-account:…`; everyone, if none is named.
    pub principals: Vec<Spanned<String>>,
    /// How well the origin of a `pkg:` model must be known.
    pub strength: Option<Strength>,
}

/// `data/approvals.yaml`: somebody looked at a model and takes responsibility.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// What for.
    #[serde(rename = "for")]
    pub scope: Scope,
    /// The set it belongs to, for `resource in ApprovalSet::"…"`.
    #[serde(default)]
    pub set: Option<String>,
    /// Who approved.
    pub approver: String,
    /// Why.
    pub reason: String,
    /// Until when; for good, if absent.
    #[serde(default)]
    pub expires: Option<Spanned<Moment>>,
}

/// `data/exceptions.yaml`: a forbid is set aside for a while.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Name in decisions.
    pub id: Spanned<String>,
    /// `@id` of the policy that is set aside.
    pub policy: Spanned<String>,
    /// What for.
    #[serde(rename = "for")]
    pub scope: Scope,
    /// Who granted it.
    pub approver: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub granted: Moment,
    /// Until when: 90 days after `granted` at most.
    pub expires: Spanned<Moment>,
}

/// `data/publishers.yaml`: who publishes models, and how one knows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publisher {
    /// Name in policies.
    pub id: String,
    /// Package URLs of what it publishes: `pkg:huggingface/Org/*`.
    #[serde(default)]
    pub origins: Vec<String>,
    /// Signers, as the trust file names them.
    #[serde(default)]
    pub signers: Vec<String>,
    /// How well an origin must be known.
    #[serde(default = "content")]
    pub strength: Strength,
    /// Publishers it belongs to, for policies over several.
    #[serde(default)]
    pub groups: Vec<String>,
}

fn content() -> Strength {
    Strength::Content
}

/// `data/providers.yaml`: public inference providers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Name in policies.
    pub id: String,
    /// Where it computes.
    pub region: String,
    /// Classes of data it may see.
    #[serde(default)]
    pub data_classes: Vec<String>,
    /// Whether it keeps nothing.
    #[serde(default)]
    pub zero_retention: bool,
}

/// `data/groups.yaml`: members of a group.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Group {
    /// `alice`, or `service-account:ci`.
    pub members: Vec<String>,
    /// Groups it belongs to.
    pub groups: Vec<String>,
}

/// `fleet/teams.yaml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fleet {
    /// For endpoints without a team.
    pub default: TeamConfig,
    /// By name.
    pub teams: BTreeMap<String, TeamConfig>,
}

/// One team.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TeamConfig {
    /// What its endpoints do with decisions.
    pub mode: Mode,
}

impl Fleet {
    /// The mode of `team`; the default's for a team that is not listed.
    #[must_use]
    pub fn mode(&self, team: Option<&str>) -> Mode {
        team.and_then(|t| self.teams.get(t)).unwrap_or(&self.default).mode
    }
}

/// All of it, indexed by model.
#[derive(Debug, Clone, Default)]
pub struct Data {
    /// Approvals.
    pub approvals: Vec<Approval>,
    /// Exceptions.
    pub exceptions: Vec<Exception>,
    /// Publishers.
    pub publishers: Vec<Publisher>,
    /// Providers by identifier.
    pub providers: BTreeMap<String, Provider>,
    /// Groups by name.
    pub groups: BTreeMap<String, Group>,
    /// Classes of licences that differ from ours.
    pub licences: BTreeMap<String, LicenceClass>,
    /// Teams.
    pub fleet: Fleet,
    approved: Index,
    excepted: Index,
    published: Index,
    signed: HashMap<String, Vec<usize>>,
    members: HashMap<String, Vec<String>>,
}

impl Data {
    /// Makes the indices; to be called when all is filled in.
    pub(crate) fn index(&mut self) {
        self.approved = Index::of(self.approvals.iter().map(|a| &a.scope));
        self.excepted = Index::of(self.exceptions.iter().map(|e| &e.scope));
        self.published = Index::default();
        self.signed.clear();
        for (at, publisher) in self.publishers.iter().enumerate() {
            for origin in &publisher.origins {
                self.published.add(origin, at);
            }
            for signer in &publisher.signers {
                self.signed.entry(signer.clone()).or_default().push(at);
            }
        }
        self.members.clear();
        for (name, group) in &self.groups {
            for member in &group.members {
                self.members.entry(member.clone()).or_default().push(name.clone());
            }
        }
    }

    /// Groups that `principal` is a direct member of.
    pub(crate) fn groups_of(&self, principal: &Principal) -> &[String] {
        let listed = match principal {
            Principal::User(name) => self.members.get(name),
            Principal::ServiceAccount(name) => self.members.get(&format!("service-account:{name}")),
            Principal::Workload(name) => self.members.get(&format!("workload:{name}")),
            Principal::Host(_) => None,
        };
        listed.map(Vec::as_slice).unwrap_or_default()
    }

    /// Approvals that hold for this model and request.
    pub(crate) fn approvals_of<'a>(&'a self, model: &Assessment, who: &Who<'_>) -> impl Iterator<Item = &'a Approval> {
        self.approved.find(model).filter_map(|(at, strength)| {
            let approval = self.approvals.get(at)?;
            let alive = approval.expires.as_ref().is_none_or(|e| who.now < e.value.end);
            // Anyone can name a folder: without proof a name approves nothing.
            let known = strength.is_none_or(|s| s >= approval.scope.strength.unwrap_or(Strength::Proof));
            (alive && known && approval.scope.admits(who)).then_some(approval)
        })
    }

    /// Exceptions that hold for this model and request.
    pub(crate) fn exceptions_of<'a>(
        &'a self,
        model: &Assessment,
        who: &Who<'_>,
    ) -> impl Iterator<Item = &'a Exception> {
        self.excepted.find(model).filter_map(|(at, strength)| {
            let exception = self.exceptions.get(at)?;
            let alive = exception.granted.start <= who.now && who.now < exception.expires.value.end;
            let known = strength.is_none_or(|s| s >= exception.scope.strength.unwrap_or(Strength::Proof));
            (alive && known && exception.within_limit() && exception.scope.admits(who)).then_some(exception)
        })
    }

    /// Publishers of a model.
    pub(crate) fn publishers_of<'a>(&'a self, model: &Assessment) -> impl Iterator<Item = &'a Publisher> {
        let by_origin = self
            .published
            .find(model)
            .filter_map(|(at, strength)| self.publishers.get(at).filter(|p| strength.is_none_or(|s| s >= p.strength)));
        let signers = model.signers.iter().filter_map(|s| self.signed.get(s)).flatten();
        by_origin.chain(signers.filter_map(|at| self.publishers.get(*at)))
    }
}

impl Exception {
    /// Whether it lives no longer than any may.
    pub(crate) fn within_limit(&self) -> bool {
        let days = self.expires.value.end.duration_since(self.granted.start).as_hours() / 24;
        // A day more, since both days count.
        days <= EXCEPTION_DAYS_MAX + 1
    }
}

/// Who asks, for the scopes of approvals and exceptions.
pub(crate) struct Who<'a> {
    pub now: Timestamp,
    pub action: Action,
    pub principal: &'a Principal,
    /// All groups, inherited ones included.
    pub groups: &'a [String],
    pub host: Option<&'a str>,
    pub team: Option<&'a str>,
}

impl Scope {
    fn admits(&self, who: &Who<'_>) -> bool {
        (self.actions.is_empty() || self.actions.contains(&who.action))
            && (self.principals.is_empty() || self.principals.iter().any(|p| is(&p.value, who)))
    }
}

/// Whether `pattern` names who asks.
fn is(pattern: &str, who: &Who<'_>) -> bool {
    let Some((kind, name)) = pattern.split_once(':') else { return false };
    match kind {
        "user" => matches!(who.principal, Principal::User(n) if n == name),
        "service-account" => matches!(who.principal, Principal::ServiceAccount(n) if n == name),
        "workload" => matches!(who.principal, Principal::Workload(n) if n == name),
        "host" => matches!(who.principal, Principal::Host(n) if n == name) || who.host == Some(name),
        "group" => who.groups.iter().any(|g| g == name),
        "team" => who.team == Some(name),
        _ => false,
    }
}

/// What is wrong with a pattern for principals.
pub(crate) fn check_principal(pattern: &str) -> Result<(), String> {
    const KINDS: [&str; 6] = ["user", "service-account", "workload", "host", "group", "team"];
    match pattern.split_once(':') {
        Some((kind, name)) if KINDS.contains(&kind) && !name.is_empty() => Ok(()),
        _ => Err(format!("`{pattern}` is no principal; write one of {}: and its name", KINDS.join(":, "))),
    }
}

/// What is wrong with a pattern for models.
pub(crate) fn check_model(pattern: &str) -> Result<(), String> {
    if let Some(digest) = pattern.strip_prefix("sha256:") {
        return digest.parse::<Sha256>().map(|_| ()).map_err(|e| format!("`{pattern}`: {e}"));
    }
    let path = pattern.strip_prefix("pkg:").filter(|p| !p.contains(['@', '?', '#']));
    let segments: Vec<&str> = path.unwrap_or_default().split('/').collect();
    let wild = segments.iter().rev().skip(1).any(|s| s.contains('*'))
        || segments.last().is_some_and(|s| s.len() > 1 && s.contains('*'));
    if segments.len() < 2 || segments.iter().any(|s| s.is_empty()) || wild {
        return Err(format!(
            "`{pattern}` is no model; write `sha256:…`, `pkg:huggingface/Org/Name` or `pkg:huggingface/Org/*`, without a version"
        ));
    }
    Ok(())
}

/// Entries of a list by the models they are about.
#[derive(Debug, Clone, Default)]
struct Index {
    by_digest: HashMap<Sha256, Vec<usize>>,
    by_name: HashMap<String, Vec<usize>>,
    /// By what stands before `/*`.
    by_owner: HashMap<String, Vec<usize>>,
}

impl Index {
    fn of<'a>(scopes: impl Iterator<Item = &'a Scope>) -> Self {
        let mut index = Self::default();
        for (at, scope) in scopes.enumerate() {
            for model in &scope.models {
                index.add(&model.value, at);
            }
        }
        index
    }

    fn add(&mut self, pattern: &str, at: usize) {
        let list = if let Some(digest) = pattern.strip_prefix("sha256:").and_then(|d| d.parse().ok()) {
            self.by_digest.entry(digest).or_default()
        } else if let Some(owner) = pattern.strip_suffix("/*") {
            self.by_owner.entry(owner.to_owned()).or_default()
        } else {
            self.by_name.entry(pattern.to_owned()).or_default()
        };
        if list.last() != Some(&at) {
            list.push(at);
        }
    }

    /// Entries about `model`; those by name with how well the name is known.
    fn find(&self, model: &Assessment) -> impl Iterator<Item = (usize, Option<Strength>)> {
        let by_digest = model.sha256.and_then(|d| self.by_digest.get(&d)).into_iter().flatten().map(|at| (*at, None));
        let by_name = model.origins.iter().flat_map(move |(name, strength)| {
            let owner = name.rsplit_once('/').and_then(|(owner, _)| self.by_owner.get(owner));
            let lists = self.by_name.get(name).into_iter().chain(owner).flatten();
            lists.map(move |at| (*at, Some(*strength)))
        });
        by_digest.chain(by_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_means_its_whole_day() {
        let day = Moment::parse("2026-12-31").unwrap();
        assert_eq!(day.start, "2026-12-31T00:00:00Z".parse().unwrap());
        assert_eq!(day.end, "2027-01-01T00:00:00Z".parse().unwrap());
        let time = Moment::parse("2026-12-31T12:00:00+01:00").unwrap();
        assert_eq!((time.start, time.end), ("2026-12-31T11:00:00Z".parse().unwrap(), time.start));
        for bad in ["", "tomorrow", "2026-13-01", "31.12.2026", "-009999-01-01", "9999-12-31"] {
            assert!(Moment::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_that_could_never_match_are_refused() {
        for good in ["pkg:huggingface/Org/Name", "pkg:huggingface/Org/*", "pkg:ollama/llama3"] {
            check_model(good).unwrap();
        }
        check_model(&format!("sha256:{}", "ab".repeat(32))).unwrap();
        for bad in ["", "*", "llama", "sha256:12", "pkg:huggingface/*/x", "pkg:huggingface/Org/Name@main", "pkg:hf/a*"]
        {
            assert!(check_model(bad).is_err(), "{bad}");
        }
        check_principal("group:research").unwrap();
        for bad in ["alice", "user:", "role:x"] {
            assert!(check_principal(bad).is_err(), "{bad}");
        }
    }
}
