"""Keras models that run code, read files or import modules when loaded.

Every sample is an honest model whose configuration was edited afterwards, so no
Lambda and no gadget is ever executed while making it.
"""

import copy
import json

import h5py
import numpy as np

import zips
from benign_keras import KERAS2_CONFIG, keras2_h5, keras_zip, members, models, user_block
from corpus import BAD, DAMAGED, Corpus, saved
from malicious_pickle import evil
from markers import COMMAND, FILE, PYTHON_FILE, PYTHON_SYSTEM, URL, elf, lambda_code
from zips import Member


def make(c: Corpus):
    honest = keras_zip(models()["mlp"])
    _lambda_keras(c, honest)
    _modules(c, honest)
    _files(c, honest)
    _container(c, honest)
    _h5(c)
    _hdf5_references(c)
    _damaged(c, honest)


def keras3_lambda(expression="x * 2", name="lambda"):
    """A Lambda layer as Keras 3 stores it."""
    code = {"class_name": "__lambda__", "config": {"code": lambda_code(expression) + "\n", "defaults": None, "closure": None}}
    return {"module": "keras.layers", "class_name": "Lambda", "registered_name": None, "build_config": {"input_shape": [None, 2]},
            "config": {"name": name, "trainable": True, "dtype": "float32", "function": code, "arguments": {}}}


def keras2_lambda(expression="x * 2"):
    """A Lambda layer as Keras 2 stores it."""
    return {"class_name": "Lambda", "config": {"name": "lambda", "trainable": True, "dtype": "float32", "function": [lambda_code(expression), None, None], "function_type": "lambda",
                                               "module": "__main__", "output_shape": None, "output_shape_type": "raw", "arguments": {}}}


def layer(module, class_name, config, registered=None):
    return {"module": module, "class_name": class_name, "registered_name": registered, "config": config}


def edited(honest, change, metadata=None):
    """`honest` with `change(config)` applied to its configuration."""
    config, _, _ = members(honest)
    config = change(config) or config
    replace = {"config.json": json.dumps(config)}
    if metadata:
        replace["metadata.json"] = json.dumps(metadata)
    return zips.rewritten(honest, replace)


def appended(*layers):
    def change(config):
        config["config"]["layers"].extend(layers)

    return change


def wrapped(module, wrapper, inner, key="layer", **more):
    return layer(module, wrapper, {"name": "wrapper", "trainable": True, key: inner, **more})


def sequential(*layers, name="inner"):
    return layer("keras", "Sequential", {"name": name, "trainable": True, "layers": list(layers)})


def _lambda_keras(c, honest):
    def add(name, change, evidence="Lambda", note="CVE-2024-3660: marshalled Python in a Lambda", verdict=BAD):
        c.malicious(f"keras-lambda/{name}.keras", edited(honest, change), ["keras-zip"], evidence, note, verdict)

    hostile = keras3_lambda(PYTHON_SYSTEM)
    add("harmless-code", appended(keras3_lambda()), note="opaque code, harmless body")
    add("hostile-code", appended(hostile))
    add("in-submodel", appended(sequential(hostile)))
    add("three-submodels-deep", appended(sequential(sequential(sequential(hostile), name="b"), name="a")))
    add("in-time-distributed", appended(wrapped("keras.layers", "TimeDistributed", hostile)))
    add("in-bidirectional", appended(wrapped("keras.layers", "Bidirectional", hostile, backward_layer=hostile, merge_mode="concat")))
    add("in-rnn-cell", appended(wrapped("keras.layers", "RNN", hostile, key="cell")))
    add("in-stacked-cells", appended(wrapped("keras.layers", "RNN", layer("keras.layers", "StackedRNNCells", {"cells": [hostile]}), key="cell")))
    add("in-spectral-normalization", appended(wrapped("keras.layers", "SpectralNormalization", hostile)))
    add("in-pipeline", appended(wrapped("keras.layers", "Pipeline", [hostile], key="layers")))
    add("in-call-arguments", appended(layer("keras.layers", "Dense", {"name": "d", "units": 1, "activation": keras3_lambda(PYTHON_SYSTEM)["config"]["function"]})), "<lambda>")
    add("in-initializer", appended(layer("keras.layers", "Dense", {"name": "d", "units": 1, "kernel_initializer": hostile["config"]["function"]})), "<lambda>")
    add("in-regularizer", appended(layer("keras.layers", "Dense", {"name": "d", "units": 1, "kernel_regularizer": hostile["config"]["function"]})), "<lambda>")
    add("class-name-lambda-other-module", appended(hostile | {"module": "keras.src.layers.core.lambda_layer"}))
    add("registered-name-only", appended(hostile | {"class_name": "Custom", "registered_name": "Lambda"}), "<lambda>")
    add("tensorflow-module", appended(hostile | {"module": "tensorflow.keras.layers"}))

    def compile_config(key):
        def change(config):
            config["compile_config"] = (config.get("compile_config") or {}) | {key: hostile["config"]["function"]}

        return change

    for key in ("loss", "metrics", "optimizer"):
        add(f"in-compile-{key}", compile_config(key), "<lambda>")

    def functional(config):
        return layer("keras", "Functional", {"name": "f", "trainable": True, "layers": [hostile | {"name": "lambda", "inbound_nodes": []}], "input_layers": [], "output_layers": []}, "Functional")

    add("functional-model", functional)
    add("model-itself-is-lambda", lambda config: hostile)


def _modules(c, honest):
    def add(name, change, evidence, note, verdict=BAD):
        c.malicious(f"keras-modules/{name}.keras", edited(honest, change), ["keras-zip"], evidence, note, verdict)

    injected = "CVE-2025-1550: module and class from the configuration are imported"
    for module, name, config in (("os", "system", {"command": COMMAND}), ("builtins", "exec", {"source": "marker"}), ("builtins", "eval", {"source": "marker"}), ("subprocess", "Popen", {"args": COMMAND}),
                                 ("subprocess", "run", {"args": COMMAND}), ("posix", "system", {"command": COMMAND}), ("importlib", "import_module", {"name": "weighbridge_marker"}), ("pickle", "loads", {"data": ""}),
                                 ("runpy", "run_path", {"path_name": FILE}), ("shutil", "rmtree", {"path": FILE}), ("heapq", "_main", {}), ("keras.src.backend", "exec", {})):
        add(f"layer-{module}.{name}", appended(layer(module, name, config)), f"{module}", injected)
    add("function-object", appended(layer("builtins", "function", "system") | {"module": "os"}), "os", injected)
    add("registered-name-os-system", appended(layer("keras.layers", "Dense", {}, "os>system")), "os", injected)
    add("model-class", lambda config: layer("os", "system", {"command": COMMAND}), "os", injected)
    add("custom-package", appended(layer("acme_research.layers", "Gate", {"name": "g"}, "acme>Gate")), "acme", "a custom layer: unknown class")
    get_file = layer("keras.utils", "get_file", {"fname": "marker", "origin": URL, "extract": True})
    add("get-file", appended(get_file), "get_file", "CVE-2025-8747, -12060: downloads and unpacks")
    add("get-file-in-argument", appended(layer("keras.layers", "Lambda", {"name": "l", "function": layer("builtins", "function", "get_file") | {"module": "keras.utils"}, "arguments": {"origin": URL}})), "get_file", "CVE-2025-8747: reuse of a Keras function")
    add("enable-unsafe-deserialization", appended(layer("keras.config", "enable_unsafe_deserialization", {})), "enable_unsafe_deserialization", "CVE-2025-9906: turns safe mode off, then loads a Lambda")
    add("enable-unsafe-then-lambda", appended(layer("keras.src.saving.serialization_lib", "enable_unsafe_deserialization", {}), keras3_lambda(PYTHON_SYSTEM)), "enable_unsafe_deserialization", "CVE-2025-9906")
    add("torch-module-wrapper", appended(layer("keras.layers", "TorchModuleWrapper", {"name": "t", "module": "gASVAAAAAAAAAC4="})), "TorchModuleWrapper", "CVE-2025-49655: torch.load of a base64 pickle")
    import base64

    add("torch-module-wrapper-evil", appended(layer("keras.src.utils.torch_utils", "TorchModuleWrapper", {"name": "t", "module": base64.b64encode(evil(2)).decode()})), "TorchModuleWrapper", "CVE-2025-49655")
    add("tfsm-layer", appended(layer("keras.layers", "TFSMLayer", {"name": "t", "filepath": FILE})), "TFSMLayer", "loads another SavedModel")
    add("jax-layer", appended(layer("keras.layers", "JaxLayer", {"name": "j", "call_fn": keras3_lambda(PYTHON_SYSTEM)["config"]["function"]})), None, "arbitrary function")
    add("flax-layer", appended(layer("keras.layers", "FlaxLayer", {"name": "j", "module": keras3_lambda(PYTHON_SYSTEM)["config"]["function"]})), None, "arbitrary function")


def _files(c, honest):
    def add(name, entry, evidence):
        c.malicious(f"keras-files/{name}.keras", edited(honest, appended(entry)), ["keras-zip"], evidence, "CVE-2025-12058: a path or URL is read while loading", BAD)

    for name, path in {"absolute": "/etc/hostname", "parent": "../../../etc/hostname", "url": URL, "bucket": "gs://example-invalid/marker", "home": "~/.ssh/id_rsa", "windows": "C:\\Windows\\win.ini"}.items():
        add(f"string-lookup-{name}", layer("keras.layers", "StringLookup", {"name": "s", "vocabulary": path}), "vocabulary")
    for kind in ("IntegerLookup", "TextVectorization", "IndexLookup"):
        add(f"{kind.lower()}-absolute", layer("keras.layers", kind, {"name": "s", "vocabulary": "/etc/hostname"}), "vocabulary")
    add("nested-string-lookup", sequential(layer("keras.layers", "StringLookup", {"name": "s", "vocabulary": "/etc/hostname"})), "vocabulary")
    add("image-load", layer("keras.utils", "load_img", {"path": "/etc/hostname"}), "load_img")


def _container(c, honest):
    config, metadata, weights = members(honest)
    text = json.dumps(config)
    bad = json.dumps(edited_config(config, keras3_lambda(PYTHON_SYSTEM)))

    def add(name, archive, evidence, note, verdict=BAD):
        c.malicious(f"keras-container/{name}.keras", zips.archive(archive), ["keras-zip"], evidence, note, verdict)

    base = [Member("metadata.json", metadata), Member("config.json", text.encode()), Member("model.weights.h5", weights)]
    add("duplicate-config-last-evil", [*base, Member("config.json", bad.encode())], None, "two config.json: readers take the last")
    add("duplicate-config-first-evil", [Member("config.json", bad.encode()), *base], None, "two config.json: some readers take the first")
    add("config-local-name-differs", [base[0], Member("config.json", bad.encode(), local_name="notes.txt"), base[2]], None, "central and local names differ")
    add("pickle-asset", [*base, Member("assets/hook.pkl", evil(4))], "posix.system", "a pickle among the assets", ("malicious",))
    add("executable-asset", [*base, Member("assets/helper", elf())], None, "an executable among the assets")
    add("python-asset", [*base, Member("assets/setup.py", PYTHON_FILE.encode())], None, "a script among the assets")
    add("path-traversal", [*base, Member("../../../tmp/weighbridge-marker", b"marker")], "..", "zip slip")
    add("weights-are-a-pickle", [base[0], base[1], Member("model.weights.h5", evil(2))], "posix.system", "a pickle where the weights should be", ("malicious",))
    add("weights-npz-object", [base[0], base[1], Member("model.weights.npz", zips.archive([("w.npy", npy_marker())]))], "posix.system", "npz with an object array", ("malicious",))
    escaped = bad.replace('"Lambda"', '"\\u004cambda"')
    add("class-name-escaped", [base[0], Member("config.json", escaped.encode()), base[2]], "Lambda", "JSON escapes hide the letters")
    add("config-utf16", [base[0], Member("config.json", bad.encode("utf-16")), base[2]], None, "json.loads detects UTF-16", BAD + ("unknown",))
    doubled = bad.replace('"class_name": "Lambda"', '"class_name": "Dense", "class_name": "Lambda"')
    add("class-name-twice", [base[0], Member("config.json", doubled.encode()), base[2]], "Lambda", "duplicate JSON key: the last one wins")


def npy_marker():
    from malicious_joblib_numpy import npy_of_pickle

    return npy_of_pickle(evil(2))


def edited_config(config, *layers):
    config = copy.deepcopy(config)
    config["config"]["layers"].extend(layers)
    return config


def _h5(c):
    def with_layers(*layers):
        config = copy.deepcopy(KERAS2_CONFIG)
        config["config"]["layers"].extend(layers)
        return config

    hostile = keras2_lambda(PYTHON_SYSTEM)
    inner = {"class_name": "Sequential", "config": {"name": "inner", "layers": [hostile]}}
    cases = {
        "lambda-harmless": (with_layers(keras2_lambda()), "Lambda", "opaque code, harmless body"),
        "lambda-hostile": (with_layers(hostile), "Lambda", "CVE-2024-3660, CVE-2025-9905: .h5 ignores safe mode"),
        "lambda-in-submodel": (with_layers(inner), "Lambda", "nested"),
        "lambda-in-time-distributed": (with_layers({"class_name": "TimeDistributed", "config": {"name": "t", "layer": hostile}}), "Lambda", "wrapped"),
        "lambda-keras3-form": (with_layers(keras3_lambda(PYTHON_SYSTEM)), "Lambda", "Keras 3 form in HDF5"),
        "module-os-system": (with_layers(layer("os", "system", {"command": COMMAND})), "os", "CVE-2025-1550"),
        "custom-class": (with_layers({"class_name": "acme>Gate", "config": {"name": "g"}}), "acme", "a custom layer: unknown class"),
        "string-lookup-file": (with_layers({"class_name": "StringLookup", "config": {"name": "s", "vocabulary": "/etc/hostname"}}), "vocabulary", "CVE-2025-12058"),
        "functional-lambda": ({"class_name": "Functional", "config": {"name": "f", "layers": [hostile | {"name": "lambda", "inbound_nodes": []}], "input_layers": [], "output_layers": []}}, "Lambda", "functional model"),
    }
    for name, (config, evidence, note) in cases.items():
        c.malicious(f"keras-h5/{name}.h5", keras2_h5(config), ["keras-h5"], evidence, note, BAD)
    c.malicious("keras-h5/lambda-in-loss.h5", keras2_h5(training={"loss": hostile, "optimizer_config": {}}), ["keras-h5"], "Lambda", "in training_config", BAD)
    c.malicious("keras-h5/lambda-no-extension", keras2_h5(with_layers(hostile)), ["keras-h5"], "Lambda", "no suffix", BAD)

    def as_bytes(file):
        file.attrs["model_config"] = np.bytes_(json.dumps(with_layers(hostile)).encode())

    c.malicious("keras-h5/lambda-fixed-length-string.h5", keras2_h5(change=as_bytes), ["keras-h5"], "Lambda", "fixed-length instead of variable-length string", BAD)

    def in_dataset(file):
        del file.attrs["model_config"]
        group = file.create_group("nested/model")
        group.attrs["model_config"] = json.dumps(with_layers(hostile))

    c.malicious("keras-h5/lambda-in-nested-group.h5", keras2_h5(change=in_dataset), ["keras-h5"], "Lambda", "configuration on a nested group", (*BAD, "clean"))

    def dense_attributes(path):
        with h5py.File(path, "w", libver="latest") as file:
            file.attrs["keras_version"] = "2.11.0"
            for index in range(20):
                file.attrs[f"note_{index:02}"] = "x" * 50
            file.attrs["model_config"] = json.dumps(with_layers(hostile))

    c.malicious("keras-h5/lambda-dense-attributes.h5", saved(dense_attributes), ["keras-h5"], "Lambda", "attributes in a fractal heap (new file layout)", BAD + ("unknown",))
    c.malicious("keras-h5/lambda-behind-user-block.h5", b"#" * 512 + _shifted(with_layers(hostile)), ["keras-h5"], "Lambda", "a user block of 512 bytes first", BAD)

    def pickled(file):
        file.create_dataset("payload", data=np.void(evil(2)))

    c.malicious("keras-h5/opaque-pickle.h5", keras2_h5(change=pickled), ["keras-h5"], None, "a pickle in an opaque dataset", (*BAD, "clean"))


def _shifted(config):
    """The file after its user block: h5py writes the block as zeros, which we replace."""

    def write(path):
        with h5py.File(path, "w", userblock_size=512) as file:
            file.attrs["keras_version"] = "2.11.0"
            file.attrs["model_config"] = json.dumps(config)

    return saved(write)[512:]


def _hdf5_references(c):
    def weights_with(change):
        return keras2_h5(change=change)

    def external_link(target, path="/data"):
        def change(file):
            file["model_weights/dense/dense/secret:0"] = h5py.ExternalLink(target, path)

        return weights_with(change)

    for name, target in {"absolute": "/etc/hostname", "parent": "../../../secret.h5", "sibling": "other.h5", "url": URL}.items():
        c.malicious(f"hdf5-references/external-link-{name}.h5", external_link(target), ["keras-h5"], target if name != "url" else None, "CVE-2026-1669: an external link reads another file", BAD)

    def external_storage(file):
        file.create_dataset("model_weights/dense/dense/extra:0", (16,), "u1", external=[("/etc/hostname", 0, 16)])

    c.malicious("hdf5-references/external-storage.h5", weights_with(external_storage), ["keras-h5"], "/etc/hostname", "CVE-2026-1669: raw data in another file", BAD)

    def virtual(file):
        layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
        layout[:] = h5py.VirtualSource("/etc/hostname", "data", shape=(4,))
        file.create_virtual_dataset("model_weights/dense/dense/virtual:0", layout)

    c.malicious("hdf5-references/virtual-dataset.h5", weights_with(virtual), ["keras-h5"], None, "a virtual dataset over another file", BAD)

    def soft_loop(file):
        file["loop/a"] = h5py.SoftLink("/loop/b")
        file["loop/b"] = h5py.SoftLink("/loop/a")

    c.malicious("hdf5-references/soft-link-loop.h5", weights_with(soft_loop), ["keras-h5"], None, "two links to each other", (*DAMAGED, "clean"))

    def hard_loop(file):
        file["ring/again"] = file["/"]

    c.malicious("hdf5-references/group-cycle.h5", weights_with(lambda f: (f.create_group("ring"), hard_loop(f))), ["keras-h5"], None, "a group that contains its parent", (*DAMAGED, "clean"))
    weights = saved(lambda p: _weights_external(p), "m.weights.h5")
    c.malicious("hdf5-references/weights-external-link.weights.h5", weights, ["keras-h5"], "/etc/hostname", "CVE-2026-1669 in a .weights.h5", BAD)


def _weights_external(path):
    with h5py.File(path, "w") as file:
        file.create_group("layers/dense/vars")
        file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/hostname", "/data")


def _damaged(c, honest):
    h5 = user_block()
    for cut in (8, 100, len(honest) // 2):
        c.malicious(f"damaged/keras/truncated-{cut}.keras", honest[:cut], [], None, "truncated", DAMAGED)
    whole = keras2_h5()
    for cut in (8, 96, 800, len(whole) - 64):
        c.malicious(f"damaged/hdf5/truncated-{cut}.h5", whole[:cut], [], None, "truncated", DAMAGED)
    wild = bytearray(whole)
    wild[40:48] = b"\xff" * 7 + b"\x7f"
    c.malicious("damaged/hdf5/end-of-file-address-lies.h5", bytes(wild), [], None, "superblock addresses", DAMAGED)
    wild = bytearray(whole)
    wild[8] = 9
    c.malicious("damaged/hdf5/superblock-version-9.h5", bytes(wild), [], None, "unknown superblock", DAMAGED)
    c.malicious("damaged/hdf5/user-block-only.h5", h5[:512], [], None, "only the user block", DAMAGED)
    config, metadata, weights = members(honest)
    deep = '{"class_name":"Sequential","config":{"layers":' + "[" * 15000 + "]" * 15000 + "}}"
    c.malicious("damaged/keras/config-depth-bomb.keras", zips.archive([Member("metadata.json", metadata), Member("config.json", deep.encode(), zips.DEFLATED), Member("model.weights.h5", weights)]), [], None, "15,000 nested lists", DAMAGED)
    c.malicious("damaged/keras/config-not-json.keras", zips.archive([Member("metadata.json", metadata), Member("config.json", b"{marker"), Member("model.weights.h5", weights)]), [], None, "broken configuration", DAMAGED)
    c.malicious("damaged/keras/config-missing.keras", zips.archive([Member("metadata.json", metadata), Member("model.weights.h5", weights)]), [], None, "no configuration", (*DAMAGED, "clean"))
