"""Hostile files of the remaining formats: skops, PMML, R, llamafile, msgpack, trees, edge."""

import bz2
import gzip
import json
import lzma
import struct

import msgpack

import protobufs as pb
import zips
from archives import tar
from benign_by_hand import PMML, R_NULL, flax_array, mxnet_symbol, program, r_numbers, r_strings, r_symbol, rds
from benign_gguf import model as gguf_model
from chat_templates import BENIGN, SSTI
from corpus import BAD, DAMAGED, Corpus
from malicious_pickle import evil
from malicious_torch import torch_zip
from markers import COMMAND, FILE, PYTHON_FILE, URL, elf
from zips import DEFLATED, Member


def make(c: Corpus):
    _skops(c)
    _pmml(c)
    _r(c)
    _llamafile(c)
    _msgpack(c)
    _trees(c)
    _coreml(c)
    _openvino(c)
    _frameworks(c)
    _tokenizers(c)
    _secrets(c)
    _torch7(c)


def skops(content, extra=(), **schema):
    """A .skops around one schema node."""
    node = {"_skops_version": "0.16.0", "protocol": 2, **content, **schema}
    return zips.archive([*extra, Member("schema.json", json.dumps(node).encode())])


def node(loader, module, name, content=None, **more):
    return {"__class__": name, "__module__": module, "__loader__": loader, "__id__": 1, "content": content, **more}


def _skops(c):
    json_node = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "__id__": 2, "content": json.dumps(COMMAND), "is_json": True}
    tuple_node = node("TupleNode", "builtins", "tuple", [json_node])
    cases = {
        "function-node-os-system": (node("FunctionNode", "os", "system", {"module_path": "os", "function": "system"}), "os.system", "a function of any module"),
        "function-node-builtins-eval": (node("FunctionNode", "builtins", "eval", {"module_path": "builtins", "function": "eval"}), "eval", "a function of any module"),
        "method-node": (node("MethodNode", "builtins", "str", {"func": "__class__", "obj": node("ObjectNode", "sklearn.linear_model._base", "LinearRegression")}), "MethodNode", "CVE-2025-54413: attribute access through MethodNode"),
        "method-node-claims-trusted-class": (node("MethodNode", "builtins", "dict", {"func": "system", "obj": node("FunctionNode", "os", "path", {"module_path": "os", "function": "path"})}), "MethodNode", "CVE-2025-54413"),
        "operator-func-node-call": (node("OperatorFuncNode", "operator", "call", None, attrs=tuple_node), "operator.call", "CVE-2025-54412: operator.call is no honest operator"),
        "operator-func-node-methodcaller": (node("OperatorFuncNode", "builtins", "int", None, attrs=tuple_node) | {"__class__": "methodcaller"}, "methodcaller", "CVE-2025-54412: class and module disagree"),
        "operator-func-node-other-module": (node("OperatorFuncNode", "os", "system", None, attrs=tuple_node), "os.system", "CVE-2025-54412"),
        "reduce-node": (node("ReduceNode", "os", "system", None, reduce={"args": tuple_node}), "os.system", "a reduce node"),
        "object-node-popen": (node("ObjectNode", "subprocess", "Popen", tuple_node), "subprocess.Popen", "an object of any class"),
        "type-node": (node("TypeNode", "subprocess", "Popen"), "subprocess.Popen", "a type of any module"),
        "partial-node": (node("PartialNode", "functools", "partial", {"func": node("FunctionNode", "os", "system", {"module_path": "os", "function": "system"}), "args": tuple_node, "kwds": None, "namespace": None}), "os.system", "functools.partial of a function"),
        "nested-in-dict": (node("DictNode", "builtins", "dict", {"hook": node("FunctionNode", "posix", "system", {"module_path": "posix", "function": "system"})}, key_types=node("ListNode", "builtins", "list", [])), "posix.system", "deep in an honest container"),
        "card-get-model": (node("ObjectNode", "skops.card", "Card", node("FunctionNode", "joblib", "load", {"module_path": "joblib", "function": "load"})), "joblib.load", "CVE-2025-54886: the card falls back to joblib"),
    }
    for name, (content, evidence, note) in cases.items():
        c.malicious(f"skops/{name}.skops", skops(content), ["skops"], evidence, note, BAD)
    honest = node("ObjectNode", "sklearn.linear_model._base", "LinearRegression")
    c.malicious("skops/joblib-inside.skops", skops(honest, [Member("model.joblib", evil(2))]), ["skops"], "posix.system", "a pickle in the archive")
    c.malicious("skops/object-array-member.skops", skops(honest, [Member("1.npy", _npy())]), ["skops"], "posix.system", "an object array in the archive")
    c.malicious("skops/path-traversal.skops", skops(honest, [Member("../../../tmp/weighbridge-marker.npy", b"x")]), ["skops"], "..", "zip slip", BAD)
    c.malicious("skops/pickle-named-skops.skops", evil(4), ["pickle"], "posix.system", "CVE-2025-54886: no zip at all")
    c.malicious("skops/duplicate-schema.skops", zips.archive([("schema.json", json.dumps(honest)), ("schema.json", json.dumps(cases["function-node-os-system"][0]))]), ["skops"], None, "two schemas", BAD)
    c.malicious("skops/depth-bomb.skops", zips.archive([Member("schema.json", b'{"content":' * 4000 + b"1" + b"}" * 4000, DEFLATED)]), [], None, "4,000 nested nodes", DAMAGED)
    c.malicious("skops/self-reference.skops", skops(node("CachedNode", "builtins", "list") | {"content": node("CachedNode", "builtins", "list")}), ["skops"], None, "a node that refers to itself", (*DAMAGED, "clean"))


def _npy():
    from malicious_joblib_numpy import npy_of_pickle

    return npy_of_pickle(evil(2))


def _pmml(c):
    def with_doctype(doctype, body=PMML):
        head, rest = body.split("\n", 1)
        return f"{head}\n{doctype}\n{rest}"

    laughs = "<!DOCTYPE PMML [\n<!ENTITY a0 \"marker\">\n" + "".join(f"<!ENTITY a{i} \"{'&a%d;' % (i - 1) * 10}\">\n" for i in range(1, 10)) + "]>"
    quadratic = f"<!DOCTYPE PMML [<!ENTITY a \"{'x' * 5000}\">]>"
    cases = {
        "external-entity-file": with_doctype('<!DOCTYPE PMML [<!ENTITY x SYSTEM "file:///etc/hostname">]>', PMML.replace('copyright="Example"', 'copyright="Example" description="&x;"')),
        "external-entity-url": with_doctype(f'<!DOCTYPE PMML [<!ENTITY x SYSTEM "{URL}">]>'),
        "external-dtd": with_doctype(f'<!DOCTYPE PMML SYSTEM "{URL}.dtd">'),
        "parameter-entity": with_doctype(f'<!DOCTYPE PMML [<!ENTITY % p SYSTEM "{URL}"> %p;]>'),
        "public-identifier": with_doctype(f'<!DOCTYPE PMML PUBLIC "-//marker//EN" "{URL}">'),
        "entity-bomb": with_doctype(laughs, PMML.replace('copyright="Example"', 'copyright="&a9;"')),
        "quadratic-bomb": with_doctype(quadratic, PMML.replace('copyright="Example"', f'copyright="{"&a;" * 5000}"')),
        "xinclude": PMML.replace("<Header", f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{URL}"/><Header'),
        "stylesheet": PMML.replace("<PMML", f'<?xml-stylesheet href="{URL}.xsl" type="text/xsl"?>\n<PMML', 1),
        "extension-script": PMML.replace("<DataDictionary", f'<Extension name="script" value="java.lang.Runtime.getRuntime().exec(\'{COMMAND}\')"/>\n  <DataDictionary'),
    }
    for name, text in cases.items():
        soft = name in ("stylesheet", "extension-script", "public-identifier")
        c.malicious(f"pmml/{name}.pmml", text, ["pmml"], None, "XML that reads other resources or explodes", (*BAD, "unknown", "clean") if soft else BAD + ("unknown",))
    entity = cases["external-entity-file"]
    c.malicious("pmml/utf16-external-entity.pmml", entity.replace("UTF-8", "UTF-16").encode("utf-16"), ["pmml"], None, "UTF-16 hides the DOCTYPE from a byte search", BAD + ("unknown",))
    c.malicious("pmml/utf7-declared.pmml", entity.replace("UTF-8", "UTF-7"), ["pmml"], None, "an encoding parsers disagree on", BAD + ("unknown",))
    depth = PMML.replace("<DataDictionary", "<Extension>" * 2000 + "</Extension>" * 2000 + "<DataDictionary")
    c.malicious("pmml/depth.pmml", depth, ["pmml"], None, "2,000 nested elements", (*DAMAGED, "clean"))
    c.malicious("pmml/truncated.pmml", PMML[:300], ["pmml"], None, "truncated", DAMAGED)


def r_call(function, *arguments):
    """LANGSXP: a call, as a pairlist."""
    body = struct.pack(">I", 6) + r_symbol(function)
    for argument in arguments:
        body += struct.pack(">I", 2) + argument
    return body + R_NULL


def r_promise(expression, environment=struct.pack(">I", 253)):
    """PROMSXP with an environment (here R_GlobalEnv), no value, and an expression."""
    return struct.pack(">I", 5 | 1 << 10) + environment + struct.pack(">I", 251) + expression


def _r(c):
    system = r_call("system", r_strings(COMMAND))
    promise = r_promise(system)
    listed = struct.pack(">II", 19, 2) + r_numbers(1.0) + promise
    closure = struct.pack(">I", 3) + struct.pack(">I", 253) + R_NULL + system
    attribute = struct.pack(">II", 0x200 | 14, 1) + struct.pack(">d", 1.0) + struct.pack(">I", 0x402) + r_symbol("print") + closure + R_NULL
    altrep = struct.pack(">I", 238) + struct.pack(">I", 2) + r_symbol("deferred_string") + struct.pack(">I", 2) + r_symbol("base") + R_NULL + promise + R_NULL + R_NULL
    cases = {
        "promise": (promise, ("malicious",), "system", "CVE-2024-27322: a promise is evaluated on first use"),
        "promise-in-list": (listed, ("malicious",), "system", "CVE-2024-27322: inside a list"),
        "promise-eval-parse": (r_promise(r_call("eval", r_call("parse", r_strings("text")))), ("malicious",), "eval", "CVE-2024-27322"),
        "language-object": (system, BAD, "system", "a call that is not evaluated by itself"),
        "closure": (closure, BAD, None, "a function by value"),
        "closure-in-attribute": (attribute, BAD, None, "a function as attribute"),
        "altrep": (altrep, BAD, None, "an ALTREP object with a promise as state"),
        "bytecode": (struct.pack(">II", 21, 1) + struct.pack(">I", 1) + R_NULL, (*BAD, "unknown"), None, "compiled code"),
        "external-pointer": (struct.pack(">I", 22) + R_NULL + R_NULL, (*BAD, "unknown"), None, "an external pointer"),
        "environment-with-promise": (struct.pack(">I", 4) + struct.pack(">I", 0) + struct.pack(">I", 242) + struct.pack(">I", 0x402) + r_symbol("x") + promise + R_NULL + R_NULL + R_NULL, BAD, "system", "a promise in an environment"),
    }
    for name, (item, verdict, evidence, note) in cases.items():
        c.malicious(f"r/{name}.rds", gzip.compress(rds(item), mtime=0), ["r-rds"], evidence, note, verdict)
    raw = rds(promise)
    c.malicious("r/promise-uncompressed.rds", raw, ["r-rds"], "system", "no compression")
    c.malicious("r/promise-bz2.rds", bz2.compress(raw), ["r-rds"], "system", "bzip2")
    c.malicious("r/promise-xz.rds", lzma.compress(raw), ["r-rds"], "system", "xz")
    workspace = struct.pack(">I", 0x402) + r_symbol("model") + promise + R_NULL
    c.malicious("r/promise-workspace.rda", gzip.compress(b"RDX3\n" + rds(workspace), mtime=0), ["r-rds"], "system", "load() of a workspace")
    malformed = {"length-negative": struct.pack(">Ii", 14, -1) + struct.pack(">II", 0x7FFFFFFF, 0xFFFFFFFF), "reference-out-of-range": struct.pack(">I", 255 | 500 << 8), "type-99": struct.pack(">I", 99),
                 "truncated": r_numbers(1.0, 2.0)[:14], "string-length-2gib": struct.pack(">III", 16, 1, 9) + struct.pack(">I", 0x7FFFFFFF), "deep-list": struct.pack(">II", 19, 1) * 8000}
    for name, item in malformed.items():
        c.malicious(f"r-malformed/{name}.rds", gzip.compress(rds(item), mtime=0), [], None, "malformed serialisation", DAMAGED)
    c.malicious("r-malformed/version-9.rds", gzip.compress(rds(r_numbers(1.0), version=9), mtime=0), [], None, "unknown version", DAMAGED)


def _llamafile(c):
    ape = b"MZqFpD='\n" + bytes(55) + b"\n' <<'@weighbridge'\nweighbridge-corpus\n@weighbridge\n"
    good = gguf_model(BENIGN["chatml"])
    bad = gguf_model(SSTI["cycler-globals"])

    def add(name, members, evidence=None, note="", verdict=BAD, head=ape):
        c.malicious(f"llamafile/{name}.llamafile", zips.archive(members, prefix=head), ["llamafile"], evidence, note, verdict)

    add("template-ssti", [Member("model.gguf", bad), Member(".args", b"-m\nmodel.gguf\n")], "template", "a poisoned template in the embedded GGUF")
    add("elf-template-ssti", [Member("model.gguf", bad)], "template", "after assimilation", head=elf() + bytes(200))
    add("arguments-listen-everywhere", [Member("model.gguf", good), Member(".args", b"-m\nmodel.gguf\n--host\n0.0.0.0\n")], None, "serves on every interface", (*BAD, "clean"))
    add("arguments-remote-model", [Member(".args", f"--model-url\n{URL}.gguf\n".encode())], None, "downloads a model at start")
    add("pickle-member", [Member("model.gguf", good), Member("hook.pkl", evil(2))], "posix.system", "a pickle among the members", ("malicious",))
    add("script-member", [Member("model.gguf", good), Member("install.sh", b"#!/bin/sh\necho weighbridge-marker\n")], None, "a script among the members")
    add("path-traversal", [Member("model.gguf", good), Member("../../tmp/weighbridge-marker", b"x")], "..", "zip slip")
    add("deflated-gguf", [Member("model.gguf", good, DEFLATED)], None, "a compressed GGUF cannot be mapped", (*BAD, "unknown", "clean"))
    shell = b"MZqFpD='\n' <<'@x'\n@x\n" + f"{COMMAND}\nexit\n".encode() + bytes(40)
    add("shell-stub", [Member("model.gguf", good)], None, "the header runs a command of its own", (*BAD, "clean"), head=shell)


def _msgpack(c):
    tree = {"params": {"Dense_0": {"kernel": flax_array(_ones())}}}
    good = msgpack.packb(tree)
    cases = {
        "extension-pickle": (msgpack.packb({"params": {"hook": msgpack.ExtType(42, evil(2))}}), BAD, "an unknown extension type that holds a pickle"),
        "extension-in-array": (msgpack.packb({"params": {"w": msgpack.ExtType(1, evil(2))}}), (*BAD, "unknown"), "an array extension that holds no array"),
        "object-dtype": (msgpack.packb({"params": {"w": msgpack.ExtType(1, msgpack.packb([[1], "object", evil(2)]))}}), BAD, "dtype object: a pickle"),
        "binary-pickle": (msgpack.packb({"params": {"w": flax_array(_ones())}, "hook": evil(2)}), (*BAD, "clean"), "a pickle in a byte string"),
        "map-2^32-1": (b"\x81\xa6params\xdf\xff\xff\xff\xff\xa1a\x01", DAMAGED, "a map of 2^32-1 entries"),
        "array-2^32-1": (b"\x81\xa6params\xdd\xff\xff\xff\xff\x01", DAMAGED, "an array of 2^32-1 entries"),
        "bytes-4gib": (b"\x81\xa6params\xc6\xff\xff\xff\xffab", DAMAGED, "4 GiB of bytes"),
        "extension-4gib": (b"\x81\xa6params\xc9\xff\xff\xff\xff\x01ab", DAMAGED, "4 GiB of extension"),
        "depth-20000": (b"\x81\xa6params" + b"\x91" * 20000 + b"\x01", DAMAGED, "20,000 nested arrays"),
        "truncated": (good[:-9], DAMAGED, "truncated"),
        "reserved-c1": (b"\x81\xa6params\xc1", DAMAGED, "the reserved byte"),
        "array-shape-overflow": (msgpack.packb({"params": {"w": msgpack.ExtType(1, msgpack.packb([[1 << 40, 1 << 40], "float32", b"abcd"]))}}), DAMAGED, "shape overflow"),
        "trailing-pickle": (good + evil(2), BAD + ("unknown",), "bytes after the tree"),
    }
    for name, (data, verdict, note) in cases.items():
        c.malicious(f"flax/{name}.msgpack", data, ["flax-msgpack"] if verdict != DAMAGED else [], None, note, verdict)


def _ones():
    import numpy as np

    return np.ones((2, 2), "f4")


def _trees(c):
    honest = {"version": [3, 2, 0], "learner": {"attributes": {}, "feature_names": [], "feature_types": [], "gradient_booster": {"name": "gbtree", "model": {"gbtree_model_param": {"num_trees": "0"}, "trees": [], "tree_info": []}},
              "learner_model_param": {"base_score": "5E-1", "num_class": "0", "num_feature": "3", "num_target": "1"}, "objective": {"name": "reg:squarederror"}}}

    def changed(**learner):
        return json.dumps(honest | {"learner": honest["learner"] | learner})

    tree = {"left_children": [1, 0], "right_children": [1, 0], "split_indices": [0, 0], "split_conditions": [0.5, 0.5], "tree_param": {"num_nodes": "2"}}
    cases = {
        "attribute-base64-pickle.json": (changed(attributes={"scikit_learn": "gASVHgAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjARlY2hvlIWUUpQu"}), (*BAD, "clean"), "a pickle in an attribute"),
        "attribute-code.json": (changed(attributes={"custom_objective": f"exec(\"{COMMAND}\")"}), (*BAD, "clean"), "code text in an attribute"),
        "negative-features.json": (changed(learner_model_param={"num_feature": "-1", "base_score": "0"}), DAMAGED, "negative count"),
        "huge-classes.json": (changed(learner_model_param={"num_feature": "3", "num_class": "4294967295", "base_score": "0"}), (*DAMAGED, "clean"), "2^32-1 classes"),
        "tree-cycle.json": (changed(gradient_booster={"name": "gbtree", "model": {"gbtree_model_param": {"num_trees": "1"}, "trees": [tree], "tree_info": [0]}}), (*DAMAGED, "clean"), "a tree node that is its own ancestor"),
        "unknown-booster.json": (changed(gradient_booster={"name": "../../../tmp/weighbridge-marker.so", "model": {}}), (*DAMAGED, "clean"), "a booster name that is a path"),
        "depth.json": ('{"version":[3,2,0],"learner":' + "[" * 15000 + "]" * 15000 + "}", DAMAGED, "15,000 nested lists"),
        "truncated.json": (json.dumps(honest)[:120], DAMAGED, "truncated"),
    }
    for name, (data, verdict, note) in cases.items():
        c.malicious(f"xgboost/{name}", data, ["xgboost"] if verdict != DAMAGED else [], None, note, verdict)
    c.malicious("xgboost/ubjson-length-negative.ubj", b"{L" + struct.pack(">q", 7) + b"learner{L" + struct.pack(">q", -1), [], None, "negative length", DAMAGED)
    c.malicious("xgboost/ubjson-array-2^62.ubj", b"{L" + struct.pack(">q", 7) + b"learner[$d#L" + struct.pack(">q", 1 << 62), [], None, "2^62 entries", DAMAGED)
    c.malicious("xgboost/old-binary-pickle.model", b"binf" + evil(2), [], None, "the old magic, then a pickle", DAMAGED)
    c.malicious("lightgbm/linear-tree-huge.txt", "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=2147483647\nfeature_names=a\n\nTree=0\nnum_leaves=2147483647\n", ["lightgbm"], None, "2^31 leaves", (*DAMAGED, "clean"))
    c.malicious("lightgbm/only-header.txt", "tree\n", [], None, "truncated", DAMAGED)
    c.malicious("catboost/size-lies.cbm", b"CBM1" + struct.pack("<I", 0xFFFFFFFF) + bytes(32), [], None, "size beyond the file", DAMAGED)
    c.malicious("catboost/only-magic.cbm", b"CBM1", [], None, "truncated", DAMAGED)


def _coreml(c):
    def layer(field_number, content):
        feature = pb.message((1, "x"), (3, pb.message((5, pb.message((1, b"\x04"), (2, 65568))))))
        description = pb.message((1, feature), (10, feature))
        custom = pb.message((1, "marker"), (2, "x"), (3, "y"), (field_number, content))
        return pb.message((1, 4), (2, description), (500, pb.message((1, custom))))

    parameters = pb.message((1, "MarkerLayer"), (30, pb.message((1, "command"), (2, pb.message((20, COMMAND))))))
    c.malicious("coreml/custom-layer.mlmodel", layer(500, parameters), ["coreml"], "MarkerLayer", "a custom layer: native code of the application", BAD)
    custom_model = pb.message((1, 4), (2, pb.message((1, pb.message((1, "x"))))), (555, pb.message((1, "MarkerModel"))))
    c.malicious("coreml/custom-model.mlmodel", custom_model, ["coreml"], "MarkerModel", "a custom model class", BAD)
    linked = pb.message((1, 4), (2, pb.message((1, pb.message((1, "x"))))), (556, pb.message((1, pb.message((1, pb.message((1, "../../marker"))), (2, pb.message((1, "/tmp"))))))))
    c.malicious("coreml/linked-model.mlmodel", linked, ["coreml"], None, "a linked model outside the package", (*BAD, "unknown"))
    c.malicious("coreml/truncated.mlmodel", layer(500, parameters)[:-12], [], None, "truncated", DAMAGED)
    identifier = "11111111-2222-4333-8444-555555555555"
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": {identifier: {"author": "a", "description": "d", "name": "model.mlmodel", "path": "../../../../tmp/weighbridge-marker"}}, "rootModelIdentifier": identifier}
    c.malicious("coreml/manifest-traversal.mlpackage/Manifest.json", json.dumps(manifest), ["coreml"], "..", "an item outside the package", BAD)


def _openvino(c):
    text = '<?xml version="1.0"?>\n{doctype}<net name="marker" version="11">\n  <layers>\n    <layer id="0" name="x" type="Parameter" version="opset1"><data shape="1,4" element_type="f32"/><output><port id="0" precision="FP32"><dim>1</dim><dim>4</dim></port></output></layer>\n{layer}  </layers>\n  <edges/>\n</net>\n'
    constant = '    <layer id="1" name="w" type="Const" version="opset1"><data element_type="f32" shape="4" offset="{offset}" size="{size}"/></layer>\n'
    cases = {
        "external-entity": (text.format(doctype='<!DOCTYPE net [<!ENTITY x SYSTEM "file:///etc/hostname">]>\n', layer=""), BAD, "an external entity"),
        "entity-bomb": (text.format(doctype='<!DOCTYPE net [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>\n', layer=""), BAD + ("unknown",), "entities"),
        "extension-library": (text.format(doctype="", layer='    <layer id="1" name="m" type="Marker" version="extension"><data library="/tmp/weighbridge-marker.so"/></layer>\n'), BAD, "a layer of an extension library"),
        "custom-operation-set": (text.format(doctype="", layer='    <layer id="1" name="m" type="MarkerOp" version="marker_opset"/>\n'), BAD, "an operator of an unknown set"),
        "kernel-source": (text.format(doctype="", layer='    <layer id="1" name="m" type="CustomLayer" version="extension"><data kernel="/tmp/weighbridge-marker.cl"/></layer>\n'), BAD, "a custom kernel file"),
        "offset-beyond-bin": (text.format(doctype="", layer=constant.format(offset=1 << 40, size=16)), DAMAGED, "weights beyond the .bin"),
        "offset-negative": (text.format(doctype="", layer=constant.format(offset=-16, size=16)), DAMAGED, "negative offset"),
        "truncated": (text.format(doctype="", layer="")[:150], DAMAGED, "truncated"),
    }
    for name, (xml, verdict, note) in cases.items():
        c.malicious(f"openvino/{name}/model.xml", xml, ["openvino"] if name != "truncated" else [], None, note, verdict)
        c.companion(f"malicious/openvino/{name}/model.bin", bytes(16))


def _frameworks(c):
    c.malicious("paddle/py-func.pdmodel", program("py_func", forward_callable_id="0"), ["paddle"], "py_func", "a Python callback", BAD)
    c.malicious("paddle/custom-operator.pdmodel", program("marker_custom_op"), ["paddle"], None, "an unknown operator", (*BAD, "unknown", "clean"))
    c.malicious("paddle/load-operator.pdmodel", program("load", file_path="/etc/hostname"), ["paddle"], "load", "reads a file", BAD)
    c.malicious("paddle/save-operator.pdmodel", program("save_combine", file_path=FILE), ["paddle"], "save", "writes a file", BAD)
    c.malicious("paddle/evil.pdparams", evil(2), ["pickle"], "posix.system", "pdparams are pickles")
    c.malicious("paddle/evil.pdopt", evil(4), ["pickle"], "posix.system", "pdopt are pickles")
    c.malicious("mxnet/custom-operator-symbol.json", json.dumps(mxnet_symbol("Custom", op_type="marker")), ["mxnet"], "Custom", "CVE-2022-24294 context: a Python operator", BAD)
    c.malicious("mxnet/library-symbol.json", json.dumps(mxnet_symbol("_contrib_marker", library="/tmp/weighbridge-marker.so")), ["mxnet"], None, "a library path", (*BAD, "unknown", "clean"))
    c.malicious("mxnet/params-count-2^62.params", struct.pack("<QQQ", 0x112, 0, 1 << 62), [], None, "2^62 arrays", DAMAGED)
    python_layer = 'name: "m"\nlayer {\n  name: "p"\n  type: "Python"\n  python_param { module: "marker_module" layer: "MarkerLayer" }\n}\n'
    c.malicious("caffe/python-layer.prototxt", python_layer, ["caffe"], "Python", "imports a Python module", BAD)
    layer = pb.message((1, "p"), (2, "Python"), (130, pb.message((1, "marker_module"), (2, "MarkerLayer"))))
    c.malicious("caffe/python-layer.caffemodel", pb.message((1, "m"), (100, layer)), ["caffe"], "Python", "imports a Python module", BAD)
    c.malicious("ncnn/custom-layer.param", "7767517\n2 2\nInput            data 0 1 data 0=4\nMarkerLayer      m    1 1 data out\n", ["ncnn"], None, "an unknown layer", (*BAD, "unknown", "clean"))
    c.malicious("ncnn/counts-lie.param", "7767517\n2147483647 2147483647\nInput data 0 1 data\n", ["ncnn"], None, "2^31-1 layers", DAMAGED)
    c.malicious("darknet/shell-in-cfg.cfg", f"[net]\nbatch=1\nnames=$({COMMAND})\n", ["darknet"], None, "a shell expression", (*BAD, "clean", "unknown"))
    c.malicious("tensorrt/plugin-library.plan", b"ptrt" + struct.pack("<IQ", 0x61, 256) + b"/tmp/weighbridge-marker.so\0" + elf() + bytes(160), ["tensorrt"], None, "an embedded plugin library", (*BAD, "unknown"))
    c.malicious("executorch/zip-with-pickle.pte", torch_zip(evil(2)), [], "posix.system", "a torch zip named .pte")
    c.malicious("executorch/truncated.pte", struct.pack("<I", 16) + b"ET12", [], None, "truncated", DAMAGED)
    c.malicious("ort/root-out-of-range.ort", struct.pack("<I", 0x7FFFFFFF) + b"ORTM" + bytes(16), [], None, "root table outside the file", DAMAGED)
    c.malicious("ctranslate2/variables-2^32.bin", struct.pack("<IH", 6, 12) + b"WhisperSpec\0" + struct.pack("<II", 3, 0xFFFFFFFF), [], None, "2^32-1 variables", DAMAGED)
    c.malicious("model-bundle/vae.tar", tar({"vae/diffusion_pytorch_model.bin": torch_zip(evil(2)), "model_index.json": "{}"}), [], "posix.system", "a bundle with one bad part")
    c.malicious("rknn/only-magic.rknn", b"RKNN", [], None, "truncated", DAMAGED)
    cntk = pb.message((1, 1), (2, pb.message((1, pb.message((1, "version"), (2, 1))), (1, pb.message((1, "native_user_function"), (2, "/tmp/weighbridge-marker.so"))))))
    c.malicious("cntk/native-user-function.dnn", cntk, [], None, "a native user function", (*BAD, "unknown"))


def _tokenizers(c):
    piece = pb.message((1, "<unk>"), (2, 0.0), (3, 2))
    c.malicious("tokenizer-malformed/truncated.model", pb.field(1, piece) * 3 + b"\x0a\x7f", [], None, "truncated", DAMAGED)
    c.malicious("tokenizer-malformed/pickle.model", evil(2), ["pickle"], "posix.system", "a pickle named like a tokenizer")
    c.malicious("tokenizer-malformed/depth/tokenizer.json", '{"version":"1.0","model":' + "[" * 15000 + "]" * 15000 + "}", [], None, "15,000 nested lists", DAMAGED)
    pattern = {"version": "1.0", "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}, "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}
    c.malicious("tokenizer-malformed/regular-expression/tokenizer.json", json.dumps(pattern), ["tokenizer"], None, "a catastrophic pattern", (*BAD, "clean"))


def _secrets(c):
    """Documented example credentials: formats of secrets, none of them real."""
    from benign_safetensors import save

    key = "AKIAIOSFODNN7EXAMPLE"
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    c.malicious("secrets/metadata.safetensors", save({}, {"aws_access_key_id": key, "aws_secret_access_key": secret}), ["safetensors"], None, "an example key in the metadata", (*BAD, "clean"))
    c.malicious("secrets/config/config.json", json.dumps({"model_type": "bert", "aws_access_key_id": key, "aws_secret_access_key": secret}), [], None, "an example key in the configuration", (*BAD, "clean", "unknown"))
    c.malicious("secrets/private-key.zip", zips.archive([("model.bin", b"x"), ("deploy.pem", "-----BEGIN " + "PRIVATE KEY-----\nexample, not a key\n-----END PRIVATE KEY-----\n")]), [], None, "a private key in an archive", (*BAD, "clean", "unknown"))


def _torch7(c):
    def text(value):
        return struct.pack("<i", len(value)) + value

    function = struct.pack("<ii", 8, 2) + text(b"\x1bLua" + b"weighbridge-marker") + struct.pack("<i", 0)
    c.malicious("torch7/lua-function.t7", struct.pack("<iii", 3, 1, 1) + struct.pack("<i", 2) + text(b"hook") + function, ["torch7"], None, "Lua bytecode in a table", (*BAD, "unknown"))
    c.malicious("torch7/python-beside/model.t7", struct.pack("<ii", 4, 1) + text(b"V 1") + text(b"nn.MarkerModule"), ["torch7"], None, "an unknown class", (*BAD, "unknown"))
    c.companion("malicious/torch7/python-beside/init.py", PYTHON_FILE)
