use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::*;

fn catalogue() -> Catalogue {
    Catalogue::embedded("2026-11-21T00:00:00Z".parse().unwrap()).unwrap()
}

fn put(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn look(root: &Path) -> Inventory {
    let search = Search { root: root.to_path_buf(), usual: true, ..Search::default() };
    inventory(&search, &catalogue())
}

fn versions<'a>(inventory: &'a Inventory, id: &str) -> Vec<Option<&'a str>> {
    inventory.stacks.iter().filter(|s| s.id == id).map(|s| s.version.as_deref()).collect()
}

fn dist(name: &str, version: &str) -> String {
    format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nText\n")
}

#[test]
fn python_stacks_are_found_wherever_they_are_installed() {
    let dir = tempfile::tempdir().unwrap();
    let p = dir.path();
    for (site, name, version) in [
        ("usr/lib/python3/dist-packages", "torch", "2.5.1"),
        ("home/a/proj/.venv/lib/python3.12/site-packages", "vllm", "0.8.4"),
        ("home/a/.local/share/pipx/venvs/open-webui/lib/python3.11/site-packages", "open_webui", "0.6.34"),
        ("root/.local/share/uv/tools/litellm/lib/python3.12/site-packages", "litellm", "1.82.8"),
        ("opt/conda/envs/x/lib/python3.11/site-packages", "onnx", "1.12.0"),
        ("Users/b/venv/lib/python3.13/site-packages", "mlx_lm", "0.20.0"),
    ] {
        put(p, &format!("{site}/{name}-{version}.dist-info/METADATA"), dist(name, version));
    }
    put(p, "usr/lib/python3/dist-packages/transformers-4.30.egg-info", dist("transformers", "4.30"));
    put(p, "usr/lib/python3/dist-packages/keras-2.0.egg-info/PKG-INFO", dist("keras", "2.0"));
    put(p, "usr/lib/python3/dist-packages/ray-1.0-py3.8.egg/EGG-INFO/PKG-INFO", dist("ray", "1.0"));
    put(p, "opt/conda/envs/x/conda-meta/onnx-1.12.0-py311_0.json", r#"{"name":"onnx","version":"1.12.0"}"#);
    put(p, "opt/conda/envs/x/conda-meta/llama.cpp-0.0.5000-cpu_1.json", r#"{"name":"llama.cpp","version":"0.0.5000"}"#);
    put(p, "opt/conda/pkgs/urls.txt", "");
    put(p, "opt/conda/pkgs/vllm-1/lib/python3.11/site-packages/vllm-0.1.dist-info/METADATA", dist("vllm", "0.1"));
    let inventory = look(p);
    assert_eq!(inventory.errors, []);
    for (id, version) in [
        ("torch", "2.5.1"),
        ("vllm", "0.8.4"),
        ("openwebui", "0.6.34"),
        ("litellm", "1.82.8"),
        ("onnx", "1.12.0"),
        ("mlx-lm", "0.20.0"),
        ("transformers", "4.30"),
        ("keras", "2.0"),
        ("ray", "1.0"),
        ("llamacpp", "b5000"),
    ] {
        assert_eq!(versions(&inventory, id), [Some(version)], "{id}: {inventory:#?}");
    }
    let vllm = inventory.stacks.iter().find(|s| s.id == "vllm").unwrap();
    assert_eq!(vllm.path, "/home/a/proj/.venv/lib/python3.12/site-packages");
    assert!(vllm.advisories.iter().any(|a| a.id == "CVE-2025-32444" && a.fixed.as_deref() == Some("0.8.5")));
}

#[test]
fn metadata_that_contradicts_its_folder_is_told_twice() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "opt/v/lib/python3.12/site-packages/vllm-0.8.4.dist-info/METADATA", dist("vllm", "0.23.1"));
    let inventory = look(dir.path());
    assert_eq!(versions(&inventory, "vllm"), [Some("0.23.1"), Some("0.8.4")]);
    assert!(inventory.errors[0].message.contains("`0.23.1`") && inventory.errors[0].message.contains("`0.8.4`"));
}

#[test]
fn hostile_records_are_survived_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let site = "opt/v/lib/python3.12/site-packages";
    let p = dir.path();
    put(p, &format!("{site}/vllm-0.8.4.dist-info/METADATA"), b"\xff\xfe\0garbage");
    put(p, &format!("{site}/torch-2.5.1.dist-info/METADATA"), dist("torch", &"9".repeat(100_000)));
    fs::create_dir_all(p.join(site).join("onnx-1.15.0.dist-info/METADATA")).unwrap();
    fs::create_dir_all(p.join(site).join("ray-2.0.dist-info")).unwrap();
    assert!(Command::new("mkfifo").arg(p.join(site).join("ray-2.0.dist-info/METADATA")).status().unwrap().success());
    fs::create_dir_all(p.join(site).join("keras-3.0.dist-info")).unwrap();
    symlink("/etc/hostname", p.join(site).join("keras-3.0.dist-info/METADATA")).unwrap();
    put(p, "opt/v/conda-meta/transformers-4.1-0.json", r#"{"version":"4.1","version":"9"}"#);
    symlink(p.join("opt"), p.join("opt/loop")).unwrap();
    symlink("/usr", p.join("srv")).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"opt/\xff\xfe");
    use std::os::unix::ffi::OsStrExt;
    fs::create_dir_all(p.join(odd).join("site-packages/diffusers-0.1.dist-info")).unwrap();
    fs::write(p.join(odd).join("site-packages/diffusers-0.1.dist-info/METADATA"), dist("diffusers", "0.1")).unwrap();
    let inventory = look(p);
    for (id, version) in [
        ("vllm", "0.8.4"),
        ("onnx", "1.15.0"),
        ("ray", "2.0"),
        ("keras", "3.0"),
        ("transformers", "4.1"),
        ("diffusers", "0.1"),
    ] {
        assert_eq!(versions(&inventory, id), [Some(version)], "{id}: {inventory:#?}");
    }
    assert!(inventory.stacks.iter().all(|s| s.path.starts_with("/opt")));
    assert!(inventory.errors.len() >= 4, "{:#?}", inventory.errors);
}

#[test]
fn programs_are_found_by_what_they_hold() {
    let dir = tempfile::tempdir().unwrap();
    let p = dir.path();
    let go = |module: &str, flags: &str| format!("\x7fELF....path\t{module}\nbuild\t-ldflags=\"{flags}\"\n");
    put(
        p,
        "usr/local/bin/ollama",
        go("github.com/ollama/ollama", "-X=github.com/ollama/ollama/version.Version=0.1.33"),
    );
    put(p, "home/a/bin/ollama", "#!/bin/sh\nexec ollama\n");
    put(p, "opt/x/ollama", b"\x7fELF another program");
    put(
        p,
        "usr/bin/local-ai",
        go("github.com/mudler/LocalAI", "-X 'github.com/mudler/LocalAI/internal.Version=v2.9.0'"),
    );
    put(p, "usr/libexec/model-runner", "\x7fELF mod\tgithub.com/docker/model-runner\tv1.1.20\th1:\n");
    put(p, "opt/tritonserver/TRITON_VERSION", "2.57.0\n");
    put(p, "opt/llama-b5000-bin-ubuntu-x64/llama-server", b"\x7fELF");
    put(p, "opt/llama-b5000-bin-ubuntu-x64/llama-cli", b"\x7fELF");
    put(p, "opt/homebrew/Cellar/llama.cpp/6100/bin/llama-server", b"\xcf\xfa\xed\xfe");
    put(p, "opt/homebrew/Cellar/ollama/0.5.11/bin/ollama", b"\xcf\xfa\xed\xfe github.com/ollama/ollama");
    put(p, "usr/lib/libllama.so.0.0.7000", b"\x7fELF");
    put(
        p,
        "home/a/.lmstudio/extensions/backends/llama.cpp-linux-1.2.3/backend-manifest.json",
        r#"{"name":"llama.cpp-linux","version":"1.2.3"}"#,
    );
    put(
        p,
        "home/a/.lmstudio/extensions/backends/llama.cpp-linux-1.2.3/display-data.json",
        r#"{"notes":"llama.cpp release b5600"}"#,
    );
    put(p, "home/a/Apps/LM-Studio-0.3.30-1-x64.AppImage", b"\x7fELF");
    put(
        p,
        "Applications/Ollama.app/Contents/Info.plist",
        "<dict><key>CFBundleShortVersionString</key>\n<string>0.9.0</string></dict>",
    );
    put(p, "app/package.json", r#"{"name":"open-webui","version":"0.9.4"}"#);
    put(p, "home/a/ComfyUI/comfyui_version.py", "__version__ = \"0.3.40\"\n");
    put(p, "home/a/m.llamafile", b"MZqFpD llamafile v0.9.3\n");
    put(
        p,
        "var/lib/dpkg/status",
        "Package: jan\nStatus: install ok installed\nVersion: 1:0.6.8-2\n\nPackage: ollama\nStatus: deinstall ok config-files\nVersion: 0.1\n",
    );
    let inventory = look(p);
    let mut ollama = versions(&inventory, "ollama");
    ollama.sort_unstable();
    assert_eq!(ollama, [Some("0.1.33"), Some("0.5.11"), Some("0.9.0")], "{inventory:#?}");
    let mut llama = versions(&inventory, "llamacpp");
    llama.sort_unstable();
    assert_eq!(llama, [Some("b5000"), Some("b5600"), Some("b6100"), Some("b7000")], "{inventory:#?}");
    for (id, version) in [
        ("localai", "2.9.0"),
        ("dmr", "1.1.20"),
        ("triton", "25.04"),
        ("lmstudio", "0.3.30"),
        ("lmstudio-engine", "1.2.3"),
        ("openwebui", "0.9.4"),
        ("comfyui", "0.3.40"),
        ("llamafile", "0.9.3"),
        ("jan", "0.6.8"),
    ] {
        assert_eq!(versions(&inventory, id), [Some(version)], "{id}: {inventory:#?}");
    }
    let cves = |id: &str| -> Vec<String> {
        let stacks = inventory.stacks.iter().filter(|s| s.id == id);
        stacks.flat_map(|s| &s.advisories).map(|a| a.id.clone()).collect()
    };
    assert!(cves("ollama").contains(&"CVE-2024-37032".to_owned()));
    assert!(cves("localai").contains(&"CVE-2024-2029".to_owned()));
    assert!(cves("dmr").contains(&"CVE-2026-33990".to_owned()));
    assert!(cves("triton").contains(&"CVE-2025-23319".to_owned()));
}

#[test]
fn a_release_that_no_table_knows_is_undecided() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "opt/tritonserver/TRITON_VERSION", "2.59.1\n");
    let inventory = look(dir.path());
    assert_eq!(inventory.stacks[0].version.as_deref(), Some("2.59.1"));
    assert_eq!((inventory.stacks[0].advisories.len(), inventory.stacks[0].undecided.len()), (0, 4));
}

#[test]
fn only_named_places_are_looked_at_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "opt/tritonserver/TRITON_VERSION", "2.57.0\n");
    put(dir.path(), "opt/other/comfyui_version.py", "__version__='0.1'\n");
    let here = Search {
        root: "/".into(),
        extra: vec![dir.path().join("opt/tritonserver"), dir.path().join("none")],
        ..Search::default()
    };
    let found = inventory(&here, &catalogue());
    assert_eq!((found.stacks.len(), found.errors.len()), (1, 1));
    let below =
        Search { root: dir.path().into(), extra: vec!["/opt/../opt".into(), "opt/other".into()], ..Search::default() };
    let found = inventory(&below, &catalogue());
    assert_eq!((found.stacks.len(), found.errors.len()), (1, 1), "{found:#?}");
    assert_eq!(found.stacks[0].path, "/opt/other");
    let file =
        Search { root: dir.path().into(), extra: vec!["/opt/other/comfyui_version.py".into()], ..Search::default() };
    assert_eq!(inventory(&file, &catalogue()).stacks.len(), 1);
}
