//! Every supported family computes what `transformers` computes of the same
//! weights, whether it came as safetensors or as GGUF. The samples and their
//! logits are made by `tests/fixtures/make.py`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{difference, expected, folder, gguf, imported, logits, prompt};
use weighbridge_import::{Options, Quantisation};

const SAMPLES: &[&str] =
    &["llama_16", "mistral", "qwen2", "qwen2_yarn", "qwen3", "gemma", "gemma2", "gemma3_text", "phi3", "phi3_long"];

/// Logits have a standard deviation of 1.3; both sides compute in f32 and
/// differ by the order of their sums.
const TOLERANCE: f32 = 2e-5;

fn options(sample: &str, quantisation: Quantisation) -> Options {
    Options { quantisation: Some(quantisation), long_context: sample.ends_with("_long") }
}

#[test]
fn safetensors_compute_what_transformers_computes() {
    for sample in SAMPLES {
        let (manifest, model) = imported(&folder(sample), &options(sample, Quantisation::F16)).unwrap();
        assert_eq!(manifest.rounded, [], "{sample}");
        let difference = difference(&logits(&model, &prompt(sample), 24), &expected(sample));
        println!("{sample}: {difference:e}");
        assert!(difference < TOLERANCE, "{sample}: {difference}");
    }
}

#[test]
fn gguf_computes_what_transformers_computes() {
    for sample in SAMPLES {
        let (manifest, model) = imported(&gguf(sample), &options(sample, Quantisation::F16)).unwrap();
        assert_eq!(manifest.rounded, [], "{sample}");
        let difference = difference(&logits(&model, &prompt(sample), 24), &expected(sample));
        println!("{sample}: {difference:e}");
        assert!(difference < TOLERANCE, "{sample}: {difference}");
    }
}

#[test]
fn a_prompt_in_pieces_is_the_prompt() {
    for sample in ["llama_16", "gemma2", "phi3"] {
        let (_, model) = imported(&gguf(sample), &options(sample, Quantisation::F16)).unwrap();
        let ids = prompt(sample);
        assert!(difference(&logits(&model, &ids, 24), &logits(&model, &ids, 5)) < 1e-6, "{sample}");
    }
}

#[test]
fn mixed_ggml_types_compute_what_their_dequantised_weights_compute() {
    let (manifest, model) = imported(&gguf("mixed"), &Options::default()).unwrap();
    assert_eq!(manifest.rounded, []);
    let layouts: Vec<_> = manifest.layouts.iter().map(|l| l.layout.as_str()).collect();
    assert_eq!(layouts, ["q4", "q4a", "q8", "q8h"]);
    let difference = difference(&logits(&model, &prompt("mixed"), 24), &expected("mixed"));
    println!("mixed: {difference:e}");
    assert!(difference < TOLERANCE, "{difference}");
}

#[test]
fn rotations_for_long_texts_are_others() {
    let short = imported(&folder("phi3_long"), &options("phi3", Quantisation::F16)).unwrap();
    let difference = difference(&logits(&short.1, &prompt("phi3_long"), 24), &expected("phi3_long"));
    assert!(difference > 0.01, "{difference}");
    let long = imported(&folder("phi3_long"), &options("phi3_long", Quantisation::F16)).unwrap();
    assert_eq!((short.0.context_length, long.0.context_length), (16, 256));
}

/// Root mean square of the differences, in standard deviations of `b`.
fn relative(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let square = |v: &mut dyn Iterator<Item = f32>| v.map(|v| v * v).sum::<f32>();
    let differences = square(&mut a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| a - b));
    (differences / square(&mut b.iter().flatten().copied())).sqrt()
}

#[test]
fn eight_bits_come_close_and_four_less_so() {
    for sample in SAMPLES {
        let mut errors = Vec::new();
        for quantisation in [Quantisation::F16, Quantisation::Int8, Quantisation::Int4] {
            let (manifest, model) = imported(&folder(sample), &options(sample, quantisation)).unwrap();
            assert_eq!(manifest.rounded.is_empty(), quantisation == Quantisation::F16, "{sample}");
            errors.push(relative(&logits(&model, &prompt(sample), 24), &expected(sample)));
        }
        println!("{sample}: {errors:?}");
        assert!(errors[0] < 1e-5 && errors[1] < 0.05 && errors[2] < 0.6, "{sample}: {errors:?}");
    }
}
