use super::*;
use weighbridge_types::{Link, Metadata, Sha256};

fn artifact(path: &str, format: &str, links: &[(LinkKind, &str)]) -> Artifact {
    let byte = path.bytes().fold(0u8, u8::wrapping_add);
    Artifact {
        path: path.to_owned(),
        size_bytes: 10,
        sha256: Some(Sha256::new([byte; 32])),
        format: format.to_owned(),
        metadata: Metadata::new(),
        verdict: Verdict::Clean,
        findings: Vec::new(),
        links: links.iter().map(|(kind, target)| Link { kind: *kind, target: (*target).to_owned() }).collect(),
        also_at: Vec::new(),
        signature: None,
        origin: Vec::new(),
        advisories: Vec::new(),
        decision: None,
        shadow: None,
    }
}

fn names_of(models: &[Model]) -> Vec<(&str, ModelKind, usize)> {
    models.iter().map(|m| (m.name.as_str(), m.kind, m.files.len())).collect()
}

#[test]
fn a_repository_is_one_model_with_its_shards() {
    let index = artifact(
        "/r/model.safetensors.index.json",
        "safetensors-index",
        &[(LinkKind::Shard, "model-00001-of-00002.safetensors"), (LinkKind::Shard, "model-00002-of-00002.safetensors")],
    );
    let files = [
        artifact("/r/config.json", "hf-config", &[]),
        artifact("/r/model-00001-of-00002.safetensors", "safetensors", &[]),
        index,
    ];
    let models = group(&files);
    assert_eq!(names_of(&models), [("r", ModelKind::Repository, 3)]);
    assert_eq!(models[0].missing, ["model-00002-of-00002.safetensors"]);
    assert_eq!(models[0].format, "safetensors");
}

#[test]
fn an_ollama_manifest_and_its_blobs_are_one_model() {
    let blob = artifact("/o/blobs/sha256-aa", "gguf", &[]);
    let digest = format!("sha256:{}", blob.sha256.unwrap());
    let manifest =
        artifact("/o/manifests/registry.ollama.ai/library/tiny/1b", "oci-model", &[(LinkKind::Blob, &digest)]);
    let files = [blob, manifest];
    assert_eq!(names_of(&group(&files)), [("tiny:1b", ModelKind::Ollama, 2)]);
}

#[test]
fn a_store_s_model_is_made_of_its_own_blobs() {
    let mut copies = ["/a/m.gguf", "/o/blobs/sha256-aa", "/z/m.gguf"].map(|p| artifact(p, "gguf", &[]));
    copies.iter_mut().for_each(|a| a.sha256 = Some(Sha256::new([7; 32])));
    let digest = format!("sha256:{}", Sha256::new([7; 32]));
    let manifest = artifact("/o/manifests/h/n/tiny/1b", "oci-model", &[(LinkKind::Blob, &digest)]);
    let [a, b, c] = copies;
    let models = group(&[a, b, manifest, c]);
    let store = models.iter().find(|m| m.kind == ModelKind::Ollama).unwrap();
    assert_eq!(store.files, ["/o/blobs/sha256-aa", "/o/manifests/h/n/tiny/1b"]);
}

#[test]
fn a_graph_and_its_external_data_are_one_model() {
    let files = [
        artifact("/x/m.onnx", "onnx", &[(LinkKind::ExternalData, "m.onnx.data")]),
        artifact("/x/m.onnx.data", "unknown", &[]),
    ];
    assert_eq!(names_of(&group(&files)), [("m", ModelKind::ExternalData, 2)]);
}

#[test]
fn a_package_is_its_folder_and_neighbours_stay_out() {
    let files = [
        artifact("/s/saved/saved_model.pb", "tf-savedmodel", &[]),
        artifact("/s/saved/variables/variables.index", "tf-checkpoint", &[]),
        artifact("/s/saved-2/saved_model.pb", "tf-savedmodel", &[]),
        artifact("/s/saved.gguf", "gguf", &[]),
    ];
    let mut sorted = files.to_vec();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(
        names_of(&group(&sorted)),
        [("saved", ModelKind::SavedModel, 2), ("saved-2", ModelKind::SavedModel, 1), ("saved", ModelKind::File, 1),]
    );
}

#[test]
fn shards_without_an_index_are_joined_by_name() {
    let files = [artifact("/g/m-00001-of-00002.gguf", "gguf", &[]), artifact("/g/m-00002-of-00002.gguf", "gguf", &[])];
    assert_eq!(names_of(&group(&files)), [("m", ModelKind::Sharded, 2)]);
}

#[test]
fn identical_models_are_told() {
    let mut a = artifact("/a/m.gguf", "gguf", &[]);
    let mut b = artifact("/b/m.gguf", "gguf", &[]);
    a.sha256 = Some(Sha256::new([1; 32]));
    b.sha256 = a.sha256;
    let models = group(&[a, b]);
    assert_eq!(models[0].same_as, ["/b/m.gguf"]);
}
