"""Reads an imported model with the `onnx` package and holds it against the
contract of the operators.

    python check_onnx.py FOLDER
"""
import os, sys
import onnx

BLOCK = {"q4": 288, "q4a": 384, "q8": 544, "q8h": 640, "f16": 1024}
KNOWN = {
    "weighbridge": {"Embed", "MatMul", "GatedFeedForward", "Attention"},
    "com.microsoft": {"SkipSimplifiedLayerNormalization"},
    "": {"SimplifiedLayerNormalization", "Gather", "Concat"},
}

folder = sys.argv[1]
model = onnx.load(os.path.join(folder, "model.onnx"), load_external_data=True)
assert model.ir_version == 10
assert {(o.domain, o.version) for o in model.opset_import} == {("", 21), ("com.microsoft", 1), ("weighbridge", 1)}
graph = model.graph
assert [i.name for i in graph.input] == ["input_ids", "logit_rows"]
assert [o.name for o in graph.output] == ["logits"]
sizes = {t.name: (t.data_type, list(t.dims), len(t.raw_data)) for t in graph.initializer}
assert len(sizes) == len(graph.initializer)
known, names, used = {"input_ids", "logit_rows", *sizes}, set(), set()
for node in graph.node:
    assert node.op_type in KNOWN[node.domain], (node.domain, node.op_type)
    assert node.name and node.name not in names
    names.add(node.name)
    for name in filter(None, node.input):
        assert name in known, name
        used.add(name)
    for name in filter(None, node.output):
        assert name not in known, name
        known.add(name)
    a = {x.name: onnx.helper.get_attribute_value(x) for x in node.attribute}
    if "layout" in a:
        rows = a.get("N", a.get("rows"))
        groups = -(-rows // 16) * (2 if node.op_type == "GatedFeedForward" else 1)
        expected = groups * a["K"] // 32 * BLOCK[a["layout"].decode()]
        kind, dims, length = sizes[node.input[1]]
        assert kind == onnx.TensorProto.UINT8 and dims == [expected] == [length], (node.name, dims, expected)
assert used >= set(sizes), set(sizes) - used
for name, (kind, dims, length) in sizes.items():
    if kind == onnx.TensorProto.FLOAT:
        assert length == 4 * dims[0], name
vocabulary = graph.output[0].type.tensor_type.shape.dim[2].dim_value
last = {x.name: onnx.helper.get_attribute_value(x) for x in graph.node[-1].attribute}
assert last["N"] == vocabulary
# The package's own checker knows the standard domain; contrib operators of
# ONNX Runtime live there too, so it is asked about the rest.
standard = onnx.ModelProto()
standard.CopyFrom(model)
del standard.graph.node[:]
standard.graph.node.extend(n for n in graph.node if n.op_type in ("Gather", "Concat"))
for node in standard.graph.node:
    context = onnx.checker.C.CheckerContext()
    context.ir_version, context.opset_imports = 10, {"": 21}
    onnx.checker.check_node(node, context)
for tensor in graph.initializer:
    onnx.checker.check_tensor(tensor)
print("ok")
