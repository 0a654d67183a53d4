use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;

fn token(claims: &Value) -> Result<IdentityToken, KeylessError> {
    IdentityToken::parse(&format!(" head.{}.tail\n", URL_SAFE_NO_PAD.encode(claims.to_string())))
}

fn claims() -> Value {
    json!({"iss": "https://login.example.com", "sub": "1234", "exp": 4_000_000_000_u64})
}

fn with(key: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[key] = value;
    claims
}

#[test]
fn the_challenge_is_a_verified_address_or_the_subject() {
    assert_eq!(token(&claims()).unwrap().challenge(), "1234");
    let mut mail = with("email", json!("a@example.com"));
    assert_eq!(token(&mail).unwrap().challenge(), "1234", "nobody verified it");
    mail["email_verified"] = json!(true);
    assert_eq!(token(&mail).unwrap().challenge(), "a@example.com");
}

#[test]
fn damaged_tokens_are_refused_and_never_shown() {
    let secret = "eyJhbGciOiJFUzI1NiJ9.c2VjcmV0c2VjcmV0.c2ln";
    for text in ["", "a.b", "a.b.c.d", secret, "a.*.c", &"x".repeat(70_000)] {
        let error = IdentityToken::parse(text).unwrap_err().to_string();
        assert!(error.starts_with("the identity token ") && !error.contains("c2VjcmV0"), "{error}");
    }
    for key in ["iss", "sub", "exp"] {
        assert!(token(&with(key, Value::Null)).unwrap_err().to_string().contains(key));
    }
    assert!(token(&with("exp", json!(1e300))).is_err());
    let fine = token(&claims()).unwrap();
    assert_eq!(format!("{fine:?}"), "IdentityToken([redacted])");
    assert!(matches!(token(&with("exp", json!(1))).unwrap().check(now()), Err(KeylessError::Expired(_))));
}

#[test]
fn a_certificate_for_somebody_else_is_refused() {
    let mut claims = with("email", json!("a@example.com"));
    claims["email_verified"] = json!("true");
    claims["federated_claims"] = json!({"connector_id": "https://other.example.com"});
    let token = token(&claims).unwrap();
    for issuer in ["https://login.example.com", "https://other.example.com"] {
        assert!(token.check_certified("a@example.com", issuer).is_ok());
    }
    assert!(token.check_certified("b@example.com", "https://login.example.com").is_err());
    assert!(token.check_certified("a@example.com", "https://evil.example.com").is_err());
}

#[test]
fn the_key_proves_that_it_is_at_hand() {
    let token = token(&claims()).unwrap();
    let candidate = Candidate::new(&token).unwrap();
    let request: Value = serde_json::from_str(&candidate.certificate_request().unwrap()).unwrap();
    let field = |path: &str| request.pointer(path).and_then(Value::as_str).unwrap();
    let key = super::super::PublicKey::from_pem(field("/publicKeyRequest/publicKey/content").as_bytes()).unwrap();
    let proof = STANDARD.decode(field("/publicKeyRequest/proofOfPossession")).unwrap();
    assert!(key.verifies(b"1234", &proof));
    assert!(!format!("{candidate:?}").contains("tail"));
}

#[test]
fn answers_of_the_authority_are_bounded_and_typed() {
    let token = token(&claims()).unwrap();
    let many = json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": vec![""; 11]}}}).to_string();
    let garbage = json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": [
        pem::encode(&pem::Pem::new("CERTIFICATE", vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff]))]}}});
    let long = vec![b' '; RESPONSE_BYTES_MAX + 1];
    let detached = br#"{"signedCertificateDetachedSct": {}}"#;
    for answer in [b"".as_slice(), b"{}", b"[]", detached, many.as_bytes(), garbage.to_string().as_bytes(), &long] {
        let refused = Candidate::new(&token).unwrap().certified(answer);
        assert!(matches!(refused, Err(KeylessError::Certificate(_))), "{refused:?}");
    }
}

#[test]
fn entries_of_the_log_become_protobuf_json() {
    let id = "00".repeat(31) + "ff";
    let answer = |hashes: Value| {
        json!({"abc": {"body": "Ym9keQ==", "integratedTime": 1_700_000_000, "logID": id, "logIndex": 7,
            "verification": {"signedEntryTimestamp": "c2V0", "inclusionProof":
                {"checkpoint": "note", "hashes": hashes, "logIndex": 5, "rootHash": id, "treeSize": 9}}}})
        .to_string()
    };
    let entry = rekor::entry(answer(json!([id])).as_bytes()).unwrap();
    let encoded = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP8=";
    assert_eq!(entry["logIndex"], "7");
    assert_eq!(entry["logId"]["keyId"], encoded);
    assert_eq!(entry["integratedTime"], "1700000000");
    assert_eq!(entry["inclusionProof"]["hashes"], json!([encoded]));
    assert_eq!(entry["inclusionProof"]["treeSize"], "9");
    for bad in [json!(["xyz"]), json!(vec![&id; 65]), json!(1)] {
        assert!(matches!(rekor::entry(answer(bad).as_bytes()), Err(KeylessError::Log(_))));
    }
    for bad in ["", "{}", "[]", r#"{"a":{},"b":{}}"#, r#"{"a":{"logIndex":-1}}"#] {
        assert!(matches!(rekor::entry(bad.as_bytes()), Err(KeylessError::Log(_))), "{bad}");
    }
}

#[test]
fn the_services_in_use_are_chosen() {
    assert_eq!(Services::public().unwrap().fulcio, "https://fulcio.sigstore.dev");
    assert_eq!(Services::staging().unwrap().rekor, "https://rekor.sigstage.dev");
    let service = |url: &str, version: u32, start: &str, end: Option<&str>| {
        let mut valid = json!({"start": start});
        if let Some(end) = end {
            valid["end"] = json!(end);
        }
        json!({"url": url, "majorApiVersion": version, "validFor": valid, "operator": "us"})
    };
    let config = |logs: Value, selector: Value| {
        json!({"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [service("https://ca", 1, "2020-01-01T00:00:00Z", None)],
            "rekorTlogUrls": logs, "rekorTlogConfig": selector, "tsaUrls": [], "tsaConfig": {"selector": "ANY"}})
    };
    let logs = json!([
        service("https://old", 1, "2020-01-01T00:00:00Z", None),
        service("https://new", 1, "2021-01-01T00:00:00Z", None),
        service("https://gone", 1, "2022-01-01T00:00:00Z", Some("2023-01-01T00:00:00Z")),
        service("https://future", 1, "2999-01-01T00:00:00Z", None),
        service("https://tiles", 2, "2024-01-01T00:00:00Z", None),
    ]);
    let any = json!({"selector": "ANY"});
    let wrapped = json!({"mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": {"a": 1}, "signingConfig": config(logs.clone(), any.clone())});
    let services = Services::parse(wrapped.to_string().as_bytes()).unwrap();
    assert_eq!((services.rekor.as_str(), services.timestamp_authority), ("https://new", None));
    assert_eq!(services.trusted_root.as_deref(), Some(r#"{"a":1}"#));
    let tiles = json!([service("https://tiles", 2, "2024-01-01T00:00:00Z", None)]);
    for bad in [config(tiles, any), config(logs, json!({"selector": "EXACT", "count": 2})), json!({})] {
        assert!(matches!(Services::parse(bad.to_string().as_bytes()), Err(KeylessError::Services(_))), "{bad}");
    }
}

#[test]
fn timestamps_are_asked_for_in_der() {
    use x509_cert::der::{AnyRef, Decode};
    let request = timestamp::request(b"signature");
    assert_eq!(request.len(), 59);
    assert!(AnyRef::from_der(&request).is_ok());
    assert!(timestamp::confirm(b"\x30\x03\x02\x01\x00", b"signature", None).is_err());
}
