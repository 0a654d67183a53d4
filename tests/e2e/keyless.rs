//! Keyless signatures: bundles of a private Sigstore instance, kept since it
//! is gone, and a live one (`tests/sigstore/fake.py`) that serves well or
//! lies, stalls and floods.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weighbridge_tests::{root, target_profile, text, weighbridge};

const SIGNER: &str = "ml@example.com";
const LOGIN: &str = "https://login.example.com";

fn fixture(name: &str) -> String {
    root().join("tests/fixtures/keyless").join(name).display().to_string()
}

fn run(arguments: &[&str]) -> Output {
    Command::new(weighbridge()).args(arguments).env_remove("SIGSTORE_ID_TOKEN").output().unwrap()
}

/// Exit code and report of `verify`.
fn verified(model: &str, bundle: &str, who: [&str; 2], trusted_root: &str) -> (Option<i32>, Value) {
    let [identity, provider] = who;
    let output = run(&[
        "verify",
        model,
        "--signature",
        bundle,
        "--identity",
        identity,
        "--identity-provider",
        provider,
        "--trusted-root",
        trusted_root,
        "--format",
        "json",
    ]);
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}")))
}

/// Exit code and reason of `verify` on a bundle that is kept.
fn kept(bundle: &str, who: [&str; 2], trusted_root: &str) -> (Option<i32>, String) {
    let (code, report) = verified(&fixture("model"), &fixture(bundle), who, &fixture(trusted_root));
    (code, text(&report, "/signature/reason").to_owned())
}

#[test]
fn kept_bundles_are_trusted_for_ever() {
    let workflow = "https://forge.example/org/model/.forge/release.yml@refs/tags/v1";
    for (bundle, identity) in [("good.sig", SIGNER), ("good-timestamp.sig", SIGNER), ("good-workflow.sig", workflow)] {
        let (code, report) =
            verified(&fixture("model"), &fixture(bundle), [identity, LOGIN], &fixture("trusted_root.json"));
        assert_eq!((code, text(&report, "/signature/signer/identity")), (Some(0), identity), "{report}");
        assert_eq!(text(&report, "/signature/signer/issuer"), LOGIN);
        assert!(text(&report, "/signature/signer/signed_at").starts_with("2026-11-"), "{report}");
    }
}

#[test]
fn bundles_that_lie_are_refused_with_the_reason() {
    for (bundle, reason) in [
        ("bad-set.sig", "inclusion promise"),
        ("bad-proof.sig", "inclusion proof"),
        ("bad-checkpoint.sig", "checkpoint"),
        ("bad-sct.sig", "signed certificate timestamp"),
        ("no-sct.sig", "missing SCT"),
        ("bad-signature.sig", "invalid signature"),
        ("late.sig", "CertExpired"),
        ("no-entry.sig", "needs a transparency log entry"),
        ("other-entry.sig", "does not match the bundle"),
        ("other-root.sig", "certificate chain is invalid"),
    ] {
        let (code, found) = kept(bundle, [SIGNER, LOGIN], "trusted_root.json");
        assert_eq!(code, Some(1), "{bundle}");
        assert!(found.contains(reason), "{bundle}: {found}");
    }
}

#[test]
fn somebody_else_is_somebody_else() {
    for (who, trusted_root, reason) in [
        (["mallory@example.com", LOGIN], "trusted_root.json", "signed by `ml@example.com`, not by `mallory"),
        ([SIGNER, "https://evil.example"], "trusted_root.json", "not by `an identity of https://evil.example`"),
        ([SIGNER, LOGIN], "other_root.json", "keyless verification failed"),
    ] {
        let (code, found) = kept("good.sig", who, trusted_root);
        assert_eq!(code, Some(1));
        assert!(found.contains(reason), "{found}");
    }
    // The public instance knows nothing of it.
    let output = run(&[
        "verify",
        &fixture("model"),
        "--signature",
        &fixture("good.sig"),
        "--identity",
        SIGNER,
        "--identity-provider",
        LOGIN,
    ]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn files_are_held_against_a_keyless_manifest() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("weights")).unwrap();
    for file in ["config.json", "weights/model.bin"] {
        fs::copy(fixture("model") + "/" + file, dir.path().join(file)).unwrap();
    }
    let reason = || {
        let model = dir.path().to_str().unwrap();
        let (code, report) = verified(model, &fixture("good.sig"), [SIGNER, LOGIN], &fixture("trusted_root.json"));
        (code, text(&report, "/signature/reason").to_owned())
    };
    assert_eq!(reason(), (Some(0), String::new()));
    fs::write(dir.path().join("weights/model.bin"), "weights").unwrap();
    let (code, found) = reason();
    assert!(code == Some(1) && found.contains("weights/model.bin"), "{found}");
}

/// A live instance. It ends with its standard input.
struct Instance {
    child: Child,
    url: String,
    secure: String,
    dir: tempfile::TempDir,
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python(program: &str) -> PathBuf {
    target_profile().parent().unwrap().join("venvs/signing/bin").join(program)
}

impl Instance {
    fn start() -> Option<Self> {
        if !python("python").exists() || Command::new("openssl").arg("version").output().is_err() {
            println!("skipped: OpenSSL or the Python packages are missing; `cargo xtask test` installs the latter");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("model/sub")).unwrap();
        fs::write(dir.path().join("model/config.json"), "{}").unwrap();
        fs::write(dir.path().join("model/sub/weights"), "weights").unwrap();
        let mut child = Command::new(python("python"))
            .arg(root().join("tests/sigstore/fake.py"))
            .arg("serve")
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (url, secure) = line.trim().split_once(' ').unwrap_or_else(|| panic!("the instance does not start"));
        let instance = Self { child, url: url.to_owned(), secure: secure.to_owned(), dir };
        let claims = json!({"sub": "1234", "email": SIGNER, "email_verified": true});
        fs::write(instance.path("token"), instance.token(&claims)).unwrap();
        Some(instance)
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn login(&self) -> String {
        format!("{}/login", self.url)
    }

    /// A token of its identity provider.
    fn token(&self, claims: &Value) -> String {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        let claims: String = claims.to_string().bytes().map(|b| format!("%{b:02x}")).collect();
        write!(stream, "GET /token?claims={claims} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn sign(&self, arguments: &[&str]) -> Output {
        let token = self.path("token");
        let output = run(&[&["sign", &self.path("model"), "--identity-token", &token, "-q"], arguments].concat());
        self.holds_no_token(&output);
        output
    }

    /// With its services behind `[authority, log, timestamps]`.
    fn sign_at(&self, [fulcio, rekor, timestamps]: [&str; 3], more: &[&str]) -> Output {
        let url = |fault: &str| format!("{}/{fault}", self.url);
        let (fulcio, rekor, root) = (url(fulcio), url(rekor), self.path("trusted_root.json"));
        let stamper = format!("{}/timestamp", url(timestamps)).replace("//timestamp", "/timestamp");
        let mut arguments = vec!["--fulcio", &fulcio, "--rekor", &rekor, "--trusted-root", &root];
        if timestamps != "none" {
            arguments.extend(["--timestamp-authority", stamper.as_str()]);
        }
        self.sign(&[&arguments, more].concat())
    }

    /// No part of it that is worth anything.
    fn holds_no_token(&self, output: &Output) {
        let token = fs::read_to_string(self.path("token")).unwrap();
        let shown = [output.stdout.as_slice(), &output.stderr].concat();
        let shown = String::from_utf8_lossy(&shown).into_owned();
        for part in token.split('.') {
            assert!(!shown.contains(&part[..24.min(part.len())]), "{shown}");
        }
    }

    fn bundle(&self) -> PathBuf {
        self.dir.path().join("model/model.sig")
    }

    fn verified(&self, identity: &str, trusted_root: &str) -> (Option<i32>, Value) {
        let bundle = self.bundle().display().to_string();
        verified(&self.path("model"), &bundle, [identity, &self.login()], &self.path(trusted_root))
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_model_is_signed_in_the_name_of_a_token() {
    let Some(instance) = Instance::start() else { return };
    let config = instance.path("trust_config.json");
    let stamped = instance.path("trust_config_timestamps.json");
    let (bare, trusted) = (instance.path("signing_config.json"), instance.path("trusted_root.json"));
    let ways: [&dyn Fn() -> Output; 5] = [
        &|| instance.sign_at(["", "", "none"], &[]),
        &|| instance.sign_at(["", "", ""], &[]),
        &|| instance.sign(&["--signing-config", &config]),
        &|| instance.sign(&["--signing-config", &stamped]),
        &|| instance.sign(&["--signing-config", &bare, "--trusted-root", &trusted]),
    ];
    for (i, way) in ways.iter().enumerate() {
        let output = way();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(shown.contains(&format!("signed 2 files as {SIGNER}, vouched for by {}", instance.login())), "{shown}");
        let (code, report) = instance.verified(SIGNER, "trusted_root.json");
        assert_eq!((code, text(&report, "/signature/signer/identity")), (Some(0), SIGNER), "{report}");
        let bundle: Value = serde_json::from_slice(&fs::read(instance.bundle()).unwrap()).unwrap();
        let material = &bundle["verificationMaterial"];
        assert_eq!(material.get("timestampVerificationData").is_some(), i == 1 || i == 3, "{i}");
        assert_eq!(material["tlogEntries"][0]["inclusionProof"]["treeSize"], json!((6 + i).to_string()));
        assert_eq!(instance.verified("mallory@example.com", "trusted_root.json").0, Some(1));
        assert_eq!(instance.verified(SIGNER, "other_root.json").0, Some(1));
    }
    fs::write(instance.path("model/sub/weights"), "Weights").unwrap();
    let (code, report) = instance.verified(SIGNER, "trusted_root.json");
    assert!(code == Some(1) && text(&report, "/signature/reason").contains("sub/weights"), "{report}");
}

#[test]
fn a_token_may_come_from_the_environment_and_speak_of_a_workflow() {
    let Some(instance) = Instance::start() else { return };
    let workflow = "https://forge.example/org/model/.forge/release.yml@refs/heads/main";
    let token = instance.token(&json!({"sub": workflow, "email": "not@verified.example"}));
    let config = instance.path("trust_config.json");
    let output = Command::new(weighbridge())
        .args(["sign", &instance.path("model"), "--signing-config", &config, "-q"])
        .env("SIGSTORE_ID_TOKEN", &token)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(instance.verified(workflow, "trusted_root.json").0, Some(0));
    // Through a pipe it can be read but once.
    let script = "printf %s \"$TOKEN\" | \"$0\" sign \"$1\" --identity-token /dev/stdin --signing-config \"$2\" -q";
    let piped = Command::new("sh")
        .args(["-c", script, weighbridge().to_str().unwrap(), &instance.path("model"), &config])
        .env("TOKEN", &token)
        .output()
        .unwrap();
    assert_eq!(piped.status.code(), Some(0), "{}", said(&piped));
    let help = Command::new(weighbridge()).args(["sign", "--help"]).env("SIGSTORE_ID_TOKEN", &token).output().unwrap();
    assert!(!String::from_utf8_lossy(&help.stdout).contains(&token[..24]));
}

#[test]
fn what_cannot_succeed_is_told_before_anything_is_sent() {
    let Some(instance) = Instance::start() else { return };
    let (root, plain) = (instance.path("trusted_root.json"), "http://fulcio.example.com");
    let stale = instance.path("stale");
    fs::write(&stale, instance.token(&json!({"sub": "x", "exp": 1_000_000_000}))).unwrap();
    let garbage = instance.path("garbage");
    fs::write(&garbage, "no token").unwrap();
    let (url, config, model) = (&instance.url, instance.path("trust_config.json"), instance.path("model"));
    let token = instance.path("token");
    let cases: [(&[&str], &str); 9] = [
        (
            &["--identity-token", &token, "--fulcio", plain, "--rekor", url, "--trusted-root", &root],
            "must begin with `https://`",
        ),
        (&["--identity-token", &token, "--fulcio", url, "--rekor", url], "needs `--trusted-root FILE`"),
        (&["--identity-token", &token, "--fulcio", url, "--trusted-root", &root], "--rekor"),
        (
            &["--identity-token", &token, "--fulcio", url, "--rekor", url, "--trusted-root", &token],
            "cannot use the trusted root",
        ),
        (&["--identity-token", &stale, "--signing-config", &config], "expired at 2001-09-09"),
        (&["--identity-token", &garbage, "--signing-config", &config], "is no JSON Web Token"),
        (&["--identity-token", &token, "--signing-config", &root], "the signing configuration is refused"),
        (&["--identity-token", &token, "--key", &token], "cannot be used with"),
        (&[], "nothing to sign with"),
    ];
    for (arguments, reason) in cases {
        let output = run(&[&["sign", &model, "-q"], arguments].concat());
        assert!(output.status.code() == Some(2) && said(&output).contains(reason), "{reason}: {}", said(&output));
        instance.holds_no_token(&output);
        assert!(!instance.bundle().exists());
    }
}

#[test]
fn an_instance_that_lies_gets_no_bundle_written() {
    let Some(instance) = Instance::start() else { return };
    let ok = "";
    for (services, reason) in [
        (["no-sct", ok, "none"], "missing SCT"),
        (["bad-sct", ok, "none"], "signed certificate timestamp"),
        (["other-key", ok, "none"], "certifies another key"),
        (["other-identity", ok, "none"], "certifies `mallory@example.com`"),
        (["other-issuer", ok, "none"], "`https://evil.example`"),
        (["other-root", ok, "none"], "certificate chain is invalid"),
        ([ok, "bad-set", "none"], "inclusion promise"),
        ([ok, "bad-proof", "none"], "inclusion proof"),
        ([ok, "bad-checkpoint", "none"], "checkpoint"),
        ([ok, "late", "none"], "integrated time"),
        ([ok, "other-entry", "none"], "does not match the bundle"),
        ([ok, ok, "stale-time"], "timestamp authority's answer is refused"),
    ] {
        let output = instance.sign_at(services, &[]);
        assert!(output.status.code() == Some(2) && said(&output).contains(reason), "{services:?}: {}", said(&output));
        assert!(!instance.bundle().exists(), "{services:?}");
    }
    // A bundle that was there stays.
    assert_eq!(instance.sign_at([ok, ok, ok], &[]).status.code(), Some(0));
    let before = fs::read(instance.bundle()).unwrap();
    assert_eq!(instance.sign_at([ok, "bad-set", ok], &[]).status.code(), Some(2));
    assert_eq!(fs::read(instance.bundle()).unwrap(), before);
}

#[test]
fn services_that_fail_are_named_in_bounded_time() {
    let Some(instance) = Instance::start() else { return };
    let names = ["certificate authority", "transparency log", "timestamp authority"];
    for (fault, reason) in [
        ("error", "answered 500, “out of order”; try again later"),
        ("echo", "answered 400"),
        ("garbage", "answer is refused"),
        ("huge", "answered more than 1048576 bytes"),
        ("endless", "answered more than 1048576 bytes"),
        ("hang", "gave no answer within 1 seconds"),
        ("drip", "gave no answer within 1 seconds"),
        ("redirect", "answered 307; it leads elsewhere"),
        ("close", "cannot reach the"),
        ("nowhere", "answered 404"),
    ] {
        for (i, name) in names.iter().enumerate() {
            let mut services = [""; 3];
            services[i] = fault;
            let started = Instant::now();
            let output = instance.sign_at(services, &["--service-timeout", "1"]);
            let message = said(&output);
            assert!(message.contains(reason) && message.contains(name), "{fault}: {message}");
            assert_eq!(output.status.code(), Some(2));
            assert!(message.chars().count() < 1000 && !message.trim_end().contains(char::is_control), "{message}");
            assert!(started.elapsed() < Duration::from_secs(8), "{fault}: {:?}", started.elapsed());
            assert!(!instance.bundle().exists(), "{fault}");
        }
    }
}

#[test]
fn encrypted_services_are_asked_only_with_a_known_certificate() {
    let Some(instance) = Instance::start() else { return };
    let sign = |authority: Option<&Path>| {
        let mut command = Command::new(weighbridge());
        command.args(["sign", &instance.path("model"), "-q", "--identity-token", &instance.path("token")]);
        command.args(["--fulcio", &instance.secure, "--rekor", &instance.secure]);
        command.args(["--trusted-root", &instance.path("trusted_root.json")]);
        command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
        if let Some(file) = authority {
            command.env("SSL_CERT_FILE", file);
        }
        command.output().unwrap()
    };
    let output = sign(None);
    assert!(
        output.status.code() == Some(2) && said(&output).contains("certificate: UnknownIssuer"),
        "{}",
        said(&output)
    );
    let output = sign(Some(&instance.dir.path().join("tls.pem")));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn the_reference_verifies_what_we_sign_and_signs_what_we_verify() {
    let Some(instance) = Instance::start() else { return };
    let config = instance.path("trust_config.json");
    let reference = |arguments: &[&str]| {
        let output = Command::new(python("model_signing")).args(arguments).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned() + &said(&output))
    };
    let (model, bundle, login) = (instance.path("model"), instance.path("model/model.sig"), instance.login());
    assert_eq!(instance.sign_at(["", "", "none"], &[]).status.code(), Some(0));
    let verify = |identity: &str| {
        let who = ["--identity", identity, "--identity_provider", &login, "--trust_config", &config];
        reference(&[&["verify", "sigstore", &model, "--signature", &bundle], who.as_slice()].concat())
    };
    let (good, words) = verify(SIGNER);
    assert!(good, "{words}");
    assert!(!verify("mallory@example.com").0);

    fs::remove_file(&bundle).unwrap();
    let token = fs::read_to_string(instance.path("token")).unwrap();
    let (signed, words) = reference(&[
        "sign",
        "sigstore",
        &model,
        "--signature",
        &bundle,
        "--identity_token",
        &token,
        "--trust_config",
        &config,
    ]);
    assert!(signed, "{words}");
    let (code, report) = instance.verified(SIGNER, "trusted_root.json");
    assert_eq!((code, text(&report, "/signature/signer/identity")), (Some(0), SIGNER), "{report}");
}
