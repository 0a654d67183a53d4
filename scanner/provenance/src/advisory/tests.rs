use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use weighbridge_types::{AdvisoryMatchKind, Claim, Lineage, Severity, Sha256, Strength};

use super::*;

fn now() -> Timestamp {
    "2026-11-21T00:00:00Z".parse().unwrap()
}

fn embedded() -> Catalogue {
    Catalogue::embedded(now()).unwrap()
}

fn catalogue(documents: &[Value]) -> Catalogue {
    let texts: Vec<String> = documents.iter().map(ToString::to_string).collect();
    Catalogue::build(texts.iter().map(|t| ("test.json", t.as_bytes())), now()).unwrap()
}

fn advisory(affected: &Value, weighbridge: &Value) -> Value {
    json!({ "id": "x_T-1", "modified": "2026-01-01T00:00:00Z", "summary": "bad", "affected": affected,
        "database_specific": { "weighbridge": weighbridge } })
}

fn python(name: &str, version: &str) -> Judgement {
    embedded().against_program(&Installed { stack: name, packages: &[("PyPI", name)], version: Some(version) })
}

fn ids(judgement: &Judgement) -> Vec<&str> {
    judgement.matches.iter().map(|m| m.id.as_str()).collect()
}

fn claim(purl: &str, revision: Option<&str>) -> Claim {
    Claim {
        strength: Strength::Record,
        source: "hf-cache".to_owned(),
        purl: Some(purl.to_owned()),
        url: None,
        revision: revision.map(str::to_owned),
        detail: String::new(),
    }
}

fn against(catalogue: &Catalogue, claims: &[Claim]) -> Vec<weighbridge_types::AdvisoryMatch> {
    catalogue.against_model(&ModelFacts { claims, ..ModelFacts::default() })
}

#[test]
fn every_document_here_is_sound() {
    let documents = weighbridge_rules::ADVISORIES;
    assert!(documents.len() >= 60, "{}", documents.len());
    for (name, text) in documents {
        let advisory = Advisory::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(*name, format!("{}.json", advisory.id));
        assert!(!advisory.summary.is_empty() && !advisory.summary.ends_with('.'), "{name}");
        assert!(advisory.verification.is_some(), "{name} says how far it was checked");
        assert!(advisory.modified <= now() && advisory.published <= Some(advisory.modified), "{name}");
        assert!(advisory.references.iter().all(|(_, url)| url.starts_with("https://")), "{name}");
        let nvd = format!("https://nvd.nist.gov/vuln/detail/{}", advisory.id);
        let ours = advisory.id.strip_prefix("x_WBA-").is_some_and(|n| n.len() == 9);
        assert!(ours || advisory.references[0].1 == nvd, "{name}");
        for affected in &advisory.affected {
            let git = affected.ranges.iter().all(|r| r.kind == osv::RangeKind::Git);
            let bound = affected.package.is_some() ^ affected.stack.is_some();
            assert!(bound || (git && !affected.ranges.is_empty()), "{name} is about something");
            let scheme = affected.scheme.unwrap_or(version::Scheme::Python);
            for event in affected.ranges.iter().filter(|r| r.kind != osv::RangeKind::Git).flat_map(|r| &r.events) {
                use osv::Event::{Fixed, Introduced, LastAffected, Limit};
                let (Introduced(v) | Fixed(v) | LastAffected(v) | Limit(v)) = event;
                assert!(v == "0" || version::parse(scheme, v).is_some(), "{name}: {v}");
            }
        }
    }
}

#[test]
fn known_programs_are_judged_as_the_research_says() {
    let ollama = |v| {
        let program = Installed { stack: "ollama", packages: &[("Go", "github.com/ollama/ollama")], version: Some(v) };
        embedded().against_program(&program)
    };
    let old = ollama("0.1.33");
    let worst = old.matches.iter().find(|m| m.id == "CVE-2024-37032").unwrap();
    assert_eq!((worst.fixed.as_deref(), worst.severity), (Some("0.1.34"), Severity::High));
    assert!(!ids(&ollama("0.1.34")).contains(&"CVE-2024-37032"));
    assert!(ids(&ollama("0.9.6")).contains(&"CVE-2025-51471") && !ids(&ollama("0.9.7")).contains(&"CVE-2025-51471"));
    // Contradictory sources: no version is called fixed.
    assert_eq!(ids(&ollama("99.0.0")), ["CVE-2025-63389"]);

    let llama = |v| {
        let program = Installed { stack: "llamacpp", packages: &[], version: Some(v) };
        embedded().against_program(&program)
    };
    assert!(ids(&llama("b999")).contains(&"CVE-2024-32878") && !ids(&llama("b10000")).contains(&"CVE-2026-34159"));
    // No build is known for these.
    assert_eq!(llama("b10000").undecided, ["CVE-2024-21802", "CVE-2026-21869"]);

    assert!(ids(&python("torch", "2.5.1+cu121")).contains(&"CVE-2025-32434"), "a label does not make it newer");
    assert!(ids(&python("transformers", "5.0.0rc2")).contains(&"CVE-2026-1839"));
    assert!(!ids(&python("transformers", "5.0.0rc3")).contains(&"CVE-2026-1839"));
    assert!(ids(&python("open_webui", "0.6.34")).contains(&"CVE-2025-64496"));
    assert_eq!(ids(&python("litellm", "1.82.8")), ["x_WBA-2026-0002"]);
    assert!(ids(&python("litellm", "1.82.9")).is_empty());
    assert!(!ids(&python("vllm", "0.6.4")).contains(&"CVE-2025-32444"), "before it was introduced");
    let triton = Installed { stack: "triton", packages: &[], version: Some("25.12") };
    assert_eq!(ids(&embedded().against_program(&triton)), ["CVE-2026-24207"]);
}

#[test]
fn a_version_that_cannot_be_compared_is_undecided_not_safe() {
    for version in ["main", "0.0.0", "0.1.dev1+gabc1234"] {
        let judgement = python("vllm", version);
        assert!(judgement.matches.is_empty() && judgement.undecided.len() >= 11, "{version}: {judgement:?}");
    }
    let unknown = Installed { stack: "llamacpp", packages: &[], version: None };
    assert!(embedded().against_program(&unknown).undecided.len() >= 8);
    let bad = advisory(
        &json!([{ "package": { "ecosystem": "PyPI", "name": "x" },
            "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "sometime" }] }] }]),
        &Value::Null,
    );
    let program = Installed { stack: "x", packages: &[("PyPI", "x")], version: Some("1") };
    assert_eq!(catalogue(&[bad]).against_program(&program).undecided, ["x_T-1"]);
}

#[test]
fn several_branches_have_their_own_fixes() {
    let events = json!([{ "introduced": "2.0" }, { "fixed": "2.3" }, { "introduced": "0" }, { "fixed": "1.5" }]);
    let document = advisory(
        &json!([{ "package": { "ecosystem": "PyPI", "name": "x" }, "ranges": [{ "type": "ECOSYSTEM", "events": events }] }]),
        &Value::Null,
    );
    let catalogue = catalogue(&[document]);
    for (version, fixed) in
        [("1.4", Some("1.5")), ("1.5", None), ("1.9", None), ("2.0rc1", None), ("2.2", Some("2.3")), ("2.3", None)]
    {
        let program = Installed { stack: "x", packages: &[("pypi", "X")], version: Some(version) };
        let judgement = catalogue.against_program(&program);
        assert_eq!(judgement.matches.first().and_then(|m| m.fixed.as_deref()), fixed, "{version}");
        assert!(judgement.undecided.is_empty());
    }
}

#[test]
fn malicious_repositories_are_known_by_claim() {
    for name in ["baller423/goober2", "Baller423/Goober2", "glockr1/ballr7"] {
        let claims = [claim(&format!("pkg:huggingface/{name}@main"), None)];
        let matches = against(&embedded(), &claims);
        assert_eq!(matches.len(), 1, "{name}");
        assert_eq!((matches[0].matched_by, matches[0].severity), (AdvisoryMatchKind::Revision, Severity::Critical));
    }
    assert!(against(&embedded(), &[claim("pkg:huggingface/baller423/goober", None)]).is_empty());
    let by_url = Claim {
        purl: None,
        url: Some("https://huggingface.co/baller423/goober2/resolve/main/pytorch_model.bin".to_owned()),
        ..claim("", None)
    };
    assert_eq!(against(&embedded(), &[by_url]).len(), 1);
}

#[test]
fn commits_are_compared_as_far_as_they_can_be() {
    let (bad, good, other) = ("a".repeat(40), "b".repeat(40), "c".repeat(40));
    let document = advisory(
        &json!([{ "ranges": [{ "type": "GIT", "repo": "https://huggingface.co/o/n",
            "events": [{ "introduced": bad }, { "fixed": good }] }] }]),
        &json!({ "replaced_by": [{ "purl": format!("pkg:huggingface/o/n@{good}") }] }),
    );
    let catalogue = catalogue(&[document]);
    let evidence = |revision: Option<&str>| {
        against(&catalogue, &[claim("pkg:huggingface/o/n", revision)]).first().map(|m| m.evidence.clone())
    };
    assert!(evidence(Some(&bad.to_uppercase())).unwrap().contains("this revision"));
    assert_eq!(evidence(Some(&good)), None);
    assert!(evidence(Some(&other)).unwrap().contains("may lie"));
    assert!(evidence(None).unwrap().contains("unknown"));
    let matches = against(&catalogue, &[claim("pkg:huggingface/o/n", Some(&bad))]);
    assert_eq!(matches[0].replaced_by, [format!("pkg:huggingface/o/n@{good}")]);
}

#[test]
fn the_strongest_evidence_is_told_and_lineage_only_warns() {
    let digest: Sha256 = "d".repeat(64).parse().unwrap();
    let lineage = Lineage { fingerprint: "e".repeat(64), tensors: 9, likely_derived_from: Vec::new() };
    let mut document = advisory(
        &json!([]),
        &json!({ "file_sha256": ["d".repeat(64)], "norm_fingerprint": ["E".repeat(64)], "repo": ["o/*-bad"] }),
    );
    document["database_specific"]["severity"] = json!("CRITICAL");
    let catalogue = catalogue(&[document]);
    let claims = [claim("pkg:huggingface/O/very-bad", None)];
    let all = ModelFacts { files: &[digest], tree: None, claims: &claims, lineage: Some(&lineage) };
    let kind = |facts: &ModelFacts<'_>| catalogue.against_model(facts).first().map(|m| (m.matched_by, m.severity));
    assert_eq!(kind(&all), Some((AdvisoryMatchKind::Digest, Severity::Critical)));
    assert_eq!(kind(&ModelFacts { files: &[], ..all }), Some((AdvisoryMatchKind::Revision, Severity::Critical)));
    let lineage_only = ModelFacts { files: &[], claims: &[], ..all };
    assert_eq!(kind(&lineage_only), Some((AdvisoryMatchKind::Lineage, Severity::Medium)));
    assert_eq!(kind(&ModelFacts::default()), None);
}

#[test]
fn what_was_taken_back_or_has_expired_does_not_match() {
    let claims = [claim("pkg:huggingface/o/n", None)];
    let with = |key: &str, time: &str| {
        let mut document = advisory(&json!([]), &json!({ "repo": ["o/n"] }));
        match key {
            "withdrawn" => document["withdrawn"] = json!(time),
            _ => document["database_specific"]["weighbridge"][key] = json!(time),
        }
        against(&catalogue(&[document]), &claims).len()
    };
    assert_eq!(with("withdrawn", "2026-11-20T00:00:00Z"), 0);
    assert_eq!(with("expires", "2026-11-20T00:00:00Z"), 0);
    assert_eq!(with("expires", "2026-11-22T00:00:00Z"), 1);
}

#[test]
fn a_users_document_replaces_ours() {
    let document =
        json!({ "id": "CVE-2025-63389", "modified": "2026-11-21T00:00:00Z", "withdrawn": "2026-11-21T00:00:00Z" });
    let documents = [("mine.json".to_owned(), document.to_string().into_bytes())];
    let catalogue = Catalogue::load(&documents, now()).unwrap();
    assert!(catalogue.get("CVE-2025-63389").is_none() && catalogue.get("CVE-2024-37032").is_some());
    let broken = [("bad.json".to_owned(), b"{".to_vec())];
    assert!(Catalogue::load(&broken, now()).unwrap_err().to_string().contains("`bad.json`"));
}

#[test]
fn ten_thousand_advisories_and_a_hundred_thousand_models_are_quick() {
    let digest = |n: usize| format!("{n:064x}");
    let documents: Vec<Value> = (0..10_000)
        .map(|n| {
            let mut d = advisory(&json!([]), &json!({ "file_sha256": [digest(n)], "repo": [format!("o{n}/n*")] }));
            d["id"] = json!(format!("x_T-{n}"));
            d
        })
        .collect();
    let catalogue = catalogue(&documents);
    let begun = Instant::now();
    let mut found = 0;
    for n in 0..100_000 {
        let files = [digest(n).parse().unwrap()];
        let claims = [claim(&format!("pkg:huggingface/o{n}/name"), None)];
        found += catalogue.against_model(&ModelFacts { files: &files, claims: &claims, ..ModelFacts::default() }).len();
    }
    assert_eq!(found, 10_000);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
