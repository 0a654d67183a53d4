//! Verdicts by file and user, bounded: the oldest goes first.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use weighbridge_platform::file::FileKey;

use crate::message::Verdict;

/// Most files held: what fills a hash table of 2^18 places. Takes below 40 MiB
/// when full, and next to none of it before it is used.
pub const ENTRIES_MAX: usize = (1 << 18) / 8 * 7;
/// A file asked about is asked about again if nobody has judged it since.
const ASK_AGAIN: Duration = Duration::from_secs(60);

type Key = (FileKey, Option<u32>);

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    verdict: Option<(Verdict, Option<Instant>)>,
    asked: Option<Instant>,
}

/// What the table says of an open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Judged.
    Verdict(Verdict),
    /// Not judged; the daemon knows of it.
    Asked,
    /// Not judged, not asked about.
    Unknown,
}

/// The table. Owned by one thread; no locks.
#[derive(Debug)]
pub struct Table {
    entries: HashMap<Key, Entry>,
    /// By age; may name entries that are gone.
    ages: VecDeque<Key>,
    /// Whether a verdict for one user was ever set.
    users: bool,
    /// Whether a question for one user was ever noted.
    asked_users: bool,
    most: usize,
}

impl Table {
    /// Empty; holds at most `most` entries.
    pub fn new(most: usize) -> Self {
        // Reserved now, so that no opener waits while it grows.
        Self {
            entries: HashMap::with_capacity(most),
            ages: VecDeque::with_capacity(most),
            users: false,
            asked_users: false,
            most,
        }
    }

    /// Verdicts and open questions held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it matters who opens.
    pub fn by_user(&self) -> bool {
        self.users
    }

    /// What is known of `key` for `uid`: what was said of this user before
    /// what was said of all.
    pub fn find(&self, key: FileKey, uid: Option<u32>, now: Instant) -> Found {
        let verdict = |uid| {
            let (verdict, until) = self.entries.get(&(key, uid))?.verdict?;
            until.is_none_or(|u| now < u).then_some(verdict)
        };
        if let Some(verdict) = uid.and_then(|u| verdict(Some(u))).or_else(|| verdict(None)) {
            return Found::Verdict(verdict);
        }
        let asked = self.entries.get(&(key, uid)).and_then(|e| e.asked);
        match asked {
            Some(at) if now.saturating_duration_since(at) < ASK_AGAIN => Found::Asked,
            _ => Found::Unknown,
        }
    }

    /// Judges `key`, for one user or all, for a time or for good.
    pub fn set(&mut self, key: FileKey, uid: Option<u32>, verdict: Verdict, until: Option<Instant>) {
        self.users |= uid.is_some();
        self.entry((key, uid)).verdict = Some((verdict, until));
    }

    /// Notes that the daemon was asked.
    pub fn asked(&mut self, key: FileKey, uid: Option<u32>, now: Instant) {
        self.asked_users |= uid.is_some();
        self.entry((key, uid)).asked = Some(now);
    }

    /// Forgets what was said of `key` for all and for each user, and that it
    /// was asked about.
    pub fn forget(&mut self, key: FileKey) {
        self.entries.remove(&(key, None));
        // A walk over all, so only where users were told apart.
        if self.users || self.asked_users {
            self.entries.retain(|(k, _), _| *k != key);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.ages.clear();
        self.users = false;
        self.asked_users = false;
    }

    fn entry(&mut self, key: Key) -> &mut Entry {
        if !self.entries.contains_key(&key) {
            while self.entries.len() >= self.most {
                let Some(oldest) = self.ages.pop_front() else { break };
                self.entries.remove(&oldest);
            }
            if self.ages.len() >= self.most {
                // Names of entries that are gone; rare, and bounded.
                let entries = &self.entries;
                self.ages.retain(|k| entries.contains_key(k));
            }
            self.ages.push_back(key);
        }
        self.entries.entry(key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(ino: u64) -> FileKey {
        FileKey { dev: 1, ino, size: 3, mtime_ns: 4, ctime_ns: 5 }
    }

    const DENY: Verdict = Verdict::Deny { errno: 1 };

    #[test]
    fn what_is_said_of_a_user_goes_before_what_is_said_of_all() {
        let (mut table, now) = (Table::new(10), Instant::now());
        table.set(key(1), None, DENY, None);
        table.set(key(1), Some(7), Verdict::Allow, None);
        assert_eq!(table.find(key(1), Some(7), now), Found::Verdict(Verdict::Allow));
        assert_eq!(table.find(key(1), Some(8), now), Found::Verdict(DENY));
        assert_eq!(table.find(key(2), Some(7), now), Found::Unknown);
        table.forget(key(1));
        assert_eq!(table.find(key(1), Some(7), now), Found::Unknown);
    }

    #[test]
    fn verdicts_run_out_and_questions_are_asked_again() {
        let (mut table, now) = (Table::new(10), Instant::now());
        let second = Duration::from_secs(1);
        table.set(key(1), None, Verdict::Allow, Some(now + second));
        assert_eq!(table.find(key(1), None, now), Found::Verdict(Verdict::Allow));
        assert_eq!(table.find(key(1), None, now + second), Found::Unknown);
        table.asked(key(2), Some(5), now);
        assert_eq!(table.find(key(2), Some(5), now + second), Found::Asked);
        assert_eq!(table.find(key(2), Some(6), now + second), Found::Unknown);
        assert_eq!(table.find(key(2), Some(5), now + ASK_AGAIN), Found::Unknown);
    }

    #[test]
    fn a_full_table_drops_the_oldest_and_never_grows() {
        let (mut table, now) = (Table::new(100), Instant::now());
        for i in 0..1_000 {
            table.set(key(i), None, DENY, None);
            if i % 3 == 0 {
                table.forget(key(i));
            }
            assert!(table.len() <= 100 && table.ages.len() <= 101);
        }
        assert_eq!(table.find(key(998), None, now), Found::Verdict(DENY));
        assert_eq!(table.find(key(1), None, now), Found::Unknown);
    }
}
