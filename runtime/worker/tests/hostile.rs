//! The scanner's malicious graphs and damaged imports, served on purpose: a
//! clear refusal or a harmless run, and the service goes on.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};

use common::{Named, collect, digest, generate, imported, options, parts, serve, submit, supervisor};
use weighbridge_gateway::Work;
use weighbridge_inference_wire::{Infer, PartRole, Tensor, TensorType};
use weighbridge_runtime::{Handle, LoadError, Supervisor};

/// Every graph below `folder`, with the files beside it as its data.
fn samples(folder: &Path, found: &mut Vec<(String, Vec<Named>)>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in &entries {
        if path.is_dir() {
            samples(path, found);
        } else if path.extension().is_some_and(|e| e == "onnx") {
            let name = |p: &Path| p.file_name().unwrap().to_string_lossy().into_owned();
            let mut files = vec![(PartRole::Graph, name(path), std::fs::read(path).unwrap())];
            let beside = entries.iter().filter(|p| p.is_file() && p.extension().is_none_or(|e| e != "onnx"));
            files.extend(beside.map(|p| (PartRole::Data, name(p), std::fs::read(p).unwrap_or_default())));
            found.push((path.to_string_lossy().into_owned(), files));
        }
    }
}

fn load(supervisor: &Supervisor, name: &str, files: &[Named]) -> Result<Handle, LoadError> {
    let digests: Vec<_> = files.iter().map(|(_, _, bytes)| digest(bytes)).collect();
    supervisor.load(common::approved(name, &digests), parts(files), options())
}

/// Inputs of zeros and ones, as the graph wants them.
fn infer(model: &Handle) -> Infer {
    let facts = model.facts().unwrap();
    let inputs = facts.inputs.into_iter().map(|(name, element, shape)| {
        let shape: Vec<u64> = shape.iter().map(|d| u64::try_from(*d).unwrap_or(1).min(64)).collect();
        let element = serde_json::from_value(element.into()).unwrap_or(TensorType::Fp32);
        let width = match element {
            TensorType::Bool | TensorType::Uint8 | TensorType::Int8 => 1,
            TensorType::Int16 | TensorType::Uint16 | TensorType::Fp16 => 2,
            TensorType::Int64 | TensorType::Uint64 | TensorType::Fp64 => 8,
            _ => 4,
        };
        let bytes = shape.iter().product::<u64>() * width;
        // Zeros, three bytes to four letters.
        let data = format!("{}{}", "AAAA".repeat((bytes / 3) as usize), ["", "AA==", "AAA="][(bytes % 3) as usize]);
        Tensor { name, element, shape, data }
    });
    Infer { inputs: inputs.collect(), outputs: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn malicious_graphs_end_in_a_refusal_or_a_harmless_run() {
    let Some(supervisor) = supervisor() else { return };
    let bystander = serve(&supervisor, &imported(), "bystander");
    let calm = collect(submit(&bystander, generate("calm", 30))).await.0;
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus/malicious");
    let mut found = Vec::new();
    samples(&corpus, &mut found);
    assert!(found.len() > 20, "the corpus is there");
    let (mut refused, mut served) = (0, 0);
    for (path, files) in found {
        match load(&supervisor, "hostile", &files) {
            Ok(model) => {
                served += 1;
                let (_, end) = collect(model.submit(Work::Infer(infer(&model))).unwrap()).await;
                eprintln!("served  {path}: {end:?}");
                assert_eq!(model.starts(), 1, "{path} brought its worker down");
                supervisor.unload("hostile");
            }
            Err(LoadError::Refused { failure, .. }) => {
                refused += 1;
                eprintln!("refused {path}: {}", failure.message);
                assert!(
                    !failure.message.is_empty() && !failure.message.contains("came to an end"),
                    "{path}: {failure:?}"
                );
            }
            Err(other) => panic!("{path}: {other}"),
        }
        assert!(supervisor.find("hostile").is_none());
    }
    assert!(refused > 10, "{refused} refused, {served} served");
    assert_eq!(collect(submit(&bystander, generate("calm", 30))).await.0, calm);
    assert_eq!(bystander.starts(), 1);
}

#[test]
fn data_outside_the_parts_is_never_opened() {
    let Some(supervisor) = supervisor() else { return };
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus/malicious/onnx-external");
    for name in ["absolute.onnx", "proc-self.onnx", "dot-slash-parent.onnx", "home.onnx"] {
        let graph = std::fs::read(corpus.join(name)).unwrap();
        let refused = load(&supervisor, "thief", &[(PartRole::Graph, name.to_owned(), graph)]);
        assert!(matches!(refused.err(), Some(LoadError::Refused { .. })), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_imports_end_in_a_refusal_or_a_harmless_run() {
    let Some(supervisor) = supervisor() else { return };
    let good = imported();
    let mut outcomes = Vec::new();
    for (place, (_, name, bytes)) in good.files.iter().enumerate() {
        for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            let mut files = good.files.clone();
            files[place].2.truncate(cut);
            outcomes.push((format!("{name} cut at {cut}"), files));
        }
        for at in [bytes.len() / 3, bytes.len() / 2, bytes.len() * 3 / 4] {
            let mut files = good.files.clone();
            files[place].2[at] ^= 0x55;
            outcomes.push((format!("{name} flipped at {at}"), files));
        }
    }
    let mut refused = 0;
    for (what, files) in outcomes {
        match load(&supervisor, "damaged", &files) {
            Ok(model) => {
                let (_, end) = collect(submit(&model, generate("hello", 10))).await;
                assert_eq!(model.starts(), 1, "{what} brought its worker down: {end:?}");
                supervisor.unload("damaged");
            }
            Err(LoadError::Refused { failure, .. }) => {
                refused += 1;
                assert!(!failure.message.contains("came to an end"), "{what}: {failure:?}");
            }
            Err(other) => panic!("{what}: {other}"),
        }
    }
    assert!(refused > 10, "{refused}");
}
