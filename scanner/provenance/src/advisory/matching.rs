//! What is known against a model, and against an installed program.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use weighbridge_types::{AdvisoryMatch, AdvisoryMatchKind, Claim, Lineage, Severity, Sha256};

use super::catalogue::{Catalogue, package_key};
use super::osv::{Advisory, Affected, Event, Range, RangeKind};
use super::repository;
use super::version::{self, Scheme, Version};

/// Most references repeated in a match; the advisory has all.
const REFERENCES_SHOWN_MAX: usize = 4;

/// What is known of a model.
#[derive(Debug, Clone, Copy, Default)]
pub struct ModelFacts<'a> {
    /// Digests of its files.
    pub files: &'a [Sha256],
    /// Digest of the whole.
    pub tree: Option<Sha256>,
    /// Where it may have come from.
    pub claims: &'a [Claim],
    /// Fingerprint of its norm tensors.
    pub lineage: Option<&'a Lineage>,
}

/// A program that was found.
#[derive(Debug, Clone, Copy)]
pub struct Installed<'a> {
    /// Identifier of the stack.
    pub stack: &'a str,
    /// Its names in ecosystems: ecosystem and name.
    pub packages: &'a [(&'a str, &'a str)],
    /// Its version, if one was found.
    pub version: Option<&'a str>,
}

/// What is known against a program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Advisories that apply, worst first.
    pub matches: Vec<AdvisoryMatch>,
    /// Identifiers of those that may apply: the version is unknown or cannot
    /// be compared, or the advisory says no range.
    pub undecided: Vec<String>,
}

impl Catalogue {
    /// Advisories that apply to a model, worst first; each once, by the
    /// strongest evidence: digest, then revision, then lineage.
    #[must_use]
    pub fn against_model(&self, facts: &ModelFacts<'_>) -> Vec<AdvisoryMatch> {
        let mut found: BTreeMap<usize, (AdvisoryMatchKind, String)> = BTreeMap::new();
        let mut note = |index: usize, kind: AdvisoryMatchKind, evidence: String| {
            let best = found.entry(index).or_insert_with(|| (kind, evidence.clone()));
            if kind > best.0 {
                *best = (kind, evidence);
            }
        };
        for digest in facts.files {
            for index in self.by_file.get(digest).into_iter().flatten() {
                note(*index, AdvisoryMatchKind::Digest, format!("sha256:{digest} of a file"));
            }
        }
        if let Some(digest) = facts.tree {
            for index in self.by_tree.get(&digest).into_iter().flatten() {
                note(*index, AdvisoryMatchKind::Digest, format!("sha256:{digest} of all files"));
            }
        }
        for claim in facts.claims {
            for (repository, revision) in named(claim) {
                for index in self.naming(&repository) {
                    let advisory = self.advisories.get(index);
                    if let Some(how) = advisory.and_then(|a| covers(a, &repository, revision.as_deref())) {
                        let evidence = format!("{repository}: {how} (said by {})", claim.source);
                        note(index, AdvisoryMatchKind::Revision, evidence);
                    }
                }
            }
        }
        if let Some(lineage) = facts.lineage {
            for index in self.by_fingerprint.get(&lineage.fingerprint.to_ascii_lowercase()).into_iter().flatten() {
                note(*index, AdvisoryMatchKind::Lineage, format!("norm tensors {}", lineage.fingerprint));
            }
        }
        let matched = |(index, (kind, evidence))| Some(matched(self.advisories.get(index)?, kind, evidence, None));
        sorted(found.into_iter().filter_map(matched).collect())
    }

    /// What is known against an installed program.
    #[must_use]
    pub fn against_program(&self, program: &Installed<'_>) -> Judgement {
        let mut about: BTreeMap<usize, Vec<&Affected>> = BTreeMap::new();
        let by_stack = self.by_stack.get(program.stack).into_iter().flatten();
        let by_package = program.packages.iter().filter_map(|(e, n)| self.by_package.get(&package_key(e, n))).flatten();
        for (index, entry) in by_stack.chain(by_package) {
            if let Some(affected) = self.advisories.get(*index).and_then(|a| a.affected.get(*entry)) {
                about.entry(*index).or_default().push(affected);
            }
        }
        let mut judgement = Judgement::default();
        for (index, entries) in about {
            let Some(advisory) = self.advisories.get(index) else { continue };
            let states: Vec<State> = entries.iter().map(|a| state(a, program.version)).collect();
            let affected = states.iter().find_map(|s| match s {
                State::Affected { fixed } => Some(fixed.clone()),
                _ => None,
            });
            if let Some(fixed) = affected {
                let evidence = program.version.unwrap_or_default().to_owned();
                judgement.matches.push(matched(advisory, AdvisoryMatchKind::Version, evidence, fixed));
            } else if states.contains(&State::Undecided) {
                judgement.undecided.push(advisory.id.clone());
            }
        }
        judgement.matches = sorted(judgement.matches);
        judgement
    }

    /// Indices of advisories that may name `repository`.
    fn naming(&self, repository: &str) -> Vec<usize> {
        let whole = self.by_repository.get(repository).into_iter().flatten();
        let owner = repository::owner(repository).and_then(|o| self.by_repository.get(o)).into_iter().flatten();
        whole.chain(owner).chain(&self.by_pattern).copied().collect()
    }
}

fn sorted(mut matches: Vec<AdvisoryMatch>) -> Vec<AdvisoryMatch> {
    matches.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.id.cmp(&b.id)));
    matches
}

fn matched(
    advisory: &Advisory,
    matched_by: AdvisoryMatchKind,
    evidence: String,
    fixed: Option<String>,
) -> AdvisoryMatch {
    // Ancestry is a likelihood: worth a look, never more.
    let worst = if matched_by == AdvisoryMatchKind::Lineage { Severity::Medium } else { Severity::Critical };
    AdvisoryMatch {
        id: advisory.id.clone(),
        aliases: advisory.aliases.clone(),
        summary: advisory.summary.clone(),
        severity: advisory.severity.min(worst),
        matched_by,
        evidence,
        fixed,
        replaced_by: advisory.weighbridge.replaced_by.iter().map(|r| r.purl.clone()).collect(),
        references: advisory.references.iter().take(REFERENCES_SHOWN_MAX).map(|(_, url)| url.clone()).collect(),
    }
}

/// Repository and revision that a claim names, by package URL and address.
fn named(claim: &Claim) -> Vec<(String, Option<String>)> {
    let by_purl = claim.purl.as_deref().and_then(repository::of_purl);
    let by_url = claim.url.as_deref().and_then(repository::of_url).map(|r| (r, None));
    let with = |(repository, version): (String, Option<String>)| (repository, claim.revision.clone().or(version));
    let mut out: Vec<_> = by_purl.into_iter().chain(by_url).map(with).collect();
    out.dedup();
    out
}

/// Whether `advisory` is about this revision of `repository`, and why.
fn covers(advisory: &Advisory, repository: &str, revision: Option<&str>) -> Option<&'static str> {
    let pattern = |p: &String| repository::matches(&repository::pattern(p), repository);
    if advisory.weighbridge.repo.iter().any(pattern) {
        return Some("every revision");
    }
    let about = |r: &&Range| r.repo.as_deref().and_then(repository::of_url).as_deref() == Some(repository);
    let mut verdict = None;
    for affected in &advisory.affected {
        let listed = revision.is_some_and(|r| affected.versions.iter().any(|v| v.eq_ignore_ascii_case(r)));
        for range in affected.ranges.iter().filter(|r| r.kind == RangeKind::Git).filter(about) {
            verdict = verdict.or(if listed { Some("this revision") } else { commit(&range.events, revision) });
        }
    }
    verdict
}

/// Whether a commit lies in a range of commits. Their order stands in the
/// repository, not here: what cannot be told apart counts as affected.
fn commit(events: &[Event], revision: Option<&str>) -> Option<&'static str> {
    let bounded = events.iter().any(|e| !matches!(e, Event::Introduced(c) if c == "0"));
    let Some(revision) = revision else {
        return Some(if bounded { "the revision is unknown" } else { "every revision" });
    };
    let is = |commit: &String| commit.eq_ignore_ascii_case(revision);
    if events.iter().any(|e| matches!(e, Event::Fixed(c) if is(c))) {
        return None;
    }
    if events.iter().any(|e| matches!(e, Event::Introduced(c) | Event::LastAffected(c) if is(c))) {
        return Some("this revision");
    }
    Some(if bounded { "the revision may lie in the affected range" } else { "every revision" })
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Affected { fixed: Option<String> },
    Not,
    Undecided,
}

/// Whether `installed` is affected (OSV specification, "Evaluation").
fn state(affected: &Affected, installed: Option<&str>) -> State {
    let Some(text) = installed else { return State::Undecided };
    if affected.versions.iter().any(|v| v == text) {
        return State::Affected { fixed: None };
    }
    let scheme = affected.scheme.unwrap_or(Scheme::Python);
    let version = version::parse(scheme, text).filter(|v| !v.is_placeholder());
    let Some(version) = version.map(Version::public) else { return State::Undecided };
    let mut worst = State::Not;
    for range in affected.ranges.iter().filter(|r| r.kind != RangeKind::Git) {
        match in_range(&range.events, scheme, &version).unwrap_or(State::Undecided) {
            State::Not => {}
            State::Undecided => worst = State::Undecided,
            inside => return inside,
        }
    }
    let listed = |v: &String| version::parse(scheme, v).map(Version::public).as_ref() == Some(&version);
    if affected.versions.iter().any(listed) {
        return State::Affected { fixed: None };
    }
    // Commits cannot be compared with a version, and no range at all leaves
    // the question open.
    let told = affected.ranges.iter().any(|r| r.kind != RangeKind::Git) || !affected.versions.is_empty();
    if told { worst } else { State::Undecided }
}

/// Whether `version` lies in a range; `None` if the range cannot be read.
fn in_range(events: &[Event], scheme: Scheme, version: &Version) -> Option<State> {
    let mut points = Vec::with_capacity(events.len());
    for event in events {
        let (Event::Introduced(text) | Event::Fixed(text) | Event::LastAffected(text) | Event::Limit(text)) = event;
        let from_the_beginning = text == "0" && matches!(event, Event::Introduced(_));
        let at = if from_the_beginning { None } else { Some(version::parse(scheme, text)?) };
        points.push((at, event));
    }
    // `None`, the beginning, sorts first; of equals, the order of the document.
    points.sort_by(|a, b| a.0.cmp(&b.0));
    let mut inside = false;
    for (at, event) in &points {
        let order = at.as_ref().map_or(Ordering::Greater, |at| version.cmp(at));
        match event {
            Event::Introduced(_) if order.is_ge() => inside = true,
            Event::Fixed(_) if order.is_ge() => inside = false,
            Event::LastAffected(_) if order.is_gt() => inside = false,
            _ => {}
        }
    }
    let later = |(at, event): &(Option<Version>, &Event)| match event {
        Event::Fixed(text) if at.as_ref().is_some_and(|at| at > version) => Some(text.clone()),
        _ => None,
    };
    Some(if inside { State::Affected { fixed: points.iter().find_map(later) } } else { State::Not })
}
