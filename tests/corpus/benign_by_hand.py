"""Honest files of frameworks without a usable Python 3.11 library, written by hand
after the documentation named beside each.
"""

import gzip
import json
import struct

import msgpack
import numpy as np

import protobufs as pb
from corpus import Corpus


def make(c: Corpus):
    _flax(c)
    _mxnet(c)
    _ncnn(c)
    _darknet(c)
    _caffe(c)
    _cntk(c)
    _headers_only(c)
    _ctranslate2(c)
    _pmml(c)
    _rds(c)
    _torch7(c)
    _paddle2(c)


def flax_array(array):
    """A flax.serialization ndarray: extension type 1 around [shape, dtype, bytes]."""
    return msgpack.ExtType(1, msgpack.packb([list(array.shape), array.dtype.name, array.tobytes()]))


def _flax(c):
    tree = {"params": {"Dense_0": {"kernel": flax_array(np.ones((4, 2), "f4")), "bias": flax_array(np.zeros(2, "f4"))}}}
    c.benign("flax/flax_model.msgpack", msgpack.packb(tree), ["flax-msgpack"], "by hand: flax.serialization.to_bytes")
    c.benign("flax/train-state.msgpack", msgpack.packb({"step": 3, **tree, "opt_state": {"0": {"count": 3}}}), ["flax-msgpack"], verdict=("clean",))


def _mxnet(c):
    array = struct.pack("<IiI", 0xF993FAC9, 0, 2) + struct.pack("<qq", 4, 2) + struct.pack("<iii", 1, 0, 0) + np.ones(8, "f4").tobytes()
    name = b"arg:fc_weight"
    params = struct.pack("<QQQ", 0x112, 0, 1) + array + struct.pack("<QQ", 1, len(name)) + name
    c.benign("mxnet/model-0000.params", params, ["mxnet"], "by hand: NDArray list of mxnet 1.x")
    c.benign("mxnet/model-symbol.json", json.dumps(mxnet_symbol(), indent=2), ["mxnet"])


def mxnet_symbol(operator="FullyConnected", **attributes):
    nodes = [{"op": "null", "name": "data", "inputs": []}, {"op": "null", "name": "fc_weight", "inputs": []},
             {"op": operator, "name": "fc", "attrs": {"num_hidden": "2", "no_bias": "True", **attributes}, "inputs": [[0, 0, 0], [1, 0, 0]]}]
    return {"nodes": nodes, "arg_nodes": [0, 1], "node_row_ptr": [0, 1, 2, 3], "heads": [[2, 0, 0]], "attrs": {"mxnet_version": ["int", 10900]}}


def _ncnn(c):
    c.benign("ncnn/model.param", "7767517\n2 2\nInput            data 0 1 data 0=4\nInnerProduct     fc   1 1 data out 0=2 1=0 2=8\n", ["ncnn"], "by hand")
    c.companion("benign/ncnn/model.bin", struct.pack("<I", 0) + np.ones(8, "f4").tobytes())


def _darknet(c):
    c.benign("darknet/model.cfg", "[net]\nbatch=1\nwidth=8\nheight=8\nchannels=3\n\n[convolutional]\nfilters=2\nsize=1\nstride=1\nactivation=leaky\n", ["darknet"], "by hand")
    c.benign("darknet/model.weights", struct.pack("<iiiQ", 0, 2, 5, 32013312) + np.ones(8, "f4").tobytes(), ["darknet"], "by hand")


def _caffe(c):
    text = 'name: "tiny"\nlayer {\n  name: "data"\n  type: "Input"\n  top: "data"\n  input_param { shape { dim: 1 dim: 4 } }\n}\nlayer {\n  name: "fc"\n  type: "InnerProduct"\n  bottom: "data"\n  top: "fc"\n  inner_product_param { num_output: 2 }\n}\n'
    c.benign("caffe/deploy.prototxt", text, ["caffe"], "by hand")
    blob = pb.message((5, struct.pack("<8f", *[1.0] * 8)), (7, pb.message((1, b"\x02\x04"))))
    layer = pb.message((1, "fc"), (2, "InnerProduct"), (3, "data"), (4, "fc"), (7, blob))
    c.benign("caffe/tiny.caffemodel", pb.message((1, "tiny"), (100, layer)), ["caffe"], "by hand: NetParameter")


def _cntk(c):
    utf16 = lambda text: text.encode("utf-16-le") + b"\0\0"  # noqa: E731
    c.benign("cntk/v1.dnn", utf16("BCN") + utf16("BVersion") + struct.pack("<Q", 1) + utf16("EVersion") + utf16("BNodeList") + utf16("ENodeList") + utf16("ECN"), ["cntk"], "by hand")


def _headers_only(c):
    """Formats whose files only their vendor's closed tools write: magic and a plausible header."""
    c.benign("tensorrt/engine.plan", b"ptrt" + struct.pack("<IQ", 0x61, 256) + bytes(256), ["tensorrt"], "header only", ("clean", "unknown"))
    c.benign("rknn/model.rknn", b"RKNN" + bytes(4) + struct.pack("<QQ", 6, 64) + bytes(64) + b'{"version": "2.3.0", "target_platform": ["rk3588"]}', ["rknn"], "header only", ("clean", "unknown"))
    c.benign("litertlm/model.litertlm", b"LITERTLM" + struct.pack("<III", 1, 3, 0) + bytes(12) + bytes(64), ["litertlm"], "header only", ("clean", "unknown"))
    for name, magic in {"huawei.om": b"IMOD", "qualcomm.dlc": b"NETD", "sophgo.bmodel": b"\xee\xaa\x55\xff"}.items():
        c.benign(f"edge/{name}", magic + bytes(124), ["openmodels-misc"], "header only", ("clean", "unknown"))
    flat = lambda identifier: struct.pack("<I", 16) + identifier + bytes(8) + struct.pack("<iHHI", 8, 4, 4, 0) + bytes(16)  # noqa: E731
    c.benign("executorch/model.pte", flat(b"ET12"), ["executorch"], "header only", ("clean", "unknown"))
    c.benign("ort/model.ort", flat(b"ORTM"), ["ort"], "header only", ("clean", "unknown"))


def _ctranslate2(c):
    spec = b"WhisperSpec\0"
    name = b"encoder/conv1/weight\0"
    variable = struct.pack("<H", len(name)) + name + struct.pack("<B", 1) + struct.pack("<I", 4) + struct.pack("<B", 0) + struct.pack("<I", 16) + bytes(16)
    c.benign("ctranslate2/model.bin", struct.pack("<IH", 6, len(spec)) + spec + struct.pack("<II", 3, 1) + variable + struct.pack("<I", 0), ["ctranslate2"], "by hand: model_spec.py")


PMML = """<?xml version="1.0" encoding="UTF-8"?>
<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4">
  <Header copyright="Example"><Application name="weighbridge-corpus" version="1"/></Header>
  <DataDictionary numberOfFields="2">
    <DataField name="x" optype="continuous" dataType="double"/>
    <DataField name="y" optype="continuous" dataType="double"/>
  </DataDictionary>
  <RegressionModel functionName="regression">
    <MiningSchema><MiningField name="x"/><MiningField name="y" usageType="target"/></MiningSchema>
    <RegressionTable intercept="1.0"><NumericPredictor name="x" coefficient="2.0"/></RegressionTable>
  </RegressionModel>
</PMML>
"""


def _pmml(c):
    c.benign("pmml/regression.pmml", PMML, ["pmml"], "by hand: PMML 4.4")
    c.benign("pmml/regression.xml", PMML.replace("<PMML", "<!-- a comment --><PMML"), ["pmml"])


def rds(*items, version=3, magic=b"X\n"):
    """An R XDR serialisation (R Internals, section 1.8) of pre-encoded items."""
    head = magic + struct.pack(">III", version, 0x00040301, 0x00030500)
    if version == 3:
        head += struct.pack(">I", 5) + b"UTF-8"
    return head + b"".join(items)


def r_numbers(*values):
    return struct.pack(">II", 14, len(values)) + struct.pack(f">{len(values)}d", *values)


def r_string(text):
    return struct.pack(">II", 0x00040009, len(text)) + text.encode()


def r_symbol(text):
    return struct.pack(">I", 1) + r_string(text)


def r_strings(*texts):
    return struct.pack(">II", 16, len(texts)) + b"".join(map(r_string, texts))


R_NULL = struct.pack(">I", 254)


def _rds(c):
    numbers = rds(r_numbers(1.0, 2.0, 3.0))
    c.benign("r/numbers.rds", gzip.compress(numbers, mtime=0), ["r-rds"], "by hand")
    c.benign("r/numbers-uncompressed.rds", numbers, ["r-rds"])
    c.benign("r/version2.rds", gzip.compress(rds(r_strings("cat", "dog"), version=2), mtime=0), ["r-rds"])
    named = struct.pack(">II", 0x200 | 19, 2) + r_numbers(1.0) + r_strings("lm") + struct.pack(">I", 0x402) + r_symbol("names") + r_strings("coef", "kind") + R_NULL
    c.benign("r/named-list.rds", gzip.compress(rds(named), mtime=0), ["r-rds"])
    workspace = struct.pack(">I", 0x402) + r_symbol("model") + r_numbers(1.0) + R_NULL
    c.benign("r/workspace.rda", gzip.compress(b"RDX3\n" + rds(workspace), mtime=0), ["r-rds"])


def _torch7(c):
    def text(value):
        return struct.pack("<i", len(value)) + value

    tensor = struct.pack("<ii", 4, 1) + text(b"V 1") + text(b"torch.FloatTensor") + struct.pack("<i", 1) + struct.pack("<qqq", 2, 1, 1)
    storage = struct.pack("<ii", 4, 2) + text(b"V 1") + text(b"torch.FloatStorage") + struct.pack("<q", 2) + np.ones(2, "f4").tobytes()
    c.benign("torch7/tensor.t7", tensor + storage, ["torch7"], "by hand: Torch7 File:writeObject", ("clean", "unknown"))


def _paddle2(c):
    c.benign("paddle/model.pdmodel", program(), ["paddle"], "by hand: framework.proto of Paddle 2")


def program(operator="relu", **attributes):
    """A ProgramDesc with one block and one operator (paddle/fluid/framework/framework.proto)."""
    variable = lambda name: pb.message((1, name), (2, pb.message((1, 7), (3, pb.message((1, pb.message((1, 5), (2, [4, 2])))))))) # noqa: E731
    attrs = [pb.message((1, key), (2, 2), (5, value)) for key, value in attributes.items()]
    op = pb.message((1, pb.message((1, "X"), (2, "x"))), (2, pb.message((1, "Out"), (2, "y"))), (3, operator), (4, attrs))
    block = pb.message((1, 0), (2, 0xFFFFFFFF), (3, [variable("x"), variable("y")]), (4, op))
    return pb.message((1, block), (4, pb.message((1, 2006000))))
