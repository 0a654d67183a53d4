//! Room that callers share: so much for all of them, so much for one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of requests, or connections.
#[derive(Debug, Clone)]
pub(crate) struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    all_max: usize,
    one_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by: HashMap<String, usize>,
}

/// What somebody has of it; given back when dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    room: Room,
    who: String,
    taken: usize,
}

/// There is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// All have taken all of it.
    All,
    /// This one has as much as one may have.
    One,
}

impl Room {
    /// For `all_max`, of which one caller has at most `one_max`.
    pub fn new(all_max: usize, one_max: usize) -> Self {
        Self(Arc::new(Shared { all_max, one_max, taken: Mutex::default() }))
    }

    /// Nothing yet, for `who`.
    pub fn hold(&self, who: &str) -> Hold {
        Hold { room: self.clone(), who: who.to_owned(), taken: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// Takes that much more.
    pub fn grow(&mut self, more: usize) -> Result<(), Full> {
        let room = self.room.clone();
        let mut taken = room.lock();
        let own = taken.by.get(&self.who).copied().unwrap_or(0).saturating_add(more);
        let all = taken.all.saturating_add(more);
        if own > room.0.one_max {
            return Err(Full::One);
        }
        if all > room.0.all_max {
            return Err(Full::All);
        }
        taken.all = all;
        taken.by.insert(self.who.clone(), own);
        self.taken = self.taken.saturating_add(more);
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut taken = self.room.lock();
        taken.all = taken.all.saturating_sub(self.taken);
        let left = taken.by.get(&self.who).copied().unwrap_or(0).saturating_sub(self.taken);
        if left == 0 {
            taken.by.remove(&self.who);
        } else {
            taken.by.insert(self.who.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_leaves_room_for_others_until_all_is_taken() {
        let room = Room::new(10, 4);
        let (mut a, mut more, mut b, mut c) = (room.hold("a"), room.hold("a"), room.hold("b"), room.hold("c"));
        assert_eq!((a.grow(3), more.grow(2), more.grow(1)), (Ok(()), Err(Full::One), Ok(())));
        assert_eq!((b.grow(4), c.grow(3), c.grow(2)), (Ok(()), Err(Full::All), Ok(())));
        drop(a);
        assert_eq!((more.grow(3), c.grow(1)), (Ok(()), Err(Full::All)));
        drop((more, b, c));
        let taken = room.lock();
        assert!(taken.all == 0 && taken.by.is_empty(), "nobody is kept in mind");
    }
}
