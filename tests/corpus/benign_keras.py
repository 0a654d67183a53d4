"""Honest Keras models: .keras, legacy .h5 and .weights.h5, many kinds of layers."""

import io
import json
import re
import zipfile

import h5py
import keras
import numpy as np
from keras import layers

import zips
from corpus import Corpus, saved

FIXED_DATE = "2024-01-02@03:04:05"


def make(c: Corpus):
    for name, model in models().items():
        c.benign(f"keras/{name}.keras", keras_zip(model), ["keras-zip"])
    some = ("mlp", "cnn", "lstm", "functional", "nested")
    for name in some:
        c.benign(f"keras-h5/{name}.h5", h5(models()[name]), ["keras-h5"])
        c.benign(f"keras-h5/{name}.weights.h5", saved(models()[name].save_weights, "model.weights.h5"), ["keras-h5"])
    c.benign("keras-h5/keras2-style.hdf5", keras2_h5(), ["keras-h5"], "attributes as Keras 2.x wrote them")
    c.benign("keras-h5/user-block.h5", user_block(), ["hdf5", "keras-h5"], "the HDF5 signature is at 512, not 0")
    c.benign("keras-h5/plain-data.h5", saved(_plain_hdf5), ["hdf5", "keras-h5"], "HDF5 without any model")
    c.benign("keras-h5/chunked-gzip.h5", saved(_chunked), ["hdf5", "keras-h5"])
    c.benign("keras/config-only/config.json", models()["mlp"].to_json(), [], "a Keras architecture alone")


def models():
    """Small models by name, the same weights every time."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(7)
    mlp = keras.Sequential([keras.Input((4,)), layers.Dense(8, activation="relu"), layers.Dropout(0.2), layers.Dense(2, activation="softmax")], name="mlp")
    mlp.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    cnn = keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(1 / 255), layers.Conv2D(2, 3), layers.BatchNormalization(), layers.ReLU(),
                            layers.MaxPooling2D(), layers.SeparableConv2D(2, 2), layers.GlobalAveragePooling2D(), layers.Dense(1)], name="cnn")
    lstm = keras.Sequential([keras.Input((5,)), layers.Embedding(10, 4), layers.Bidirectional(layers.LSTM(3, return_sequences=True)), layers.GRU(2), layers.Dense(1)], name="lstm")
    x = keras.Input((4,), name="x")
    hidden = layers.Dense(4, activation="gelu")(x)
    joined = layers.Concatenate()([layers.Add()([x, hidden]), layers.LayerNormalization()(hidden)])
    functional = keras.Model(x, [layers.Dense(1, name="score")(joined), layers.Dense(2, name="kind")(joined)], name="functional")
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3)], name="inner")
    nested = keras.Sequential([keras.Input((4,)), inner, layers.UnitNormalization(), layers.Dense(1)], name="nested")
    s = keras.Input((6, 4))
    attended = layers.MultiHeadAttention(2, 2)(s, s)
    attention = keras.Model(s, layers.TimeDistributed(layers.Dense(2))(layers.LayerNormalization()(attended + s)), name="attention")
    augment = keras.Sequential([keras.Input((8, 8, 3)), layers.RandomFlip(), layers.RandomRotation(0.1), layers.Normalization(mean=0.0, variance=1.0),
                                layers.ZeroPadding2D(), layers.Conv2DTranspose(1, 2), layers.UpSampling2D(), layers.Flatten()], name="augment")
    cells = keras.Sequential([keras.Input((5, 3)), layers.RNN([layers.LSTMCell(2), layers.GRUCell(2)])], name="cells")
    regular = keras.Sequential([keras.Input((3,)), layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.01), kernel_constraint=keras.constraints.MaxNorm(2),
                                                              kernel_initializer=keras.initializers.HeNormal(seed=1)), layers.LeakyReLU(), layers.PReLU(), layers.GaussianNoise(0.1)], name="regular")
    regular.compile(keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)), keras.losses.Huber(), metrics=[keras.metrics.MeanAbsoluteError()])
    text = keras.Sequential([keras.Input((1,), dtype="string"), layers.StringLookup(vocabulary=["cat", "dog", "import os"])], name="lookup")
    return {"mlp": mlp, "cnn": cnn, "lstm": lstm, "functional": functional, "nested": nested, "attention": attention, "augment": augment, "cells": cells,
            "regularised": regular, "string-lookup": text}


def keras_zip(model):
    """`model.save` with the date and the archive's timestamps fixed."""
    data = saved(model.save, "model.keras")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        metadata = json.loads(archive.read("metadata.json"))
        config = archive.read("config.json").decode()
    metadata["date_saved"] = FIXED_DATE
    numbers = {}  # shared_object_id is a memory address
    config = re.sub(r'(?<="shared_object_id": )\d+', lambda m: numbers.setdefault(m.group(), str(140000000000000 + 16 * len(numbers))), config)
    return zips.rewritten(data, {"metadata.json": json.dumps(metadata), "config.json": config})


def members(data):
    """config (parsed), metadata and weights of a .keras file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return json.loads(archive.read("config.json")), archive.read("metadata.json"), archive.read("model.weights.h5")


def h5(model):
    import logging

    logging.getLogger("absl").setLevel(logging.ERROR)  # "this format is legacy"
    return saved(model.save, "model.h5")


KERAS2_CONFIG = {
    "class_name": "Sequential",
    "config": {
        "name": "sequential",
        "layers": [
            {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 4], "dtype": "float32", "sparse": False, "ragged": False, "name": "dense_input"}},
            {"class_name": "Dense", "config": {"name": "dense", "trainable": True, "dtype": "float32", "units": 2, "activation": "linear", "use_bias": True,
                                               "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}}, "bias_initializer": {"class_name": "Zeros", "config": {}}}},
        ],
    },
}


def keras2_h5(config=KERAS2_CONFIG, training=None, change=None):
    """A Keras 2.x style file; `change(file)` may add more."""

    def write(path):
        with h5py.File(path, "w") as file:
            file.attrs["keras_version"] = "2.11.0"
            file.attrs["backend"] = "tensorflow"
            file.attrs["model_config"] = json.dumps(config)
            if training:
                file.attrs["training_config"] = json.dumps(training)
            weights = file.create_group("model_weights")
            weights.attrs["layer_names"] = np.array([b"dense"])
            dense = weights.create_group("dense/dense")
            dense["kernel:0"] = np.ones((4, 2), "f4")
            dense["bias:0"] = np.zeros(2, "f4")
            weights["dense"].attrs["weight_names"] = np.array([b"dense/kernel:0", b"dense/bias:0"])
            if change:
                change(file)

    return saved(write, "model.h5")


def user_block():
    def write(path):
        with h5py.File(path, "w", userblock_size=512) as file:
            file["weight"] = np.ones(4, "f4")

    return saved(write, "model.h5")


def _plain_hdf5(path):
    with h5py.File(path, "w") as file:
        file["images/train"] = np.zeros((2, 4), "u1")
        file["labels"] = np.array([b"cat", b"dog"])
        file["alias"] = h5py.SoftLink("/labels")


def _chunked(path):
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("weight", data=np.arange(64.0).reshape(8, 8), chunks=(4, 4), compression="gzip", shuffle=True, track_times=False)
