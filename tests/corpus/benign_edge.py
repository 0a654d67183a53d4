"""Honest files of the edge runtimes with a library here: Core ML, OpenVINO, MLX."""

import json
import logging
import warnings

import mlx.core as mx
import numpy as np
import openvino as ov
from openvino import opset13 as ops

import zips
from corpus import Corpus, saved, scratch


def make(c: Corpus):
    _coreml(c)
    _openvino(c)
    _mlx(c)


def _coreml(c):
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    import coremltools  # logs warnings while it is imported
    from coremltools.models import datatypes
    from coremltools.models.neural_network import NeuralNetworkBuilder

    builder = NeuralNetworkBuilder([("x", datatypes.Array(4))], [("y", datatypes.Array(2))])
    builder.add_inner_product("dense", np.ones((2, 4)), np.zeros(2), 4, 2, True, "x", "y")
    spec = builder.spec
    spec.description.metadata.author = "Example"
    spec.description.metadata.license = "Apache-2.0"
    spec.description.metadata.shortDescription = "one linear layer"
    c.benign("coreml/dense.mlmodel", spec.SerializeToString(deterministic=True), ["coreml"])
    tree = coremltools.models.tree_ensemble.TreeEnsembleRegressor([("x", datatypes.Array(1))], "y")
    tree.set_default_prediction_value(0.0)
    tree.add_branch_node(0, 0, 0, 0.5, "BranchOnValueLessThanEqual", 1, 2)
    tree.add_leaf_node(0, 1, 1.0)
    tree.add_leaf_node(0, 2, 2.0)
    c.benign("coreml/tree.mlmodel", tree.spec.SerializeToString(deterministic=True), ["coreml"])
    mlpackage(c, "benign/coreml/dense.mlpackage", spec.SerializeToString(deterministic=True))
    c.expect("benign/coreml/dense.mlpackage/Data/com.apple.CoreML/model.mlmodel", ("clean",), ["coreml"], None, "package layout by hand: the library writes it on macOS only")
    logging.disable(logging.NOTSET)


def mlpackage(c, where, model):
    identifier = "11111111-2222-4333-8444-555555555555"
    entries = {identifier: {"author": "com.apple.CoreML", "description": "CoreML Model Specification", "name": "model.mlmodel", "path": "com.apple.CoreML/model.mlmodel"}}
    c.companion(f"{where}/Manifest.json", json.dumps({"fileFormatVersion": "1.0.0", "itemInfoEntries": entries, "rootModelIdentifier": identifier}, indent=4))
    c.companion(f"{where}/Data/com.apple.CoreML/model.mlmodel", model)


def _openvino(c):
    x = ops.parameter([1, 4], np.float32, name="x")
    weight = ops.constant(np.ones((4, 2), np.float32))
    model = ov.Model([ops.relu(ops.matmul(x, weight, False, False))], [x], "dense")
    with scratch() as directory:
        ov.save_model(model, str(directory / "model.xml"), compress_to_fp16=False)
        c.benign("openvino/model.xml", (directory / "model.xml").read_bytes(), ["openvino"])
        c.companion("benign/openvino/model.bin", (directory / "model.bin").read_bytes())


def _mlx(c):
    weights = {"layers.0.weight": mx.ones((4, 2)), "layers.0.bias": mx.zeros((2,))}
    c.benign("mlx/weights.npz", zips.rewritten(saved(lambda p: mx.savez(p, **weights), "w.npz")), ["npz"])
    c.benign("mlx/model.safetensors", saved(lambda p: mx.save_safetensors(p, weights, {"format": "mlx"}), "m.safetensors"), ["safetensors", "mlx"])
    config = {"model_type": "llama", "quantization": {"group_size": 64, "bits": 4, "mode": "affine"}}
    c.benign("mlx/config.json", json.dumps(config, indent=2), [], verdict=("clean",))
    c.benign("mlx/model.gguf", saved(lambda p: mx.save_gguf(p, weights, {"general.architecture": "llama"}), "m.gguf"), ["gguf"], "gguf written by MLX")
