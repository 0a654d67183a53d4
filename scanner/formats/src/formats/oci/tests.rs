use serde_json::{Value, json};
use weighbridge_types::Verdict;

use crate::core::Outcome;
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

const DIGEST: &str = "sha256:6a0746a1ec1aef3e7ec53868f220ff6e389f6f8ef87a01d77c96807de94ca2aa";

fn ollama(digest: &str) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": DIGEST, "size": 485},
        "layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": 4661211808u64}],
    })
}

fn inspected(value: &Value) -> Outcome {
    inspect_bytes("latest", value.to_string().as_bytes())
}

#[test]
fn an_ollama_manifest_links_its_blobs() {
    let outcome = inspected(&ollama(DIGEST));
    assert_eq!((outcome.format, verdict(&outcome)), (Some("oci-model"), Verdict::Clean));
    assert_eq!(outcome.links.len(), 1);
    assert_eq!(outcome.links[0].target, DIGEST);
}

#[test]
fn a_digest_that_is_a_path_is_malicious() {
    for digest in ["sha256:../../../../../etc/passwd", "../../../etc/ld.so.preload", "sha256:..\\..\\x"] {
        assert_eq!(rules(&inspected(&ollama(digest))), ["oci-digest-path"], "{digest}");
    }
    assert_eq!(rules(&inspected(&ollama("sha256:ABC"))), ["oci-digest-malformed"]);
}

#[test]
fn titles_outside_the_folder_foreign_layers_and_code_are_found() {
    let manifest = |annotations: Value, media_type: &str, urls: Value| {
        json!({"schemaVersion": 2, "artifactType": "application/vnd.cncf.model.manifest.v1+json",
            "config": {"mediaType": "application/vnd.cncf.model.config.v1+json", "digest": DIGEST, "size": 2},
            "layers": [{"mediaType": media_type, "digest": DIGEST, "size": 1, "annotations": annotations, "urls": urls}]})
    };
    let weights = "application/vnd.cncf.model.weight.v1.raw";
    let title = |t: &str| json!({"org.opencontainers.image.title": t});
    assert_eq!(verdict(&inspected(&manifest(title("model.safetensors"), weights, json!([])))), Verdict::Clean);
    assert_eq!(rules(&inspected(&manifest(title("../../.bashrc"), weights, json!([])))), ["oci-path-outside"]);
    assert_eq!(
        rules(&inspected(&manifest(title("a"), weights, json!(["http://169.254.169.254/x"])))),
        ["oci-foreign-layer"]
    );
    let code = inspected(&manifest(title("a"), "application/vnd.cncf.model.code.v1.tar", json!([])));
    assert_eq!((rules(&code), verdict(&code)), (vec!["oci-code-layer"], Verdict::Clean));
}

#[test]
fn configurations_give_facts() {
    let outcome =
        inspected(&json!({"model_format": "gguf", "model_family": "llama", "model_type": "8.0B", "file_type": "Q4_0",
        "rootfs": {"type": "layers", "diff_ids": [DIGEST]}}));
    assert_eq!(outcome.metadata["quantization"], "Q4_0");
    let cloud = inspected(
        &json!({"model_format": "", "model_family": "gptoss", "remote_host": "https://ollama.com:443", "remote_model": "gpt-oss:120b"}),
    );
    assert_eq!(cloud.metadata["remote"], true);
    assert_eq!(verdict(&cloud), Verdict::Clean);
    let kit = inspected(&json!({"manifestVersion": "1.0.0", "model": {"name": "m", "path": "../../x"}}));
    assert_eq!(rules(&kit), ["oci-path-outside"]);
    let kitfile =
        inspect_bytes("Kitfile", b"manifestVersion: 1.0.0\nmodel: {path: ./m}\ncode:\n- path: /etc/cron.d/x\n");
    assert_eq!((kitfile.format, rules(&kitfile)), (Some("kitfile"), vec!["oci-path-outside"]));
}

#[test]
fn images_of_programs_are_no_models() {
    let image = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": DIGEST, "size": 2},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": DIGEST, "size": 1}]});
    assert_eq!(inspected(&image).format, Some("json"));
}

#[test]
fn damaged_manifests_are_survived() {
    survives_damage("latest", ollama(DIGEST).to_string().as_bytes());
}
