//! New and changed files: told by the kernel for whole file systems where we
//! may ask that, by watches on folders where not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use notify::{EventKind, RecursiveMode, Watcher};
use weighbridge_types::Severity;

use serde_json::json;

use crate::core::Core;
use crate::events::{Event, Kind};
use crate::scans::Work;

/// Files are looked at once nothing has changed for this long; what comes
/// meanwhile is looked at together,
const QUIET: Duration = Duration::from_millis(10);
/// and at the latest after this long.
const LONGEST: Duration = Duration::from_millis(200);
/// Time between looks whether to stop.
const PAUSE: Duration = Duration::from_millis(250);
/// Shortest time between looks for file systems that were mounted since.
const MOUNTS_EVERY: Duration = Duration::from_secs(1);
/// Time before everything is looked at again because something could not be,
/// and the most after it could not again and again.
const AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3600));
/// Most changed files kept apart; with more, a sweep is cheaper.
const PENDING_MAX: usize = 50_000;

/// What changed since the last look.
#[derive(Default)]
struct Pending {
    written: BTreeSet<PathBuf>,
    gone: BTreeSet<PathBuf>,
    /// Events were lost, or there were too many: look at everything.
    sweep: bool,
    since: Option<Instant>,
    last: Option<Instant>,
}

impl Pending {
    fn note(&mut self, path: PathBuf, written: bool) {
        if self.sweep {
            return;
        }
        if written {
            self.gone.remove(&path);
            self.written.insert(path);
        } else {
            self.written.remove(&path);
            self.gone.insert(path);
        }
        if self.written.len() + self.gone.len() > PENDING_MAX {
            self.lost();
        }
        let now = Instant::now();
        self.since.get_or_insert(now);
        self.last = Some(now);
    }

    fn lost(&mut self) {
        *self = Self { sweep: true, since: self.since.or(Some(Instant::now())), ..Self::default() };
    }

    fn is_due(&self) -> bool {
        let quiet = self.last.is_none_or(|last| last.elapsed() >= QUIET);
        self.since.is_some_and(|since| quiet || since.elapsed() >= LONGEST)
    }
}

/// What could not be inspected, for want of descriptors or memory perhaps, is
/// inspected later: the kernel tells of it only once.
struct Again {
    at: Option<Instant>,
    wait: Duration,
    failed: Instant,
}

impl Again {
    fn new() -> Self {
        Self { at: None, wait: AGAIN.0, failed: Instant::now() }
    }

    fn failed(&mut self) {
        if self.failed.elapsed() > self.wait * 4 {
            self.wait = AGAIN.0;
        }
        self.failed = Instant::now();
        if self.at.is_none() {
            self.at = Some(Instant::now() + self.wait);
            self.wait = (self.wait * 2).min(AGAIN.1);
        }
    }

    fn is_due(&mut self) -> bool {
        self.at.take_if(|at| *at <= Instant::now()).is_some()
    }
}

/// Watches until the daemon stops. `sweep` is rung when events were lost.
pub fn run(core: &Arc<Core>, sweep: &crossbeam_channel::Sender<()>) {
    let roots = core.scans.roots();
    match filesystems(core, &roots, sweep) {
        Ok(()) => return,
        Err(e) => core.tell(&Event::new(
            Severity::Info,
            Kind::Daemon,
            format!("file systems cannot be watched as a whole ({e}); folders are watched one by one"),
            json!({ "watch": "folders", "reason": e.to_string() }),
        )),
    }
    if let Err(e) = folders(core, &roots, sweep) {
        core.fault("files cannot be watched; changes are found by the next sweep", &e);
    }
}

/// By fanotify(7), if this process may.
#[cfg(target_os = "linux")]
fn filesystems(core: &Arc<Core>, roots: &[PathBuf], sweep: &crossbeam_channel::Sender<()>) -> std::io::Result<()> {
    use weighbridge_platform::fanotify::{Kind, Notifier};
    let mut notifier = Notifier::new()?;
    let mut watched = 0;
    for root in roots {
        match notifier.watch(root) {
            Ok(()) => watched += 1,
            Err(e) if watched == 0 && e.kind() == std::io::ErrorKind::PermissionDenied => return Err(e),
            Err(e) => core.fault(&format!("changes below `{}` are found by the next sweep only", root.display()), &e),
        }
    }
    let own = std::process::id();
    let (mut pending, mut again) = (Pending::default(), Again::new());
    let mut roots: Vec<PathBuf> = roots.to_vec();
    let mounts = weighbridge_platform::mount::Changes::new()?;
    let (mut remounted, mut mounts_at) = (false, Instant::now());
    while !core.stop.load(Ordering::Relaxed) {
        remounted |= mounts.any();
        if remounted && Instant::now() >= mounts_at {
            (remounted, mounts_at) = (false, Instant::now() + MOUNTS_EVERY);
            core.scans.forget_roots();
            let known = std::mem::replace(&mut roots, core.scans.roots());
            for root in roots.iter().filter(|root| !known.contains(root)) {
                match notifier.watch(root) {
                    // What lies on it already is for a sweep.
                    Ok(()) => pending.lost(),
                    Err(e) => {
                        core.fault(&format!("changes below `{}` are found by the next sweep only", root.display()), &e)
                    }
                }
            }
        }
        for change in notifier.next(if pending.since.is_some() { QUIET } else { PAUSE })? {
            match change.kind {
                Kind::Overflow => pending.lost(),
                _ if change.pid == own || !concerns(core, &change.path) => {}
                // What comes or goes with a folder is for a look at the folder.
                Kind::Moved if change.directory => pending.note(change.path, true),
                _ if change.directory => {}
                Kind::Written | Kind::Moved => pending.note(change.path, true),
                Kind::Deleted => pending.note(change.path, false),
            }
        }
        hand_over(core, &mut pending, &mut again, sweep);
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn filesystems(_: &Arc<Core>, _: &[PathBuf], _: &crossbeam_channel::Sender<()>) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// By a watch on every folder.
fn folders(core: &Arc<Core>, roots: &[PathBuf], sweep: &crossbeam_channel::Sender<()>) -> notify::Result<()> {
    let (sender, receiver) = crossbeam_channel::bounded(4096);
    let mut watcher = notify::recommended_watcher(move |event| {
        let _ = sender.send(event);
    })?;
    for root in roots {
        if let Err(e) = watcher.watch(root, RecursiveMode::Recursive) {
            core.fault(&format!("not everything below `{}` can be watched", root.display()), &e);
        }
    }
    let (mut pending, mut again) = (Pending::default(), Again::new());
    while !core.stop.load(Ordering::Relaxed) {
        match receiver.recv_timeout(if pending.since.is_some() { QUIET } else { PAUSE }) {
            Ok(Ok(event)) => {
                if event.need_rescan() {
                    pending.lost();
                }
                let written = match event.kind {
                    EventKind::Create(_) | EventKind::Modify(_) => Some(true),
                    EventKind::Access(notify::event::AccessKind::Close(notify::event::AccessMode::Write)) => Some(true),
                    EventKind::Remove(_) => Some(false),
                    _ => None,
                };
                for path in event.paths.into_iter().filter(|p| concerns(core, p)) {
                    // A rename tells both names the same way.
                    if let Some(written) = written {
                        let there = written && std::fs::symlink_metadata(&path).is_ok();
                        pending.note(path, there);
                    }
                }
            }
            Ok(Err(e)) => core.fault("a watch failed", &e),
            Err(_) => {}
        }
        hand_over(core, &mut pending, &mut again, sweep);
    }
    Ok(())
}

/// Whether a change is any of our business.
fn concerns(core: &Core, path: &Path) -> bool {
    !path.starts_with(&core.config.state) && core.scans.covers(path)
}

/// Has files looked at whose writers are done.
fn hand_over(core: &Arc<Core>, pending: &mut Pending, again: &mut Again, sweep: &crossbeam_channel::Sender<()>) {
    if again.is_due() {
        pending.lost();
    }
    if !pending.is_due() {
        return;
    }
    let Pending { written, gone, sweep: all, .. } = std::mem::take(pending);
    if all {
        // One that waits is enough.
        let _ = sweep.try_send(());
        return;
    }
    core.gone(&gone.into_iter().collect::<Vec<_>>());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = written.into_iter().partition(|p| p.is_dir());
    let files: Vec<PathBuf> = files.into_iter().filter(|f| weighbridge_discovery::is_candidate(f)).collect();
    let files = (!files.is_empty()).then_some(Work::Files(files));
    let folders = (!folders.is_empty()).then_some(Work::Named(folders));
    for work in files.into_iter().chain(folders) {
        if !look(core, work) {
            again.failed();
        }
    }
}

/// Whether everything could be looked at.
fn look(core: &Core, work: Work) -> bool {
    match core.scans.run(work, &core.policies.current()) {
        Ok(found) => {
            core.found(&found);
            if let Err(e) = core.record.models(&found.report.models) {
                core.fault("cannot record the models", &e);
            }
            // What is gone need not be looked at.
            !found.report.errors.iter().any(|e| std::fs::symlink_metadata(&e.path).is_ok())
        }
        Err(e) => {
            core.fault("changed files could not be inspected; they will be", &crate::record::causes(e));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_again_and_again_is_tried_ever_less_often() {
        let mut again = Again::new();
        assert!(!again.is_due());
        again.failed();
        assert!(again.at.is_some() && !again.is_due());
        let first = again.at.unwrap();
        again.failed();
        assert_eq!((again.at, again.wait), (Some(first), AGAIN.0 * 2), "one try is enough");
        again.at = Instant::now().checked_sub(AGAIN.0);
        assert!(again.is_due() && !again.is_due());
        for _ in 0..20 {
            again.at = None;
            again.failed();
        }
        assert_eq!(again.wait, AGAIN.1);
    }

    #[test]
    fn what_was_written_and_removed_is_gone_and_too_much_is_a_sweep() {
        let mut pending = Pending::default();
        assert!(!pending.is_due());
        pending.note("/a".into(), true);
        pending.note("/a".into(), false);
        assert!(pending.written.is_empty() && pending.gone.len() == 1);
        for n in 0..=PENDING_MAX {
            pending.note(format!("/{n}").into(), true);
        }
        assert!(pending.sweep && pending.written.is_empty());
    }
}
