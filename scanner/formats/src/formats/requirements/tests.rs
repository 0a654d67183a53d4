use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn lines(text: &str) -> crate::core::Outcome {
    inspect_bytes("requirements.txt", text.as_bytes())
}

#[test]
fn lists_of_releases_are_clean() {
    let outcome = lines(
        "# packages\ntorch==2.4.0\ntransformers>=4.40,<5 ; python_version > '3.8'\nnumpy\nultralytics==8.3.40\n--extra-index-url https://download.pytorch.org/whl/cu121\n-i https://pypi.tuna.tsinghua.edu.cn/simple\n-e .\nfoo @ file:///croot/foo/work\n-r base.txt\n",
    );
    assert_eq!(outcome.format, Some("requirements"));
    assert!(outcome.findings.is_empty(), "{:?}", outcome.findings);
}

#[test]
fn releases_of_attackers_are_malicious_however_they_are_pinned() {
    for text in [
        "ultralytics==8.3.41\n",
        "Ultralytics[export] == 8.3.46 ; x\n",
        "litellm===1.82.8",
        "litellm==1.82.7 \\\n  --hash=sha256:00\n",
        "torchtriton",
    ] {
        assert_eq!(rules(&lines(text)), ["requirements-compromised-release"], "{text}");
    }
    let conda = inspect_bytes(
        "conda.yaml",
        b"dependencies:\n- python=3.10\n- ultralytics=8.3.42\n- pip:\n  - litellm==1.82.7\n",
    );
    assert_eq!(rules(&conda), ["requirements-compromised-release", "requirements-compromised-release"]);
    let toml = inspect_bytes("pyproject.toml", b"dependencies = [\"numpy\", \"litellm==1.82.8\"]\n");
    assert_eq!(verdict(&toml), Verdict::Malicious);
}

#[test]
fn sources_that_nobody_vouches_for_are_suspicious() {
    for text in [
        "pkg @ http://downloads.example.net/pkg.whl",
        "http://203.0.113.9/pkg.tar.gz",
        "git+https://git.attacker.example/x.git",
        "git+http://git.example.net/x.git",
        "--index-url http://pypi.example.net/simple",
        "--extra-index-url=https://packages.example.net/simple",
        "--trusted-host packages.example.net",
        "-e git+https://git.example.net/x.git#egg=x",
    ] {
        assert_eq!(rules(&lines(text)), ["requirements-untrusted-source"], "{text}");
    }
}

#[test]
fn project_files_give_requirements_and_sources_but_links_are_links() {
    let project = |text: &str| inspect_bytes("pyproject.toml", text.as_bytes());
    let honest = "[project]\ndependencies = [\"numpy>=1\", \"x @ file:///y\"]\n[project.urls]\nhomepage = \"https://pkg.example.net\"\nurl = \"http://pkg.example.net\"\n";
    assert!(project(honest).findings.is_empty());
    for text in [
        "[[tool.uv.index]]\nurl = \"https://packages.example.net/simple\"\n",
        "[tool.poetry.dependencies]\nx = { git = \"https://git.example.net/x.git\" }\n",
        "dependencies = ['x @ http://h.example.net/x.whl']\n",
    ] {
        assert_eq!(rules(&project(text)), ["requirements-untrusted-source"], "{text}");
    }
    let bento = inspect_bytes(
        "bentofile.yaml",
        b"service: s:svc\npython:\n  packages: [torch, litellm==1.82.8]\n  index_url: http://h.example.net/simple\n",
    );
    assert_eq!(rules(&bento), ["requirements-compromised-release", "requirements-untrusted-source"]);
}

#[test]
fn repositories_on_known_hosts_are_a_note() {
    for text in
        ["git+https://github.com/huggingface/transformers.git@main", "flash_attn @ https://github.com/Dao-AILab/x.whl"]
    {
        let outcome = lines(text);
        assert_eq!((rules(&outcome), verdict(&outcome)), (vec!["requirements-direct-reference"], Verdict::Clean));
    }
}

#[test]
fn credentials_in_addresses_are_not_repeated() {
    let outcome = lines("--index-url https://user:hunter2@packages.example.net/simple");
    assert!(outcome.findings.iter().all(|f| !f.detail.contains("hunter2")));
}

#[test]
fn other_text_is_not_taken() {
    assert_eq!(inspect_bytes("notes.txt", b"ultralytics==8.3.41").format, None);
    survives_damage("requirements.txt", b"a==1 \\\n--hash=x\n-i http://x.example/\nb @ git+http://y.example/z\n");
    survives_damage("conda.yaml", b"channels: [x]\ndependencies:\n- a=1\n- pip:\n  - b==2\n");
}
