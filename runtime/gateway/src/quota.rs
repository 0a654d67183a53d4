//! What each caller has used, and may.

use std::collections::{BTreeMap, BTreeSet, HashMap};
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
    /// By how many requests in how many seconds.
    rates: HashMap<(u32, i64), Window>,
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
    /// Tokens counted before anybody knows how many they are, and the
    /// beginnings of the minute and the day they were counted in.
    reserved: u64,
    reserved_in: [i64; 2],
}

impl Used {
    /// The windows of tokens: name, count, length, most.
    fn windows(&mut self, quota: Quota) -> [(&'static str, &mut Window, i64, Option<u64>); 2] {
        [
            ("minute", &mut self.minute, MINUTE_S, quota.tokens_per_minute),
            ("day", &mut self.day, DAY_S, quota.tokens_per_day),
        ]
    }
}

impl Used {
    /// What is used up, if anything is.
    fn spent(&mut self, caller: &str, quota: Quota, now: i64) -> Option<Problem> {
        self.windows(quota).into_iter().find_map(|(unit, window, length, most)| {
            let left = window.at(now, length);
            let most = most.filter(|most| window.count >= *most)?;
            let used = window.count;
            let message = format!("{caller} has used {used} of {most} tokens allowed per {unit}; more in {left} s");
            Some(Problem::limited(message, wait(left)))
        })
    }
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
        if let Some(problem) = used.spent(caller, quota, now) {
            return Err(problem);
        }
        used.running += 1;
        Ok(Share { quotas: self.clone(), caller: caller.to_owned(), reserved: 0, reserved_in: [0; 2] })
    }

    /// Counts a request against all rates that policies oblige to.
    pub fn rate(&self, caller: &str, ruling: &Ruling, now: Timestamp) -> Result<()> {
        let rates = ruling.rates();
        if rates.is_empty() {
            return Ok(());
        }
        let now = now.as_second();
        let mut all = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = &mut all.entry(caller.to_owned()).or_default().rates;
        // Of rates that policies had once.
        counted.retain(|(_, length), window| now - window.start < *length);
        let lengths = rates.into_iter().map(|(most, window)| (most, i64::try_from(window.as_secs()).unwrap_or(DAY_S)));
        let rates: BTreeSet<(u32, i64)> = lengths.collect();
        for (most, length) in &rates {
            let rate = counted.entry((*most, *length)).or_default();
            let left = rate.at(now, *length);
            if rate.count >= u64::from(*most) {
                let by = ruling.policies.join(", ");
                let message = format!("policy ({by}) allows {caller} {most} requests per {length} s; more in {left} s");
                return Err(Problem::limited(message, wait(left)));
            }
        }
        // One that is refused counts nowhere.
        for rate in rates {
            counted.entry(rate).or_default().count += 1;
        }
        Ok(())
    }
}

fn wait(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(1))
}

impl Share {
    fn with<T>(&self, now: Timestamp, look: impl FnOnce(&mut Used, Quota, i64) -> T) -> Option<T> {
        let quota = self.quotas.limit(&self.caller);
        let mut all = self.quotas.used.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_mut(&self.caller).map(|used| look(used, quota, now.as_second()))
    }

    /// Counts `tokens` that are about to be read, if they may be.
    pub fn reserve(&mut self, tokens: u64, now: Timestamp) -> Result<()> {
        let caller = self.caller.clone();
        let reserved = self.with(now, |used, quota, now| {
            for (unit, window, length, most) in used.windows(quota) {
                let left = window.at(now, length);
                let Some(most) = most.filter(|most| window.count.saturating_add(tokens) > *most) else { continue };
                let rest = most.saturating_sub(window.count);
                let message = format!(
                    "the request has about {tokens} tokens, and {caller} has {rest} left of {most} allowed per {unit}; send less, or wait {left} s"
                );
                return Err(Problem::limited(message, wait(left)));
            }
            Ok(used.windows(quota).map(|(_, window, _, _)| {
                window.count = window.count.saturating_add(tokens);
                window.start
            }))
        });
        if let Some(windows) = reserved.transpose()? {
            (self.reserved, self.reserved_in) = (tokens, windows);
        }
        Ok(())
    }

    /// Counts the tokens that were read in place of those reserved.
    pub fn settle(&mut self, read: u64, now: Timestamp) {
        let (reserved, reserved_in) = (std::mem::take(&mut self.reserved), self.reserved_in);
        self.with(now, |used, quota, now| {
            for ((_, window, length, _), start) in used.windows(quota).into_iter().zip(reserved_in) {
                window.at(now, length);
                window.count = if window.start == start {
                    window.count.saturating_sub(reserved).saturating_add(read)
                } else {
                    // Nothing comes back from a time that is over.
                    window.count.saturating_add(read.saturating_sub(reserved))
                };
            }
        });
    }

    /// Counts `tokens` against the caller's quota; what is used up then, if
    /// anything is.
    pub fn charge(&self, tokens: u64, now: Timestamp) -> Option<Problem> {
        self.with(now, |used, quota, now| {
            for (_, window, length, _) in used.windows(quota) {
                window.at(now, length);
                window.count = window.count.saturating_add(tokens);
            }
            used.spent(&self.caller, quota, now)
        })?
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
    fn requests_side_by_side_see_what_the_others_have_begun() {
        let quotas = quotas("bob", Quota { tokens_per_minute: Some(100), ..Quota::default() });
        let mut shares: Vec<Share> = (0..3).map(|_| quotas.begin("user:bob", at(600)).unwrap()).collect();
        let reserved: Vec<bool> = shares.iter_mut().map(|share| share.reserve(40, at(601)).is_ok()).collect();
        assert_eq!(reserved, [true, true, false]);
        // The first had fewer than it looked; the rest is free again.
        shares[0].settle(10, at(602));
        assert!(shares[2].reserve(40, at(603)).is_ok());
        assert!(shares[1].charge(9, at(604)).is_none());
        let spent = shares[1].charge(1, at(605)).unwrap();
        assert_eq!((spent.status.as_u16(), spent.retry_after), (429, Some(Duration::from_secs(55))));
    }

    #[test]
    fn a_reservation_of_a_minute_that_is_over_gives_nothing_back() {
        let quotas = quotas("bob", Quota { tokens_per_minute: Some(100), ..Quota::default() });
        let mut share = quotas.begin("user:bob", at(659)).unwrap();
        share.reserve(90, at(659)).unwrap();
        assert!(share.charge(50, at(661)).is_none());
        share.settle(0, at(662));
        assert!(share.charge(50, at(663)).is_some(), "50 are used in this minute");
    }

    #[test]
    fn a_share_is_free_again_when_dropped() {
        let quotas = quotas("*", Quota { concurrent_requests: Some(1), ..Quota::default() });
        let share = quotas.begin("user:bob", at(0)).unwrap();
        assert!(quotas.begin("user:bob", at(0)).is_err() && quotas.begin("user:alice", at(0)).is_ok());
        drop(share);
        assert!(quotas.begin("user:bob", at(0)).is_ok());
    }

    fn ruling(policies: &[&str], rates: &[&str]) -> Ruling {
        let limit = |rate: &&str| Obligation { kind: ObligationKind::RateLimit, argument: Some((*rate).to_owned()) };
        let policies = policies.iter().map(|id| (*id).to_owned()).collect();
        Ruling { policies, obligations: rates.iter().map(limit).collect(), ..Ruling::default() }
    }

    #[test]
    fn rates_of_policies_count_requests() {
        let quotas = Quotas::new(BTreeMap::new());
        let ruling = ruling(&["a"], &["2/m"]);
        assert!(quotas.rate("user:bob", &ruling, at(60)).is_ok() && quotas.rate("user:bob", &ruling, at(61)).is_ok());
        assert!(quotas.rate("user:bob", &ruling, at(62)).is_err());
        assert!(quotas.rate("user:bob", &ruling, at(120)).is_ok());
    }

    #[test]
    fn all_rates_hold_whichever_policies_bring_them() {
        let quotas = Quotas::new(BTreeMap::new());
        let both = ruling(&["a", "b"], &["5/m", "3/h"]);
        for second in 0..3 {
            assert!(quotas.rate("user:bob", &both, at(second)).is_ok());
        }
        assert!(quotas.rate("user:bob", &both, at(3)).is_err(), "the hour is used up");
        assert!(quotas.rate("user:bob", &both, at(60)).is_err(), "and stays so in the next minute");
        // Another model may be decided by another policy as well: the count is the same.
        assert!(quotas.rate("user:bob", &ruling(&["a", "c"], &["3/h"]), at(61)).is_err());
        for other in 100..200 {
            let rate = format!("{other}/h");
            assert!(quotas.rate("user:bob", &ruling(&["a"], &[&rate]), at(62)).is_ok());
        }
        assert!(quotas.rate("user:bob", &both, at(63)).is_err(), "no number of others makes it forgotten");
        assert!(quotas.rate("user:bob", &both, at(3600)).is_ok());
    }
}
