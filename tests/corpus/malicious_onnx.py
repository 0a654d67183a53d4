"""ONNX models that read or write foreign files, need native code, or are malformed."""

import numpy as np
from onnx import AttributeProto, TensorProto, helper, numpy_helper

import protobufs
from benign_onnx import OPSETS, branch, data, external, external_tensor, gemm, model_of, value, weights
from corpus import BAD, DAMAGED, Corpus
from malicious_pickle import evil
from markers import PYTHON, URL

LOCATIONS = {
    "parent": "../weights.bin",
    "parent-many": "../../../../../../etc/hostname",
    "parent-in-the-middle": "data/../../weights.bin",
    "parent-backslash": "..\\..\\weights.bin",
    "mixed-separators": "data\\../..\\weights.bin",
    "absolute": "/etc/hostname",
    "proc-self": "/proc/self/environ",
    "drive": "C:\\Windows\\win.ini",
    "drive-relative": "C:win.ini",
    "unc": "\\\\example.invalid\\share\\weights.bin",
    "url": URL,
    "file-url": "file:///etc/hostname",
    "home": "~/.ssh/id_rsa",
    "environment": "$HOME/.ssh/id_rsa",
    "nul-byte": "weights.bin\0../../etc/hostname",
    "dot-slash-parent": "./../weights.bin",
    "double-slash": "//etc/hostname",
    "percent-encoded": "%2e%2e/weights.bin",
    "empty": "",
    "device": "/dev/zero",
}


def make(c: Corpus):
    _locations(c)
    _places(c)
    _links(c)
    _offsets(c)
    _operators(c)
    _malformed(c)
    _metadata(c)


def located(location):
    model = gemm()
    model.graph.initializer[0].CopyFrom(external_tensor(location))
    return model


def _locations(c):
    softer = {"percent-encoded", "empty", "environment", "home", "mixed-separators", "drive-relative"}
    for name, location in LOCATIONS.items():
        evidence = None if name in ("nul-byte", "empty") else location.split("\\")[0][:12] if "\\" in location else location
        c.malicious(f"onnx-external/{name}.onnx", data(located(location)), ["onnx"], evidence, "CVE-2022-25882, CVE-2024-27318: external data outside the model directory",
                    BAD + ("unknown",) if name in softer else BAD)


def _places(c):
    """The same bad location in every place a tensor can be."""
    bad = external_tensor("../../../etc/hostname", name="")
    constant = helper.make_node("Constant", [], ["k"], value=bad)
    add = helper.make_node("Add", ["x", "k"], ["y"])
    io = [value("x", 4, 2)], [value("y", 4, 2)]
    c.malicious("onnx-external/in-attribute.onnx", data(model_of([constant, add], *io)), ["onnx"], "../", "in a node attribute", BAD)
    several = helper.make_node("Constant", [], ["k"])
    several.attribute.append(AttributeProto(name="value", type=AttributeProto.TENSORS, tensors=[bad]))
    c.malicious("onnx-external/in-attribute-list.onnx", data(model_of([several, add], *io)), ["onnx"], "../", "in a list of tensors", BAD)
    inner = helper.make_graph([helper.make_node("Identity", ["w"], ["out"])], "then", [], [value("out", 4, 2)], [external_tensor("../../../etc/hostname")])
    choose = helper.make_node("If", ["cond"], ["y"], then_branch=inner, else_branch=branch("else"))
    c.malicious("onnx-external/in-subgraph.onnx", data(model_of([choose], [value("x", 2), value("cond", type_=TensorProto.BOOL)], [value("y", 2)])), ["onnx"], "../", "in an If branch", BAD)
    deeper = helper.make_graph([helper.make_node("If", ["cond"], ["out"], then_branch=inner, else_branch=inner)], "outer", [], [value("out", 2)])
    nested = helper.make_node("If", ["cond"], ["y"], then_branch=deeper, else_branch=branch("else"))
    c.malicious("onnx-external/in-nested-subgraph.onnx", data(model_of([nested], [value("x", 2), value("cond", type_=TensorProto.BOOL)], [value("y", 2)])), ["onnx"], "../", "two graphs down", BAD)
    function = helper.make_function("local", "F", ["a"], ["b"], [constant, helper.make_node("Add", ["a", "k"], ["b"])], OPSETS)
    call = helper.make_node("F", ["x"], ["y"], domain="local")
    c.malicious("onnx-external/in-function.onnx", data(model_of([call], *io, opsets=[*OPSETS, helper.make_opsetid("local", 1)], functions=[function])), ["onnx"], "../", "in a model function", BAD)
    sparse = model_of([helper.make_node("Identity", ["x"], ["y"])], [value("x", 4)], [value("y", 4)])
    sparse.graph.sparse_initializer.add(values=external_tensor("../../../etc/hostname", shape=(1,)), indices=external_tensor("../../../etc/hostname", name="i", shape=(1,)), dims=[4])
    c.malicious("onnx-external/in-sparse-initializer.onnx", data(sparse), ["onnx"], "../", "in a sparse tensor", BAD)
    training = gemm()
    training.training_info.add().algorithm.initializer.append(external_tensor("../../../etc/hostname"))
    c.malicious("onnx-external/in-training-info.onnx", data(training), ["onnx"], "../", "in a training graph", BAD)
    twice = gemm()
    tensor = external_tensor("weights.bin")
    tensor.external_data.add(key="location", value="../../../etc/hostname")
    twice.graph.initializer[0].CopyFrom(tensor)
    c.malicious("onnx-external/location-twice.onnx", data(twice), ["onnx"], "../", "two location entries: the last one wins", BAD)
    written = gemm()
    written.graph.initializer[0].CopyFrom(external_tensor("../../../tmp/weighbridge-marker"))
    written.graph.initializer[0].raw_data = weights().tobytes()
    written.graph.initializer[0].data_location = TensorProto.DEFAULT
    c.malicious("onnx-external/write-direction.onnx", data(written), ["onnx"], "../", "CVE-2025-51480: saving the model again writes there", BAD)


def _links(c):
    for name, target in (("symlink", "/etc/hostname"), ("symlink-parent", "../../../../../../etc/hostname")):
        model, _ = external("weights.bin")
        c.malicious(f"onnx-external/{name}/model.onnx", data(model), ["onnx"], None, "CVE-2026-34447: the data file is a link that leaves the directory", (*BAD, "unknown", "clean"))
        c.symlink(f"malicious/onnx-external/{name}/weights.bin", target)
    model, _ = external("data/weights.bin")
    c.malicious("onnx-external/symlinked-directory/model.onnx", data(model), ["onnx"], None, "CVE-2026-34446: a parent directory is a link", (*BAD, "unknown", "clean"))
    c.symlink("malicious/onnx-external/symlinked-directory/data", "/etc")


def _offsets(c):
    cases = {"negative-offset": {"offset": -8}, "huge-offset": {"offset": 1 << 62}, "negative-length": {"length": -1}, "huge-length": {"length": 1 << 62}, "offset-not-a-number": {"offset": "0x10"},
             "length-past-end": {"offset": 16, "length": 4096}, "length-shorter-than-shape": {"length": 4}}
    for name, entries in cases.items():
        model = gemm()
        model.graph.initializer[0].CopyFrom(external_tensor("weights.bin", **entries))
        c.malicious(f"onnx-offsets/{name}/model.onnx", data(model), ["onnx"], None, "external data bounds", DAMAGED)
        c.companion(f"malicious/onnx-offsets/{name}/weights.bin", weights().tobytes())
    missing, _ = external("not-there.bin")
    c.malicious("onnx-offsets/missing-file/model.onnx", data(missing), ["onnx"], None, "the data file is absent", (*DAMAGED, "clean"))


def _operators(c):
    custom = [*OPSETS, helper.make_opsetid("com.example.marker", 1)]
    node = helper.make_node("MarkerOp", ["x"], ["y"], domain="com.example.marker")
    io = [value("x", 2)], [value("y", 2)]
    c.malicious("onnx-operators/custom-domain.onnx", data(model_of([node], *io, opsets=custom)), ["onnx"], "com.example.marker", "needs a native library", BAD)
    for domain in ("", "ai.onnx.contrib", "com.microsoft.extensions"):
        python = helper.make_node("PyOp", ["x"], ["y"], domain=domain, module="marker", class_name="Marker", compute="run", code=PYTHON)
        name = domain or "default"
        c.malicious(f"onnx-operators/pyop-{name}.onnx", data(model_of([python], *io, opsets=[*OPSETS, helper.make_opsetid(domain or "x", 1)])), ["onnx"], "PyOp", "runs Python", BAD)
    body = branch("then", "PyOp", domain="ai.onnx.contrib", code=PYTHON)
    choose = helper.make_node("If", ["cond"], ["y"], then_branch=body, else_branch=branch("else"))
    c.malicious("onnx-operators/pyop-in-if.onnx", data(model_of([choose], [value("x", 2), value("cond", type_=TensorProto.BOOL)], [value("y", 2)])), ["onnx"], "PyOp", "in a subgraph", BAD)
    function = helper.make_function("local", "F", ["a"], ["b"], [helper.make_node("PyOp", ["a"], ["b"], domain="ai.onnx.contrib", code=PYTHON)], OPSETS)
    c.malicious("onnx-operators/pyop-in-function.onnx", data(model_of([helper.make_node("F", ["x"], ["y"], domain="local")], *io, opsets=[*OPSETS, helper.make_opsetid("local", 1)], functions=[function])), ["onnx"], "PyOp", "in a function", BAD)
    unregistered = gemm()
    unregistered.graph.node[0].op_type = "ExecuteShell"
    c.malicious("onnx-operators/unknown-operator.onnx", data(unregistered), ["onnx"], "ExecuteShell", "not in any ONNX operator set", (*BAD, "unknown"))
    trt = helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft", ep_cache_context="../../../tmp/weighbridge-marker.so", embed_mode=0)
    c.malicious("onnx-operators/ep-context-path.onnx", data(model_of([trt], *io, opsets=[*OPSETS, helper.make_opsetid("com.microsoft", 1)])), ["onnx"], "EPContext", "an execution provider opens that file", BAD)


def _malformed(c):
    good = data(gemm())
    raw = gemm()
    raw.graph.initializer[0].raw_data = raw.graph.initializer[0].raw_data[:7]
    negative = gemm()
    negative.graph.initializer[0].dims[0] = -4
    huge = gemm()
    huge.graph.initializer[0].dims[:] = [1 << 40, 1 << 40]
    fill = helper.make_node("ConstantOfShape", ["shape"], ["big"])
    explode = model_of([fill, helper.make_node("ReduceSum", ["big"], ["y"])], [value("x", 1)], [value("y", 1)],
                       [numpy_helper.from_array(np.array([1 << 30, 1 << 10], "i8"), "shape")])
    tile = model_of([helper.make_node("Tile", ["x", "times"], ["y"])], [value("x", 1)], [value("y", 1)], [numpy_helper.from_array(np.array([1 << 40], "i8"), "times")])
    cases = {
        "truncated-half": good[: len(good) // 2], "truncated-tail": good[:-5], "raw-data-shorter-than-dims": data(raw), "negative-dimension": data(negative), "dimension-overflow": data(huge),
        "length-beyond-file": protobufs.message((1, 9), (2, "pytorch")) + b"\x3a\xff\xff\xff\x7f" + b"x", "varint-eleven-bytes": b"\x08" + b"\xff" * 10 + b"\x01" + good[2:],
        "field-zero": good + b"\x00\x01", "wire-type-7": good + b"\x0f\x01", "wire-type-group": good + b"\x0b\x0c", "no-graph": protobufs.message((1, 9), (2, "pytorch"), (8, protobufs.message((1, ""), (2, 17)))),
    }
    for name, content in cases.items():
        formats = [] if name in ("length-beyond-file", "varint-eleven-bytes", "no-graph") or name.startswith("truncated") else ["onnx"]
        verdict = DAMAGED if name not in ("wire-type-group",) else (*DAMAGED, "clean")
        c.malicious(f"onnx-malformed/{name}.onnx", content, formats, None, "malformed protobuf", verdict)
    c.malicious("onnx-malformed/constant-of-shape-bomb.onnx", data(explode), ["onnx"], None, "allocates 4 TiB when run", (*BAD, "unknown", "clean"))
    c.malicious("onnx-malformed/tile-bomb.onnx", data(tile), ["onnx"], None, "allocates when run", (*BAD, "unknown", "clean"))
    c.malicious("onnx-malformed/deep-subgraphs.onnx", nested_graphs(400), ["onnx"], None, "400 subgraphs deep; by hand, the library refuses beyond 100", DAMAGED)
    second = gemm()
    c.malicious("onnx-malformed/graph-twice.onnx", good + protobufs.field(7, located("../../../etc/hostname").graph.SerializeToString()), ["onnx"], "../", "a repeated singular field is merged: the second graph counts", BAD)
    c.malicious("onnx-malformed/trailing-pickle.onnx", data(second) + evil(2), [], None, "a pickle after the model", DAMAGED)
    c.malicious("onnx-malformed/trailing-zip.onnx", data(second) + b"PK\x03\x04" + bytes(26) + b"PK\x05\x06" + bytes(18), [], None, "a zip after the model", DAMAGED)


def nested_graphs(depth):
    """A model of If nodes, each holding the next in its `then_branch`."""
    graph = protobufs.message((2, "leaf"))
    for _ in range(depth):
        attribute = protobufs.message((1, "then_branch"), (6, graph), (20, AttributeProto.GRAPH))
        graph = protobufs.message((1, protobufs.message((1, "c"), (2, "y"), (4, "If"), (5, attribute))), (2, "g"))
    return protobufs.message((1, 9), (7, graph), (8, protobufs.message((2, 17))))


def _metadata(c):
    model = gemm()
    helper.set_model_props(model, {"loader": f"exec(\"{PYTHON}\")"})
    c.malicious("onnx-metadata/code-in-metadata.onnx", data(model), ["onnx"], None, "text that some loader evaluates", (*BAD, "clean"))
