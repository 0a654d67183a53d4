//! `sign`, `verify`, and what a scan says of signatures: alone, against
//! hostile bundles, and beside the reference implementation.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, SignatureAlgorithm,
    date_time_ymd,
};
use serde_json::{Value, json};
use weighbridge_tests::{artifact, root, run, scan, text};

/// A folder with a model, and room beside it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("model");
        fs::create_dir_all(model.join("sub")).unwrap();
        fs::write(model.join("config.json"), r#"{"model_type": "llama"}"#).unwrap();
        fs::write(model.join("weights.safetensors"), safetensors()).unwrap();
        fs::write(model.join("sub/notes.txt"), "notes").unwrap();
        Self { dir }
    }

    fn at(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.at(name), content).unwrap();
        self.at(name)
    }

    fn key(&self, name: &str, algorithm: &'static SignatureAlgorithm) -> (String, String) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        (
            self.write(&format!("{name}.pem"), key.serialize_pem()),
            self.write(&format!("{name}.pub"), key.public_key_pem()),
        )
    }

    fn sign(&self, arguments: &[&str]) {
        let output = run(&[&["sign", &self.at("model"), "--quiet"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Exit code and signature of `verify`.
    fn verify(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let model = self.at("model");
        let output = run(&[&["verify", &model, "--quiet", "--format", "json"], arguments].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), report["signature"].clone())
    }

    fn assert_trusted(&self, arguments: &[&str]) {
        let (code, signature) = self.verify(arguments);
        assert_eq!((code, text(&signature, "/status")), (Some(0), "trusted"), "{signature}");
    }

    /// Refused, for a reason that holds `word`.
    fn assert_refused(&self, arguments: &[&str], word: &str) {
        let (code, signature) = self.verify(arguments);
        assert_eq!((code, text(&signature, "/status")), (Some(1), "untrusted"), "{signature}");
        assert!(text(&signature, "/reason").contains(word), "`{word}` is not in {signature}");
    }
}

fn safetensors() -> Vec<u8> {
    let header = br#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    [&(header.len() as u64).to_le_bytes()[..], header, &[0; 8]].concat()
}

#[test]
fn a_key_signs_and_every_change_is_named() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ECDSA_P521_SHA512] {
        let place = Place::new();
        let (key, public) = place.key("k", algorithm);
        place.sign(&["--key", &key]);
        place.assert_trusted(&["--key", &public]);
        let (_, other) = place.key("other", algorithm);
        place.assert_refused(&["--key", &other], "not with");

        let weights = place.at("model/weights.safetensors");
        let mut bytes = safetensors();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&weights, bytes).unwrap();
        place.assert_refused(&["--key", &public], "`weights.safetensors` was altered");
        fs::write(&weights, safetensors()).unwrap();

        place.write("model/added.py", "");
        place.assert_refused(&["--key", &public], "`added.py` is not signed");
        fs::remove_file(place.at("model/added.py")).unwrap();

        fs::rename(place.at("model/sub/notes.txt"), place.at("model/moved.txt")).unwrap();
        place.assert_refused(&["--key", &public], "`sub/notes.txt` was renamed to `moved.txt`");
        fs::remove_file(place.at("model/moved.txt")).unwrap();
        place.assert_refused(&["--key", &public], "`sub/notes.txt` is signed but missing");
    }
}

#[test]
fn what_is_left_out_is_told_and_what_was_added_is_not_forgiven() {
    let place = Place::new();
    let (key, public) = place.key("k", &PKCS_ECDSA_P256_SHA256);
    fs::create_dir_all(place.at("model/.git/hooks")).unwrap();
    place.write("model/.git/hooks/post-checkout", "echo weighbridge-marker");
    place.write("model/cache.bin", "x");
    place.sign(&["--key", &key, "--ignore-path", &place.at("model/cache.bin")]);
    let (code, signature) = place.verify(&["--key", &public]);
    assert_eq!((code, &signature["coverage"]["files_ignored"]), (Some(0), &json!(2)), "{signature}");
    let shown = run(&["verify", &place.at("model"), "--key", &public]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains(".git/hooks/post-checkout") && shown.contains("not covered"), "{shown}");
    // A folder of the same name deeper down is not left out.
    fs::create_dir_all(place.at("model/sub/.git")).unwrap();
    place.write("model/sub/.git/x", "x");
    place.assert_refused(&["--key", &public], "`sub/.git/x` is not signed");
    place.assert_trusted(&["--key", &public, "--danger-ignore-unsigned-files"]);
}

/// A DSSE envelope around SLSA provenance for `digest`, signed by openssl with
/// `key`.
fn attestation(place: &Place, key: &str, digest: &str) -> String {
    let statement =
        json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
        "subject": [{"name": "renamed.bin", "digest": {"sha256": digest}}],
        "predicate": {"runDetails": {"builder": {"id": "https://builder.example/7"}}}})
        .to_string();
    let kind = "application/vnd.in-toto+json";
    let message = format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len());
    let (message, signature) = (place.write("message", message), place.at("signature"));
    let signed = Command::new("openssl").args(["dgst", "-sha256", "-sign", key, "-out", &signature, &message]).status();
    assert!(signed.unwrap().success());
    json!({"payloadType": kind, "payload": STANDARD.encode(&statement),
        "signatures": [{"sig": STANDARD.encode(fs::read(signature).unwrap())}]})
    .to_string()
}

#[test]
fn attestations_are_claims_about_the_files_whose_digest_they_name() {
    let place = Place::new();
    let (key, _) = place.key("k", &PKCS_ECDSA_P256_SHA256);
    place.write("trust.toml", "[[signer]]\nname = \"builder\"\nkey = \"k.pub\"\n");
    let weights = place.at("model/weights.safetensors");
    let (_, plain) = scan(&[&place.at("model")]);
    let digest = text(artifact(&plain, &weights).unwrap(), "/sha256").to_owned();
    place.write("model/weights.safetensors.intoto.jsonl", attestation(&place, &key, &digest));
    place.write("model/config.json.intoto.jsonl", attestation(&place, &key, &"ab".repeat(32)));
    let claims = |report: &Value| {
        let origin = artifact(report, &weights).unwrap()["origin"].as_array().cloned().unwrap_or_default();
        origin.into_iter().filter(|c| c["source"] == "attestation").collect::<Vec<_>>()
    };
    let claimed = claims(&scan(&[&place.at("model"), "--trust", &place.at("trust.toml")]).1);
    assert_eq!((claimed.len(), text(&claimed[0], "/strength")), (1, "proof"), "{claimed:?}");
    let detail = text(&claimed[0], "/detail");
    for word in ["weights.safetensors.intoto.jsonl", "slsa.dev/provenance/v1", "builder.example/7", "signed by builder"]
    {
        assert!(detail.contains(word), "`{word}` is not in {detail}");
    }
    // Nobody trusted signed it: anyone could have written that.
    let claimed = claims(&scan(&[&place.at("model")]).1);
    assert_eq!((claimed.len(), text(&claimed[0], "/strength")), (1, "hint"), "{claimed:?}");
    // Of other bytes it says nothing.
    let mut bytes = safetensors();
    *bytes.last_mut().unwrap() ^= 1;
    place.write("model/weights.safetensors", bytes);
    assert!(claims(&scan(&[&place.at("model"), "--trust", &place.at("trust.toml")]).1).is_empty());
}

#[test]
fn other_hashes_and_shards_cover_every_byte() {
    for arguments in
        [&["--hash", "blake3"][..], &["--hash", "blake2b"], &["--shards", "7"], &["--shards", "7", "--hash", "blake3"]]
    {
        let place = Place::new();
        let (key, public) = place.key("k", &PKCS_ECDSA_P256_SHA256);
        place.sign(&[&["--key", &key], arguments].concat());
        place.assert_trusted(&["--key", &public]);
        fs::OpenOptions::new().append(true).open(place.at("model/sub/notes.txt")).unwrap().set_len(6).unwrap();
        place.assert_refused(&["--key", &public], "`sub/notes.txt` was altered");
        fs::OpenOptions::new().write(true).open(place.at("model/sub/notes.txt")).unwrap().set_len(5).unwrap();
        place.assert_trusted(&["--key", &public]);
        // A scan binds these digests to the bytes it inspected.
        let trust = place.write("trust.toml", "[[signer]]\nkey = \"k.pub\"\n");
        let (_, report) = scan(&[&place.at("model"), "--trust", &trust]);
        assert_eq!(text(&report, "/models/0/signature/status"), "trusted", "{arguments:?} {report}");
    }
}

#[test]
fn a_model_may_be_one_file() {
    let place = Place::new();
    let (key, public) = place.key("k", &PKCS_ECDSA_P256_SHA256);
    let file = place.at("model/weights.safetensors");
    assert!(run(&["sign", &file, "--key", &key]).status.success());
    assert!(run(&["verify", &file, "--key", &public]).status.success());
    let trust = place.write("trust.toml", "[[signer]]\nname = \"us\"\nkey = \"k.pub\"\n");
    let (_, report) = scan(&[&place.at("model"), "--trust", &trust]);
    let weights = artifact(&report, &file).unwrap();
    assert_eq!(text(weights, "/signature/status"), "trusted", "{report}");
    assert_eq!(text(weights, "/signature/signer/name"), "us");
    fs::write(&file, [&safetensors()[..], &[0]].concat()).unwrap();
    assert_eq!(run(&["verify", &file, "--key", &public]).status.code(), Some(1));
}

#[test]
fn links_are_refused_unless_allowed_and_never_lead_out() {
    let place = Place::new();
    let (key, public) = place.key("k", &PKCS_ECDSA_P256_SHA256);
    symlink("weights.safetensors", place.at("model/latest")).unwrap();
    let model = place.at("model");
    let refused = run(&["sign", &model, "--key", &key]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`latest` is a symbolic link"));
    place.sign(&["--key", &key, "--allow-links"]);
    place.assert_trusted(&["--key", &public]);
    place.write("secret", safetensors());
    fs::remove_file(place.at("model/latest")).unwrap();
    symlink("../secret", place.at("model/latest")).unwrap();
    place.assert_refused(&["--key", &public], "`latest` is a symbolic link that leads out");
    fs::remove_file(place.at("model/latest")).unwrap();
    symlink("..", place.at("model/sub/up")).unwrap();
    place.assert_refused(&["--key", &public], "leads out of the model, in a circle");
}

#[test]
fn snapshots_of_the_hugging_face_cache_verify_as_the_files_they_stand_for() {
    let place = Place::new();
    let (key, public) = place.key("k", &PKCS_ECDSA_P256_SHA256);
    place.sign(&["--key", &key]);
    let repository = place.dir.path().join("hub/models--org--name");
    let snapshot = repository.join("snapshots/0123456789012345678901234567890123456789");
    fs::create_dir_all(snapshot.join("sub")).unwrap();
    fs::create_dir_all(repository.join("blobs")).unwrap();
    for (i, name) in ["config.json", "weights.safetensors", "sub/notes.txt", "model.sig"].iter().enumerate() {
        let blob = format!("{i}").repeat(40);
        fs::copy(place.at(&format!("model/{name}")), repository.join("blobs").join(&blob)).unwrap();
        let up = if name.contains('/') { "../../../blobs" } else { "../../blobs" };
        symlink(format!("{up}/{blob}"), snapshot.join(name)).unwrap();
    }
    let snapshot = snapshot.to_str().unwrap();
    let output = run(&["verify", snapshot, "--key", &public]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let trust = place.write("trust.toml", "[[signer]]\nkey = \"k.pub\"\n");
    let (_, report) = scan(&[&place.at("hub"), "--trust", &trust]);
    assert_eq!(text(&report, "/models/0/signature/status"), "trusted", "{report}");
    // A link to another repository's blob is no file of this one.
    fs::remove_file(Path::new(snapshot).join("config.json")).unwrap();
    symlink("../../../models--org--other/blobs/0", Path::new(snapshot).join("config.json")).unwrap();
    assert_eq!(run(&["verify", snapshot, "--key", &public]).status.code(), Some(1));
}

/// A root, and what it vouches for.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Key and certificate of a signer.
    fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "ml-signer");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        change(&mut params);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (key.serialize_pem(), certificate.pem())
    }
}

#[test]
fn certificates_must_be_for_signing_code_now_under_a_trusted_root() {
    let authority = Authority::new("Example Root");
    type Change = fn(&mut CertificateParams);
    let cases: [(&str, Change, Option<&str>); 7] = [
        ("ordinary", |_| {}, None),
        (
            "expired",
            |p| (p.not_before, p.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
            Some("expired"),
        ),
        ("future", |p| p.not_before = date_time_ymd(2090, 1, 1), Some("not valid before")),
        ("web server", |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth], Some("code signing")),
        ("no usage", |p| p.extended_key_usages.clear(), Some("code signing")),
        ("encryption", |p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment], Some("digital signatures")),
        ("authority", |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), Some("authority's")),
    ];
    for (name, change, problem) in cases {
        let place = Place::new();
        let (key, certificate) = authority.leaf(change);
        let (key, certificate) = (place.write("k.pem", key), place.write("c.pem", certificate));
        let roots = place.write("roots.pem", authority.pem());
        place.sign(&["--key", &key, "--certificate", &certificate]);
        match problem {
            None => place.assert_trusted(&["--certificate-roots", &roots, "--identity", "ml-signer"]),
            Some(word) => place.assert_refused(&["--certificate-roots", &roots], word),
        }
        if name == "ordinary" {
            place.assert_refused(&["--certificate-roots", &roots, "--identity", "someone-else"], "ml-signer");
            let other = place.write("other.pem", Authority::new("Example Root").pem());
            place.assert_refused(&["--certificate-roots", &other], "refused");
            let (_, public) = place.key("plain", &PKCS_ECDSA_P256_SHA256);
            place.assert_refused(&["--key", &public], "signed with a certificate, but a key is asked for");
        }
    }
}

#[test]
fn a_certificate_of_another_key_does_not_sign() {
    let place = Place::new();
    let authority = Authority::new("Example Root");
    let (key, _) = place.key("k", &PKCS_ECDSA_P256_SHA256);
    let certificate = place.write("c.pem", authority.leaf(|_| {}).1);
    let output = run(&["sign", &place.at("model"), "--key", &key, "--certificate", &certificate]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another key"));
    assert!(!Path::new(&place.at("model/model.sig")).exists());
}

#[test]
fn what_is_no_bundle_is_not_replaced() {
    let place = Place::new();
    let (key, _) = place.key("k", &PKCS_ECDSA_P256_SHA256);
    place.write("model/model.sig", "my notes");
    let model = place.at("model");
    assert_eq!(run(&["sign", &model, "--key", &key]).status.code(), Some(2));
    assert_eq!(fs::read_to_string(place.at("model/model.sig")).unwrap(), "my notes");
    assert!(run(&["sign", &model, "--key", &key, "--overwrite"]).status.success());
    assert!(run(&["sign", &model, "--key", &key]).status.success(), "an earlier bundle may be replaced");
}

#[test]
fn scans_say_of_every_model_whether_its_signature_stands() {
    let place = Place::new();
    let (key, _) = place.key("k", &PKCS_ECDSA_P256_SHA256);
    let trust = place.write("trust.toml", "[[signer]]\nname = \"ml-team\"\nkey = \"k.pub\"\n");
    let status = |arguments: &[&str]| {
        let (code, report) = scan(arguments);
        (code, text(&report, "/models/0/signature/status").to_owned(), report)
    };
    let model = place.at("model");
    assert_eq!(status(&[&model, "--trust", &trust]).1, "unsigned");
    place.sign(&["--key", &key]);
    let (code, status_now, report) = status(&[&model, "--trust", &trust]);
    assert_eq!((code, status_now.as_str()), (Some(0), "trusted"), "{report}");
    assert_eq!(text(&report, "/models/0/signature/signer/name"), "ml-team");
    let (code, status_now, report) = status(&[&model]);
    assert_eq!((code, status_now.as_str()), (Some(0), "unknown"), "{report}");
    // The cache remembers digests, not trust.
    let cache = place.at("cache");
    for _ in 0..2 {
        assert_eq!(status(&[&model, "--trust", &trust, "--cache", &cache]).1, "trusted");
        assert_eq!(status(&[&model, "--cache", &cache]).1, "unknown");
    }
    place.write("model/sub/notes.txt", "other");
    let (code, status_now, report) = status(&[&model, "--trust", &trust]);
    assert_eq!((code, status_now.as_str()), (Some(1), "untrusted"), "{report}");
    assert!(text(&report, "/models/0/signature/reason").contains("`sub/notes.txt` was altered"));
    assert_eq!(status(&[&model]).1, "untrusted", "altered files need no trust to be refused");
}

#[test]
fn hostile_bundles_are_refused_with_a_reason() {
    let place = Place::new();
    let (key, public) = place.key("k", &PKCS_ECDSA_P256_SHA256);
    place.sign(&["--key", &key]);
    let good = fs::read_to_string(place.at("model/model.sig")).unwrap();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut bundle: Value = serde_json::from_str(&good).unwrap();
        change(&mut bundle);
        bundle.to_string()
    };
    let mut payload: Value = serde_json::from_slice(
        &STANDARD.decode(text(&serde_json::from_str(&good).unwrap(), "/dsseEnvelope/payload")).unwrap(),
    )
    .unwrap();
    payload["predicate"]["resources"] = json!([]);
    let mut bundles = vec![
        String::new(),
        "garbage".to_owned(),
        "[".repeat(10_000),
        format!("{{\"mediaType\":1,{}", &good[1..]),
        good.replacen("\"payload\"", "\"payloadType\": \"x\", \"payload\"", 1),
        changed(&|b| b["mediaType"] = json!("application/json")),
        changed(&|b| b["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v9+json")),
        changed(&|b| b["dsseEnvelope"]["signatures"] = json!([])),
        changed(&|b| b["dsseEnvelope"]["signatures"][0]["sig"] = json!("AAAA")),
        changed(&|b| b["dsseEnvelope"]["payloadType"] = json!("text/plain")),
        changed(&|b| b["dsseEnvelope"]["payload"] = json!(STANDARD.encode(payload.to_string()))),
        changed(&|b| b["verificationMaterial"] = json!({})),
        changed(&|b| {
            b["verificationMaterial"] =
                json!({"x509CertificateChain": {"certificates": vec![json!({"rawBytes": "MIIB"}); 10_000]}})
        }),
        changed(&|b| b["verificationMaterial"] = json!({"certificate": {"rawBytes": "MIIB"}, "tlogEntries": [{}]})),
    ];
    bundles.extend((0..good.len()).step_by(37).filter(|at| good.is_char_boundary(*at)).map(|at| good[..at].to_owned()));
    for bundle in bundles {
        let file = place.write("model/model.sig", &bundle);
        let (code, signature) = place.verify(&["--key", &public]);
        assert!(matches!(code, Some(1 | 2)), "{code:?} {signature} {bundle:.200}");
        assert_ne!(text(&signature, "/status"), "trusted");
        fs::remove_file(file).unwrap();
    }
    let huge = fs::File::create(place.at("model/model.sig")).unwrap();
    huge.set_len(100 << 30).unwrap();
    let (code, signature) = place.verify(&["--key", &public]);
    assert_eq!((code, text(&signature, "/status")), (Some(2), "unknown"));
}

/// A program of the reference implementation's environment, if that is there.
fn reference() -> Option<PathBuf> {
    let program = root().join("target/venvs/signing/bin/model_signing");
    if program.exists() {
        return Some(program);
    }
    eprintln!("skipped: no reference implementation; `cargo xtask test` installs it");
    None
}

fn run_reference(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

#[test]
fn the_reference_verifies_what_we_sign_and_signs_what_we_verify_with_a_key() {
    let Some(program) = reference() else { return };
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ECDSA_P521_SHA512] {
        let place = Place::new();
        let (key, public) = place.key("k", algorithm);
        let (model, bundle) = (place.at("model"), place.at("model/model.sig"));
        place.sign(&["--key", &key]);
        let verified =
            run_reference(&program, &["verify", "key", &model, "--signature", &bundle, "--public_key", &public]);
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
        fs::remove_file(&bundle).unwrap();
        let signed = run_reference(&program, &["sign", "key", &model, "--signature", &bundle, "--private_key", &key]);
        assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
        place.assert_trusted(&["--key", &public]);
        place.write("model/config.json", "{}");
        place.assert_refused(&["--key", &public], "`config.json` was altered");
    }
}

#[test]
fn the_reference_verifies_what_we_sign_and_signs_what_we_verify_with_a_certificate() {
    let Some(program) = reference() else { return };
    let place = Place::new();
    let authority = Authority::new("Example Root");
    let (key, certificate) = authority.leaf(|_| {});
    let (key, certificate) = (place.write("k.pem", key), place.write("c.pem", certificate));
    let roots = place.write("roots.pem", authority.pem());
    let (model, bundle) = (place.at("model"), place.at("model/model.sig"));
    place.sign(&["--key", &key, "--certificate", &certificate]);
    let verified = run_reference(
        &program,
        &["verify", "certificate", &model, "--signature", &bundle, "--certificate_chain", &roots],
    );
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    fs::remove_file(&bundle).unwrap();
    let arguments = ["sign", "certificate", &model, "--signature", &bundle, "--private_key", &key];
    let signed = run_reference(
        &program,
        &[&arguments[..], &["--signing_certificate", &certificate, "--certificate_chain", &roots]].concat(),
    );
    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    place.assert_trusted(&["--certificate-roots", &roots, "--identity", "ml-signer"]);
}
