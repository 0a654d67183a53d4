#![expect(clippy::cast_possible_truncation, reason = "samples are small")]

use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn tensor(out: &mut Vec<u8>, name: &str, kind: u32, dims: &[u32], aligned: bool, bytes: usize) {
    out.extend(words(&[dims.len() as u32, name.len() as u32, kind]));
    out.extend(words(dims));
    out.extend(name.as_bytes());
    if aligned {
        out.resize(out.len().next_multiple_of(32), 0);
    }
    out.resize(out.len() + bytes, 0x3c);
}

fn ggjt() -> Vec<u8> {
    let mut out = b"tjgg".to_vec();
    out.extend(words(&[3, 2, 32, 256, 2, 1, 4, 2]));
    for word in ["<unk>", "a"] {
        out.extend(words(&[word.len() as u32]));
        out.extend(word.as_bytes());
        out.extend(1f32.to_le_bytes());
    }
    tensor(&mut out, "norm.weight", 0, &[32], true, 128);
    tensor(&mut out, "layers.0.attention.wq.weight", 2, &[32, 2], true, 36);
    out
}

fn whisper() -> Vec<u8> {
    let mut out = b"lmgg".to_vec();
    out.extend(words(&[51_864, 1500, 384, 6, 4, 448, 384, 6, 4, 80, 1]));
    out.extend(words(&[80, 3]));
    out.resize(out.len() + 80 * 3 * 4, 0);
    out.extend(words(&[1, 1]));
    out.push(b'a');
    tensor(&mut out, "decoder.ln.bias", 1, &[4, 2], false, 16);
    out
}

fn ggla() -> Vec<u8> {
    let mut out = b"algg".to_vec();
    out.extend(words(&[1, 4, 8]));
    tensor(&mut out, "layers.0.attention.wq.weight.loraA", 0, &[4, 8], true, 128);
    out
}

#[test]
fn honest_files_are_clean_and_described() {
    let outcome = inspect_bytes("model.bin", &ggjt());
    assert_eq!((outcome.format, verdict(&outcome)), (Some("ggml-legacy"), Verdict::Clean), "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["parameters"], 96);
    assert_eq!(outcome.metadata["quantization"], "Q4_0");
    let outcome = inspect_bytes("ggml-tiny.bin", &whisper());
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["architecture"], "whisper");
    let outcome = inspect_bytes("ggml-adapter-model.bin", &ggla());
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["adapter"], "lora");
}

#[test]
fn files_that_break_off_are_unknown() {
    for sample in [ggjt(), whisper(), ggla()] {
        assert_eq!(verdict(&inspect_bytes("m.bin", &sample[..sample.len() - 1])), Verdict::Unknown);
    }
}

#[test]
fn tensors_no_loader_can_read_are_suspicious() {
    for (dims, kind) in [(&[0][..], 0), (&[u32::MAX], 0), (&[1, 1, 1, 1, 1], 0), (&[4], 99), (&[33], 2)] {
        let mut sample = ggjt();
        tensor(&mut sample, "evil", kind, dims, true, 64);
        assert_eq!(verdict(&inspect_bytes("m.bin", &sample)), Verdict::Suspicious, "{dims:?} {kind}");
    }
}

#[test]
fn negative_hyperparameters_are_suspicious() {
    let mut sample = ggjt();
    sample[12..16].fill(0xff);
    assert!(rules(&inspect_bytes("m.bin", &sample)).contains(&"ggml-hyperparameter"));
}

#[test]
fn bytes_after_the_last_tensor_are_suspicious() {
    let mut sample = ggjt();
    sample.extend(b"#!/bin/sh\necho weighbridge-marker\n");
    assert_eq!(verdict(&inspect_bytes("m.bin", &sample)), Verdict::Suspicious);
}

#[test]
fn session_files_are_no_models() {
    let mut sample = b"nsgg".to_vec();
    sample.extend(words(&[9, 0]));
    assert_eq!(rules(&inspect_bytes("prompt.session", &sample)), ["ggml-session"]);
}

#[test]
fn text_that_starts_alike_is_not_recognised() {
    assert_eq!(inspect_bytes("notes.txt", b"lmgg is how GGML starts on disk").format, None);
    assert_eq!(inspect_bytes("notes.txt", b"tjgg is how GGJT starts on disk").format, None);
}

#[test]
fn survives_any_damage() {
    for sample in [ggjt(), whisper(), ggla()] {
        survives_damage("m.bin", &sample);
    }
}
