//! The progress bar: files, bytes, rate, time left.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use weighbridge_scanner::Event;

/// What a scan has done so far, shown on standard error if that is a terminal.
pub struct Progress {
    bar: ProgressBar,
    seen: AtomicU64,
    /// Bytes of files queued or done.
    total: AtomicU64,
    /// Bytes reported for files still being inspected.
    partial: AtomicU64,
    done: AtomicU64,
}

impl Progress {
    pub fn new(quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(8) };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let template = "{msg} files  {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {bar:24} {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(125));
        Self {
            bar,
            seen: AtomicU64::new(0),
            total: AtomicU64::new(0),
            partial: AtomicU64::new(0),
            done: AtomicU64::new(0),
        }
    }

    pub fn on(&self, event: &Event<'_>) {
        if self.bar.is_hidden() {
            return;
        }
        match event {
            Event::Seen => {
                let seen = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
                if seen.is_multiple_of(256) {
                    self.bar.set_message(seen.to_string());
                }
                return;
            }
            Event::Queued(bytes) => self.bar.set_length(self.total.fetch_add(*bytes, Ordering::Relaxed) + bytes),
            Event::Progress(bytes) => {
                self.partial.fetch_add(*bytes, Ordering::Relaxed);
            }
            Event::Artifact { .. } => return,
            Event::Done(bytes) => {
                self.done.fetch_add(*bytes, Ordering::Relaxed);
                // What was reported of it is in `done` now.
                let _ =
                    self.partial.try_update(Ordering::Relaxed, Ordering::Relaxed, |p| Some(p.saturating_sub(*bytes)));
            }
        }
        self.bar.set_message(self.seen.load(Ordering::Relaxed).to_string());
        self.bar.set_position(self.done.load(Ordering::Relaxed) + self.partial.load(Ordering::Relaxed));
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Bytes read so far, for work whose whole is not known before.
pub struct Bytes(ProgressBar);

impl Bytes {
    pub fn new(quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(8) };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{binary_bytes} read  {binary_bytes_per_sec}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
