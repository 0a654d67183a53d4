//! A process that receives, the processes behind its pipes, and what they
//! hold open.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::choice::{Before, Flood, Mark, choose, score};
use crate::procfs::{Held, Opened, Target, children, held, holders};

/// How many pipes in a row are followed.
const PIPES_MAX: usize = 3;
/// Most processes followed to.
const FOLLOWERS_MAX: usize = 16;
/// Time between two searches along the pipes: from, to.
const FOLLOW: (Duration, Duration) = (Duration::from_millis(400), Duration::from_secs(8));

/// What is remembered of it from look to look.
#[derive(Debug, Default)]
pub struct Group {
    /// The download of its sockets while no file is known.
    pub fileless: Option<u64>,
    before: Before,
    followers: Vec<u32>,
    followed: Option<(Instant, Duration)>,
}

/// One look at it.
#[derive(Debug, Default)]
pub struct Look {
    /// Files open for writing, of all its processes.
    pub files: Vec<Opened>,
    /// Sockets of those that receive.
    pub sockets: HashSet<u64>,
    before: Before,
}

impl Group {
    /// Looks at the descriptors of `pids` and of those behind their pipes.
    pub fn look(&mut self, pids: &[u32], flood: Flood, now: Instant) -> Look {
        let mut look = Look::default();
        let mut pipes = Vec::new();
        for pid in pids {
            let Held { files, sockets, pipes: more } = held(*pid);
            look.files.extend(files);
            look.sockets.extend(sockets);
            pipes.extend(more);
        }
        look.files.extend(self.followers.iter().flat_map(|pid| held(*pid).files));
        let found = look.files.iter().any(|file| score(file, &self.before, flood) > 0);
        let due = self.followed.is_none_or(|(at, pause)| now.saturating_duration_since(at) >= pause);
        if !found && due {
            let pause = self.followed.map_or(FOLLOW.0, |(_, pause)| pause.saturating_mul(2).min(FOLLOW.1));
            self.followed = Some((now, pause));
            self.followers = follow(pids, pipes);
            look.files.extend(self.followers.iter().flat_map(|pid| held(*pid).files));
        }
        let marks = look.files.iter().map(|file| (file.id, Mark::from(file))).collect();
        look.before = self.before.replace(marks);
        look
    }
}

impl Look {
    /// The file that takes the bytes, if it is plain.
    pub fn choose(&self, flood: Flood) -> Option<&Opened> {
        choose(&self.files, &self.before, flood)
    }

    /// Whether `file` takes bytes.
    pub fn moves(&self, file: &Opened, flood: Flood) -> bool {
        score(file, &self.before, flood) > 0
    }
}

/// The processes that read the pipes of `pids`, and theirs; without any, the
/// children.
fn follow(pids: &[u32], mut pipes: Vec<u64>) -> Vec<u32> {
    let mut found: Vec<u32> = Vec::new();
    for _ in 0..PIPES_MAX {
        let targets: HashSet<Target> = pipes.drain(..).map(Target::PipeReader).collect();
        for pid in holders(targets).into_values().flatten() {
            if !pids.contains(&pid) && !found.contains(&pid) && found.len() < FOLLOWERS_MAX {
                found.push(pid);
                pipes.extend(held(pid).pipes);
            }
        }
    }
    if found.is_empty() {
        found = pids.iter().flat_map(|pid| children(*pid)).take(FOLLOWERS_MAX).collect();
    }
    found
}
