use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

#[test]
fn keys_are_for_their_owner_and_never_overwritten() {
    let fleet = Fleet::new();
    let before = contents(&fleet.at("keys"));
    for (path, _) in before.iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "pem")) {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(before.len(), 6);
    assert!(matches!(init(&fleet.at("keys"), &NewKeys::default(), Timestamp::now()), Err(Error::KeysExist { .. })));
    assert_eq!(contents(&fleet.at("keys")), before);
    for (root_keys, root_threshold) in [(2, 0), (1, 2), (17, 1)] {
        let new = NewKeys { root_keys, root_threshold, ..NewKeys::default() };
        assert!(matches!(init(&fleet.at("none"), &new, Timestamp::now()), Err(Error::Numbers(_))));
        assert!(!fleet.at("none").exists());
    }
}

#[test]
fn a_reader_sees_the_version_before_until_the_last_file_is_written() {
    let fleet = Fleet::new();
    let timestamp = fs::read(fleet.metadata("timestamp.json")).unwrap();
    fleet.publish_text("version 2");
    // Everything of version 2 is there but what makes it current.
    fs::write(fleet.metadata("timestamp.json"), timestamp).unwrap();
    fleet.assert_installs(1, "version 1");
    // Publishing again steps over what the interrupted one left.
    assert_eq!(fleet.publish_text("version 3"), 3);
    fleet.assert_installs(3, "version 3");
}

#[test]
fn what_endpoints_would_refuse_is_not_published() {
    let fleet = Fleet::new();
    let before = contents(&fleet.at("repository/metadata"));
    let refused = |word: &str| {
        let error = fleet.publish_at(Timestamp::now()).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
        assert_eq!(contents(&fleet.at("repository/metadata")), before);
    };
    fleet.bundle(&[("a.toml", "a")]);
    symlink("/etc/passwd", fleet.at("bundle/link")).unwrap();
    refused("`link`: it is a symbolic link");
    fleet.bundle(&[("a.toml", "a")]);
    symlink("/etc", fleet.at("bundle/folder")).unwrap();
    refused("`folder`: it is a symbolic link");
    fleet.bundle(&[("a\u{202e}b", "a")]);
    refused("`a\\u{202e}b`: the name holds something else");
    fleet.bundle(&[("a b.toml", "a")]);
    refused("rename it");
    fleet.bundle(&[]);
    fs::create_dir_all(fleet.at("bundle/empty")).unwrap();
    refused("there is no file in it");
    fleet.bundle(&[("a", "")]);
    fs::File::create(fleet.at("bundle/a")).unwrap().set_len(Limits::default().target_bytes + 1).unwrap();
    refused("cannot read");
    fleet.bundle(&[]);
    fs::create_dir_all(fleet.at("bundle")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        fleet.at("bundle/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    refused("`pipe`: it is no regular file");
}

#[test]
fn a_console_renews_with_its_two_keys_and_touches_no_target() {
    let fleet = Fleet::made_at(&NewKeys::default(), days_ago(30));
    fleet.assert_refused(RefusalKind::Expired, "metadata/timestamp.json");
    let before = contents(&fleet.at("repository"));
    let console = fleet.thief(&[Role::Snapshot, Role::Timestamp]).keys;
    assert_eq!(fs::read_dir(&console).unwrap().count(), 2);
    let renewed = renew(KeyFolder::open(&console).unwrap(), &fleet.at("repository"), Timestamp::now()).unwrap();
    assert_eq!(renewed.version, 1);
    let after = contents(&fleet.at("repository"));
    for (path, bytes) in &before {
        let replaced = path.ends_with("timestamp.json");
        assert_eq!(after.get(path) == Some(bytes), !replaced, "{}", path.display());
    }
    fleet.assert_installs(1, "version 1");
}

#[test]
fn a_rotated_timestamp_key_takes_effect_by_renewing() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    fleet.rotate(Role::Timestamp);
    fleet.renew_at(Timestamp::now()).unwrap();
    let updated = fleet.update().unwrap();
    assert_eq!((updated.root, updated.installed), (2, false));
    // The targets key needs a new publication.
    fleet.rotate(Role::Targets);
    let error = fleet.renew_at(Timestamp::now()).unwrap_err().to_string();
    assert!(error.contains("publish instead of renewing"), "{error}");
}

#[test]
fn versions_are_not_taken_from_strangers() {
    let fleet = Fleet::new();
    let other = Fleet::new();
    fs::copy(other.metadata("timestamp.json"), fleet.metadata("timestamp.json")).unwrap();
    let error = fleet.publish_at(Timestamp::now()).unwrap_err().to_string();
    assert!(error.contains("timestamp.json` in the repository: no key of this fleet signed it"), "{error}");
    fs::remove_dir_all(fleet.at("repository")).unwrap();
    copy(&other.at("repository"), &fleet.at("repository"));
    let error = fleet.publish_at(Timestamp::now()).unwrap_err().to_string();
    assert!(error.contains("keys of another fleet"), "{error}");
}

#[test]
fn two_cannot_publish_at_once() {
    let fleet = Fleet::new();
    let lock = crate::files::lock(&fleet.at("repository")).unwrap();
    assert!(matches!(fleet.publish_at(Timestamp::now()), Err(Error::Busy { .. })));
    drop(lock);
    fleet.publish();
}
