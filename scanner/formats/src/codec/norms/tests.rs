use serde_json::Value;

use super::*;
use crate::core::testing::{inspect_bytes, survives_damage};

/// Names and bytes.
type Tensors = Vec<(String, Vec<u8>)>;

const LAYERS: u32 = 3;
const WIDTH: u32 = 32;

/// The norms of a small model: two a layer and one at the end, in values
/// that every float type holds exactly.
fn norms() -> Vec<(String, String, Vec<f32>)> {
    let values = |seed: u32| (0..WIDTH).map(|i| ((i * 7 + seed * 13) % 61) as f32 / 32.0 - 0.5).collect::<Vec<_>>();
    let mut out = Vec::new();
    for n in 0..LAYERS {
        let hf = |role: &str| format!("model.layers.{n}.{role}.weight");
        out.push((hf("input_layernorm"), format!("blk.{n}.attn_norm.weight"), values(2 * n)));
        out.push((hf("post_attention_layernorm"), format!("blk.{n}.ffn_norm.weight"), values(2 * n + 1)));
    }
    out.push(("model.norm.weight".to_owned(), "output_norm.weight".to_owned(), values(99)));
    out
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn bf16s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| ((v.to_bits() >> 16) as u16).to_le_bytes()).collect()
}

/// Of the normal numbers used here.
fn f16s(values: &[f32]) -> Vec<u8> {
    let half = |v: f32| {
        let bits = v.to_bits();
        let (sign, exponent, mantissa) = (bits >> 31, bits >> 23 & 0xff, bits >> 13 & 0x3ff);
        if v == 0.0 { (sign << 15) as u16 } else { (sign << 15 | (exponent - 112) << 10 | mantissa) as u16 }
    };
    values.iter().flat_map(|v| half(*v).to_le_bytes()).collect()
}

fn safetensors(dtype: &str, tensors: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut header = String::from("{");
    let mut data: Vec<u8> = Vec::new();
    for (name, bytes) in tensors {
        let begin = data.len();
        data.extend(bytes);
        let shape = if name.contains("norm") { format!("[{WIDTH}]") } else { format!("[1,{WIDTH}]") };
        let comma = if begin == 0 { "" } else { "," };
        header += &format!(
            r#"{comma}"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{}]}}"#,
            data.len()
        );
    }
    header.push('}');
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.as_bytes());
    out.extend(data);
    out
}

/// A file with one matrix of ggml type `kind` and `matrix` bytes, and norms.
fn gguf(kind: u32, matrix: usize, norms: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = b"GGUF\x03\0\0\0".to_vec();
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    };
    out.extend((norms.len() as u64 + 1).to_le_bytes());
    out.extend(1u64.to_le_bytes());
    text(&mut out, "general.architecture");
    out.extend(8u32.to_le_bytes());
    text(&mut out, "llama");
    let mut data: Vec<u8> = Vec::new();
    let mut describe = |out: &mut Vec<u8>, name: &str, dims: &[u64], kind: u32, bytes: &[u8]| {
        data.resize(data.len().next_multiple_of(32), 0);
        text(out, name);
        out.extend((dims.len() as u32).to_le_bytes());
        out.extend(dims.iter().flat_map(|d| d.to_le_bytes()));
        out.extend(kind.to_le_bytes());
        out.extend((data.len() as u64).to_le_bytes());
        data.extend(bytes);
    };
    describe(&mut out, "blk.0.attn_q.weight", &[32, 1], kind, &vec![3; matrix]);
    for (name, bytes) in norms {
        describe(&mut out, name, &[u64::from(WIDTH)], 0, bytes);
    }
    out.resize(out.len().next_multiple_of(32), 0);
    out.extend(data);
    out
}

fn fact(name: &str, bytes: &[u8]) -> Value {
    let outcome = inspect_bytes(name, bytes);
    assert!(outcome.findings.is_empty(), "{:?}", outcome.findings);
    outcome.metadata.get("norms").cloned().unwrap_or_default()
}

fn of_gguf(kind: u32, matrix: usize) -> Value {
    let norms: Vec<_> = norms().into_iter().map(|(_, name, values)| (name, f32s(&values))).collect();
    fact("m.gguf", &gguf(kind, matrix, &norms))
}

fn of_safetensors(dtype: &str, encode: fn(&[f32]) -> Vec<u8>) -> Value {
    let mut tensors: Vec<_> = norms().into_iter().map(|(name, _, values)| (name, encode(&values))).collect();
    tensors.insert(2, ("model.layers.0.self_attn.q_proj.weight".to_owned(), encode(&[1.0; WIDTH as usize])));
    fact("m.safetensors", &safetensors(dtype, &tensors))
}

#[test]
fn requantisation_and_float_types_leave_the_sum_alone() {
    let full = of_safetensors("F32", f32s);
    assert_eq!(full["tensors"], 7);
    assert_eq!(full["varied"], 7);
    assert_eq!(of_safetensors("BF16", bf16s), full);
    assert_eq!(of_safetensors("F16", f16s), full);
    // F16, Q8_0 and Q4_0 blocks of 32 elements.
    for (kind, bytes) in [(1, 64), (8, 34), (2, 18)] {
        assert_eq!(of_gguf(kind, bytes), full, "type {kind}");
    }
}

#[test]
fn one_changed_value_or_layer_changes_the_sum() {
    let encode = |change: &dyn Fn(&mut Tensors)| {
        let mut tensors: Vec<_> = norms().into_iter().map(|(name, _, values)| (name, f32s(&values))).collect();
        change(&mut tensors);
        fact("m.safetensors", &safetensors("F32", &tensors))["sum"].clone()
    };
    let same = encode(&|_| {});
    assert_ne!(encode(&|t| t[0].1[0] ^= 1), same);
    assert_ne!(
        encode(&|t| {
            let first = t[0].1.clone();
            t[0].1 = t[2].1.clone();
            t[2].1 = first;
        }),
        same,
        "two layers exchanged"
    );
    assert_eq!(encode(&|t| t.reverse()), same, "order does not matter");
}

#[test]
fn shards_sum_up_to_the_whole() {
    let tensors: Vec<_> = norms().into_iter().map(|(name, _, values)| (name, f32s(&values))).collect();
    let sum = |part: &[(String, Vec<u8>)]| -> Sum {
        fact("m.safetensors", &safetensors("F32", part))["sum"].as_str().unwrap().parse().unwrap()
    };
    let mut joined = sum(&tensors[..3]);
    joined.join(&sum(&tensors[3..]));
    assert_eq!(joined, sum(&tensors));
}

#[test]
fn damaged_norms_stop_nothing() {
    let norms: Vec<_> = norms().into_iter().map(|(_, name, values)| (name, f32s(&values))).collect();
    survives_damage("m.gguf", &gguf(8, 34, &norms));
    survives_damage("m.safetensors", &safetensors("F32", &norms));
}

#[test]
fn sums_carry_and_read_back() {
    let mut sum = Sum::default();
    sum.add(&[0xff; 32]);
    let one = {
        let mut digest = [0; 32];
        digest[0] = 2;
        digest
    };
    sum.add(&one);
    let mut expected = [0; 32];
    expected[0] = 1;
    assert_eq!(sum.to_bytes(), expected);
    assert_eq!(sum.to_string().parse(), Ok(sum));
    assert_eq!("xyz".parse::<Sum>(), Err(sum::SumParseError));
}

#[test]
fn a_shifted_copy_has_the_shifted_sum() {
    let full = of_safetensors("BF16", bf16s);
    let shifted: Vec<_> = norms()
        .into_iter()
        .map(|(_, name, values)| (name, f32s(&values.iter().map(|v| v + 1.0).collect::<Vec<_>>())))
        .collect();
    assert_eq!(fact("m.gguf", &gguf(8, 34, &shifted))["sum"], full["sum_shifted"]);
}

#[test]
fn flat_norms_are_counted_and_too_many_are_told() {
    let flat: Vec<_> = norms().into_iter().map(|(name, ..)| (name, f32s(&[1.0; WIDTH as usize]))).collect();
    assert_eq!(fact("m.safetensors", &safetensors("F32", &flat))["varied"], 0);
    let outcome = crate::core::testing::with_inspection(|ctx| {
        let mut norms = Norms::new(false);
        let input = Input::bytes(vec![0; 64]);
        norms.tensor(ctx, &input, 0..1 << 40, Element::F32, "blk.0.attn_norm.weight").unwrap();
        norms.report(ctx);
        ctx.shared.outcome.borrow().metadata["norms"].clone()
    });
    assert!(outcome.get("sum").is_none() && outcome.get("incomplete").is_some(), "{outcome}");
}
