"""Honest TensorFlow files: SavedModel, frozen graphs, checkpoints, TFLite."""

import io
import os
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from google.protobuf import text_format

from corpus import Corpus, scratch


def make(c: Corpus):
    tf.random.set_seed(7)
    for name, module in {"linear": Linear(), "lookup": Lookup()}.items():
        add_directory(c, f"benign/saved-model/{name}", lambda p, m=module: tf.saved_model.save(m, p), "saved_model.pb", ["tf-savedmodel"])
    add_directory(c, "benign/saved-model/keras", _keras_export, "saved_model.pb", ["tf-savedmodel"])
    add_directory(c, "benign/saved-model/with-asset", lambda p: tf.saved_model.save(WithAsset(p), p), "saved_model.pb", ["tf-savedmodel"])
    c.benign("saved-model/linear/tfhub_module.pb", b"\x08\x03", ["tfhub"], "two bytes that mark a hub module", ("clean", "unknown"))
    graph = frozen_graph()
    c.benign("tf-graphdef/frozen.pb", graph.SerializeToString(deterministic=True), ["tf-graphdef"])
    c.benign("tf-graphdef/frozen.pbtxt", text_format.MessageToString(graph), ["tf-graphdef"], verdict=("clean",))
    c.benign("tf-graphdef/control-flow.pb", control_flow().SerializeToString(deterministic=True), ["tf-graphdef"])
    _checkpoint(c)
    _tflite(c)


class Linear(tf.Module):
    def __init__(self):
        self.weight = tf.Variable(tf.ones((4, 2)), name="weight")

    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32)])
    def __call__(self, x):
        return tf.nn.relu(x @ self.weight)


class Lookup(tf.Module):
    """String operators and a hash table: common, and harmless."""

    def __init__(self):
        keys, values = tf.constant(["cat", "dog"]), tf.constant([0, 1], tf.int64)
        self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), -1)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def __call__(self, text):
        return self.table.lookup(tf.strings.lower(text))


class WithAsset(tf.Module):
    """A vocabulary file that is part of the model, written beside it first."""

    def __init__(self, directory):
        vocabulary = Path(directory).with_name("vocabulary.txt")
        vocabulary.write_text("cat\ndog\n")
        self.asset = tf.saved_model.Asset(str(vocabulary))
        initializer = tf.lookup.TextFileInitializer(self.asset, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER)
        self.table = tf.lookup.StaticHashTable(initializer, -1)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def __call__(self, text):
        return self.table.lookup(text)


def keras_model():
    keras.utils.set_random_seed(7)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(1)])


def _keras_export(path):
    import contextlib

    with contextlib.redirect_stdout(io.StringIO()):
        keras_model().export(path, verbose=False)


def add_directory(c, where, write, main, formats, note=""):
    """Everything `write(directory)` makes; `main` gets the expectation."""
    with scratch() as base:
        directory = base / "model"
        write(str(directory))
        shutil.rmtree(directory / "debug", ignore_errors=True)
        for file in sorted(directory.rglob("*")):
            relative = file.relative_to(directory).as_posix()
            if not file.is_file() or relative == "fingerprint.pb":
                continue  # the fingerprint holds a random identifier
            if relative == main:
                # Table names contain the repr of an object, address included.
                content = re.sub(rb"object at 0x[0-9a-f]{12}", b"object at 0x7f0000000000", file.read_bytes())
                c.benign(f"{where}/{relative}".removeprefix("benign/"), content, formats, note)
            elif relative.endswith(".index"):
                c.benign(f"{where}/{relative}".removeprefix("benign/"), file.read_bytes(), ["tf-checkpoint"])
            else:
                c.companion(f"{where}/{relative}", file.read_bytes())


def frozen_graph():
    """A GraphDef with constants instead of variables."""
    graph = tf.Graph()
    with graph.as_default():
        x = tf.compat.v1.placeholder(tf.float32, (None, 4), name="x")
        weight = tf.constant(np.ones((4, 2), "f4"), name="weight")
        tf.nn.softmax(tf.matmul(x, weight, name="logits"), name="probabilities")
    return graph.as_graph_def()


def control_flow():
    graph = tf.Graph()
    with graph.as_default():
        x = tf.compat.v1.placeholder(tf.float32, (), name="x")
        tf.while_loop(lambda v: v < 10, lambda v: v * 2, [tf.cond(x > 0, lambda: x, lambda: -x)], name="loop")
    return graph.as_graph_def()


def _checkpoint(c):
    with scratch() as directory:
        checkpoint = tf.train.Checkpoint(weight=tf.Variable(tf.ones((4, 2))), step=tf.Variable(3))
        checkpoint.write(str(directory / "ckpt"))
        c.benign("tf-checkpoint/ckpt.index", (directory / "ckpt.index").read_bytes(), ["tf-checkpoint"])
        c.companion("benign/tf-checkpoint/ckpt.data-00000-of-00001", (directory / "ckpt.data-00000-of-00001").read_bytes())
        c.companion("benign/tf-checkpoint/checkpoint", 'model_checkpoint_path: "ckpt"\nall_model_checkpoint_paths: "ckpt"\n')


def tflite(function, signature, flex=False, **settings):
    """A TFLite flatbuffer of a tf.function; `flex` lets unknown operators be TensorFlow's."""
    concrete = tf.function(function, input_signature=signature).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    if flex:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    for name, value in settings.items():
        setattr(converter, name, value)
    return quietly(converter.convert)


def quietly(call):
    """TensorFlow's converters print to the C standard streams."""
    saved = os.dup(2), os.dup(1)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2), os.dup2(sink, 1)
    try:
        return call()
    finally:
        os.dup2(saved[0], 2), os.dup2(saved[1], 1)
        for descriptor in (*saved, sink):
            os.close(descriptor)


def _tflite(c):
    spec = [tf.TensorSpec((1, 4), tf.float32)]
    weight = tf.constant(np.ones((4, 2), "f4"))
    c.benign("tflite/dense.tflite", tflite(lambda x: tf.nn.relu(x @ weight), spec), ["tflite"])
    c.benign("tflite/softmax.tflite", tflite(lambda x: tf.nn.softmax(x), spec), ["tflite"])
    c.benign("tflite/dynamic-range.tflite", tflite(lambda x: x @ tf.constant(np.ones((4, 512), "f4")), spec, optimizations=[tf.lite.Optimize.DEFAULT]), ["tflite"])
    c.benign("tflite/no-extension", tflite(lambda x: x + 1.0, spec), ["tflite"])
