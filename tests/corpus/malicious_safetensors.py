"""safetensors files that are malformed, polyglot, or carry instructions in metadata."""

import base64
import json
import struct

from corpus import BAD, DAMAGED, Corpus
from malicious_pickle import evil
from markers import COMMAND, SCRIPT, URL, elf, pe

OK = {"weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def make(c: Corpus):
    _headers(c)
    _tensors(c)
    _polyglots(c)
    _metadata(c)
    _index(c)


def st(header, data=bytes(8), length=None):
    """8 bytes of length, a JSON header (object, text or bytes), data."""
    if isinstance(header, (dict, list)):
        header = json.dumps(header, separators=(",", ":"))
    if isinstance(header, str):
        header = header.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def _headers(c):
    good = json.dumps(OK)
    cases = {
        "length-max": st(OK, length=2**64 - 1), "length-beyond-file": st(OK, length=5000), "length-over-100mb": st(OK, length=100_000_001), "length-zero": st(OK, length=0),
        "length-shorter": st(OK, length=20), "seven-bytes": bytes(7), "length-only": struct.pack("<Q", 2), "not-json": st("weights here"), "list": st([1, 2]), "number": st("7"), "null": st("null"),
        "invalid-utf8": st(b'{"a\xff":{}}'), "byte-order-mark": st(b"\xef\xbb\xbf" + good.encode()), "leading-space": st("  " + good), "leading-newline": st("\n" + good),
        "trailing-comma": st(good[:-1] + ",}"), "unclosed": st(good[:-1]), "two-objects": st(good + good), "deep": st('{"a":' + "[" * 20000 + "]" * 20000 + "}"), "deep-objects": st('{"a":' * 8000 + "1" + "}" * 8000),
        "duplicate-key": st('{"weight":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'),
        "duplicate-inner-key": st('{"weight":{"dtype":"F32","dtype":"U8","shape":[2],"data_offsets":[0,8]}}'),
        "duplicate-metadata": st('{"__metadata__":{"a":"1"},"__metadata__":{"a":"2"},' + good[1:]),
        "nan": st('{"weight":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}'), "nul-in-header": st(good.replace("weight", "wei\\u0000ght")), "comment": st("/* x */" + good),
        "header-only-truncated": st(OK)[:20],
    }
    lenient = {"leading-space", "leading-newline", "duplicate-metadata", "nul-in-header"}
    for name, data in cases.items():
        c.malicious(f"safetensors-malformed/{name}.safetensors", data, [], None, "malformed header", DAMAGED if name not in lenient else (*DAMAGED,))


def _tensors(c):
    def one(**changes):
        return st({"weight": OK["weight"] | changes})

    two = lambda a, b: st({"a": {"dtype": "U8", "shape": [a[1] - a[0]], "data_offsets": a}, "b": {"dtype": "U8", "shape": [b[1] - b[0]], "data_offsets": b}})  # noqa: E731
    cases = {
        "overlap": two([0, 6], [2, 8]), "identical-ranges": two([0, 8], [0, 8]), "hole": two([0, 2], [4, 8]), "hole-at-start": two([1, 4], [4, 8]), "uncovered-tail": two([0, 2], [2, 4]),
        "reversed": one(data_offsets=[8, 0]), "negative": one(data_offsets=[-8, 0]), "beyond-end": one(data_offsets=[0, 4096], shape=[1024]), "shape-differs-from-span": one(shape=[3]),
        "product-overflow": one(shape=[1 << 32, 1 << 32]), "product-overflow-to-eight": one(shape=[2, (1 << 62) + 1]), "negative-dimension": one(shape=[-2]), "zero-times-huge": one(shape=[0, 1 << 63]),
        "unknown-dtype": one(dtype="F99"), "dtype-number": one(dtype=7), "dtype-lower-case": one(dtype="f32"), "float-offsets": one(data_offsets=[0.0, 8.0]), "string-offsets": one(data_offsets=["0", "8"]),
        "three-offsets": one(data_offsets=[0, 4, 8]), "offsets-u64-max": one(data_offsets=[2**64 - 8, 2**64]), "offsets-exponent": st('{"weight":{"dtype":"F32","shape":[2],"data_offsets":[0,8e0]}}'),
        "shape-missing": st({"weight": {"dtype": "F32", "data_offsets": [0, 8]}}), "unknown-member": one(exec="marker"), "tensor-is-a-string": st({"weight": "marker"}), "tensor-is-null": st({"weight": None}),
        "truncated-data": st({"weight": {"dtype": "F32", "shape": [200], "data_offsets": [0, 800]}}), "many-dimensions": one(shape=[1] * 1000 + [2]),
    }
    for name, data in cases.items():
        verdict = (*DAMAGED, "clean") if name in ("many-dimensions", "unknown-member") else DAMAGED
        c.malicious(f"safetensors-malformed/{name}.safetensors", data, [], None, "malformed tensor entry", verdict)
    names = {"bidi-name": "weight\u202ethgiew", "nul-name": "wei\0ght", "path-name": "../../../tmp/weighbridge-marker", "newline-name": "a\nb", "empty-name": "", "huge-name": "w" * 40000}
    for name, tensor in names.items():
        c.malicious(f"safetensors-names/{name}.safetensors", st({tensor: OK["weight"]}), ["safetensors"], None, "a tensor name that misleads people or tools", (*DAMAGED, "clean") if name in ("empty-name", "huge-name", "newline-name") else DAMAGED)


def _polyglots(c):
    import zips

    good = st(OK)
    payloads = {"zip": zips.archive([("data.pkl", evil(2))]), "pickle": evil(2), "elf": elf(), "pe": pe(), "script": SCRIPT.encode(), "padding": bytes(4096), "text": b"trailing text\n"}
    for name, payload in payloads.items():
        c.malicious(f"safetensors-polyglot/trailing-{name}.safetensors", good + payload, ["safetensors"], None, "bytes after the last tensor", DAMAGED if name in ("padding", "text") else BAD)
    data = {"blob": {"dtype": "U8", "shape": [len(elf())], "data_offsets": [0, len(elf())]}}
    c.malicious("safetensors-polyglot/elf-as-tensor.safetensors", st(data, elf()), ["safetensors"], None, "a U8 tensor that is an ELF file from its first byte", (*BAD, "clean"))
    pickled = evil(2)
    c.malicious("safetensors-polyglot/pickle-as-tensor.safetensors", st({"blob": {"dtype": "U8", "shape": [len(pickled)], "data_offsets": [0, len(pickled)]}}, pickled), ["safetensors"], None,
                "a U8 tensor that is a whole pickle", (*BAD, "clean"))
    hidden = zips.archive([("archive/data.pkl", evil(2)), ("archive/version", "3\n")])
    c.malicious("safetensors-polyglot/torch-zip-in-tensor.safetensors", st({"blob": {"dtype": "U8", "shape": [len(hidden)], "data_offsets": [0, len(hidden)]}}, hidden), ["safetensors"], None,
                "valid safetensors and valid torch zip at once: readers that look from the end see the zip", BAD)
    # The header length doubles as pickle opcodes: 0x80 0x02 is PROTO 2.
    c.malicious("safetensors-polyglot/pickle-named-safetensors.safetensors", evil(4), ["pickle"], "posix.system", "only the name is safetensors")


def _metadata(c):
    def meta(**entries):
        return st({"__metadata__": entries, **OK})

    cases = {
        "hydra-target": (meta(config=json.dumps({"_target_": "os.system", "command": COMMAND})), BAD, "_target_"),
        "hydra-target-nested": (meta(model=json.dumps({"encoder": {"_target_": "subprocess.Popen", "_args_": [[COMMAND]]}})), BAD, "_target_"),
        "base64-pickle": (meta(state=base64.b64encode(evil(2)).decode()), BAD, None),
        "base64-pickle-p0": (meta(state=base64.b64encode(evil(0)).decode()), BAD, None),
        "python-code": (meta(loader=f"import os; os.system('{COMMAND}')"), (*BAD, "clean"), None),
        "chat-template-ssti": (meta(chat_template="{{ cycler.__init__.__globals__.os.popen('" + COMMAND + "').read() }}"), BAD, None),
        "number-value": (st({"__metadata__": {"epoch": 3}, **OK}), DAMAGED, None),
        "object-value": (st({"__metadata__": {"config": {"a": 1}}, **OK}), DAMAGED, None),
        "null-value": (st({"__metadata__": {"a": None}, **OK}), DAMAGED, None),
        "list": (st({"__metadata__": ["a"], **OK}), DAMAGED, None),
        "script-url": (meta(thumbnail=f"<script src='{URL}'></script>"), (*BAD, "clean"), None),
    }
    for name, (data, verdict, evidence) in cases.items():
        c.malicious(f"safetensors-metadata/{name}.safetensors", data, ["safetensors"], evidence, "metadata that a loader would act on", verdict)


def _index(c):
    for name, file in {"parent": "../../../tmp/weighbridge-marker.safetensors", "absolute": "/etc/hostname", "url": URL, "pickle-shard": "pytorch_model.bin", "missing": "not-there.safetensors"}.items():
        index = {"metadata": {"total_size": 8}, "weight_map": {"weight": file}}
        verdict = BAD if name in ("parent", "absolute", "url") else (*DAMAGED, "clean")
        c.malicious(f"safetensors-index/{name}/model.safetensors.index.json", json.dumps(index), ["safetensors-index"] if name not in ("pickle-shard",) else [], file if verdict == BAD else None, "weight_map points elsewhere", verdict)
    c.malicious("safetensors-index/shard-is-a-pickle/model-00001-of-00001.safetensors", evil(2), ["pickle"], "posix.system", "a shard that is a pickle")
    c.companion("malicious/safetensors-index/shard-is-a-pickle/model.safetensors.index.json", json.dumps({"metadata": {"total_size": 8}, "weight_map": {"weight": "model-00001-of-00001.safetensors"}}))
