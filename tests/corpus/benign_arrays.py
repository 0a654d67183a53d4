"""Honest NumPy .npy and .npz files."""

import io

import numpy as np

import zips
from corpus import Corpus


def make(c: Corpus):
    arrays = {
        "float32": np.linspace(0, 1, 24, dtype="f4").reshape(4, 6),
        "float64-fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "int64": np.arange(10),
        "big-endian": np.arange(4, dtype=">i4"),
        "bool": np.array([True, False]),
        "complex": np.array([1 + 2j]),
        "unicode": np.array(["cat", "hippopotamus"]),
        "bytes": np.array([b"cat", b"dog"]),
        "datetime": np.array(["2024-01-02"], dtype="M8[D]"),
        "structured": np.array([(1, 2.5, "a")], dtype=[("id", "i4"), ("score", "f8"), ("tag", "U4")]),
        "subarray": np.zeros(2, dtype=[("box", "f4", (4,))]),
        "scalar": np.array(1.5),
        "empty": np.zeros((0, 3)),
        "object-strings": np.array(["cat", None, "hippopotamus"], dtype=object),
        "object-dicts": np.array([{"id": 1}, [1, 2]], dtype=object),
    }
    for name, array in arrays.items():
        note = "an object array holds a pickle; this one has only plain data" if array.dtype == object else ""
        c.benign(f"npy/{name}.npy", npy(array), ["npy"], note)
    c.benign("npy/version2.npy", npy(arrays["structured"], (2, 0)), ["npy"])
    c.benign("npy/version3-utf8-field.npy", npy(np.zeros(1, dtype=[("größe", "f4")]), (3, 0)), ["npy"])
    c.benign("npz/plain.npz", npz({"weight": arrays["float32"], "bias": arrays["int64"]}), ["npz"])
    c.benign("npz/compressed.npz", npz({"weight": np.zeros((50, 50)), "bias": arrays["int64"]}, np.savez_compressed), ["npz"])
    c.benign("npz/with-object-array.npz", npz({"labels": arrays["object-strings"], "x": arrays["int64"]}), ["npz"])
    c.benign("npz/no-extension", npz({"arr_0": arrays["int64"]}), ["npz"])


def npy(array, version=None):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=version, allow_pickle=True)
    return buffer.getvalue()


def npz(arrays, save=np.savez):
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return zips.rewritten(buffer.getvalue())
