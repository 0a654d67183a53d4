//! Whether a caller may.

mod policy;

use std::time::Duration;

use weighbridge_types::{Obligation, ObligationKind};

pub use policy::{Place, PolicyAuthority};

use crate::identity::Caller;
use crate::models::ModelInfo;

/// Decides about each request. It must not wait.
pub trait Authority: Send + Sync + 'static {
    /// Whether `caller` may send `model` a request.
    fn infer(&self, caller: &Caller, model: &ModelInfo) -> Ruling;

    /// Whether data of that class of `caller` may go to `provider`.
    fn route(&self, caller: &Caller, provider: &str, data_class: Option<&str>) -> Ruling;
}

/// A decision, as the gateway needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruling {
    /// Yes or no.
    pub allowed: bool,
    /// `@id` of the policies that decided.
    pub policies: Vec<String>,
    /// Version of the policy.
    pub version: String,
    /// What it obliges to.
    pub obligations: Vec<Obligation>,
    /// Why not, for the caller.
    pub reason: String,
    /// How to ask for it, for the caller.
    pub ask: Option<String>,
}

impl Ruling {
    pub(crate) fn obliges(&self, kind: ObligationKind) -> Option<&Obligation> {
        self.obligations.iter().find(|o| o.kind == kind)
    }

    /// `rate_limit("10/m")`: how many requests in which time; all of them
    /// hold. What cannot be read lets one through an hour, rather than all.
    pub(crate) fn rates(&self) -> Vec<(u32, Duration)> {
        let limits = self.obligations.iter().filter(|o| o.kind == ObligationKind::RateLimit);
        limits.map(|limit| rate(limit.argument.as_deref().unwrap_or_default())).collect()
    }

    /// All that a refused caller is told.
    pub(crate) fn refusal(&self, what: &str) -> String {
        let by = if self.policies.is_empty() { String::new() } else { format!(" ({})", self.policies.join(", ")) };
        let ask = self.ask.as_deref().unwrap_or("ask your administrator");
        format!("policy{by} does not allow {what}: {}; {ask}", self.reason)
    }
}

fn rate(text: &str) -> (u32, Duration) {
    let hour = Duration::from_secs(3600);
    let rate = text.split_once('/').and_then(|(count, unit)| {
        let window = match unit.trim() {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => hour,
            "d" => Duration::from_secs(86_400),
            _ => return None,
        };
        Some((count.trim().parse().ok()?, window))
    });
    rate.unwrap_or((1, hour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_or_strict() {
        let limit = |text: &str| Obligation { kind: ObligationKind::RateLimit, argument: Some(text.to_owned()) };
        let of = rate;
        assert_eq!(of("10/m"), (10, Duration::from_secs(60)));
        assert_eq!(of(" 3 / s "), (3, Duration::from_secs(1)));
        for bad in ["", "10", "x/m", "10/y", "-1/m"] {
            assert_eq!(of(bad), (1, Duration::from_secs(3600)), "{bad}");
        }
        assert_eq!(Ruling::default().rates(), []);
        let both = Ruling { obligations: vec![limit("1/s"), limit("2/d")], ..Ruling::default() };
        assert_eq!(both.rates(), [(1, Duration::from_secs(1)), (2, Duration::from_secs(86_400))]);
    }
}
