//! GPUs: who keeps them busy, and whether policy lets them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::core::Core;

/// Time between looks.
const EVERY: Duration = Duration::from_secs(5);
/// Time between looks whether to stop.
const PAUSE: Duration = Duration::from_millis(250);

/// Watches until the daemon stops.
pub fn watch(core: &Arc<Core>) {
    while !core.stop.load(Ordering::Relaxed) {
        let until = Instant::now() + EVERY;
        while Instant::now() < until && !core.stop.load(Ordering::Relaxed) {
            std::thread::sleep(PAUSE);
        }
    }
}
