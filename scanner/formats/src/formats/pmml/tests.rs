use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

const SAMPLE: &str = r#"<?xml version="1.0"?>
<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4"><Header><Application name="sklearn2pmml"/></Header>
<TreeModel functionName="classification"/></PMML>"#;

#[test]
fn a_plain_model_is_clean() {
    let outcome = inspect_bytes("m.pmml", SAMPLE.as_bytes());
    assert_eq!((outcome.format, verdict(&outcome)), (Some("pmml"), Verdict::Clean));
    assert_eq!(outcome.metadata.get("architecture").and_then(|v| v.as_str()), Some("TreeModel"));
    assert_eq!(outcome.metadata.get("producer").and_then(|v| v.as_str()), Some("sklearn2pmml"));
}

fn with_doctype(doctype: &str) -> Vec<u8> {
    SAMPLE.replacen("?>", &format!("?>{doctype}"), 1).into_bytes()
}

#[test]
fn external_entities_are_malicious() {
    for doctype in [
        r#"<!DOCTYPE PMML [<!ENTITY x SYSTEM "file:///etc/passwd">]>"#,
        r#"<!DOCTYPE PMML [<!ENTITY % x PUBLIC "a" "http://example.invalid/x.dtd"> %x;]>"#,
        r#"<!DOCTYPE PMML SYSTEM "http://example.invalid/x.dtd">"#,
    ] {
        let outcome = inspect_bytes("m.pmml", &with_doctype(doctype));
        assert_eq!(rules(&outcome), ["xml-external-entity"], "{doctype}");
    }
}

#[test]
fn entity_bombs_are_told_without_expanding_them() {
    let laughs = r#"<!DOCTYPE PMML [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
        <!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">
        <!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;"><!ENTITY f "&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;">]>"#;
    assert_eq!(rules(&inspect_bytes("m.pmml", &with_doctype(laughs))), ["xml-entity-bomb"]);
}

#[test]
fn code_in_an_extension_is_malicious() {
    let bad = SAMPLE
        .replace("<Header>", r#"<Header><Extension name="init" value="java.lang.Runtime.getRuntime().exec('id')"/>"#);
    assert_eq!(verdict(&inspect_bytes("m.pmml", bad.as_bytes())), Verdict::Malicious);
}

#[test]
fn survives() {
    survives_damage("m.pmml", SAMPLE.as_bytes());
}
