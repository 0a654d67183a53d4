use std::io::{self, Write};

use quick_xml::Writer;
use quick_xml::events::{BytesText, Event};
use weighbridge_types::{Artifact, Report, Severity, Shown};

/// JUnit XML: one test case per artifact, failed by findings at or above
/// `fail_on`.
pub fn junit(out: &mut impl Write, report: &Report, fail_on: Severity) -> io::Result<()> {
    let failures = report.artifacts.iter().filter(|a| fails(a, fail_on)).count().to_string();
    let tests = report.artifacts.len().to_string();
    let errors = report.errors.len().to_string();
    let total = (report.artifacts.len() + report.errors.len()).to_string();
    let time = format!("{}.{:03}", report.summary.elapsed_ms / 1000, report.summary.elapsed_ms % 1000);
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    let mut writer = Writer::new_with_indent(&mut *out, b' ', 2);
    let suites = [("tests", total.as_str()), ("failures", &failures), ("errors", &errors), ("time", &time)];
    writer.create_element("testsuites").with_attributes(suites).write_inner_content(|w| {
        let suite = [
            ("name", "weighbridge scan"),
            ("tests", &tests),
            ("failures", &failures),
            ("errors", "0"),
            ("time", &time),
        ];
        w.create_element("testsuite")
            .with_attributes(suite)
            .write_inner_content(|w| report.artifacts.iter().try_for_each(|a| case(w, a, fail_on)))?;
        if !report.errors.is_empty() {
            let suite = [
                ("name", "not read"),
                ("tests", errors.as_str()),
                ("failures", "0"),
                ("errors", &errors),
                ("time", "0"),
            ];
            w.create_element("testsuite").with_attributes(suite).write_inner_content(|w| {
                report.errors.iter().try_for_each(|e| {
                    let path = text(&e.path);
                    w.create_element("testcase")
                        .with_attributes([("classname", "unread"), ("name", path.as_str())])
                        .write_inner_content(|w| {
                            w.create_element("error")
                                .with_attribute(("message", text(&e.message).as_str()))
                                .write_empty()?;
                            Ok(())
                        })?;
                    Ok::<_, io::Error>(())
                })
            })?;
        }
        Ok(())
    })?;
    writeln!(out)
}

fn fails(artifact: &Artifact, fail_on: Severity) -> bool {
    match &artifact.decision {
        Some(decision) => decision.refuses(),
        None => artifact.findings.iter().any(|f| f.severity >= fail_on),
    }
}

fn case<W: Write>(w: &mut Writer<W>, artifact: &Artifact, fail_on: Severity) -> io::Result<()> {
    let path = text(&artifact.path);
    let case = w.create_element("testcase").with_attributes([
        ("classname", artifact.format.as_str()),
        ("name", path.as_str()),
        ("time", "0"),
    ]);
    if !fails(artifact, fail_on) {
        case.write_empty()?;
        return Ok(());
    }
    let mut detail = String::new();
    if let Some(decision) = &artifact.decision {
        detail.push_str(&format!("{} by {}\n", decision.effect, decision.policies.join(", ")));
    }
    for f in &artifact.findings {
        let member = f.member.as_deref().map(|m| format!(" in {m}")).unwrap_or_default();
        let at = f.offset.map(|o| format!(" at byte {o}")).unwrap_or_default();
        detail.push_str(&format!("{} [{}]{member}{at} {}: {}\n", f.severity, f.rule, f.title, f.detail));
    }
    let first = match (artifact.findings.first(), &artifact.decision) {
        (Some(finding), _) => text(&finding.title),
        (None, Some(decision)) => text(&format!("denied by {}", decision.policies.join(", "))),
        (None, None) => String::new(),
    };
    case.write_inner_content(|w| {
        w.create_element("failure")
            .with_attributes([("message", first.as_str()), ("type", artifact.verdict.name())])
            .write_inner_content(|w| w.write_event(Event::Text(BytesText::new(&lines(&detail)))))?;
        Ok(())
    })?;
    Ok(())
}

/// Hostile text without characters that XML 1.0 forbids.
fn text(raw: &str) -> String {
    Shown(raw).to_string()
}

/// As [`text`], line by line.
fn lines(raw: &str) -> String {
    raw.lines().map(|l| text(l) + "\n").collect()
}
