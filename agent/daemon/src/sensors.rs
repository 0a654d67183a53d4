//! What runs, downloads and computes on this machine right now.

mod downloads;
mod gpus;
mod runtimes;

pub use downloads::{sever, watch as watch_downloads};
pub use gpus::watch as watch_gpus;
pub use runtimes::watch as watch_runtimes;

use std::collections::VecDeque;

use serde_json::{Value, json};
use weighbridge_downloads::Download;
use weighbridge_runtimes::gpu::Device;
use weighbridge_runtimes::processes::Snapshot;

/// Downloads that have ended and are still told.
const ENDED_MAX: usize = 100;

/// The last look of every sensor.
#[derive(Default)]
pub struct Live {
    pub snapshot: Snapshot,
    pub devices: Vec<Device>,
    pub downloads: Vec<Download>,
    ended: VecDeque<Download>,
}

impl Live {
    /// GPUs, and the runtimes of users that `may` be told.
    pub fn runtimes(&self, may: impl Fn(u32) -> bool) -> Value {
        let mut snapshot = self.snapshot.clone();
        snapshot.runtimes.retain(|r| may(r.uid));
        json!({ "processes": snapshot, "gpus": self.devices })
    }

    /// Downloads that run, and those that ended last, of users that `may` be
    /// told.
    pub fn downloads(&self, may: impl Fn(u32) -> bool) -> Value {
        let running: Vec<&Download> = self.downloads.iter().filter(|d| may(d.uid)).collect();
        let ended: Vec<&Download> = self.ended.iter().filter(|d| may(d.uid)).collect();
        json!({ "running": running, "ended": ended })
    }

    /// Takes note of a download.
    pub fn note(&mut self, download: &Download) {
        self.downloads.retain(|d| d.id != download.id);
        if download.ended {
            self.ended.push_back(download.clone());
            if self.ended.len() > ENDED_MAX {
                self.ended.pop_front();
            }
        } else {
            self.downloads.push(download.clone());
        }
    }
}
