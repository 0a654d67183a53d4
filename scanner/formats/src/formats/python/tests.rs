use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

#[test]
fn sources_are_recognised_by_name_or_shebang_and_text() {
    assert_eq!(inspect_bytes("modeling_x.py", b"import torch\n").format, Some("python-source"));
    assert_eq!(inspect_bytes("run", b"#!/usr/bin/env python3\nprint(1)\n").format, Some("python-source"));
    assert_eq!(inspect_bytes("x.py", b"\x7fELF\0\0\0\0").format, None);
    assert_eq!(inspect_bytes("x.txt", b"import torch\n").format, None);
}

#[test]
fn commands_at_import_are_malicious_wherever_the_file_lies() {
    for name in ["hubconf.py", "modeling_x.py", "train.py", "setup.py"] {
        let outcome = inspect_bytes(name, b"import os\nos.system('id')\n");
        assert_eq!(verdict(&outcome), Verdict::Malicious, "{name}");
    }
}

#[test]
fn installers_and_scripts_may_do_more() {
    let version = b"from setuptools import setup\nexec(open('version.py').read())\nsetup(name='x')\n";
    assert_eq!(verdict(&inspect_bytes("setup.py", version)), Verdict::Clean);
    let script = b"import subprocess, sys\nif __name__ == '__main__':\n  subprocess.run(sys.argv[1:])\n";
    assert_eq!(verdict(&inspect_bytes("convert.py", script)), Verdict::Clean);
    let revision = b"import subprocess\nREV = subprocess.check_output(['git', 'rev-parse', 'HEAD'])\n";
    assert_eq!(verdict(&inspect_bytes("train.py", revision)), Verdict::Clean);
}

#[test]
fn path_files_are_told_from_checkpoints() {
    let honest = b"import os; var = 'X'; enabled = os.environ.get(var, 'local') == 'local'; enabled and __import__('_distutils_hack').add_shim();\n";
    let outcome = inspect_bytes("distutils-precedence.pth", honest);
    assert_eq!((outcome.format, verdict(&outcome)), (Some("python-source"), Verdict::Clean));
    assert_eq!(verdict(&inspect_bytes("x.pth", b"/opt/lib\n../src\n")), Verdict::Clean);
    let evil = inspect_bytes("x.pth", b"import os; os.system('id')\n");
    assert_eq!(verdict(&evil), Verdict::Malicious);
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    assert_eq!(rules(&inspect_bytes("x.pth", pointer)), ["lfs-pointer"]);
}

#[test]
fn startup_hooks_and_odd_encodings_are_suspicious() {
    assert_eq!(rules(&inspect_bytes("sitecustomize.py", b"x = 1\n")), ["python-startup-hook"]);
    assert_eq!(rules(&inspect_bytes("x.py", b"# -*- coding: utf-7 -*-\nx = 1\n")), ["python-odd-encoding"]);
    assert_eq!(verdict(&inspect_bytes("x.py", b"# -*- coding: utf-8 -*-\nx = 1\n")), Verdict::Clean);
}

#[test]
fn bytecode_is_recognised_by_its_header() {
    let code = b"\xa7\x0d\r\n\0\0\0\0\0\0\0\0\0\0\0\0\xe3\0\0\0\0";
    assert_eq!(rules(&inspect_bytes("x.pyc", code)), ["python-bytecode-without-source"]);
    assert_eq!(verdict(&inspect_bytes("x.cpython-311.pyc", code)), Verdict::Clean);
    assert_eq!(inspect_bytes("x", b"\xa7\x0d\r\ntext").format, None);
}

#[test]
fn damage_is_survived() {
    survives_damage("x.py", b"import os as o\ndef f(a=1):\n  return o.system(f'{a!r}' + \"x\"[::-1])\nf()\n");
    survives_damage("x.pth", b"import os; os.path\n/x\n");
}
