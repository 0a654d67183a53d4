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
    /// Not judged as it is now, but refused before its marks changed: a new
    /// name, other rights. It holds as many bytes as then.
    Changed {
        /// The daemon knows of it.
        asked: bool,
    },
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
    /// The last key of each file, by device and inode, for which a refusal was
    /// set. At most as many as `entries`.
    refused: HashMap<(u64, u64), FileKey>,
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
            refused: HashMap::new(),
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
        // Whoever may not open a file must not be let in by renaming it, which
        // any owner can do; what is written to it later is another matter.
        let before = self.refused.get(&(key.dev, key.ino)).filter(|old| **old != key && old.size == key.size);
        let old = |uid| before.and_then(|before| self.entries.get(&(*before, uid))).and_then(|e| e.verdict);
        let old = uid.and_then(|u| old(Some(u))).or_else(|| old(None));
        let refused = old.is_some_and(|(verdict, _)| matches!(verdict, Verdict::Deny { .. }));
        let asked = self.entries.get(&(key, uid)).and_then(|e| e.asked);
        match asked.is_some_and(|at| now.saturating_duration_since(at) < ASK_AGAIN) {
            asked if refused => Found::Changed { asked },
            true => Found::Asked,
            false => Found::Unknown,
        }
    }

    /// Judges `key`, for one user or all, for a time or for good.
    pub fn set(&mut self, key: FileKey, uid: Option<u32>, verdict: Verdict, until: Option<Instant>) {
        self.users |= uid.is_some();
        self.entry((key, uid)).verdict = Some((verdict, until));
        let file = (key.dev, key.ino);
        if matches!(verdict, Verdict::Deny { .. }) {
            self.refused.insert(file, key);
        } else if uid.is_none() && self.refused.get(&file).is_some_and(|old| *old != key) {
            // Judged as it is now: what was said before is over.
            self.refused.remove(&file);
        }
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
        self.unrefuse(key);
        // A walk over all, so only where users were told apart.
        if self.users || self.asked_users {
            self.entries.retain(|(k, _), _| *k != key);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.ages.clear();
        self.refused.clear();
        self.users = false;
        self.asked_users = false;
    }

    fn unrefuse(&mut self, key: FileKey) {
        if self.refused.get(&(key.dev, key.ino)) == Some(&key) {
            self.refused.remove(&(key.dev, key.ino));
        }
    }

    fn entry(&mut self, key: Key) -> &mut Entry {
        if !self.entries.contains_key(&key) {
            while self.entries.len() >= self.most {
                let Some(oldest) = self.ages.pop_front() else { break };
                self.entries.remove(&oldest);
                self.unrefuse(oldest.0);
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
    fn a_refusal_outlives_new_marks_until_the_file_is_judged_again() {
        let (mut table, now) = (Table::new(100), Instant::now());
        let renamed = FileKey { ctime_ns: 99, ..key(1) };
        table.set(key(1), None, DENY, None);
        table.set(key(1), Some(7), Verdict::Allow, None);
        assert_eq!(table.find(renamed, None, now), Found::Changed { asked: false });
        assert_eq!(table.find(renamed, Some(7), now), Found::Unknown, "who was allowed is not refused");
        table.asked(renamed, None, now);
        assert_eq!(table.find(renamed, None, now), Found::Changed { asked: true });
        // Another length is another content: an unknown file.
        assert_eq!(table.find(FileKey { size: 9, ..renamed }, None, now), Found::Unknown);
        table.set(renamed, None, Verdict::Allow, None);
        assert_eq!(table.find(renamed, None, now), Found::Verdict(Verdict::Allow));
        assert_eq!(table.find(FileKey { ctime_ns: 100, ..key(1) }, None, now), Found::Unknown);
        table.set(key(2), None, DENY, None);
        table.forget(key(2));
        assert_eq!(table.find(FileKey { ctime_ns: 99, ..key(2) }, None, now), Found::Unknown);
        for i in 10..200 {
            table.set(key(i), None, DENY, None);
        }
        assert!(table.refused.len() <= 100);
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
