"""TensorFlow graphs that read or write files, run Python, load code, or are malformed.

Graphs are built, never run: constructing a node executes nothing.
"""

import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

import protobufs
from benign_tensorflow import frozen_graph, tflite
from corpus import BAD, DAMAGED, SUSPICIOUS, Corpus
from malicious_pickle import evil
from markers import FILE, URL

# Operator, string inputs: what an attacker writes into a graph.
OPERATORS = {
    "ReadFile": ["/etc/hostname"],
    "WriteFile": [FILE, "marker"],
    "MatchingFiles": ["/etc/*"],
    "PyFunc": [],
    "PyFuncStateless": [],
    "EagerPyFunc": [],
    "SaveV2": [FILE],
    "Save": [FILE],
    "SaveSlices": [FILE],
    "RestoreV2": ["/etc/hostname"],
    "MergeV2Checkpoints": [FILE, FILE],
    "PrintV2": ["marker"],
    "TFRecordDataset": ["/etc/hostname"],
    "TextLineDataset": ["/etc/hostname"],
    "FixedLengthRecordDataset": ["/etc/hostname"],
    "WholeFileReaderV2": [],
    "TextLineReaderV2": [],
    "TFRecordReaderV2": [],
    "InitializeTableFromTextFileV2": ["/etc/hostname"],
    "ImmutableConst": [],
    "DebugIdentityV2": [],
    "DebugIdentity": [],
    "DebugNumericSummaryV2": [],
    "GetElementAtIndex": [],
    "RpcCall": [URL],
    "RpcServer": [URL],
    "RegisterDatasetV2": [URL],
    "DataServiceDatasetV4": [URL],
    "LoadDataset": ["/etc/hostname"],
    "SaveDataset": [FILE],
    "SaveDatasetV2": [FILE],
    "CacheDataset": [FILE],
    "SnapshotDatasetV2": [FILE],
    "SqlDataset": ["sqlite", FILE, "SELECT 1"],
    "LMDBDataset": [FILE],
    "WriteScalarSummary": ["marker"],
    "CreateSummaryFileWriter": [FILE],
    "WriteAudioSummary": ["marker"],
    "WriteGraphSummary": ["marker"],
    "AudioMicrofrontend": [],
    "ExtractGlimpse": [],
    "OutfeedEnqueue": [],
    "XlaHostCompute": [],
    "TPUExecute": [],
    "RemoteCall": ["/job:worker"],
    "LoadLibrary": [FILE],
    "LookupTableExportV2": [],
    "GeneratorDataset": [],
    "IteratorFromStringHandleV2": ["marker"],
    "CustomMarkerOp": [],
}
# In the operator list above, these are ordinary operators or merely unusual.
SOFT = {"PrintV2", "RestoreV2", "AudioMicrofrontend", "ExtractGlimpse", "OutfeedEnqueue", "XlaHostCompute", "TPUExecute", "LookupTableExportV2", "IteratorFromStringHandleV2",
        "WriteScalarSummary", "WriteAudioSummary", "WriteGraphSummary", "GetElementAtIndex", "CacheDataset", "DebugNumericSummaryV2", "InitializeTableFromTextFileV2"}


def make(c: Corpus):
    _operators(c)
    _places(c)
    _malformed(c)
    _tflite(c)


def node(graph, operator, name, inputs=(), **attributes):
    added = graph.node.add(op=operator, name=name, input=list(inputs))
    for key, value in attributes.items():
        added.attr[key].CopyFrom(value)
    return added


def string_constant(graph, name, text):
    tensor = tf.make_tensor_proto(text)
    node(graph, "Const", name, value=tf.compat.v1.AttrValue(tensor=tensor), dtype=tf.compat.v1.AttrValue(type=tf.string.as_datatype_enum))


def graph_with(operator, texts=(), graph=None):
    graph = graph or graph_pb2.GraphDef()
    for index, text in enumerate(texts):
        string_constant(graph, f"text_{index}", text)
    extra = {"token": tf.compat.v1.AttrValue(s=b"pyfunc_0")} if "PyFunc" in operator else {}
    if operator == "ImmutableConst":
        extra = {"memory_region_name": tf.compat.v1.AttrValue(s=b"/etc/hostname")}
    if operator.startswith("Debug"):
        extra = {"debug_urls": tf.compat.v1.AttrValue(list=tf.compat.v1.AttrValue.ListValue(s=[b"file:///tmp/weighbridge-marker", b"grpc://example.invalid:6064"]))}
    node(graph, operator, "marker", [f"text_{i}" for i in range(len(texts))], **extra)
    return graph


def saved_model(graph, functions=(), tags=("serve",), signature=True):
    """A SavedModel with one MetaGraph around `graph`."""
    model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    model.meta_graphs.append(meta_graph(graph, functions, tags, signature))
    return model


def meta_graph(graph, functions=(), tags=("serve",), signature=True):
    meta = meta_graph_pb2.MetaGraphDef(graph_def=graph)
    meta.meta_info_def.tags.extend(tags)
    meta.meta_info_def.tensorflow_version = "2.21.0"
    meta.graph_def.library.function.extend(functions)
    if signature:
        meta.signature_def["serving_default"].outputs["y"].name = "marker:0"
    return meta


def function_with(operator, texts=()):
    body = graph_with(operator, texts)
    function = graph_pb2.GraphDef().library.function.add()
    function.signature.name = "__inference_call_7"
    for each in body.node:
        function.node_def.append(each)
    return function


def data(message):
    return message.SerializeToString(deterministic=True)


def _operators(c):
    for operator, texts in OPERATORS.items():
        verdict = (*BAD, "unknown", "clean") if operator in SOFT else BAD
        c.malicious(f"saved-model/{operator}/saved_model.pb", data(saved_model(graph_with(operator, texts))), ["tf-savedmodel"], None if operator in SOFT else operator, "an operator with effects outside the model", verdict)
    for operator in ("ReadFile", "WriteFile", "PyFunc", "MatchingFiles", "SaveV2", "CustomMarkerOp"):
        graph = graph_with(operator, OPERATORS[operator])
        c.malicious(f"tf-graphdef/{operator}.pb", data(graph), ["tf-graphdef"], operator, "frozen graph", BAD)
    c.malicious("tf-graphdef/WriteFile.pbtxt", text_format.MessageToString(graph_with("WriteFile", OPERATORS["WriteFile"])), ["tf-graphdef"], "WriteFile", "text form", BAD)
    c.malicious("tf-graphdef/no-extension", data(graph_with("ReadFile", OPERATORS["ReadFile"], frozen_graph())), ["tf-graphdef"], "ReadFile", "after honest nodes", BAD)


def _places(c):
    """The same operator where a shallow scan does not look."""
    honest = frozen_graph()
    write = OPERATORS["WriteFile"]

    def add(name, model, evidence="WriteFile", note="", verdict=BAD):
        c.malicious(f"saved-model-places/{name}/saved_model.pb", data(model), ["tf-savedmodel"], evidence, note, verdict)

    add("in-library-function", saved_model(honest, [function_with("WriteFile", write)]), note="in a function of the library")
    add("in-second-metagraph", _two_meta_graphs(honest, graph_with("WriteFile", write)), note="the second MetaGraph")
    nested = graph_pb2.GraphDef()
    string_constant(nested, "graph_text", data(graph_with("WriteFile", write)))
    node(nested, "DatasetFromGraph", "marker", ["graph_text"])
    add("serialized-graph-in-constant", saved_model(nested), "DatasetFromGraph", "a graph in a string constant (modelscan issue)")
    in_function = function_with("DatasetFromGraph", [data(graph_with("WriteFile", write))])
    add("serialized-graph-in-dataset-function", saved_model(honest, [in_function]), "DatasetFromGraph", "nested and in a function")
    add("savev2-in-serving-signature", saved_model(graph_with("SaveV2", [FILE])), "SaveV2", "a checkpoint writer that is no saver")
    named = graph_with("WriteFile", write)
    named.node[-1].device = "/job:worker/task:0"
    add("on-another-device", saved_model(named), note="placed on a device")
    many = frozen_graph()
    for index in range(300):
        node(many, "Identity", f"pass_{index}", ["x"])
    add("after-300-honest-nodes", saved_model(graph_with("WriteFile", write, many)))
    init = saved_model(graph_with("WriteFile", write), signature=False)
    init.meta_graphs[0].signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].name = "marker"
    add("in-init-operation", init, note="the initialisation operation runs at load")
    collection = saved_model(graph_with("WriteFile", write), signature=False)
    collection.meta_graphs[0].collection_def["saved_model_main_op"].node_list.value.append("marker")
    add("in-main-op-collection", collection, note="TF1 main_op runs at load")
    asset = saved_model(honest)
    asset.meta_graphs[0].asset_file_def.add(filename="../../../etc/hostname").tensor_info.name = "x:0"
    add("asset-path-traversal", asset, "..", "an asset outside the model directory")
    old = saved_model(honest)
    old.meta_graphs[0].meta_info_def.stripped_op_list.op.add(name="CustomMarkerOp")
    add("stripped-op-list-custom", old, None, "declares an operator that TensorFlow does not have", (*BAD, "clean"))
    lambda_layer = saved_model(honest)
    metadata = '{"class_name": "Lambda", "config": {"function": {"class_name": "__tuple__", "items": ["4wEAAAA=", null, null]}}}'
    lambda_layer.meta_graphs[0].object_graph_def.nodes.add().user_object.metadata = metadata
    add("keras-lambda-in-object-graph", lambda_layer, "Lambda", "Keras metadata of TF 2.0 to 2.4")
    c.malicious("saved-model-places/keras-metadata-lambda/keras_metadata.pb", protobufs.message((1, protobufs.message((2, 1), (3, "root"), (4, "_tf_keras_layer"), (5, metadata)))), [], "Lambda", "keras_metadata.pb (TF 2.5 to 2.15)", BAD)
    c.companion("malicious/saved-model-places/keras-metadata-lambda/saved_model.pb", data(saved_model(honest)))
    c.malicious("saved-model-places/text-form/saved_model.pbtxt", text_format.MessageToString(saved_model(graph_with("WriteFile", write))), ["tf-savedmodel"], "WriteFile", "text form", BAD)
    c.malicious("saved-model-places/meta-graph.meta", data(meta_graph(graph_with("WriteFile", write))), [], "WriteFile", "a TF1 .meta file", BAD)
    c.malicious("saved-model-places/pickle-beside/assets.extra/hook.pkl", evil(2), ["pickle"], "posix.system", "a pickle in assets.extra")
    c.companion("malicious/saved-model-places/pickle-beside/saved_model.pb", data(saved_model(honest)))


def _two_meta_graphs(first, second):
    model = saved_model(first)
    model.meta_graphs.append(meta_graph(second, tags=("train",)))
    return model


def _malformed(c):
    good = data(saved_model(frozen_graph()))
    for name, content in {"truncated": good[:-9], "truncated-early": good[:20], "length-beyond-file": b"\x08\x01\x12\xff\xff\xff\x7f" + good[5:50]}.items():
        c.malicious(f"tf-malformed/{name}/saved_model.pb", content, [], None, "malformed protobuf", DAMAGED)
    graph = data(frozen_graph())
    c.malicious("tf-malformed/graph-truncated.pb", graph[:-7], [], None, "malformed protobuf", DAMAGED)
    deep = b""
    for _ in range(1500):
        deep = protobufs.field(1, deep)
    c.malicious("tf-malformed/depth-1500.pb", deep, [], None, "nested messages", DAMAGED)
    footer = bytes.fromhex("57fb808b247547db")
    c.malicious("tf-malformed/checkpoint-only-footer.index", bytes(40) + footer, [], None, "a table without blocks", DAMAGED)


def _tflite(c):
    spec = [tf.TensorSpec((1, 4), tf.float32)]
    flex = tflite(lambda x: tf.strings.to_number(tf.strings.as_string(x)), spec, flex=True)
    c.malicious("tflite/flex-as-string.tflite", flex, ["tflite"], "Flex", "a Flex operator: runs TensorFlow kernels", BAD)
    reader = tflite(lambda x: tf.strings.to_number(tf.io.read_file("/etc/weighbridge-marker")) + x, spec, flex=True)
    c.malicious("tflite/flex-read-file.tflite", reader, ["tflite"], "ReadFile", "reads a file when run", BAD)
    c.malicious("tflite/flex-write-file.tflite", tflite(_writes, spec, flex=True), ["tflite"], "WriteFile", "writes a file when run", BAD)
    custom = tflite(tf.math.erfinv, spec, allow_custom_ops=True)
    c.malicious("tflite/custom-operator.tflite", custom.replace(b"Erfinv", b"Marker"), ["tflite"], "Marker", "needs native code", SUSPICIOUS)
    honest = tflite(lambda x: x + 1.0, spec)
    import zips

    c.malicious("tflite/appended-zip-pickle.tflite", honest + zips.archive([("hook.pkl", evil(2))]), ["tflite"], "posix.system", "metadata zip with a pickle", BAD)
    c.malicious("tflite/appended-pickle.tflite", honest + evil(2), ["tflite"], None, "trailing bytes", (*BAD, "unknown", "clean"))
    for name, content in {"truncated": honest[: len(honest) // 2], "root-out-of-range": b"\xff\xff\xff\x7f" + honest[4:], "only-identifier": b"\x10\0\0\0TFL3", "vtable-out-of-range": _wild_vtable(honest),
                          "vector-length-2-31": _wild_vector(honest)}.items():
        c.malicious(f"tflite-malformed/{name}.tflite", content, [], None, "malformed flatbuffer", DAMAGED)


def _writes(x):
    with tf.control_dependencies([tf.raw_ops.WriteFile(filename=FILE, contents="marker")]):
        return tf.identity(x)


def _wild_vtable(honest):
    root = int.from_bytes(honest[:4], "little")
    return honest[:root] + (0x7FFFFFFF).to_bytes(4, "little") + honest[root + 4 :]


def _wild_vector(honest):
    """Sets the length of the operator code vector, found through the root table."""
    root = int.from_bytes(honest[:4], "little")
    vtable = root - int.from_bytes(honest[root : root + 4], "little", signed=True)
    field = root + int.from_bytes(honest[vtable + 6 : vtable + 8], "little")
    vector = field + int.from_bytes(honest[field : field + 4], "little")
    return honest[:vector] + (0x7FFFFFFF).to_bytes(4, "little") + honest[vector + 4 :]
