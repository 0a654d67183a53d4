"""Writes the samples beside it: the same content as the oldest and the newest file format stores it.

Needs h5py 3.14 and NumPy. `keras.h5.gz` is a Keras 2 file whose configuration
tests replace in place: JSON allows the spaces it is filled up with.
"""

import gzip
import pathlib
import tempfile

import h5py
import numpy as np

HERE = pathlib.Path(__file__).parent
CONFIG_BYTES = 4000


def content(file, libver):
    for n in range(20):
        file.attrs[f"attribute {n}"] = f"value {n}"
    file.attrs["long"] = np.bytes_(b"l" * 6000)
    file.attrs["list"] = ["ab", "cde"]
    file.attrs["opaque"] = np.void(b"\x01\x02\x03")
    file.attrs["numbers"] = np.arange(3)
    file.attrs["null"] = h5py.Empty("f4")
    group = file.create_group("group")
    for n in range(20):
        group.create_group(f"child {n}").attrs["n"] = n
    group["to root"] = file["/"]
    file["soft"] = h5py.SoftLink("/group")
    file["loop"] = h5py.SoftLink("/loop")
    file["other"] = h5py.ExternalLink("other.h5", "/there")
    file["floats"] = np.arange(6, dtype="f4").reshape(2, 3)
    file["type"] = np.dtype("i2")
    file.create_dataset("typed", data=np.ones(2, "i2"), dtype=file["type"])
    file.create_dataset("texts", data=["hello", "world"], chunks=(1,), compression="gzip", shuffle=True)
    file.create_dataset("words", data=np.array([b"ab", b"cde"]), chunks=(1,), compression="gzip", shuffle=True, fletcher32=True)
    file.create_dataset("bytes", data=np.frombuffer(b"bytes", "u1"))
    file.create_dataset("tree", data=np.zeros((4, 4), "f4"), chunks=(2, 2), maxshape=(None, None), compression="gzip")
    file.create_dataset("one chunk", data=np.zeros(8, "f8"), chunks=(8,), compression="gzip")
    file.create_dataset("elsewhere", shape=(4,), dtype="f4", external=[("raw.bin", 8, 16)])
    layout = h5py.VirtualLayout(shape=(2, 4), dtype="i4")
    for n in range(2):
        layout[n] = h5py.VirtualSource(f"source {n}.h5", "data", shape=(4,))
    file.create_virtual_dataset("virtual", layout)
    compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    compact.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((5,))
    dataset = h5py.h5d.create(file.id, b"compact", h5py.h5t.NATIVE_UINT8, space, compact)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.frombuffer(b"tight", "u1"))


def keras(file, _):
    file.attrs["keras_version"] = "2.11.0"
    file.attrs["backend"] = "tensorflow"
    file.attrs["model_config"] = np.bytes_(b"@CONFIG@".ljust(CONFIG_BYTES, b"@"))
    weights = file.create_group("model_weights")
    weights.attrs["layer_names"] = np.array([b"dense"])
    weights["dense/dense/kernel:0"] = np.ones((4, 2), "f4")
    weights["dense/dense/bias:0"] = np.zeros(2, "f4")


def write(name, fill, libver, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "sample.h5"
        with h5py.File(path, "w", libver=libver, **options) as file:
            fill(file, libver)
        (HERE / name).write_bytes(gzip.compress(path.read_bytes(), mtime=0))


write("old.h5.gz", content, "earliest")
write("new.h5.gz", content, "latest")
write("keras.h5.gz", keras, "earliest")
write("user_block.h5.gz", keras, "latest", userblock_size=8192)
