"""Honest ONNX models, from the onnx library."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from corpus import Corpus

F = TensorProto.FLOAT
OPSETS = [helper.make_opsetid("", 17)]


def make(c: Corpus):
    c.benign("onnx/gemm.onnx", data(gemm()), ["onnx"])
    c.benign("onnx/no-extension", data(gemm()), ["onnx"])
    named = gemm()
    named.producer_name, named.producer_version, named.domain, named.model_version = "pytorch", "2.15.0", "org.example", 3
    named.doc_string = "one linear layer"
    helper.set_model_props(named, {"author": "Example", "license": "Apache-2.0", "onnx.infer": "onnxruntime.quant", "homepage": "see the model card"})
    c.benign("onnx/with-metadata.onnx", data(named), ["onnx"])
    c.benign("onnx/float-data-field.onnx", data(gemm(raw=False)), ["onnx"])
    c.benign("onnx/if-loop-subgraphs.onnx", data(subgraphs()), ["onnx"])
    c.benign("onnx/functions.onnx", data(functions()), ["onnx"])
    c.benign("onnx/conv-relu-pool.onnx", data(conv()), ["onnx"])
    c.benign("onnx/ai-onnx-ml-tree.onnx", data(tree()), ["onnx"], "ai.onnx.ml is a standard domain")
    c.benign("onnx/microsoft-domain.onnx", data(microsoft()), ["onnx"], "com.microsoft operators ship with ONNX Runtime")
    c.benign("onnx/sparse-initializer.onnx", data(sparse()), ["onnx"])
    c.benign("onnx/bytes-spell-pyop.onnx", data(gemm(weights=np.frombuffer(b"PyOpPyOpLambda!!" * 2, "f4").reshape(4, 2))), ["onnx"],
             "weight bytes are not operators (modelaudit #1654)")
    for name, location in (("external", "external.onnx.data"), ("external-subdir", "data/weights.bin")):
        model, blob = external(location)
        c.benign(f"onnx/{name}/{name}.onnx", data(model), ["onnx"], "weights in a sibling file")
        c.companion(f"benign/onnx/{name}/{location}", blob)
    model, blob = external("all.data", offset=64, length=32, pad=64)
    c.benign("onnx/external-offset/model.onnx", data(model), ["onnx"], "offset and length given")
    c.companion("benign/onnx/external-offset/all.data", blob)


def data(model):
    return model.SerializeToString(deterministic=True)


def model_of(nodes, inputs, outputs, initializers=(), opsets=OPSETS, functions=(), name="graph"):
    graph = helper.make_graph(nodes, name, inputs, outputs, list(initializers))
    model = helper.make_model(graph, opset_imports=list(opsets), functions=list(functions), ir_version=9)
    model.producer_name = "weighbridge-corpus"
    return model


def value(name, *shape, type_=F):
    return helper.make_tensor_value_info(name, type_, list(shape))


def weights(rows=4, columns=2):
    return np.arange(rows * columns, dtype="f4").reshape(rows, columns)


def gemm(raw=True, weights=weights()):
    if raw:
        tensor = numpy_helper.from_array(weights, "w")
    else:
        tensor = helper.make_tensor("w", F, weights.shape, weights.flatten().tolist())
    bias = numpy_helper.from_array(np.zeros(2, "f4"), "b")
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="linear", alpha=1.0)
    return model_of([node], [value("x", "batch", 4)], [value("y", "batch", 2)], [tensor, bias])


def external_tensor(location, name="w", offset=None, length=None, shape=(4, 2)):
    """An initialiser whose data lives at `location`."""
    tensor = TensorProto(name=name, data_type=F, dims=shape, data_location=TensorProto.EXTERNAL)
    for key, entry in (("location", location), ("offset", offset), ("length", length)):
        if entry is not None:
            tensor.external_data.add(key=key, value=str(entry))
    return tensor


def external(location, offset=None, length=None, pad=0):
    model = gemm()
    model.graph.initializer[0].CopyFrom(external_tensor(location, offset=offset, length=length))
    return model, bytes(pad) + weights().tobytes()


def branch(name, operator="Identity", domain="", **attributes):
    node = helper.make_node(operator, ["x"], ["out"], domain=domain, **attributes)
    return helper.make_graph([node], name, [], [value("out", 2)])


def subgraphs():
    then, other = branch("then"), branch("else", "Neg")
    choose = helper.make_node("If", ["cond"], ["y"], then_branch=then, else_branch=other)
    body = helper.make_graph(
        [helper.make_node("Identity", ["c_in"], ["c_out"]), helper.make_node("Add", ["v_in", "y"], ["v_out"])], "body",
        [value("i", type_=TensorProto.INT64), value("c_in", type_=TensorProto.BOOL), value("v_in", 2)],
        [value("c_out", type_=TensorProto.BOOL), value("v_out", 2)])
    trips = numpy_helper.from_array(np.array(3, "i8"), "trips")
    loop = helper.make_node("Loop", ["trips", "cond", "x"], ["z"], body=body)
    return model_of([choose, loop], [value("x", 2), value("cond", type_=TensorProto.BOOL)], [value("z", 2)], [trips])


def functions():
    body = [helper.make_node("Mul", ["a", "a"], ["b"])]
    square = helper.make_function("local.functions", "Square", ["a"], ["b"], body, OPSETS)
    node = helper.make_node("Square", ["x"], ["y"], domain="local.functions")
    return model_of([node], [value("x", 2)], [value("y", 2)], opsets=[*OPSETS, helper.make_opsetid("local.functions", 1)], functions=[square])


def conv():
    kernel = numpy_helper.from_array(np.ones((2, 3, 3, 3), "f4"), "k")
    nodes = [helper.make_node("Conv", ["x", "k"], ["c"], kernel_shape=[3, 3]), helper.make_node("Relu", ["c"], ["r"]),
             helper.make_node("GlobalAveragePool", ["r"], ["y"])]
    return model_of(nodes, [value("x", 1, 3, 8, 8)], [value("y", 1, 2, 1, 1)], [kernel])


def tree():
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1, nodes_treeids=[0], nodes_nodeids=[0], nodes_featureids=[0],
        nodes_modes=["LEAF"], nodes_values=[0.0], nodes_truenodeids=[0], nodes_falsenodeids=[0], target_ids=[0], target_nodeids=[0],
        target_treeids=[0], target_weights=[1.0])
    return model_of([node], [value("x", 1, 1)], [value("y", 1, 1)], opsets=[*OPSETS, helper.make_opsetid("ai.onnx.ml", 3)])


def microsoft():
    node = helper.make_node("FusedMatMul", ["x", "x"], ["y"], domain="com.microsoft")
    return model_of([node], [value("x", 2, 2)], [value("y", 2, 2)], opsets=[*OPSETS, helper.make_opsetid("com.microsoft", 1)])


def sparse():
    values = helper.make_tensor("s", F, [1], [2.0])
    indices = helper.make_tensor("s_i", TensorProto.INT64, [1], [0])
    model = model_of([helper.make_node("Add", ["x", "s"], ["y"])], [value("x", 4)], [value("y", 4)])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))
    return model
