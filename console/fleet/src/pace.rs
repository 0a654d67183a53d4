//! How often endpoints come, and how many at once.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use weighbridge_console_http::Problem;

/// Spreads endpoints in time, and turns away those for whom there is no room.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    room: Arc<Semaphore>,
    chance: RandomState,
}

impl Pace {
    /// `at_once` requests at the same time, endpoints every `interval`.
    #[must_use]
    pub fn new(interval: Duration, at_once: usize) -> Self {
        let room = Arc::new(Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS)));
        Self { interval, room, chance: RandomState::new() }
    }

    /// Room for a request.
    ///
    /// # Errors
    /// [`Problem`] that says when to come back, not all at the same time.
    pub(crate) fn enter(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.room).try_acquire_owned().map_err(|_| Problem::busy(self.spread(self.interval)))
    }

    /// When an endpoint is to come next, seconds: a tenth more or less than the
    /// interval.
    pub(crate) fn next_s(&self) -> u32 {
        let least = self.interval.mul_f64(0.9);
        let next = least + self.spread(self.interval.mul_f64(0.2));
        u32::try_from(next.as_secs()).unwrap_or(u32::MAX).clamp(1, 86_400)
    }

    /// Somewhere between nothing and `most`.
    fn spread(&self, most: Duration) -> Duration {
        let random = self.chance.hash_one(std::time::Instant::now());
        let share = u32::try_from(random >> 32).unwrap_or_default();
        most.mul_f64(f64::from(share) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_spread_and_the_room_has_an_end() {
        let pace = Pace::new(Duration::from_secs(100), 2);
        let next: Vec<u32> = (0..200).map(|_| pace.next_s()).collect();
        assert!(next.iter().all(|s| (90..=110).contains(s)), "{next:?}");
        assert!(next.iter().max() > next.iter().min());
        let (a, b) = (pace.enter().unwrap(), pace.enter());
        let refused = pace.enter().unwrap_err();
        assert!(refused.status == 503 && refused.retry_after.is_some_and(|after| after <= Duration::from_secs(100)));
        drop((a, b));
        assert!(pace.enter().is_ok());
        assert_eq!(Pace::new(Duration::ZERO, 0).next_s(), 1);
    }
}
