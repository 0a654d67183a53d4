use proptest::prelude::*;

use super::samples::{Archive, Member as Sample};
use super::*;
use crate::core::Input;

fn audit(bytes: &[u8]) -> (Listing, Audit) {
    let input = Input::bytes(bytes.to_vec());
    let listing = Listing::read(&input).unwrap();
    let audit = listing.audit(&input).unwrap();
    (listing, audit)
}

fn kinds(bytes: &[u8]) -> Vec<AnomalyKind> {
    let mut kinds: Vec<_> = audit(bytes).1.anomalies.iter().map(|a| a.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn a() -> Sample {
    Sample::stored("a", b"content of a")
}

fn b() -> Sample {
    Sample::deflated("b", b"content of b")
}

#[test]
fn an_honest_archive_has_no_anomalies() {
    assert_eq!(kinds(&Archive::of(&[a(), b()]).bytes()), []);
    assert_eq!(kinds(&Archive::of(&[]).bytes()), []);
}

#[test]
fn sizes_after_the_data_are_no_anomaly() {
    let mut bytes = Archive::of(&[a().but(|m| (m.flags, m.local_flags) = (8, 8)), b()]).bytes();
    // CRC-32 and sizes of the first local header, left to a descriptor.
    bytes[14..26].fill(0);
    assert_eq!(kinds(&bytes), []);
}

#[test]
fn each_trick_is_told_from_the_others() {
    use AnomalyKind::*;
    let hidden = Sample::stored("h", b"hidden").but(|m| m.in_directory = false);
    let cases: Vec<(&str, Archive, Vec<AnomalyKind>)> = vec![
        ("local name", Archive::of(&[a().but(|m| m.local_name = b"z".into()), b()]), vec![Name]),
        ("NUL", Archive::of(&[Sample::stored("a\0.txt", b"x")]), vec![Name]),
        ("method", Archive::of(&[a().but(|m| m.local_method = 8)]), vec![Header]),
        ("flags", Archive::of(&[a().but(|m| m.local_flags = 1)]), vec![Header]),
        ("unknown method", Archive::of(&[a().but(|m| (m.method, m.local_method) = (99, 99))]), vec![Method]),
        ("same name", Archive::of(&[a(), Sample::stored("a", b"other")]), vec![Duplicate]),
        ("same but for case", Archive::of(&[a(), Sample::stored("A", b"other")]), vec![Duplicate]),
        ("same name and content", Archive::of(&[a(), a()]), vec![]),
        ("shared data", Archive::of(&[a(), a().but(|m| m.shares_data = true)]), vec![Overlap]),
        ("hidden between", Archive::of(&[a(), hidden.clone(), b()]), vec![Hidden]),
        ("hidden last", Archive::of(&[a(), hidden.clone()]), vec![Hidden]),
        ("hidden first", Archive::of(&[hidden, a()]), vec![Hidden, Prefix]),
        ("count", Archive::of(&[a(), b()]).but(|z| z.count = Some(1)), vec![Count]),
        ("prefix", Archive::of(&[a()]).but(|z| z.prefix = b"prefix".into()), vec![Prefix]),
        ("suffix", Archive::of(&[a()]).but(|z| z.suffix = b"suffix".into()), vec![Suffix]),
    ];
    for (what, archive, expected) in cases {
        assert_eq!(kinds(&archive.bytes()), expected, "{what}");
    }
}

#[test]
fn both_directories_of_two_archives_in_a_row_are_read() {
    let bytes = [Archive::of(&[Sample::stored("first", b"1")]).bytes(), Archive::of(&[a()]).bytes()].concat();
    let (listing, audit) = audit(&bytes);
    assert_eq!(listing.members.len(), 1);
    assert_eq!(listing.members[0].name, "a");
    assert!(audit.hidden.iter().any(|m| m.name == "first"));
    assert!(audit.anomalies.iter().any(|a| a.kind == AnomalyKind::Directory));
}

#[test]
fn an_archive_stored_in_another_is_not_ambiguous() {
    let inner = Archive::of(&[a()]).bytes();
    assert_eq!(kinds(&Archive::of(&[Sample::stored("inner.zip", &inner)]).bytes()), []);
}

#[test]
fn an_end_record_in_the_comment_is_ambiguous() {
    let evil = Archive::of(&[Sample::stored("evil", b"x")]).bytes();
    let comment = evil[evil.len() - 22..].to_vec();
    let kinds = kinds(&Archive::of(&[a(), b()]).but(|z| z.comment = comment).bytes());
    assert!(!kinds.is_empty());
}

#[test]
fn a_directory_where_only_unshifted_offsets_lead_is_found() {
    // What miniz reads: the directory at its offset. What CPython reads: the
    // one right before the end record.
    let first = Archive::of(&[Sample::stored("for-miniz", b"1")]).bytes();
    let directory_at = first.len() - 22 - (46 + 9);
    let second = Archive::of(&[a()]).bytes();
    let mut bytes = [first, second].concat();
    let end = bytes.len() - 22;
    bytes[end + 16..end + 20].copy_from_slice(&u32::try_from(directory_at).unwrap().to_le_bytes());
    let size = bytes[end + 12];
    assert_eq!(size, 47);
    bytes[end + 12] = 47;
    let (_, audit) = audit(&bytes);
    assert!(audit.hidden.iter().any(|m| m.name == "for-miniz"), "{:?}", audit.anomalies);
}

#[test]
fn members_are_recovered_where_the_directory_is_missing() {
    let whole = Archive::of(&[a(), b()]).bytes();
    let start = memchr::memmem::find(&whole, b"PK\x01\x02").unwrap();
    for cut in [start, start + 20, start + 47, whole.len() - 10] {
        let (listing, audit) = audit(&whole[..cut]);
        assert!(listing.recovered.is_some());
        assert_eq!(listing.members.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["a", "b"], "cut at {cut}");
        assert!(audit.anomalies.iter().any(|a| a.kind == AnomalyKind::Damaged));
    }
    assert!(Listing::read(&Input::bytes(b"PK\x03\x04".to_vec())).is_err());
}

#[test]
fn zip64_values_unlike_the_plain_ones_are_ambiguous() {
    let mut bytes = Archive::of(&[a()]).bytes();
    let end = bytes.split_off(bytes.len() - 22);
    let (size, start) = (47u64, bytes.len() as u64 - 47);
    // A second directory after the first, for those who follow ZIP64.
    let other = bytes[bytes.len() - 47..].to_vec();
    let mut other = other.clone();
    other[46] = b'z';
    let other_start = bytes.len() as u64;
    bytes.extend(other);
    let record = bytes.len() as u64;
    bytes.extend(b"PK\x06\x06");
    bytes.extend(44u64.to_le_bytes());
    bytes.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend(other_start.to_le_bytes());
    bytes.extend(b"PK\x06\x07\0\0\0\0");
    bytes.extend(record.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(end);
    let (listing, audit) = audit(&bytes);
    assert_eq!(listing.members[0].name, "z");
    assert!(audit.anomalies.iter().any(|a| a.kind == AnomalyKind::Directory), "plain start {start}");
}

#[test]
fn listing_many_members_is_quick() {
    let members: Vec<Sample> = (0..20_000).map(|i| Sample::stored(&format!("m{i}"), b"x")).collect();
    let bytes = Archive::of(&members).bytes();
    let start = std::time::Instant::now();
    let (listing, audit) = audit(&bytes);
    assert_eq!((listing.members.len(), audit.anomalies.len()), (20_000, 0));
    assert!(start.elapsed() < std::time::Duration::from_secs(5));
}

proptest! {
    #[test]
    fn any_bytes_after_a_signature_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0usize..400) {
        let mut content = b"PK\x03\x04".to_vec();
        content.extend(&bytes);
        let at = at.min(content.len());
        content.splice(at..at, *b"PK\x01\x02");
        content.extend(b"PK\x05\x06");
        content.extend(&bytes[..bytes.len().min(18)]);
        let input = Input::bytes(content);
        if let Ok(listing) = Listing::read(&input) {
            listing.audit(&input).unwrap();
        }
    }
}
