//! The attacks that the TUF specification lists (1.5.2), on real files.

use std::io::{self, Read};
use std::num::NonZeroU64;

use tough::TargetName;
use tough::schema::{DelegatedRole, Delegations, PathPattern, PathSet, Target};

use super::*;
use crate::limits::VERSION_MAX;
use crate::source::Source;

#[test]
fn arbitrary_software_every_changed_byte_is_refused() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    fleet.publish_text("version 2");
    let before = fleet.installed();
    for (path, step) in [
        (fleet.metadata("timestamp.json"), 1),
        (fleet.metadata("2.snapshot.json"), 13),
        (fleet.metadata("2.targets.json"), 13),
        (fleet.target("version 2"), 1),
    ] {
        let good = fs::read(&path).unwrap();
        // tough signs and verifies `_type` as what it reads the file for, and
        // does not look at what stands there.
        let unread = b"\"_type\": \"timestamp\"";
        let unread =
            good.windows(unread.len()).position(|w| w == unread).map_or(0..0, |at| at + 10..at + unread.len() - 1);
        // The last byte of metadata is a line feed, which means nothing in JSON.
        let end = good.strip_suffix(b"\n").unwrap_or(&good).len();
        for at in (0..end).step_by(step).filter(|at| !unread.contains(at)) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, bad).unwrap();
            assert!(fleet.update().is_err(), "byte {at} of {}", path.display());
            assert_eq!(fleet.installed(), before, "byte {at} of {}", path.display());
        }
        fs::write(&path, good).unwrap();
    }
    fleet.assert_installs(2, "version 2");
}

#[test]
fn arbitrary_software_a_target_with_other_bytes_or_length_is_refused() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    fleet.publish_text("version 2");
    let path = fleet.target("version 2");
    let file = path.strip_prefix(fleet.at("repository")).unwrap().to_str().unwrap().to_owned();
    for bad in ["version 3", "version", "", "version 2 and more"] {
        fs::write(&path, bad).unwrap();
        fleet.assert_refused(RefusalKind::TargetBytes, &file);
    }
    fs::remove_file(&path).unwrap();
    fleet.assert_fails("cannot get `targets/");
}

#[test]
fn unsigned_metadata_is_refused() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    fleet.publish_text("version 2");
    let path = fleet.metadata("timestamp.json");
    let mut text: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    text["signatures"] = serde_json::json!([]);
    fs::write(&path, text.to_string()).unwrap();
    fleet.assert_refused(RefusalKind::Signature, "metadata/timestamp.json");
}

#[test]
fn rollback_to_an_older_copy_is_refused() {
    let fleet = Fleet::new();
    fleet.save("old");
    fleet.publish_text("version 2");
    fleet.assert_installs(2, "version 2");
    fleet.bring_back("old");
    fleet.assert_refused(RefusalKind::Rollback, "metadata/timestamp.json");
}

#[test]
fn rollback_of_the_snapshot_by_a_thief_of_the_timestamp_key_is_refused() {
    let fleet = Fleet::new();
    let old: TimestampRole = fleet.thief(&[]).read("timestamp.json");
    fleet.publish_text("version 2");
    fleet.assert_installs(2, "version 2");
    fleet.thief(&[Role::Timestamp]).timestamp(|t| t.meta = old.meta);
    fleet.assert_refused(RefusalKind::Rollback, "metadata/timestamp.json");
}

#[test]
fn rollback_of_the_targets_by_a_thief_of_snapshot_and_timestamp_keys_is_refused() {
    let fleet = Fleet::new();
    let old: Snapshot = fleet.thief(&[]).read("1.snapshot.json");
    fleet.publish_text("version 2");
    fleet.assert_installs(2, "version 2");
    fleet.thief(&[Role::Timestamp, Role::Snapshot]).snapshot(|s| s.meta = old.meta);
    fleet.assert_refused(RefusalKind::Rollback, "metadata/3.snapshot.json");
}

#[test]
fn fast_forward_is_recovered_from_by_rotating_keys() {
    let fleet = Fleet::new();
    let far = NonZeroU64::new(VERSION_MAX).unwrap();
    fleet.assert_installs(1, "version 1");
    fleet.thief(&[Role::Timestamp, Role::Snapshot, Role::Targets]).targets(|t| t.version = far);
    let thief = fleet.thief(&[Role::Timestamp, Role::Snapshot]);
    thief.snapshot(|s| s.version = far);
    thief.timestamp(|t| t.version = far);
    assert_eq!(fleet.update().unwrap().bundle.version, VERSION_MAX);

    let error = fleet.publish_at(Timestamp::now()).unwrap_err().to_string();
    assert!(error.contains("threw it forward"), "{error}");
    for role in [Role::Targets, Role::Snapshot, Role::Timestamp] {
        fleet.rotate(role);
    }
    fs::remove_dir_all(fleet.at("repository")).unwrap();
    // Version 1 was another bundle before.
    assert_eq!(fleet.publish_text("recovered"), 1);
    fleet.assert_installs(1, "recovered");
    assert_eq!(fleet.publish_text("and on"), 2);
    fleet.assert_installs(2, "and on");
}

#[test]
fn freeze_expired_metadata_of_each_role_is_refused() {
    let fleet = Fleet::made_at(&NewKeys::default(), days_ago(30));
    // Only the timestamp.
    fleet.renew_at(days_ago(2)).unwrap();
    fleet.assert_refused(RefusalKind::Expired, "metadata/timestamp.json");
    fleet.renew_at(Timestamp::now()).unwrap();
    fleet.assert_installs(1, "version 1");

    // The snapshot, under a fresh timestamp.
    fleet.thief(&[Role::Timestamp, Role::Snapshot]).snapshot(|s| s.expires = days_ago(1));
    fleet.assert_refused(RefusalKind::Expired, "metadata/4.snapshot.json");

    // The targets, under fresh ones of both.
    fleet.thief(&[Role::Timestamp, Role::Snapshot, Role::Targets]).targets(|t| t.expires = days_ago(1));
    fleet.assert_refused(RefusalKind::Expired, "metadata/2.targets.json");
    let error = fleet.renew_at(Timestamp::now()).unwrap_err().to_string();
    assert!(error.contains("publish with the targets key"), "{error}");
}

#[test]
fn freeze_an_expired_root_is_refused() {
    let fleet = Fleet::made_at(&NewKeys::default(), days_ago(400));
    fleet.assert_refused(RefusalKind::Expired, "metadata/root.json");
    let error = fleet.publish_at(Timestamp::now()).unwrap_err().to_string();
    assert!(error.contains("rotate a key"), "{error}");
    fleet.rotate(Role::Timestamp);
    fleet.publish_text("version 2");
    fleet.assert_installs(2, "version 2");
}

#[test]
fn freeze_a_clock_that_went_back_is_told() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    fs::write(fleet.at("state/trust/latest_known_time.json"), "\"2999-01-01T00:00:00Z\"").unwrap();
    fleet.assert_fails("the clock of this machine went back");
}

/// A repository whose files never end.
#[derive(Debug)]
struct Endless {
    below: Directory,
    prefix: &'static str,
}

impl Source for Endless {
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        let file = self.below.open(path)?;
        if path.starts_with(self.prefix) { Ok(Box::new(file.chain(io::repeat(b' ')))) } else { Ok(file) }
    }
}

#[test]
fn endless_data_ends_at_the_limit_of_each_role() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    fleet.rotate(Role::Timestamp);
    fleet.publish_text("version 2");
    for (prefix, kind) in [
        ("metadata/2.root", RefusalKind::TooMuch),
        ("metadata/timestamp", RefusalKind::TooMuch),
        ("metadata/2.snapshot", RefusalKind::TooMuch),
        ("metadata/2.targets", RefusalKind::TooMuch),
        ("targets/", RefusalKind::TargetBytes),
    ] {
        let below = Directory::new(fleet.at("repository"));
        let updated = fleet.store().update(Arc::new(Endless { below, prefix }), &Limits::default());
        let Err(UpdateError::Refused(refusal)) = updated else { panic!("{prefix}: {updated:?}") };
        assert!(refusal.kind == kind && refusal.file.starts_with(prefix), "{refusal}");
        assert_eq!(fleet.in_force().0, 1);
    }
    fleet.assert_installs(2, "version 2");
}

#[test]
fn endless_data_lengths_that_a_thief_signs_are_bounded_too() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    fleet.thief(&[Role::Timestamp, Role::Snapshot]).snapshot(|_| ());
    fleet.thief(&[Role::Timestamp]).timestamp(|t| {
        let snapshot = t.meta.get_mut("snapshot.json").unwrap();
        (snapshot.length, snapshot.hashes) = (Some(u64::MAX), None);
    });
    let source = Endless { below: Directory::new(fleet.at("repository")), prefix: "metadata/2.snapshot" };
    let updated = fleet.store().update(Arc::new(source), &Limits::default());
    let Err(UpdateError::Refused(refusal)) = updated else { panic!("{updated:?}") };
    assert_eq!(refusal.kind, RefusalKind::TooMuch, "{refusal}");
}

#[test]
fn endless_data_bundles_over_a_limit_are_refused_before_they_are_fetched() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    fleet.publish_text("version 2");
    let limits = Limits::default();
    for limits in
        [Limits { targets: 1, ..limits }, Limits { target_bytes: 8, ..limits }, Limits { bundle_bytes: 12, ..limits }]
    {
        fleet.assert_refused_within(&limits, RefusalKind::TooMuch, "metadata/2.targets.json");
    }
    let thief = fleet.thief(&[Role::Timestamp, Role::Snapshot, Role::Targets]);
    thief.targets(|t| t.targets.values_mut().for_each(|target| target.length = u64::MAX));
    fleet.assert_refused(RefusalKind::TooMuch, "metadata/3.targets.json");
}

#[test]
fn endless_data_a_chain_of_roots_has_an_end() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    for _ in 0..4 {
        fleet.rotate(Role::Timestamp);
    }
    fleet.publish_text("version 2");
    let limits = Limits { root_updates: 2, ..Limits::default() };
    fleet.assert_refused_within(&limits, RefusalKind::TooMuch, "metadata/3.root.json");
    // Roots that were verified stay so: the next update goes on from there.
    assert!(fleet.update_within(&limits).is_err());
    assert_eq!(fleet.update().unwrap().root, 5);
}

#[test]
fn mix_and_match_of_metadata_from_different_times_is_refused() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    fleet.publish_text("version 2");
    fleet.publish_text("version 3");
    fleet.save("good");
    fs::copy(fleet.metadata("2.snapshot.json"), fleet.metadata("3.snapshot.json")).unwrap();
    fleet.assert_refused(RefusalKind::MixAndMatch, "metadata/3.snapshot.json");
    fleet.bring_back("good");
    fs::copy(fleet.metadata("2.targets.json"), fleet.metadata("3.targets.json")).unwrap();
    fleet.assert_refused(RefusalKind::MixAndMatch, "metadata/3.targets.json");

    // Without digests, versions tell.
    fleet.bring_back("good");
    fleet.thief(&[Role::Timestamp, Role::Snapshot]).snapshot(|s| {
        let targets = s.meta.get_mut("targets.json").unwrap();
        (targets.hashes, targets.length, targets.version) = (None, None, next(targets.version));
    });
    fs::copy(fleet.metadata("3.targets.json"), fleet.metadata("4.targets.json")).unwrap();
    fleet.assert_refused(RefusalKind::MixAndMatch, "metadata/4.targets.json");
}

#[test]
fn extraneous_files_are_not_installed() {
    let fleet = Fleet::new();
    fs::write(fleet.at("repository/targets/extra.toml"), "allow = all").unwrap();
    fs::write(fleet.metadata("99.targets.json"), "{}").unwrap();
    let updated = fleet.update().unwrap();
    assert_eq!((updated.files, contents(&updated.bundle.path).len()), (2, 2));
}

#[test]
fn names_that_leave_the_folder_are_refused_even_when_signed() {
    for name in
        ["../escaped", "/tmp/weighbridge-escaped", "a/../../escaped", "a\\b", "a//b", "./a", "a b", "policy.toml/x"]
    {
        let fleet = Fleet::new();
        fleet.assert_installs(1, "version 1");
        fleet.thief(&[Role::Timestamp, Role::Snapshot, Role::Targets]).targets(|t| {
            let target: Target = t.targets.values().next().unwrap().clone();
            t.targets.insert(TargetName::new(name).unwrap(), target);
        });
        fleet.assert_refused(RefusalKind::TargetName, "metadata/2.targets.json");
        assert!(!fleet.at("escaped").exists() && !fleet.at("state/escaped").exists());
    }
}

#[test]
fn delegations_are_not_followed() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    fleet.save("good");
    let thief = fleet.thief(&[Role::Timestamp, Role::Snapshot, Role::Targets]);
    thief.targets(|t| {
        let (id, key) = thief.root().keys.into_iter().next().unwrap();
        t.delegations = Some(Delegations { keys: [(id, key)].into(), roles: Vec::new() });
    });
    fleet.assert_refused(RefusalKind::Malformed, "metadata/2.targets.json");

    // With a role, whose file is not even asked for.
    fleet.bring_back("good");
    let delegated = |t: &mut Targets| {
        let (id, key) = thief.root().keys.into_iter().next().unwrap();
        let role = DelegatedRole {
            name: "other".to_owned(),
            keyids: vec![id.clone()],
            threshold: NonZeroU64::MIN,
            paths: PathSet::Paths(vec![PathPattern::new("*").unwrap()]),
            terminating: false,
            targets: None,
        };
        t.version = NonZeroU64::new(3).unwrap();
        t.delegations = Some(Delegations { keys: [(id, key)].into(), roles: vec![role] });
    };
    thief.targets(delegated);
    thief.snapshot(|s| {
        s.version = NonZeroU64::new(9).unwrap();
        let named = s.meta["targets.json"].clone();
        s.meta.insert("other.json".to_owned(), named);
    });
    thief.timestamp(|t| t.version = NonZeroU64::new(9).unwrap());
    fleet.assert_refused(RefusalKind::Malformed, "metadata/3.other.json");
}

#[test]
fn a_root_without_consistent_snapshots_is_not_followed() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    let thief = fleet.thief(&[Role::Root]);
    let mut root = thief.root();
    root.version = next(root.version);
    root.consistent_snapshot = false;
    thief.sign(Role::Root, root);
    fleet.assert_refused(RefusalKind::Malformed, "metadata/snapshot.json");
}

#[test]
fn malicious_mirror_another_fleets_repository_is_refused() {
    let (fleet, other) = (Fleet::new(), Fleet::new());
    fleet.assert_installs(1, "version 1");
    fleet.save("good");
    fs::remove_dir_all(fleet.at("repository")).unwrap();
    copy(&other.at("repository"), &fleet.at("repository"));
    fleet.assert_refused(RefusalKind::Signature, "metadata/timestamp.json");
    // With a root of theirs to go on.
    other.rotate(Role::Root);
    other.publish();
    copy(&other.at("repository"), &fleet.at("repository"));
    fleet.assert_refused(RefusalKind::Signature, "metadata/2.root.json");
    fleet.bring_back("good");
    assert!(!fleet.update().unwrap().installed);
}

#[test]
fn malicious_mirror_what_is_withheld_changes_nothing() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    fleet.publish_text("version 2");
    fleet.save("good");
    for name in ["timestamp.json", "2.snapshot.json", "2.targets.json"] {
        fs::remove_file(fleet.metadata(name)).unwrap();
        fleet.assert_fails(&format!("cannot get `metadata/{name}`"));
        fleet.bring_back("good");
    }
    fs::remove_dir_all(fleet.at("repository")).unwrap();
    fleet.assert_fails("cannot get `metadata/timestamp.json`");
}

#[test]
fn malicious_mirror_garbage_is_malformed() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    let deep = format!("{}{}", "[".repeat(60_000), "]".repeat(1000));
    for garbage in ["", "{}", "null", "\u{0}", &deep, r#"{"signed":{"_type":"root"},"signatures":[]}"#] {
        fs::write(fleet.metadata("timestamp.json"), garbage).unwrap();
        fleet.assert_refused(RefusalKind::Malformed, "metadata/timestamp.json");
    }
}

#[test]
fn key_compromise_snapshot_and_timestamp_keys_cannot_change_targets() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    let thief = fleet.thief(&[Role::Timestamp, Role::Snapshot]);
    let keys = KeyFolder::open(&thief.keys).unwrap();
    fleet.bundle(&[("policy.toml", "allow everything")]);
    let error = publish(&fleet.at("bundle"), keys, &fleet.at("repository"), Timestamp::now()).unwrap_err();
    assert!(matches!(error, Error::TooFewKeys { role: "targets", .. }), "{error}");

    // By hand: targets signed with the keys that were stolen.
    let mut forged: serde_json::Value =
        serde_json::from_slice(&fs::read(fleet.metadata("1.targets.json")).unwrap()).unwrap();
    forged["signed"]["version"] = 2.into();
    let text = forged.to_string();
    fs::write(fleet.metadata("2.targets.json"), &text).unwrap();
    thief.snapshot(|s| {
        let targets = s.meta.get_mut("targets.json").unwrap();
        (targets.hashes, targets.length, targets.version) = (None, None, next(targets.version));
    });
    fleet.assert_refused(RefusalKind::Signature, "metadata/2.targets.json");
}

#[test]
fn key_compromise_a_signature_of_another_role_does_not_count() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    fleet.publish_text("version 2");
    // The signature of the snapshot under the timestamp.
    let read =
        |name: &str| -> serde_json::Value { serde_json::from_slice(&fs::read(fleet.metadata(name)).unwrap()).unwrap() };
    let mut timestamp = read("timestamp.json");
    timestamp["signatures"] = read("2.snapshot.json")["signatures"].clone();
    fs::write(fleet.metadata("timestamp.json"), timestamp.to_string()).unwrap();
    fleet.assert_refused(RefusalKind::Signature, "metadata/timestamp.json");
    // The snapshot in the place of the timestamp.
    fs::copy(fleet.metadata("2.snapshot.json"), fleet.metadata("timestamp.json")).unwrap();
    assert!(matches!(fleet.update(), Err(UpdateError::Refused(_))));
    assert_eq!(fleet.in_force().0, 1);
}
