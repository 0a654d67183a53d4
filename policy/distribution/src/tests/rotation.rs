use super::*;
use crate::keys::KeyType;

#[test]
fn an_endpoint_that_missed_roots_follows_the_chain() {
    for key_type in [KeyType::Ed25519, KeyType::EcdsaP256] {
        let new = NewKeys { root_keys: 3, root_threshold: 2, key_type, ..NewKeys::default() };
        let fleet = Fleet::made_at(&new, Timestamp::now());
        fleet.assert_installs(1, "version 1");
        for (role, root) in
            [(Role::Root, 2), (Role::Targets, 3), (Role::Timestamp, 4), (Role::Snapshot, 5), (Role::Root, 6)]
        {
            assert_eq!(fleet.rotate(role), root);
        }
        fleet.publish_text("version 2");
        fleet.assert_installs(2, "version 2");
        assert_eq!(fleet.update().unwrap().root, 6);
    }
}

#[test]
fn a_retired_key_does_not_count_any_more() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    copy(&fleet.at("keys"), &fleet.at("old keys"));
    fleet.rotate(Role::Targets);
    fleet.publish_text("version 2");
    fleet.assert_installs(2, "version 2");
    let old = KeyFolder::open(fleet.at("old keys")).unwrap();
    let error = publish(&fleet.at("bundle"), old, &fleet.at("repository"), Timestamp::now()).unwrap_err();
    assert!(matches!(error, Error::TooFewKeys { role: "targets", .. }), "{error}");
}

#[test]
fn a_root_signed_by_its_own_new_keys_alone_is_refused() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    // A fleet that claims to be this one, two versions on.
    let other = Fleet::new();
    let mut chain: serde_json::Value =
        serde_json::from_slice(&fs::read(other.at("keys/root/1.root.json")).unwrap()).unwrap();
    chain["signed"]["version"] = 2.into();
    fs::write(fleet.metadata("2.root.json"), chain.to_string()).unwrap();
    fleet.assert_refused(RefusalKind::Signature, "metadata/2.root.json");
}

#[test]
fn a_root_that_skips_a_version_is_refused() {
    let fleet = Fleet::new();
    fleet.assert_installs(1, "version 1");
    fleet.rotate(Role::Timestamp);
    fleet.rotate(Role::Timestamp);
    fs::copy(fleet.at("keys/root/3.root.json"), fleet.metadata("2.root.json")).unwrap();
    fleet.assert_refused(RefusalKind::Rollback, "metadata/2.root.json");
}

#[test]
fn the_stored_root_counts_and_the_given_one_only_once() {
    let (fleet, other) = (Fleet::new(), Fleet::new());
    let store = fleet.store();
    let theirs = fs::read(other.at("keys/root/1.root.json")).unwrap();
    assert!(!store.trust_first(&theirs).unwrap());
    fleet.assert_installs(1, "version 1");
    assert!(!store.trust_first(b"not even looked at").unwrap());
}

#[test]
fn a_first_root_must_be_signed_by_itself() {
    let fleet = Fleet::new();
    let store = Store::open(fleet.at("fresh")).unwrap();
    let mut root: serde_json::Value =
        serde_json::from_slice(&fs::read(fleet.at("keys/root/1.root.json")).unwrap()).unwrap();
    root["signed"]["expires"] = "2999-01-01T00:00:00Z".into();
    for bad in [root.to_string().as_bytes(), b"", b"{}"] {
        assert!(matches!(store.trust_first(bad), Err(Error::BadRoot(_))));
    }
    assert!(!store.has_root());
    let update = store.update(Arc::new(Directory::new(fleet.at("repository"))), &Limits::default());
    assert!(matches!(update, Err(UpdateError::Failed(Error::NoRoot { .. }))));
}

#[test]
fn a_lost_root_key_is_retired_by_name() {
    let fleet = Fleet::new();
    let mut keys: Vec<_> = fs::read_dir(fleet.at("keys")).unwrap().map(|e| e.unwrap().path()).collect();
    keys.retain(|p| p.file_name().unwrap().to_str().unwrap().starts_with("root-"));
    let lost = keys.pop().unwrap();
    let id = lost.file_stem().unwrap().to_str().unwrap().trim_start_matches("root-").to_owned();
    fs::remove_file(lost).unwrap();
    let folder = KeyFolder::open(fleet.at("keys")).unwrap();
    let rotation = Rotation { retire: Some("zz".to_owned()), ..Rotation::default() };
    assert!(matches!(rotate(&folder, Role::Root, &rotation, Timestamp::now()), Err(Error::NoSuchKey { .. })));
    let rotation = Rotation { retire: Some(id.clone()), ..Rotation::default() };
    let rotated = rotate(&folder, Role::Root, &rotation, Timestamp::now()).unwrap();
    assert_eq!((rotated.retired, rotated.retired_id), (None, id));
    fleet.publish_text("version 2");
    fleet.assert_installs(2, "version 2");
}

#[test]
fn too_few_root_keys_rotate_nothing() {
    let new = NewKeys { root_keys: 2, root_threshold: 2, ..NewKeys::default() };
    let fleet = Fleet::made_at(&new, Timestamp::now());
    let path = fleet.thief(&[Role::Root]).keys;
    copy(&fleet.at("keys/root"), &path.join("root"));
    let one = fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().is_some()).unwrap();
    fs::remove_file(one).unwrap();
    let before = contents(&path);
    let error = rotate(&KeyFolder::open(&path).unwrap(), Role::Targets, &Rotation::default(), Timestamp::now());
    assert!(matches!(error, Err(Error::TooFewKeys { role: "root", needed: 2, found: 1, .. })), "{error:?}");
    assert_eq!(contents(&path), before);
}

#[test]
fn days_of_validity_are_kept_and_can_be_changed() {
    let fleet = Fleet::new();
    let folder = KeyFolder::open(fleet.at("keys")).unwrap();
    let rotation = Rotation { days: vec![(Role::Timestamp, 3)], ..Rotation::default() };
    rotate(&folder, Role::Snapshot, &rotation, Timestamp::now()).unwrap();
    let published = fleet.publish_at(Timestamp::now()).unwrap();
    let hours = published.expires.duration_since(Timestamp::now()).as_hours();
    assert!((71..=72).contains(&hours), "{hours}");
}
