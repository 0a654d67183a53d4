//! What a policy says of itself in annotations.

use cedar_policy::{Effect as CedarEffect, Policy};
use jiff::Timestamp;
use weighbridge_types::Severity;

use crate::data::Moment;
use weighbridge_types::{Obligation, ObligationKind};

/// Most obligations of one policy.
const OBLIGATIONS_MAX: usize = 8;
/// Longest text in an annotation, bytes.
const TEXT_MAX: usize = 2048;
/// Every policy carries these.
const NEEDED: [&str; 4] = ["id", "owner", "rationale", "severity"];
const KNOWN: [&str; 7] = ["id", "owner", "rationale", "severity", "obligation", "expires", "exceptions"];

/// The annotations of one policy, checked.
#[derive(Debug, Clone)]
pub(crate) struct Annotations {
    /// `@id`: what decisions and tests call it.
    pub id: String,
    /// `@owner`: whom to ask.
    pub owner: String,
    /// `@rationale`: why it is there.
    pub rationale: String,
    /// `@severity`
    pub severity: Severity,
    /// `@obligation`
    pub obligations: Vec<Obligation>,
    /// `@expires`: from then on it is as if it were not there.
    pub expires: Option<Timestamp>,
    /// `@exceptions("none")`: no exception sets it aside.
    pub exceptions_allowed: bool,
    /// Whether it forbids.
    pub forbids: bool,
}

impl Annotations {
    /// Reads those of `policy`; otherwise, all that is wrong with them.
    pub fn of(policy: &Policy) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        let text = |key: &str| policy.annotation(key).map(str::trim).filter(|t| !t.is_empty());
        for key in NEEDED.iter().filter(|key| text(key).is_none()) {
            wrong.push(format!("the policy has no `@{key}(\"…\")`"));
        }
        for (key, value) in policy.annotations() {
            if !KNOWN.contains(&key) {
                wrong.push(format!("`@{key}` is no annotation of ours; known are @{}", KNOWN.join(", @")));
            }
            if value.len() > TEXT_MAX {
                wrong.push(format!("`@{key}` is longer than {TEXT_MAX} bytes"));
            }
        }
        let id = text("id").unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        if id.len() > 128 || !id.chars().all(plain) {
            wrong.push("`@id` is made of letters, digits, `-`, `_`, `.` and `/`, 128 at most".to_owned());
        }
        let mut or = |outcome: Result<(), String>| wrong.extend(outcome.err());
        let mut severity = Severity::Medium;
        or(text("severity")
            .map_or(Ok(()), |t| t.parse().map(|s| severity = s).map_err(|e| format!("`@severity`: {e}"))));
        let mut obligations = Vec::new();
        or(self::obligations(policy.annotation("obligation").unwrap_or_default()).map(|list| obligations = list));
        let mut expires = None;
        or(text("expires").map_or(Ok(()), |t| {
            Moment::parse(t).map(|m| expires = Some(m.end)).map_err(|e| format!("`@expires`: {e}"))
        }));
        let exceptions_allowed = match text("exceptions") {
            None => true,
            Some("none") => false,
            Some(other) => {
                wrong.push(format!("`@exceptions` is `none` or not there, not `{other}`"));
                true
            }
        };
        let forbids = policy.effect() == CedarEffect::Forbid;
        if !forbids && obligations.iter().any(|o| o.kind == ObligationKind::MonitorOnly) {
            wrong.push("`monitor_only` tries out a forbid; a permit cannot be tried out".to_owned());
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let owned = |key: &str| text(key).unwrap_or_default().to_owned();
        Ok(Self {
            id: id.to_owned(),
            owner: owned("owner"),
            rationale: owned("rationale"),
            severity,
            obligations,
            expires,
            exceptions_allowed,
            forbids,
        })
    }

    /// Whether it only watches.
    pub fn monitors(&self) -> bool {
        self.obligations.iter().any(|o| o.kind == ObligationKind::MonitorOnly)
    }
}

/// `quarantine, notify_user("text")`.
fn obligations(text: &str) -> Result<Vec<Obligation>, String> {
    let mut out = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if out.len() >= OBLIGATIONS_MAX {
            return Err(format!("`@obligation` lists more than {OBLIGATIONS_MAX}"));
        }
        let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '_')).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let kind = ObligationKind::ALL.into_iter().find(|k| k.name() == name).ok_or_else(|| {
            let known: Vec<&str> = ObligationKind::ALL.iter().map(|k| k.name()).collect();
            format!("`@obligation`: `{name}` is none; known are {}", known.join(", "))
        })?;
        let after = after.trim_start();
        let (argument, after) = match after.strip_prefix("(\"") {
            None => (None, after),
            Some(inner) => {
                let (argument, after) = inner
                    .split_once("\")")
                    .ok_or_else(|| format!("`@obligation`: `{name}(\"…` is not closed by `\")`"))?;
                (Some(argument.to_owned()), after)
            }
        };
        let needs_text = matches!(kind, ObligationKind::NotifyUser | ObligationKind::RateLimit);
        if needs_text && argument.as_deref().is_none_or(|a| a.trim().is_empty()) {
            return Err(format!("`@obligation`: `{name}` needs a text: `{name}(\"…\")`"));
        }
        out.push(Obligation { kind, argument });
        let after = after.trim_start();
        rest = match after.strip_prefix([',', ';']) {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => return Err(format!("`@obligation`: a `,` is missing before `{after}`")),
        };
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obligations_are_lists_with_arguments() {
        let shown = |text: &str| obligations(text).map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(shown("quarantine").unwrap(), ["quarantine"]);
        assert_eq!(
            shown(r#"alert; notify_user("Ask, then (wait).") , quarantine"#).unwrap(),
            ["alert", r#"notify_user("Ask, then (wait).")"#, "quarantine"]
        );
        assert!(shown("").unwrap().is_empty());
        for bad in ["delete", "alert quarantine", "notify_user", r#"notify_user("x"#, "alert()", "alert,(", "é"] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }
}
