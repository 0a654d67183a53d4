//! What each caller has used, and may.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::authority::Ruling;
use crate::config::Quota;
use crate::problem::{Problem, Result};

/// Most callers kept in mind. Beyond, those that use nothing now are forgotten.
const CALLERS_MAX: usize = 10_000;
const MINUTE_S: i64 = 60;
const DAY_S: i64 = 86_400;

/// Counters of all callers.
#[derive(Debug)]
pub(crate) struct Quotas {
    limits: BTreeMap<String, Quota>,
    used: Mutex<HashMap<String, Used>>,
}

#[derive(Debug, Default)]
struct Used {
    running: u32,
    minute: Window,
    day: Window,
    rates: HashMap<String, Window>,
}

/// A count since the beginning of a minute or day.
#[derive(Debug, Default, Clone, Copy)]
struct Window {
    start: i64,
    count: u64,
}

impl Window {
    /// Begins anew if its time is over; returns seconds until it is.
    fn at(&mut self, now: i64, length: i64) -> i64 {
        let start = now - now.rem_euclid(length.max(1));
        if self.start != start {
            *self = Self { start, count: 0 };
        }
        start + length - now
    }
}

/// A request that counts among those running, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    quotas: Arc<Quotas>,
    caller: String,
}

impl Quotas {
    pub fn new(limits: BTreeMap<String, Quota>) -> Arc<Self> {
        Arc::new(Self { limits, used: Mutex::default() })
    }

    fn limit(&self, caller: &str) -> Quota {
        let name = caller.strip_prefix("user:").unwrap_or(caller);
        self.limits.get(name).or_else(|| self.limits.get("*")).copied().unwrap_or_default()
    }

    /// Lets `caller` begin a request, or says what is used up and until when.
    pub fn begin(self: &Arc<Self>, caller: &str, now: Timestamp) -> Result<Share> {
        let quota = self.limit(caller);
        let now = now.as_second();
        let mut all = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= CALLERS_MAX && !all.contains_key(caller) {
            all.retain(|_, used| used.running > 0 || used.day.start == now - now.rem_euclid(DAY_S));
            if all.len() >= 2 * CALLERS_MAX {
                return Err(Problem::limited("too many callers today; try again tomorrow", wait(DAY_S)));
            }
        }
        let used = all.entry(caller.to_owned()).or_default();
        if let Some(most) = quota.concurrent_requests.filter(|most| used.running >= *most) {
            let message = format!("{caller} has {most} requests running, as many as allowed; wait for one to end");
            return Err(Problem::limited(message, wait(1)));
        }
        let minute = ("minute", &mut used.minute, MINUTE_S, quota.tokens_per_minute);
        let day = ("day", &mut used.day, DAY_S, quota.tokens_per_day);
        for (unit, window, length, most) in [minute, day] {
            let left = window.at(now, length);
            if let Some(most) = most.filter(|most| window.count >= *most) {
                let message =
                    format!("{caller} has used {} of {most} tokens allowed per {unit}; more in {left} s", window.count);
                return Err(Problem::limited(message, wait(left)));
            }
        }
        used.running += 1;
        Ok(Share { quotas: self.clone(), caller: caller.to_owned() })
    }

    /// Counts a request against the rate that a policy obliges to.
    pub fn rate(&self, caller: &str, ruling: &Ruling, now: Timestamp) -> Result<()> {
        let Some((most, window)) = ruling.rate() else { return Ok(()) };
        let length = i64::try_from(window.as_secs()).unwrap_or(DAY_S);
        let mut all = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let rates = &mut all.entry(caller.to_owned()).or_default().rates;
        let by = ruling.policies.join(", ");
        if rates.len() >= 64 && !rates.contains_key(&by) {
            rates.clear();
        }
        let rate = rates.entry(by.clone()).or_default();
        let left = rate.at(now.as_second(), length);
        if rate.count >= u64::from(most) {
            let message = format!("policy ({by}) allows {caller} {most} requests per {length} s; more in {left} s");
            return Err(Problem::limited(message, wait(left)));
        }
        rate.count += 1;
        Ok(())
    }
}

fn wait(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(1))
}

impl Share {
    /// Counts `tokens` against the caller's quota.
    pub fn charge(&self, tokens: u64, now: Timestamp) {
        let mut all = self.quotas.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = all.get_mut(&self.caller) {
            for (window, length) in [(&mut used.minute, MINUTE_S), (&mut used.day, DAY_S)] {
                window.at(now.as_second(), length);
                window.count = window.count.saturating_add(tokens);
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self.quotas.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = all.get_mut(&self.caller) {
            used.running = used.running.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weighbridge_types::{Obligation, ObligationKind};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn quotas(name: &str, quota: Quota) -> Arc<Quotas> {
        Quotas::new(BTreeMap::from([(name.to_owned(), quota)]))
    }

    #[test]
    fn tokens_come_back_with_the_next_minute() {
        let quotas = quotas("bob", Quota { tokens_per_minute: Some(10), ..Quota::default() });
        let share = quotas.begin("user:bob", at(600)).unwrap();
        share.charge(10, at(615));
        let problem = quotas.begin("user:bob", at(640)).unwrap_err();
        assert_eq!((problem.status.as_u16(), problem.retry_after), (429, Some(Duration::from_secs(20))));
        assert!(problem.message.contains("10 of 10 tokens allowed per minute"), "{}", problem.message);
        assert!(quotas.begin("user:alice", at(640)).is_ok() && quotas.begin("user:bob", at(660)).is_ok());
    }

    #[test]
    fn a_share_is_free_again_when_dropped() {
        let quotas = quotas("*", Quota { concurrent_requests: Some(1), ..Quota::default() });
        let share = quotas.begin("user:bob", at(0)).unwrap();
        assert!(quotas.begin("user:bob", at(0)).is_err() && quotas.begin("user:alice", at(0)).is_ok());
        drop(share);
        assert!(quotas.begin("user:bob", at(0)).is_ok());
    }

    #[test]
    fn rates_of_policies_count_requests() {
        let quotas = Quotas::new(BTreeMap::new());
        let limit = Obligation { kind: ObligationKind::RateLimit, argument: Some("2/m".to_owned()) };
        let ruling = Ruling { obligations: vec![limit], ..Ruling::default() };
        assert!(quotas.rate("user:bob", &ruling, at(60)).is_ok() && quotas.rate("user:bob", &ruling, at(61)).is_ok());
        assert!(quotas.rate("user:bob", &ruling, at(62)).is_err());
        assert!(quotas.rate("user:bob", &ruling, at(120)).is_ok());
    }
}
