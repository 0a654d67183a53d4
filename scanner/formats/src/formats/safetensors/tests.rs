use base64::Engine;
use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

const NAME: &str = "model.safetensors";

/// A file of `header` (padded as the library does) and `data`.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut header = header.as_bytes().to_vec();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header);
    out.extend(data);
    out
}

fn entry(name: &str, dtype: &str, shape: &str, begin: u64, end: u64) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
}

fn honest() -> Vec<u8> {
    let header = format!(
        r#"{{"__metadata__":{{"format":"pt"}},{},{}}}"#,
        entry("a.weight", "F32", "[2,2]", 0, 16),
        entry("b.weight", "BF16", "[3]", 16, 22)
    );
    file(&header, &[7; 22])
}

fn with_metadata(key: &str, value: &str) -> Vec<u8> {
    let value = serde_json::to_string(value).unwrap();
    file(&format!(r#"{{"__metadata__":{{"{key}":{value}}},{}}}"#, entry("w", "U8", "[4]", 0, 4)), &[0; 4])
}

#[test]
fn honest_files_are_clean_and_described() {
    let outcome = inspect_bytes(NAME, &honest());
    assert_eq!((outcome.format, verdict(&outcome)), (Some("safetensors"), Verdict::Clean), "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["parameters"], 7);
    assert_eq!(outcome.metadata["framework"], "pt");
    assert_eq!(outcome.metadata["dtypes"]["BF16"], 1);
    let end = honest().len() as u64;
    assert_eq!((outcome.opaque[0].start, outcome.opaque[0].end), (end - 22, end));
}

#[test]
fn empty_scalar_and_sub_byte_tensors_are_honest() {
    for header in
        ["{}".to_owned(), r#"{"__metadata__":{}}"#.to_owned(), format!("{{{}}}", entry("a", "F32", "[0,3]", 0, 0))]
    {
        assert_eq!(verdict(&inspect_bytes(NAME, &file(&header, b""))), Verdict::Clean, "{header}");
    }
    let header = format!("{{{},{}}}", entry("s", "I64", "[]", 0, 8), entry("q", "F4", "[4]", 8, 10));
    assert_eq!(verdict(&inspect_bytes(NAME, &file(&header, &[0; 10]))), Verdict::Clean);
}

#[test]
fn headers_the_library_refuses_are_unknown() {
    let entry = |dtype, shape, offsets: &str| {
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    for header in [
        entry("F99", "[1]", "[0,4]"),
        entry("F32", "[1.0]", "[0,4]"),
        entry("F32", "[-1]", "[0,4]"),
        entry("F32", "[1]", "[0.0,4]"),
        entry("F32", "[1]", "[0]"),
        entry("F32", "\"1\"", "[0,4]"),
        r#"{"a":{"dtype":"F32","shape":[1]}}"#.to_owned(),
        r#"{"a":1}"#.to_owned(),
        r#"{"__metadata__":{"a":1}}"#.to_owned(),
        r#"{"__metadata__":[]}"#.to_owned(),
        r#"{"a""#.to_owned(),
        "{} x".to_owned(),
        "[]".to_owned(),
        " {}".to_owned(),
        "\u{feff}{}".to_owned(),
        format!(r#"{{"a":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000)),
    ] {
        assert_eq!(verdict(&inspect_bytes(NAME, &file(&header, &[0; 4]))), Verdict::Unknown, "{header:.80}");
    }
}

#[test]
fn lengths_that_lie_are_not_clean() {
    for (length, expected) in [
        (u64::MAX, Verdict::Suspicious),
        (100_000_001, Verdict::Suspicious),
        (1 << 20, Verdict::Unknown),
        (4, Verdict::Unknown),
        (0, Verdict::Unknown),
    ] {
        let mut sample = honest();
        sample[..8].copy_from_slice(&length.to_le_bytes());
        assert_eq!(verdict(&inspect_bytes(NAME, &sample)), expected, "{length}");
    }
    assert_ne!(verdict(&inspect_bytes(NAME, &honest()[..5])), Verdict::Clean);
    assert_ne!(verdict(&inspect_bytes(NAME, b"")), Verdict::Clean);
}

#[test]
fn layouts_no_writer_makes_are_suspicious() {
    for (tensors, bytes) in [
        (vec![entry("a", "U8", "[4]", 0, 4), entry("b", "U8", "[4]", 2, 6)], 6),
        (vec![entry("a", "U8", "[4]", 0, 4), entry("b", "U8", "[4]", 8, 12)], 12),
        (vec![entry("a", "U8", "[4]", 4, 0)], 4),
        (vec![entry("a", "U8", "[4]", 0, 8)], 8),
        (vec![entry("a", "F4", "[3]", 0, 2)], 2),
        (vec![entry("a", "F64", "[4294967296,4294967296]", 0, 4)], 4),
        (vec![entry("a", "U8", "[4]", 0, 4), entry("a", "U8", "[4]", 4, 8)], 8),
        (vec![entry("../../x", "U8", "[4]", 0, 4)], 4),
        (vec![entry("a\\u202eb", "U8", "[4]", 0, 4)], 4),
        (vec![entry("a", "U8", "[4]", 1000, 1004)], 4),
    ] {
        let outcome = inspect_bytes(NAME, &file(&format!("{{{}}}", tensors.join(",")), &vec![0; bytes]));
        assert_eq!(verdict(&outcome), Verdict::Suspicious, "{tensors:?}");
    }
}

#[test]
fn files_that_break_off_are_unknown() {
    let sample = honest();
    assert_eq!(verdict(&inspect_bytes(NAME, &sample[..sample.len() - 1])), Verdict::Unknown);
    assert_eq!(verdict(&inspect_bytes(NAME, &sample[..60])), Verdict::Unknown);
}

#[test]
fn bytes_after_the_last_tensor_are_suspicious() {
    let mut sample = honest();
    sample.extend(b"\x80\x04\x95payload.");
    assert_eq!(rules(&inspect_bytes(NAME, &sample)).first(), Some(&"safetensors-trailing-bytes"));
}

#[test]
fn an_archive_at_the_end_is_seen_even_inside_the_data() {
    let zip = b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0a\
                PK\x05\x06\0\0\0\0\x01\0\x01\0\x2f\0\0\0\x04\0\0\0\0\0";
    let mut data = vec![0; 8];
    data.extend(zip);
    let header = format!("{{{}}}", entry("w", "U8", &format!("[{}]", data.len()), 0, data.len() as u64));
    assert!(rules(&inspect_bytes(NAME, &file(&header, &data))).contains(&"safetensors-also-archive"));
    let reversed = format!("{{{}}}", entry("w", "U8", "[4]", 99, 0));
    assert!(rules(&inspect_bytes(NAME, &file(&reversed, &data))).contains(&"safetensors-also-archive"));
}

#[test]
fn dangerous_targets_in_metadata_are_malicious_and_classes_are_not() {
    let verdict = |value: &str| verdict(&inspect_bytes(NAME, &with_metadata("config", value)));
    assert_eq!(verdict(r#"{"_target_": "os.system", "_args_": ["echo weighbridge-marker"]}"#), Verdict::Malicious);
    assert_eq!(verdict(r#"{"model": {"_target_": "builtins.exec"}}"#), Verdict::Malicious);
    assert_eq!(verdict(r#"{"_target_": "flextok.model.FlexTok", "depth": 12}"#), Verdict::Clean);
}

#[test]
fn payloads_and_code_in_metadata_are_suspicious() {
    let pickle = base64::engine::general_purpose::STANDARD.encode(b"\x80\x04\x95\x05\0\0\0\0\0\0\0\x8c\x01a\x94.");
    for value in [pickle.as_str(), "80049505000000000000008c0161942e", "__import__('os').system('id')"] {
        assert!(verdict(&inspect_bytes(NAME, &with_metadata("note", value))) >= Verdict::Suspicious, "{value}");
    }
    for value in [
        r#"{"img": {"cat": 10, "system": 2, "import": 1, "eval": 3}}"#,
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==",
    ] {
        assert_eq!(verdict(&inspect_bytes(NAME, &with_metadata("ss_tag_frequency", value))), Verdict::Clean, "{value}");
    }
}

#[test]
fn programs_in_tensors_are_seen_and_lookalikes_are_not() {
    let sample = |data: &[u8]| {
        file(&format!("{{{}}}", entry("w", "U8", &format!("[{}]", data.len()), 0, data.len() as u64)), data)
    };
    assert_eq!(rules(&inspect_bytes(NAME, &sample(b"\x7fELF\x02\x01\x01\0\0\0\0\0"))), ["tensor-holds-program"]);
    assert_eq!(
        verdict(&inspect_bytes(NAME, &sample(b"cos\nsystem\n(S'echo'\ntR.PK\x03\x04MZ\x7fELF"))),
        Verdict::Clean
    );
}

#[test]
fn adapters_and_quantisations_are_told_by_names() {
    let of = |names: &[&str]| {
        let tensors: Vec<_> =
            names.iter().enumerate().map(|(n, name)| entry(name, "U8", "[1]", n as u64, n as u64 + 1)).collect();
        inspect_bytes(NAME, &file(&format!("{{{}}}", tensors.join(",")), &vec![0; names.len()])).metadata
    };
    assert_eq!(of(&["a.lora_A.weight", "a.lora_B.weight"])["adapter"], "lora");
    assert_eq!(of(&["a.qweight", "a.g_idx"])["quantization"], "gptq");
    assert_eq!(of(&["a.scales", "a.biases"])["quantization"], "mlx");
    assert_eq!(of(&["a.weight"]).get("quantization"), None);
}

#[test]
fn many_tensors_take_little_time() {
    let tensors: Vec<_> =
        (0..100_000u64).map(|n| entry(&format!("model.layers.{n}.weight"), "U8", "[1]", n, n + 1)).collect();
    let outcome = inspect_bytes(NAME, &file(&format!("{{{}}}", tensors.join(",")), &vec![1; 100_000]));
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["tensor_count"], 100_000);
}

#[test]
fn survives_any_damage() {
    survives_damage(NAME, &honest());
    survives_damage(NAME, &with_metadata("config", r#"{"_target_": "a.B"}"#));
}
