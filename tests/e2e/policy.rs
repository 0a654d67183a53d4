//! Policy repositories as an author and an endpoint use them.

use std::fs;
use std::path::Path;

use serde_json::Value;
use weighbridge_tests::{artifact, root, run, scan, text};

/// A new starter repository.
fn starter() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let repository = dir.path().join("d").to_str().unwrap().to_owned();
    assert_eq!(run(&["policy", "init", &repository]).status.code(), Some(0));
    (dir, repository)
}

fn samples(dir: &Path) -> String {
    let folder = dir.join("models");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("bad.pkl"), b"cposix\nsystem\n(S'true # weighbridge-marker'\ntR.").unwrap();
    fs::copy(root().join("tests/corpus/benign/hf-repo/chatml/model.safetensors"), folder.join("m.safetensors"))
        .unwrap();
    folder.to_str().unwrap().to_owned()
}

#[test]
fn a_first_repository_checks_tests_and_decides() {
    let (dir, repository) = starter();
    assert_eq!(run(&["policy", "check", &repository, "--deny-warnings"]).status.code(), Some(0));
    let junit = dir.path().join("results.xml").to_str().unwrap().to_owned();
    let tested = run(&["policy", "test", &repository, "--junit", &junit, "--deny-untested"]);
    assert_eq!(tested.status.code(), Some(0), "{}", String::from_utf8_lossy(&tested.stdout));
    assert!(fs::read_to_string(junit).unwrap().contains("failures=\"0\""));

    let models = samples(dir.path());
    let (code, report) = scan(&[&models, "--policy", &repository]);
    let decision = |name: &str| artifact(&report, &format!("{models}/{name}")).unwrap()["decision"].clone();
    let bad = decision("bad.pkl");
    assert_eq!((code, text(&bad, "/effect"), text(&bad, "/policies/0")), (Some(1), "deny", "deny-malicious"));
    let kinds: Vec<&str> = bad["obligations"].as_array().unwrap().iter().map(|o| text(o, "/kind")).collect();
    assert_eq!(kinds, ["alert", "quarantine", "notify_user"]);
    assert_eq!(text(&decision("m.safetensors"), "/effect"), "allow");
    // What is fine to keep need not be fine to load, and an observer never fails.
    let clean = format!("{models}/m.safetensors");
    assert_eq!(scan(&[&clean, "--policy", &repository]).0, Some(0));
    assert_eq!(scan(&[&clean, "--policy", &repository, "--action", "load"]).0, Some(1));
    let (code, report) = scan(&[&models, "--policy", &repository, "--mode", "observe"]);
    assert_eq!((code, &report["artifacts"][0]["decision"]["enforced"]), (Some(0), &Value::Bool(false)));
    // Approved by digest, it is loaded even in lockdown.
    let digest = text(artifact(&report, &clean).unwrap(), "/sha256").to_owned();
    let approval = format!("- for: {{ models: [\"sha256:{digest}\"] }}\n  approver: a\n  reason: r\n");
    let load = [clean.as_str(), "--policy", &repository, "--action", "load", "--team", "production"];
    assert_eq!(scan(&load).0, Some(1));
    fs::write(format!("{repository}/data/approvals.yaml"), approval).unwrap();
    assert_eq!(scan(&load).0, Some(0));
}

#[test]
fn explanations_name_the_condition_that_failed() {
    let (dir, repository) = starter();
    let models = samples(dir.path());
    let model = format!("{models}/m.safetensors");
    let arguments = ["policy", "explain", &repository, "--model", &model, "--action", "load", "--user", "alice"];
    let output = run(&[&arguments[..], &["--format", "json"]].concat());
    let explained: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), text(&explained, "/decision/policies/0")),
        (Some(1), "approve-unknown-publishers")
    );
    let code =
        explained["policies"].as_array().unwrap().iter().find(|p| text(p, "/id") == "deny-unsigned-code").unwrap();
    let unmet: Vec<&str> =
        code["conditions"].as_array().unwrap().iter().filter(|c| c["met"] == false).map(|c| text(c, "/text")).collect();
    assert_eq!(unmet, ["resource.runsCode"]);
    let shown = run(&arguments);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for word in ["deny: load of", "nearly", "not met: resource.runsCode", "principal: User::"] {
        assert!(shown.contains(word), "`{word}` is not in {shown}");
    }
}

#[test]
fn mistakes_are_shown_with_a_caret_and_bundles_must_be_whole() {
    let (dir, repository) = starter();
    let bundle = dir.path().join("b").to_str().unwrap().to_owned();
    assert_eq!(run(&["policy", "bundle", &repository, "--out", &bundle]).status.code(), Some(0));
    let models = samples(dir.path());
    assert_eq!(scan(&[&format!("{models}/m.safetensors"), "--policy", &bundle]).0, Some(0));
    let teams = format!("{bundle}/fleet/teams.yaml");
    let altered = fs::read_to_string(&teams).unwrap().replace("guard }", "observe }");
    fs::write(&teams, altered).unwrap();
    let refused = run(&["scan", &models, "--policy", &bundle]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("fleet/teams.yaml: was altered"), "{said}");

    let extra = "@id(\"x\") @owner(\"o\") @rationale(\"r\") @severity(\"low\")\nforbid (principal, action == Action::\"load\", resource)\nwhen { resource.sizee > 3 };\n";
    fs::write(format!("{repository}/policies/extra.cedar"), extra).unwrap();
    let checked = run(&["policy", "check", &repository]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(2), "{said}");
    for word in ["attribute `sizee`", "policies/extra.cedar:3:8", "──"] {
        assert!(said.contains(word), "`{word}` is not in {said}");
    }
    let scanned = run(&["scan", &models, "--policy", &repository]);
    assert_eq!(scanned.status.code(), Some(2), "{}", String::from_utf8_lossy(&scanned.stderr));
    assert_eq!(run(&["policy", "bundle", &repository, "--out", &format!("{bundle}2")]).status.code(), Some(2));
    assert_eq!(run(&["policy", "init", &repository]).status.code(), Some(2), "nothing is overwritten");
}

#[test]
fn a_plan_counts_models_and_machines_that_would_be_refused() {
    let (dir, old) = starter();
    let (_other, new) = starter();
    fs::write(format!("{new}/fleet/teams.yaml"), "default: { mode: lockdown }\n").unwrap();
    let (_, report) = scan(&[&samples(dir.path())]);
    let lines: Vec<String> =
        ["a", "b"].iter().map(|host| serde_json::json!({"host": host, "report": report}).to_string()).collect();
    let inventory = dir.path().join("inventory.ndjson").to_str().unwrap().to_owned();
    fs::write(&inventory, lines.join("\n")).unwrap();
    let arguments = ["policy", "plan", &old, &new, "--inventory", &inventory, "--action", "store"];
    let output = run(&[&arguments[..], &["--format", "json"]].concat());
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &plan["decisions"], &plan["hosts"]), (Some(0), &4.into(), &2.into()));
    let first = &plan["changes"][0];
    assert_eq!((text(first, "/model"), text(first, "/new/policies/0")), ("m", "mode:lockdown"));
    assert_eq!(first["hosts"], serde_json::json!(["a", "b"]));
    let shown = String::from_utf8_lossy(&run(&arguments).stdout).into_owned();
    assert!(shown.contains("1 models and actions on 2 machines refused from then on"), "{shown}");
    // Requests that were recorded are decided under their own circumstances.
    let request = serde_json::json!({
        "principal": {"user": "bob"}, "action": "store", "model": {"format": "pickle"},
        "context": {"now": "2026-06-01T00:00:00Z", "host": "c", "team": "research"}
    });
    fs::write(&inventory, request.to_string()).unwrap();
    let output = run(&[&arguments[..], &["--format", "json"]].concat());
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&plan["decisions"], &plan["changes"][0]["hosts"]), (&1.into(), &serde_json::json!(["c"])), "{plan}");
    fs::write(&inventory, "{}").unwrap();
    assert_eq!(run(&arguments).status.code(), Some(2));
}

#[test]
fn a_candidate_is_reported_and_not_enforced() {
    let (dir, repository) = starter();
    let (_other, candidate) = starter();
    fs::write(format!("{candidate}/fleet/teams.yaml"), "default: { mode: lockdown }\n").unwrap();
    let model = format!("{}/m.safetensors", samples(dir.path()));
    let arguments = [model.as_str(), "--policy", &repository, "--shadow", &candidate];
    let (code, report) = scan(&arguments);
    let found = artifact(&report, &model).unwrap();
    assert_eq!((code, text(found, "/decision/effect"), text(found, "/shadow/effect")), (Some(0), "allow", "deny"));
    let shown = run(&[&["scan"], &arguments[..]].concat());
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("the candidate would say: by mode:lockdown"), "{shown}");
    assert!(
        scan(&[&model, "--policy", &repository, "--shadow", &repository]).1["artifacts"][0].get("shadow").is_none()
    );
    let markdown = run(&["scan", &model, "--policy", &repository, "--format", "markdown"]);
    assert!(String::from_utf8_lossy(&markdown.stdout).contains("| allow |"), "{markdown:?}");
}

#[test]
fn rules_and_advisories_of_the_repository_count() {
    let (dir, repository) = starter();
    let model = format!("{}/m.safetensors", samples(dir.path()));
    fs::create_dir_all(format!("{repository}/rules")).unwrap();
    let rule = "rule any_safetensors { meta: severity = \"high\" strings: $a = \"dtype\" condition: $a }";
    fs::write(format!("{repository}/rules/own.yar"), rule).unwrap();
    let (_, report) = scan(&[&model, "--policy", &repository]);
    let found = artifact(&report, &model).unwrap();
    assert!(found["findings"].to_string().contains("any_safetensors"), "{found}");
    // The same, as a bundle that travelled.
    let bundle = dir.path().join("b").to_str().unwrap().to_owned();
    assert_eq!(run(&["policy", "bundle", &repository, "--out", &bundle]).status.code(), Some(0));
    let (_, report) = scan(&[&model, "--policy", &bundle]);
    assert!(report["artifacts"][0]["findings"].to_string().contains("any_safetensors"), "{report}");
}

/// Cedar's own command line, which `cargo xtask test` installs.
#[test]
fn the_official_tool_accepts_the_schema_and_the_starter() {
    let target = weighbridge_tests::target_profile();
    let target = target.parent().unwrap();
    let cedar = target.join("tools/bin/cedar");
    if !cedar.exists() {
        return println!("skipped: Cedar's command line is not in {}; `cargo xtask test` installs it", cedar.display());
    }
    let (dir, repository) = starter();
    let schema = format!("{repository}/schema.cedarschema");
    let validate = |policies: &Path| {
        std::process::Command::new(&cedar)
            .args(["validate", "--schema", &schema, "--validation-mode", "strict", "--policies"])
            .arg(policies)
            .output()
            .unwrap()
    };
    for file in fs::read_dir(format!("{repository}/policies")).unwrap() {
        let output = validate(&file.unwrap().path());
        assert!(output.status.success(), "{output:?}");
    }
    let wrong = dir.path().join("wrong.cedar");
    fs::write(&wrong, "forbid (principal, action, resource is Model) when { resource.sizee > 3 };").unwrap();
    assert!(!validate(&wrong).status.success());
}
