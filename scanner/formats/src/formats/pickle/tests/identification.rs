use super::asm::*;
use crate::core::{Confidence, FileName, Sniff};
use crate::formats::pickle::sniff::recognise;

fn confidence(name: &str, bytes: &[u8]) -> Confidence {
    let head = &bytes[..bytes.len().min(4096)];
    recognise(&Sniff::new(head, bytes.len() as u64, &FileName::new(name), &Vec::new))
}

#[test]
fn content_decides_and_not_the_name() {
    for name in ["model.bin", "image.png", "notes.txt", "x", "config.json"] {
        assert!(confidence(name, &p2(&[&evil()])) >= Confidence::Likely, "{name}");
        assert!(confidence(name, b"cposix\nsystem\n(S'echo'\ntR.") >= Confidence::Likely, "{name}");
        assert!(confidence(name, b"(S'echo'\niposix\nsystem\n.") >= Confidence::Likely, "{name}");
    }
}

#[test]
fn junk_before_the_import_does_not_hide_it() {
    for junk in [&b"N0"[..], b"I1\n0", b"(1", b"(((111", b"]0}0)0", b"\x80\xff", b"K\x01K\x020 0".get(..4).unwrap()] {
        let stream = seq(&[junk, b"cposix\nsystem\n(S'echo'\ntR."]);
        assert!(confidence("model", &stream) >= Confidence::Plausible, "{junk:?}");
    }
    let argument = seq(&[b"cposix\nsystem\n(S'", &[b'a'; 9000], b"'\ntR."]);
    assert!(confidence("model", &argument) >= Confidence::Plausible);
    assert!(confidence("model", b"I1\n.cposix\nsystem\n(S'echo'\ntR.") >= Confidence::Plausible);
    let long = seq(&[&b"N0I1\n0".repeat(2000), b"cposix\nsystem\n(S'echo'\ntR."]);
    assert!(confidence("model.bin", &long) >= Confidence::Plausible);
}

#[test]
fn text_and_binaries_are_no_pickles() {
    for text in [
        "class Net(nn.Module):\n    def forward(self, x):\n        return x\n",
        "cache\nbuild\n.env\nnode_modules\n",
        "cat\ndog\nfish\n",
        "(define (square x) (* x x))\n",
        "Import numpy as np\nimport os\n",
        "I\nam\nJust text.\n",
        "].\n",
        "})();\n",
        "const a = 1;\nlet b = 2;\n",
        "Name,Age\nBob,3\n",
        "KNN.\n",
        "Some text that begins with an S.\n",
        "V1.0\nV2.0\n",
        "N.B. this is a note.\n",
        "PK\u{3}\u{4}\ncat\ndog\n",
    ] {
        for name in ["a.py", "a.txt", "a", "a.bin", "a.c", "a.csv"] {
            assert_eq!(confidence(name, text.as_bytes()), Confidence::No, "{name}: {text}");
        }
    }
    for binary in [
        &b"\x80\x02"[..],
        b"\x80\x04\0\0\0\0",
        b"\x80\x00\x80\x00",
        b"\x7fELF\x02\x01\x01",
        b"\x80\x05\xff\xff",
        b"\x00\x00\x00\x00",
        b"\x89PNG\r\n\x1a\n",
    ] {
        assert_eq!(confidence("a.bin", binary), Confidence::No, "{binary:?}");
    }
}

#[test]
fn data_without_signature_needs_a_fitting_name() {
    let data = b"(dp0\nS'a'\np1\nI1\ns.";
    assert!(confidence("labels.dat", data) > Confidence::No);
    assert!(confidence("labels", data) > Confidence::No);
    assert_eq!(confidence("labels.txt", data), Confidence::No);
}
