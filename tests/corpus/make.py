#!/usr/bin/env python3
"""Makes the sample corpus: benign/, malicious/ and expected.json beside this file.

    make.py                      everything
    make.py --only benign_onnx   one module, into a scratch directory, to try a change
    make.py --check              compare a fresh build with what is committed

Nothing this program makes is ever loaded, imported or executed by it.
"""

import argparse
import filecmp
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

# For the child processes: quiet, on the CPU, and the same every time.
os.environ.update(
    PYTHONHASHSEED="0",
    TF_CPP_MIN_LOG_LEVEL="3",
    CUDA_VISIBLE_DEVICES="",
    TF_ENABLE_ONEDNN_OPTS="0",
    KERAS_BACKEND="tensorflow",
    OPENVINO_TELEMETRY_DISABLE="1",
    OMP_NUM_THREADS="1",
    GLOG_minloglevel="3",
)
sys.dont_write_bytecode = True

from corpus import Corpus  # noqa: E402

# Libraries that order things at random, or record the time, an identifier or the length of a path;
# `--check` passes over these.
NOT_REPRODUCIBLE = (
    "benign/catboost/model.cbm",
    "benign/keras-h5/chunked-gzip.h5",
    "benign/saved-model/keras/",
    "benign/torch/module/lstm.pt",
    "benign/torchscript/mobile.ptl",
    "benign/torchscript/trace.pt",
    "malicious/tflite/flex-as-string.tflite",
    "malicious/hdf5-references/virtual-dataset.h5",
    "malicious/keras-h5/lambda-dense-attributes.h5",
)

# One module per kind of sample; each has `make(corpus)`.
MODULES = sorted(p.stem for p in HERE.glob("*.py") if p.stem.startswith(("benign_", "malicious_")))


def main():
    options = arguments()
    if options.child:
        warnings.simplefilter("ignore")
        return build_one(options.child, Path(options.out))
    target = Path(options.out) if options.out else None
    if target is None:
        target = Path(tempfile.mkdtemp(prefix="weighbridge-corpus-")) if options.only or options.check else HERE
    corpus = build(target, options.only or MODULES)
    report(corpus)
    if options.check:
        return check(target)
    print(f"written to {target if target != HERE else 'tests/corpus'}")
    return 1 if corpus.skipped else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="MODULE", choices=MODULES)
    parser.add_argument("--check", action="store_true", help="build elsewhere and report differences")
    parser.add_argument("--out", help="directory to write to")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def build(target, modules):
    """Runs each module in a process of its own: TensorFlow and PyTorch both bring an
    LLVM and abort when they meet, and counters in library globals start afresh."""
    for tree in ("benign", "malicious"):
        shutil.rmtree(target / tree, ignore_errors=True)
    corpus = Corpus(target)
    for name in modules:
        started = time.monotonic()
        child = subprocess.run([sys.executable, __file__, "--child", name, "--out", target], stdout=subprocess.PIPE)
        if child.returncode:
            raise SystemExit(f"{name} failed")
        result = json.loads(child.stdout.splitlines()[-1])
        corpus.merge(result)
        print(f"{name:32} {len(result['rows']):5} rows {time.monotonic() - started:6.1f} s", flush=True)
    corpus.write_expectations()
    return corpus


def build_one(name, target):
    """In the child: runs one module and tells the parent what it made."""
    corpus = Corpus(target)
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        corpus.skip(name, str(error))
    else:
        module.make(corpus)
    print("\n" + json.dumps(corpus.summary()))


def report(corpus):
    for sentence in corpus.skipped:
        print(f"skipped: {sentence}")
    for problem in corpus.check_sizes():
        print(f"too large: {problem}")
    for tree in ("benign", "malicious"):
        rows = [row for row in corpus.rows if row["path"].startswith(tree)]
        files = [f for f in (corpus.root / tree).rglob("*") if f.is_file() and not f.is_symlink()]
        size = sum(f.stat().st_size for f in files)
        print(f"{tree:10} {len(rows):5} rows {len(files):5} files {size / 1024:8.0f} KiB")


def check(fresh):
    """Exit status 1 if the committed tree is not what this program makes."""
    different = []
    for tree in ("benign", "malicious"):
        names = {p.relative_to(root) for root in (fresh, HERE) for p in (root / tree).rglob("*") if not p.is_dir() or p.is_symlink()}
        for name in sorted(names):
            ours, theirs = fresh / name, HERE / name
            if ours.is_symlink() or theirs.is_symlink():
                same = ours.is_symlink() and theirs.is_symlink() and os.readlink(ours) == os.readlink(theirs)
            else:
                same = ours.exists() and theirs.exists() and filecmp.cmp(ours, theirs, shallow=False)
            if not same and not str(name).startswith(NOT_REPRODUCIBLE):
                different.append(str(name))
    for name in different:
        print(f"differs: {name}")
    shutil.rmtree(fresh)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
