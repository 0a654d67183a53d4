use std::borrow::Cow;

use weighbridge_types::{
    Artifact, Finding, Metadata, Model, ModelKind, Report, SCHEMA, ScanError, Severity, Sha256, Summary, Tool, Verdict,
};

use super::*;

mod bills;

/// A report whose every text is hostile somewhere.
fn hostile() -> Report {
    let finding = Finding {
        rule: Cow::Borrowed("truncated"),
        severity: Severity::Critical,
        verdict: Verdict::Malicious,
        title: Cow::Borrowed("runs <code> & \"more\""),
        detail: "os.system('x')\u{1b}[2J | `tick` ]]>".to_owned(),
        offset: Some(42),
        member: Some("a\nb!/data.pkl".to_owned()),
        references: vec![Cow::Borrowed("CVE-2025-1")],
    };
    let artifact = Artifact {
        path: "/models/\u{202e}evil|<x>.pkl".to_owned(),
        size_bytes: 1234,
        sha256: Some(Sha256::new([0xab; 32])),
        format: "pickle".to_owned(),
        metadata: Metadata::new(),
        verdict: Verdict::Malicious,
        findings: vec![finding],
        links: Vec::new(),
        also_at: Vec::new(),
        signature: None,
        origin: Vec::new(),
        advisories: Vec::new(),
        decision: None,
        shadow: None,
    };
    let clean = Artifact {
        path: "/models/good.gguf".to_owned(),
        format: "gguf".to_owned(),
        verdict: Verdict::Clean,
        findings: Vec::new(),
        ..artifact.clone()
    };
    let mut metadata = Metadata::new();
    metadata.insert("parameters".into(), 8_030_261_248_u64.into());
    metadata.insert("quantization".into(), "Q4_K_M".into());
    let model = Model {
        name: "good".to_owned(),
        kind: ModelKind::File,
        format: "gguf".to_owned(),
        path: clean.path.clone(),
        files: vec![clean.path.clone()],
        size_bytes: 4_700_000_000,
        metadata,
        verdict: Verdict::Clean,
        missing: Vec::new(),
        same_as: Vec::new(),
        signature: None,
        origin: Vec::new(),
        lineage: None,
        advisories: Vec::new(),
    };
    Report {
        schema: SCHEMA.to_owned(),
        tool: Tool { name: "weighbridge".to_owned(), version: "0.0.0".to_owned(), rules: "r".to_owned() },
        roots: vec!["/models".to_owned()],
        artifacts: vec![artifact, clean],
        models: vec![model],
        summary: Summary {
            files_seen: 3,
            artifacts: 2,
            models: 1,
            bytes_hashed: 2468,
            elapsed_ms: 1005,
            verdicts: [("malicious".to_owned(), 1), ("clean".to_owned(), 1)].into(),
            ..Summary::default()
        },
        errors: vec![ScanError {
            path: "/models/locked".to_owned(),
            message: "cannot read it: permission denied".to_owned(),
        }],
    }
}

fn rendered(render: impl Fn(&mut Vec<u8>, &Report) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    render(&mut out, &hostile()).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn table_reads_well_and_escapes() {
    insta::assert_snapshot!(rendered(|out, r| {
        let mut plain = anstream::StripStream::new(Vec::new());
        table(&mut plain, r, true)?;
        out.extend(plain.into_inner());
        Ok(())
    }));
}

#[test]
fn json_is_the_report() {
    insta::assert_snapshot!(rendered(json));
}

#[test]
fn sarif_places_the_finding() {
    insta::assert_snapshot!(rendered(sarif));
}

#[test]
fn junit_is_well_formed_whatever_the_names() {
    let text = rendered(|out, r| junit(out, r, Severity::Medium));
    let mut reader = quick_xml::Reader::from_str(&text);
    while reader.read_event().unwrap() != quick_xml::events::Event::Eof {}
    insta::assert_snapshot!(text);
}

#[test]
fn markdown_cells_stay_cells() {
    insta::assert_snapshot!(rendered(markdown));
}
