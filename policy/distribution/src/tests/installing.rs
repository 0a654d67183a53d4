use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::source::Source;

/// A repository that goes away after some bytes.
#[derive(Debug)]
struct Broken {
    below: Directory,
    left: Arc<AtomicUsize>,
}

struct Counted {
    below: Box<dyn Read + Send>,
    left: Arc<AtomicUsize>,
}

impl Source for Broken {
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Counted { below: self.below.open(path)?, left: Arc::clone(&self.left) }))
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "gone"));
        }
        let most = buffer.len().min(left);
        let read = self.below.read(&mut buffer[..most])?;
        self.left.fetch_sub(read, Ordering::Relaxed);
        Ok(read)
    }
}

#[test]
fn a_fetch_that_breaks_off_at_any_byte_leaves_the_last_good_bundle() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    fleet.publish_text("version 2");
    let before = fleet.installed();
    let mut failures = 0;
    for left in (0..).step_by(37) {
        let below = Directory::new(fleet.at("repository"));
        let source = Arc::new(Broken { below, left: Arc::new(AtomicUsize::new(left)) });
        match fleet.store().update(source, &Limits::default()) {
            Ok(updated) => {
                assert!(updated.installed && failures > 10);
                break;
            }
            Err(UpdateError::Failed(Error::Source { .. })) => failures += 1,
            Err(e) => panic!("after {left} bytes: {e}"),
        }
        assert_eq!((fleet.installed(), fleet.leftovers()), (before.clone(), Vec::new()));
    }
    assert_eq!(fleet.in_force(), (2, "version 2".to_owned()));
}

#[test]
fn what_a_killed_fetch_left_is_taken_away() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    fs::create_dir_all(fleet.at("state/incoming-1-0/files/half")).unwrap();
    fs::write(fleet.at("state/incoming-1-0/files/half/policy.toml"), "hal").unwrap();
    fs::write(fleet.at("state/.current.json.1-0"), "{").unwrap();
    fs::write(fleet.at("state/trust/.root.json.1-0"), "{").unwrap();
    assert_eq!(fleet.in_force(), (1, "version 1".to_owned()));
    assert!(!fleet.update().unwrap().installed);
    assert_eq!(fleet.leftovers(), Vec::<String>::new());
    assert!(!fleet.at("state/.current.json.1-0").exists() && !fleet.at("state/trust/.root.json.1-0").exists());
}

#[test]
fn a_bundle_that_was_moved_but_not_yet_in_force_is_put_in_force() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    fleet.publish_text("version 2");
    copy(&fleet.at("bundle"), &fleet.at("state/bundles/2"));
    fleet.assert_installs(2, "version 2");
    // The same with a half one.
    fleet.publish_text("version 3");
    fs::create_dir(fleet.at("state/bundles/3")).unwrap();
    fs::write(fleet.at("state/bundles/3/policy.toml"), "versi").unwrap();
    fleet.assert_installs(3, "version 3");
}

#[test]
fn a_damaged_bundle_is_repaired_though_its_version_is_in_force() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    for damage in ["bundle 1", "", "version 1 "] {
        fs::write(fleet.at("state/bundles/1/policy.toml"), damage).unwrap();
        fleet.assert_installs(1, "version 1");
    }
    fs::remove_file(fleet.at("state/bundles/1/rules/deny.toml")).unwrap();
    fleet.assert_installs(1, "version 1");
    fs::write(fleet.at("state/bundles/1/extra.toml"), "allow").unwrap();
    fleet.assert_installs(1, "version 1");
    assert!(!fleet.at("state/bundles/1/extra.toml").exists());
    fs::remove_dir_all(fleet.at("state/bundles/1")).unwrap();
    assert!(fleet.store().current().unwrap_err().to_string().contains("is gone"));
    fleet.assert_installs(1, "version 1");
}

#[test]
fn the_last_three_bundles_are_kept() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    for version in 2..=5 {
        let text = format!("version {version}");
        fleet.publish_text(&text);
        fleet.assert_installs(version, &text);
    }
    let mut kept: Vec<_> = fs::read_dir(fleet.at("state/bundles"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, ["3", "4", "5"]);
}

#[test]
fn nothing_in_force_and_a_damaged_store_are_not_the_same() {
    let fleet = Fleet::new();
    assert_eq!(fleet.store().current().unwrap(), None);
    fleet.assert_installs(1, "version 1");
    for damage in ["", "{}", r#"{"schema":"other/1","version":1,"fetched_at":"2026-01-01T00:00:00Z","previous":[]}"#] {
        fs::write(fleet.at("state/current.json"), damage).unwrap();
        assert!(matches!(fleet.store().current(), Err(Error::State { .. })));
    }
    fs::write(fleet.at("state/trust/root.json"), "{").unwrap();
    let update = fleet.update();
    assert!(matches!(&update, Err(UpdateError::Failed(Error::State { .. }))), "{update:?}");
}

#[test]
fn two_cannot_update_at_once() {
    let fleet = Fleet::new();
    let lock = crate::files::lock(fleet.store().path()).unwrap();
    assert!(matches!(fleet.update(), Err(UpdateError::Failed(Error::Busy { .. }))));
    drop(lock);
    fleet.assert_installs(1, "version 1");
}
