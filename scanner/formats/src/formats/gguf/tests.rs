#![expect(clippy::cast_possible_truncation, reason = "samples are small")]

use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

const NAME: &str = "model.gguf";

/// One metadata pair: key, type id and the value's bytes.
pub struct Kv {
    key: Vec<u8>,
    kind: u32,
    value: Vec<u8>,
}

impl Kv {
    pub fn raw(key: &str, kind: u32, value: impl Into<Vec<u8>>) -> Self {
        Self { key: key.as_bytes().to_vec(), kind, value: value.into() }
    }

    pub fn text(key: &str, text: &str) -> Self {
        Self::raw(key, 8, string(text.as_bytes()))
    }

    fn u32(key: &str, n: u32) -> Self {
        Self::raw(key, 4, n.to_le_bytes())
    }
}

pub struct Tensor {
    name: Vec<u8>,
    dims: Vec<u64>,
    kind: u32,
    offset: u64,
}

pub fn tensor(name: &str, dims: &[u64], kind: u32, offset: u64) -> Tensor {
    Tensor { name: name.as_bytes().to_vec(), dims: dims.to_vec(), kind, offset }
}

fn string(text: &[u8]) -> Vec<u8> {
    let mut out = (text.len() as u64).to_le_bytes().to_vec();
    out.extend(text);
    out
}

fn array(kind: u32, count: u64, items: &[u8]) -> Vec<u8> {
    let mut out = kind.to_le_bytes().to_vec();
    out.extend(count.to_le_bytes());
    out.extend(items);
    out
}

fn head(tensors: u64, pairs: u64) -> Vec<u8> {
    let mut out = b"GGUF\x03\0\0\0".to_vec();
    out.extend(tensors.to_le_bytes());
    out.extend(pairs.to_le_bytes());
    out
}

fn tables(pairs: &[Kv], tensors: &[Tensor]) -> Vec<u8> {
    let mut out = head(tensors.len() as u64, pairs.len() as u64);
    for pair in pairs {
        out.extend(string(&pair.key));
        out.extend(pair.kind.to_le_bytes());
        out.extend(&pair.value);
    }
    for tensor in tensors {
        out.extend(string(&tensor.name));
        out.extend((tensor.dims.len() as u32).to_le_bytes());
        out.extend(tensor.dims.iter().flat_map(|d| d.to_le_bytes()));
        out.extend(tensor.kind.to_le_bytes());
        out.extend(tensor.offset.to_le_bytes());
    }
    out
}

/// A file whose data section has 64 bytes for each tensor.
pub fn file(pairs: &[Kv], tensors: &[Tensor]) -> Vec<u8> {
    let mut out = tables(pairs, tensors);
    out.resize(out.len().next_multiple_of(32) + 64 * tensors.len(), 0);
    out
}

fn honest_pairs() -> Vec<Kv> {
    let tokens: Vec<u8> = [&b"a"[..], b"\xff\xfe", b"system"].iter().flat_map(|t| string(t)).collect();
    vec![
        Kv::text("general.architecture", "llama"),
        Kv::text("general.name", "Example Tiny"),
        Kv::u32("general.file_type", 2),
        Kv::u32("llama.context_length", 4096),
        Kv::raw("tokenizer.ggml.tokens", 9, array(8, 3, &tokens)),
        Kv::raw("tokenizer.ggml.add_bos_token", 7, [1]),
        Kv::u32("general.base_model.count", 1),
        Kv::text("general.base_model.0.repo_url", "https://huggingface.co/example/base"),
        Kv::text("tokenizer.chat_template", "{% for m in messages %}{{ m.content }}{% endfor %}"),
    ]
}

fn honest_tensors() -> Vec<Tensor> {
    vec![tensor("token_embd.weight", &[4, 4], 0, 0), tensor("output.weight", &[32], 2, 64)]
}

fn honest() -> Vec<u8> {
    let mut out = file(&honest_pairs(), &honest_tensors());
    out.truncate(out.len() - 64 + 18);
    out
}

fn verdict_of(pairs: &[Kv], tensors: &[Tensor]) -> Verdict {
    verdict(&inspect_bytes(NAME, &file(pairs, tensors)))
}

#[test]
fn files_that_do_not_say_what_they_are_are_unknown() {
    let one = [tensor("a", &[4], 0, 0)];
    assert_eq!(verdict_of(&[Kv::text("general.name", "x")], &one), Verdict::Unknown);
    assert_eq!(verdict_of(&[Kv::u32("general.architecture", 1)], &one), Verdict::Unknown);
    assert_eq!(verdict_of(&[], &one), Verdict::Clean);
    assert_eq!(verdict_of(&[Kv::text("general.type", "imatrix")], &one), Verdict::Clean);
    assert_eq!(verdict_of(&[Kv::u32("split.no", 1), Kv::u32("split.count", 2)], &one), Verdict::Clean);
}

#[test]
fn names_are_as_long_as_their_loader_takes() {
    let named = |n: usize| [tensor(&"n".repeat(n), &[4], 0, 0)];
    let architecture = |a| [Kv::text("general.architecture", a)];
    assert_eq!(verdict_of(&architecture("llama"), &named(63)), Verdict::Clean);
    assert_eq!(verdict_of(&architecture("llama"), &named(64)), Verdict::Suspicious);
    assert_eq!(verdict_of(&architecture("flux"), &named(127)), Verdict::Clean);
    assert_eq!(verdict_of(&[], &named(128)), Verdict::Suspicious);
    assert_eq!(verdict_of(&[], &[tensor("../../x", &[4], 0, 0)]), Verdict::Suspicious);
}

#[test]
fn honest_files_are_clean_and_described() {
    let outcome = inspect_bytes(NAME, &honest());
    assert_eq!((outcome.format, verdict(&outcome)), (Some("gguf"), Verdict::Clean), "{:?}", outcome.findings);
    let facts = &outcome.metadata;
    assert_eq!(facts["architecture"], "llama");
    assert_eq!(facts["base_models"][0]["repo_url"], "https://huggingface.co/example/base");
    assert_eq!(facts["parameters"], 48);
    assert_eq!(facts["quantization"], "Q4_0");
    assert_eq!(facts["context_length"], 4096);
    assert_eq!(outcome.links[0].target, "https://huggingface.co/example/base");
    assert_eq!(outcome.opaque.len(), 1);
}

#[test]
fn big_endian_files_and_the_first_version_are_read() {
    let mut big = b"GGUF\0\0\0\x03".to_vec();
    big.extend(0u64.to_be_bytes());
    big.extend(1u64.to_be_bytes());
    for text in ["general.architecture", "llama"] {
        big.extend((text.len() as u64).to_be_bytes());
        big.extend(text.as_bytes());
        if text.contains('.') {
            big.extend(8u32.to_be_bytes());
        }
    }
    let outcome = inspect_bytes(NAME, &big);
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["architecture"], "llama");

    let mut first = b"GGUF\x01\0\0\0".to_vec();
    first.extend(0u32.to_le_bytes());
    first.extend(1u32.to_le_bytes());
    first.extend(1u32.to_le_bytes());
    first.extend(b"k");
    first.extend(8u32.to_le_bytes());
    first.extend(1u32.to_le_bytes());
    first.extend(b"v");
    assert_eq!(verdict(&inspect_bytes(NAME, &first)), Verdict::Clean);
}

#[test]
fn counts_and_lengths_no_file_holds_are_suspicious() {
    for (tensors, pairs) in [(0, u64::MAX), (u64::MAX, 0), (0, 1 << 61), (1 << 61, 0)] {
        assert_eq!(verdict(&inspect_bytes(NAME, &head(tensors, pairs))), Verdict::Suspicious, "{tensors} {pairs}");
    }
    let long = |n: u64| Kv::raw("k", 8, n.to_le_bytes());
    assert_eq!(verdict_of(&[long(u64::MAX)], &[]), Verdict::Suspicious);
    assert_eq!(verdict_of(&[Kv::raw("k", 9, array(4, 1 << 62, b""))], &[]), Verdict::Suspicious);
    // A length that is merely beyond the end is how broken downloads look.
    assert_eq!(verdict_of(&[long(100_000)], &[]), Verdict::Unknown);
}

#[test]
fn values_the_specification_forbids_are_suspicious() {
    for pair in [
        Kv::raw("k", 99, [0; 8]),
        Kv::raw("k", 9, array(99, 1, &[0; 8])),
        Kv::raw("k", 7, [2]),
        Kv::raw("k", 9, array(7, 2, &[1, 2])),
        Kv::u32("", 1),
        Kv::u32("a\0b", 1),
        Kv::u32("general.alignment", 0),
        Kv::u32("general.alignment", 33),
        Kv::u32("general.alignment", 1 << 31),
        Kv::raw("general.alignment", 10, 32u64.to_le_bytes()),
    ] {
        assert_eq!(verdict_of(&[pair], &[]), Verdict::Suspicious);
    }
    assert_eq!(verdict_of(&[Kv::u32("k", 1), Kv::u32("k", 2)], &[]), Verdict::Suspicious);
    assert_eq!(verdict_of(&[Kv::raw("general.name", 8, string(b"\xff"))], &[]), Verdict::Unknown);
}

#[test]
fn nesting_of_arrays_is_bounded() {
    let mut nested = array(4, 1, &[0; 4]);
    for _ in 0..2 {
        nested = array(9, 1, &nested);
    }
    assert_eq!(verdict_of(&[Kv::raw("k", 9, nested.clone())], &[]), Verdict::Clean);
    for _ in 0..2000 {
        nested = array(9, 1, &nested);
    }
    assert_eq!(verdict_of(&[Kv::raw("k", 9, nested)], &[]), Verdict::Suspicious);
}

#[test]
fn shapes_and_types_no_loader_accepts_are_suspicious() {
    for bad in [
        tensor("a", &[1; 6], 0, 0),
        tensor("a", &[4], 4, 0),
        tensor("a", &[0], 0, 0),
        tensor("a", &[u64::MAX], 0, 0),
        tensor("a", &[1 << 40, 1 << 40], 0, 0),
        tensor("a", &[33], 2, 0),
        tensor("a", &[4], 4096, 0),
        tensor("a", &[4], u32::MAX, 0),
        tensor("", &[4], 0, 0),
        tensor(&"n".repeat(200), &[4], 0, 0),
    ] {
        assert_eq!(verdict_of(&[], &[bad]), Verdict::Suspicious);
    }
    assert_eq!(verdict_of(&[], &[tensor("a", &[4], 43, 0)]), Verdict::Unknown);
    assert_eq!(verdict_of(&[], &[tensor("a", &[4], 137, 0)]), Verdict::Clean);
    assert_eq!(
        verdict_of(&[Kv::text("general.architecture", "wan")], &[tensor("a", &[1, 1, 1, 1, 1], 0, 0)]),
        Verdict::Clean
    );
}

#[test]
fn layouts_no_loader_accepts_are_suspicious() {
    let pair = |offset| [tensor("a", &[16], 0, 0), tensor("b", &[16], 0, offset)];
    assert_eq!(verdict_of(&[], &pair(64)), Verdict::Clean);
    for offset in [32, 65, 1 << 40, u64::MAX - 31] {
        assert_eq!(verdict_of(&[], &pair(offset)), Verdict::Suspicious, "{offset}");
    }
    assert_eq!(verdict_of(&[], &[tensor("a", &[1 << 61], 0, 0)]), Verdict::Suspicious);
    assert_eq!(verdict_of(&[], &[tensor("a", &[16], 0, 0), tensor("a", &[16], 0, 64)]), Verdict::Suspicious);
}

#[test]
fn files_that_break_off_are_unknown() {
    let sample = honest();
    for cut in [4, 8, 20, 100, sample.len() - 60, sample.len() - 1] {
        assert_eq!(verdict(&inspect_bytes(NAME, &sample[..cut])), Verdict::Unknown, "{cut}");
    }
    assert_eq!(verdict(&inspect_bytes(NAME, b"GGUF\x04\0\0\0")), Verdict::Unknown);
    assert_eq!(verdict(&inspect_bytes(NAME, b"GGUF\0\0\0\0")), Verdict::Unknown);
}

#[test]
fn bytes_that_belong_to_no_tensor_are_suspicious() {
    let mut after = file(&[], &[tensor("a", &[16], 0, 0)]);
    after.extend(b"PK\x05\x06 and more");
    assert_eq!(rules(&inspect_bytes(NAME, &after)).first(), Some(&"gguf-hidden-bytes"));
    let mut between = tables(&[], &[tensor("a", &[8], 0, 0), tensor("b", &[8], 0, 64)]);
    between.resize(between.len().next_multiple_of(32) + 32, 0);
    between.extend([b'x'; 32]);
    between.extend([0; 32]);
    assert_eq!(rules(&inspect_bytes(NAME, &between)), ["gguf-hidden-bytes"]);
    let mut zeros = file(&[], &[tensor("a", &[16], 0, 0)]);
    zeros.resize(zeros.len() + 4096, 0);
    assert_eq!(verdict(&inspect_bytes(NAME, &zeros)), Verdict::Clean);
}

#[test]
fn templates_are_inspected_wherever_they_stand() {
    let evil = "{{ ''.__class__.__mro__[1].__subclasses__() }}";
    for key in ["tokenizer.chat_template", "tokenizer.chat_template.tool_use", "tokenizer.ggml.chat_template"] {
        assert_eq!(verdict_of(&[Kv::text(key, evil)], &[]), Verdict::Malicious, "{key}");
    }
    let items = string(evil.as_bytes());
    assert_eq!(verdict_of(&[Kv::raw("tokenizer.chat_templates", 9, array(8, 1, &items))], &[]), Verdict::Malicious);
    // Found although the tensors behind it do not parse.
    assert_eq!(
        verdict_of(&[Kv::text("tokenizer.chat_template", evil)], &[tensor("a", &[1; 70], 0, 0)]),
        Verdict::Malicious
    );
}

#[test]
fn parts_link_to_their_siblings() {
    let u16 = |key, n: u16| Kv::raw(key, 2, n.to_le_bytes());
    let sample = file(&[u16("split.no", 0), u16("split.count", 3)], &[]);
    let outcome = inspect_bytes("Big-Model-00001-of-00003.gguf", &sample);
    assert_eq!(verdict(&outcome), Verdict::Clean);
    let targets: Vec<_> = outcome.links.iter().map(|l| l.target.as_str()).collect();
    assert_eq!(targets, ["Big-Model-00002-of-00003.gguf", "Big-Model-00003-of-00003.gguf"]);
    assert_eq!(rules(&inspect_bytes("m-00002-of-00003.gguf", &sample)), ["gguf-split-name"]);
    let lies = file(&[u16("split.no", 7), u16("split.count", 3)], &[]);
    assert_eq!(verdict(&inspect_bytes(NAME, &lies)), Verdict::Suspicious);
}

#[test]
fn text_about_gguf_is_not_recognised() {
    assert_eq!(inspect_bytes("README.md", b"GGUF quantisations of Example").format, None);
}

#[test]
fn large_vocabularies_and_tensor_tables_take_little_time() {
    let tokens: Vec<u8> = (0..200_000u32).flat_map(|n| string(n.to_string().as_bytes())).collect();
    let tensors: Vec<_> = (0..70_000).map(|n| tensor(&format!("blk.{n}.weight"), &[16], 0, n * 64)).collect();
    let pairs =
        [Kv::text("general.architecture", "x"), Kv::raw("tokenizer.ggml.tokens", 9, array(8, 200_000, &tokens))];
    let sample = file(&pairs, &tensors);
    let outcome = inspect_bytes(NAME, &sample);
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["vocabulary_size"], 200_000);
    assert_eq!(outcome.metadata["tensor_count"], 70_000);
}

#[test]
fn survives_any_damage() {
    survives_damage(NAME, &honest());
}
