//! `weighbridge inventory` and `weighbridge advisories`: the real binary over
//! made-up systems, and over this one.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use weighbridge_tests::{artifacts, root, rules, run, scan, text};

fn put(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn metadata(root: &Path, site: &str, name: &str, version: &str) {
    let text = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
    put(root, &format!("{site}/{name}-{version}.dist-info/METADATA"), text);
}

/// A system with several stacks, some of them old.
fn system() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let p = dir.path();
    metadata(p, "home/a/one/.venv/lib/python3.12/site-packages", "vllm", "0.8.4");
    metadata(p, "home/a/two/.venv/lib/python3.12/site-packages", "vllm", "0.23.1");
    metadata(p, "usr/lib/python3/dist-packages", "torch", "2.5.1+cu121");
    metadata(p, "opt/pipx/venvs/x/lib/python3.11/site-packages", "transformers", "main");
    let mut elf = b"\x7fELF\x02\x01\x01\0".to_vec();
    elf.resize(3 << 20, 0);
    elf.extend(b"\xff Go buildinf:\x08\x02path\tgithub.com/ollama/ollama\n");
    elf.extend(b"build\t-ldflags=\"-w -s -X=github.com/ollama/ollama/version.Version=0.1.33\"\n");
    elf.resize(5 << 20, 0);
    put(p, "usr/local/bin/ollama", elf);
    put(p, "opt/llama/llama-b5000-bin-ubuntu-x64/llama-server", b"\x7fELF");
    put(p, "opt/tritonserver/TRITON_VERSION", "2.57.0");
    dir
}

fn inventory(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = run(&[&["inventory", "--format", "json"], arguments].concat());
    assert!(!output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn scans_say_which_advisories_apply_to_a_model() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = fs::read(root().join("tests/corpus/benign/hf-repo/llama3/config.json")).unwrap();
    let digest = {
        use sha2::Digest;
        sha2::Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect::<String>()
    };
    put(dir.path(), "models/config.json", std::str::from_utf8(&bytes).unwrap());
    let advisory = serde_json::json!({"schema_version": "1.7.0", "id": "x_EXAMPLE-2026-0001", "modified": "2026-11-01T00:00:00Z",
        "summary": "the configuration was replaced", "database_specific": {"severity": "HIGH", "weighbridge": {
            "file_sha256": [digest], "action": "block", "replaced_by": [{"purl": "pkg:huggingface/example/mended@1"}]}}});
    put(dir.path(), "advisories/x_EXAMPLE-2026-0001.json", advisory.to_string());
    // The copy of a repository that was taken down for attacking its users.
    let snapshot = format!("hub/models--baller423--goober2/snapshots/{}", "0".repeat(40));
    put(dir.path(), &format!("{snapshot}/config.json"), std::str::from_utf8(&bytes).unwrap());
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (code, report) = scan(&[&at("models"), "--advisories", &at("advisories")]);
    let artifact = artifacts(&report).next().unwrap();
    assert_eq!((code, rules(artifact)), (Some(1), vec!["advisory-by-digest"]), "{report}");
    assert_eq!(text(artifact, "/advisories/0/replaced_by/0"), "pkg:huggingface/example/mended@1");
    let (code, report) = scan(&[&at("hub")]);
    let artifact = artifacts(&report).next().unwrap();
    assert_eq!((code, rules(artifact)), (Some(1), vec!["advisory-by-repository"]), "{report}");
    assert_eq!(scan(&[&at("models")]).0, Some(0));
}

fn stacks<'a>(report: &'a Value, id: &str) -> Vec<&'a Value> {
    report["stacks"].as_array().unwrap().iter().filter(|s| text(s, "/id") == id).collect()
}

fn cves(stack: &Value) -> Vec<&str> {
    stack["advisories"].as_array().unwrap().iter().map(|a| text(a, "/id")).collect()
}

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn stacks_are_listed_with_versions_and_what_fixes_them() {
    let system = system();
    let at = system.path().to_str().unwrap();
    let (code, report) = inventory(&["--root", at]);
    assert_eq!((code, text(&report, "/schema")), (Some(1), "weighbridge.inventory/1"));

    let ollama = stacks(&report, "ollama")[0];
    assert_eq!((text(ollama, "/version"), text(ollama, "/path")), ("0.1.33", "/usr/local/bin/ollama"));
    assert!(cves(ollama).contains(&"CVE-2024-37032"));
    let fixed = ollama["advisories"].as_array().unwrap().iter().find(|a| text(a, "/id") == "CVE-2024-37032");
    assert_eq!(text(fixed.unwrap(), "/fixed"), "0.1.34");

    let vllm = stacks(&report, "vllm");
    assert_eq!(vllm.iter().map(|s| text(s, "/version")).collect::<Vec<_>>(), ["0.8.4", "0.23.1"]);
    assert!(cves(vllm[0]).contains(&"CVE-2025-32444") && cves(vllm[1]).is_empty());
    assert!(cves(stacks(&report, "torch")[0]).contains(&"CVE-2025-32434"));
    assert!(cves(stacks(&report, "llamacpp")[0]).contains(&"CVE-2025-49847"));
    assert_eq!(text(stacks(&report, "triton")[0], "/version"), "25.04");

    let transformers = stacks(&report, "transformers")[0];
    assert!(cves(transformers).is_empty() && transformers["undecided"].as_array().unwrap().len() >= 4);

    let table = shown(&run(&["inventory", "--root", at]));
    for words in
        ["Ollama 0.1.33", "CVE-2024-37032  fixed in 0.1.34", "upgrade to", "undecided", "7 stacks: 5 with advisories"]
    {
        assert!(table.contains(words), "{words}: {table}");
    }
}

#[test]
fn the_report_keeps_to_its_schema() {
    let schema: Value =
        serde_json::from_slice(&fs::read(root().join("docs/schema/inventory-1.json")).unwrap()).unwrap();
    let known = |pointer: &str, value: &Value| {
        let properties = schema.pointer(pointer).unwrap();
        for key in value.as_object().unwrap().keys() {
            assert!(properties["properties"].get(key).is_some(), "{pointer}: {key}");
        }
        for key in properties["required"].as_array().unwrap() {
            assert!(value.get(key.as_str().unwrap()).is_some(), "{pointer}: {key}");
        }
    };
    let system = system();
    let (_, report) = inventory(&["--root", system.path().to_str().unwrap()]);
    known("", &report);
    for stack in report["stacks"].as_array().unwrap() {
        known("/$defs/stack", stack);
        stack["advisories"].as_array().unwrap().iter().for_each(|a| known("/$defs/advisory", a));
    }
}

#[test]
fn exit_codes_say_clean_advisories_and_failure() {
    let system = system();
    let at = system.path().to_str().unwrap();
    let triton = system.path().join("opt/tritonserver");
    assert_eq!(run(&["inventory", triton.to_str().unwrap()]).status.code(), Some(1));
    let (code, report) = inventory(&["--root", at, "/home/a/two"]);
    assert_eq!((code, report["stacks"].as_array().unwrap().len()), (Some(0), 1));
    assert_eq!(inventory(&["/nonexistent"]).0, Some(2));
    assert_eq!(inventory(&["--root", "/nonexistent"]).0, Some(2));
    assert_eq!(run(&["inventory", "--fail-on", "loud"]).status.code(), Some(2));
}

#[test]
fn the_threshold_decides() {
    let dir = tempfile::tempdir().unwrap();
    metadata(dir.path(), "opt/v/lib/python3.12/site-packages", "picklescan", "0.0.30");
    let at = dir.path().to_str().unwrap();
    assert_eq!(inventory(&["--root", at]).0, Some(0));
    assert_eq!(inventory(&["--root", at, "--fail-on", "medium"]).0, Some(1));
}

#[test]
fn advisories_of_the_user_count_and_broken_ones_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let p = dir.path();
    metadata(p, "sys-root/opt/v/lib/python3.12/site-packages", "Acme_Tool", "1.0");
    let document = r#"{"id":"x_ACME-1","modified":"2026-01-01T00:00:00Z","summary":"bad","affected":[{"package":
        {"ecosystem":"PyPI","name":"acme-tool"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2"}]}]}]}"#;
    put(p, "mine/a.json", document);
    let (system, mine) = (p.join("sys-root"), p.join("mine"));
    let arguments = ["--root", system.to_str().unwrap(), "--advisories", mine.to_str().unwrap()];
    let (code, report) = inventory(&arguments);
    assert_eq!(code, Some(1));
    assert_eq!(cves(stacks(&report, "acme-tool")[0]), ["x_ACME-1"]);

    put(p, "mine/b.json", r#"{"id":"x_ACME-2","modified":7}"#);
    let output = run(&[&["inventory"], arguments.as_slice()].concat());
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(message.contains("b.json") && message.contains("`modified`"), "{message}");
}

#[test]
fn hostile_trees_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let p = dir.path();
    let site = "opt/v/lib/python3.12/site-packages";
    put(p, &format!("{site}/vllm-0.8.4.dist-info/METADATA"), b"\xff\xfe\0");
    put(p, &format!("{site}/torch-2.4.0.dist-info/METADATA"), "Version: 2.10.0\n");
    fs::create_dir_all(p.join(site).join("ray-1.0.dist-info")).unwrap();
    assert!(Command::new("mkfifo").arg(p.join(site).join("ray-1.0.dist-info/METADATA")).status().unwrap().success());
    symlink(p.join("opt"), p.join("opt/v/loop")).unwrap();
    symlink("/", p.join("home")).unwrap();
    let huge = fs::File::create(p.join("opt/ollama")).unwrap();
    huge.set_len(4 << 40).unwrap();
    fs::create_dir_all(p.join("opt/bin")).unwrap();
    let sparse = fs::File::create(p.join("opt/bin/llamafile")).unwrap();
    sparse.set_len(600 << 20).unwrap();
    std::os::unix::fs::FileExt::write_at(&sparse, b"MZ", 0).unwrap();
    put(p, "opt/tritonserver/TRITON_VERSION", "\x1b[2J");
    let (_, report) = inventory(&["--root", p.to_str().unwrap()]);
    assert_eq!(text(stacks(&report, "vllm")[0], "/version"), "0.8.4");
    assert_eq!(stacks(&report, "torch").len(), 2, "both of two contradictory versions");
    assert_eq!(text(stacks(&report, "ray")[0], "/version"), "1.0");
    assert!(stacks(&report, "ollama").is_empty());
    let paths = report["stacks"].as_array().unwrap().iter().map(|s| text(s, "/path"));
    assert!(paths.into_iter().all(|p| p.starts_with("/opt")));
    assert!(!shown(&run(&["inventory", "--root", p.to_str().unwrap()])).contains('\x1b'));
}

#[test]
fn this_machine_can_be_looked_at() {
    let asked = Command::new("python3").args(["-m", "pip", "list", "--format", "json"]).output();
    let packages: Vec<Value> = asked.ok().and_then(|o| serde_json::from_slice(&o.stdout).ok()).unwrap_or_default();
    let wanted = ["torch", "vllm", "transformers", "onnx", "keras", "safetensors", "huggingface-hub", "onnxruntime"];
    let installed: Vec<&Value> =
        packages.iter().filter(|p| wanted.contains(&text(p, "/name").replace('_', "-").as_str())).collect();
    let site = Command::new("python3").args(["-c", "import site; print(site.getsitepackages()[0])"]).output();
    let Some(site) = site.ok().map(|o| shown(&o).trim().to_owned()).filter(|s| !s.is_empty()) else {
        println!("there is no Python here");
        return;
    };
    let (code, report) = inventory(&[&site]);
    assert!(matches!(code, Some(0 | 1)), "{report}");
    if installed.is_empty() {
        println!("none of {wanted:?} is installed here");
    }
    for package in installed {
        let id = text(package, "/name").replace('_', "-");
        let found = stacks(&report, &id);
        assert!(found.iter().any(|s| text(s, "/version") == text(package, "/version")), "{id}: {report}");
    }
}

#[test]
fn every_advisory_has_a_page() {
    let list = shown(&run(&["advisories", "list"]));
    assert!(list.lines().count() >= 60);
    for line in list.lines().step_by(9) {
        let id = line.split_whitespace().next().unwrap();
        let page = shown(&run(&["advisories", "explain", id]));
        for heading in ["Affected", "Checked", "References"] {
            assert!(page.contains(heading), "{id}: {page}");
        }
    }
    assert_eq!(run(&["advisories", "explain", "CVE-0-0"]).status.code(), Some(2));
}
