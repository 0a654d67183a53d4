"""Honest PyTorch files: every container and every kind of tensor it can hold."""

import io
import re
import warnings
import zipfile
from unittest import mock

import numpy as np
import torch
import torch.nn as nn
import torch.package

import pickles as P
import zips
from archives import tar
from corpus import Corpus, saved


def make(c: Corpus):
    torch.manual_seed(7)
    torch.set_num_threads(1)
    _state_dicts(c)
    _tensors(c)
    _whole_modules(c)
    _optimizers(c)
    _legacy(c)
    _script_export_package(c)


def saved_torch(value, **options):
    """The bytes of `torch.save(value)`, with a stable archive name."""
    buffer = io.BytesIO()
    numbers = {}

    def stable_key(storage):
        return numbers.setdefault(torch._C.StorageBase._cdata.__get__(storage), 94_000_000_000_000 + 64 * len(numbers))

    # The legacy format names each storage by its memory address.
    with mock.patch.object(torch.UntypedStorage, "_cdata", property(stable_key), create=True):
        torch.save(value, buffer, **options)
    return buffer.getvalue() if options.get("_use_new_zipfile_serialization", True) else relative_sources(buffer.getvalue())


def relative_sources(data):
    """Shortens the source paths that torch pickles, which name this machine's directories.

    Each is a BINUNICODE: `X`, a length, then one path or, of a traced module, part of a stack."""
    out, at = bytearray(), 0
    for opcode in re.finditer(rb"X(?=..\0\0/)", data, re.DOTALL):
        start = opcode.end() + 4
        end = start + int.from_bytes(data[opcode.end() : start], "little")
        text = data[start:end]
        if opcode.start() < at or not re.fullmatch(rb"[\n\x20-\x7e]+", text):
            continue
        text = re.sub(rb"/[^\s()]*/(?:site-packages|tests/corpus)/", b"", text)
        out += data[at : opcode.end()] + len(text).to_bytes(4, "little") + text
        at = end
    return bytes(out) + data[at:]


def saved_script(write):
    """The bytes that `write(path)` leaves, with relative source paths in its debug tables."""
    return without_paths(saved(write, "model.pt"))


def without_paths(data):
    """A torch archive without the directories of this machine, nor an identifier derived from them."""
    replaced = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            if name.endswith(".debug_pkl"):
                replaced[name] = relative_sources(archive.read(name))
            elif name.endswith(".json"):
                replaced[name] = re.sub(rb'"stack_trace": "(?:[^"\\]|\\.)*"', b'"stack_trace": ""', archive.read(name))
            elif name.endswith("/serialization_id"):
                replaced[name] = b"0" * 40
    return zips.rewritten(data, replaced)


def modules():
    """Small modules of many kinds, by name."""
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return {
        "linear": nn.Linear(4, 2),
        "mlp": nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2)),
        "conv": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GELU(), nn.MaxPool2d(2), nn.Flatten()),
        "conv1d-3d": nn.ModuleList([nn.Conv1d(2, 2, 3), nn.Conv3d(1, 1, 2), nn.ConvTranspose2d(2, 2, 2)]),
        "lstm": nn.LSTM(4, 4, num_layers=2, bidirectional=True),
        "gru": nn.GRU(4, 4),
        "embedding": nn.Embedding(10, 4, padding_idx=0),
        "embedding-bag": nn.EmbeddingBag(10, 4),
        "transformer-encoder": nn.TransformerEncoder(encoder, 2),
        "transformer-decoder-layer": nn.TransformerDecoderLayer(8, 2, 16),
        "attention": nn.MultiheadAttention(8, 2),
        "norms": nn.ModuleDict({"layer": nn.LayerNorm(4), "group": nn.GroupNorm(2, 4), "instance": nn.InstanceNorm2d(4, affine=True)}),
        "activations": nn.Sequential(nn.SiLU(), nn.ELU(), nn.LeakyReLU(), nn.PReLU(), nn.Softmax(dim=-1), nn.Tanh(), nn.Sigmoid()),
        "parametrized": nn.ParameterList([nn.Parameter(torch.zeros(2))]),
        "weight-norm": nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)),
    }


def _state_dicts(c):
    for name, module in modules().items():
        if name != "activations":
            c.benign(f"torch/state-dict/{name}.pt", saved_torch(module.state_dict()), ["pytorch-zip"])
    state = modules()["mlp"].state_dict()
    for suffix in ("pth", "bin", "ckpt"):
        c.benign(f"torch/state-dict/mlp.{suffix}", saved_torch(state), ["pytorch-zip"])
    c.benign("torch/state-dict/no-extension", saved_torch(state), ["pytorch-zip"])
    for protocol in (3, 4, 5):
        c.benign(f"torch/state-dict/mlp-p{protocol}.pt", saved_torch(state, pickle_protocol=protocol), ["pytorch-zip"])
    checkpoint = {"epoch": 3, "state_dict": state, "args": {"lr": 1e-3, "name": "run"}, "rng": torch.get_rng_state()[:64]}
    c.benign("torch/checkpoint.ckpt", saved_torch(checkpoint), ["pytorch-zip"])
    lightning = {"epoch": 1, "global_step": 10, "pytorch-lightning_version": "2.4.0", "state_dict": state,
                 "loops": {}, "callbacks": {}, "optimizer_states": [], "lr_schedulers": []}
    c.benign("torch/lightning.ckpt", saved_torch(lightning), ["pytorch-zip"])
    c.benign("torch/rng_state.pth", saved_torch({"python": (3, (1, 2), None), "numpy": np.random.RandomState(7).get_state(), "cpu": torch.zeros(16, dtype=torch.uint8)}), ["pytorch-zip"],
             "as transformers' Trainer writes it")


def _tensors(c):
    dtypes = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64, "int8": torch.int8, "uint8": torch.uint8,
              "int16": torch.int16, "int64": torch.int64, "bool": torch.bool, "complex64": torch.complex64,
              "float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2}
    for name, dtype in dtypes.items():
        c.benign(f"torch/tensor/{name}.pt", saved_torch(torch.zeros(3, 2).to(dtype)), ["pytorch-zip"])
    base = torch.arange(12.0).reshape(3, 4)
    weird = {"view": base.t()[1:], "scalar": torch.tensor(1.0), "empty": torch.empty(0, 3), "requires-grad": torch.ones(2, requires_grad=True),
             "parameter": nn.Parameter(torch.ones(2)), "conjugate": torch.ones(2, dtype=torch.complex64).conj(), "shared": [base, base[0], base]}
    for name, value in weird.items():
        c.benign(f"torch/tensor/{name}.pt", saved_torch(value), ["pytorch-zip"])
    c.benign("torch/tensor/sparse-coo.pt", saved_torch(torch.eye(3).to_sparse()), ["pytorch-zip"])
    c.benign("torch/tensor/sparse-csr.pt", saved_torch(torch.eye(3).to_sparse_csr()), ["pytorch-zip"])
    c.benign("torch/tensor/nested.pt", saved_torch({"dtype": torch.float32, "device": torch.device("cpu"), "size": torch.Size([1, 2])}), ["pytorch-zip"])
    per_tensor = torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)
    per_channel = torch.quantize_per_channel(torch.ones(2, 2), torch.tensor([0.1, 0.2]), torch.tensor([0, 0]), 0, torch.qint8)
    c.benign("torch/tensor/quantized.pt", saved_torch({"a": per_tensor, "b": per_channel}), ["pytorch-zip"])
    c.benign("torch/tensor/bytes-that-look-like-a-pickle.pt",
             saved_torch(torch.frombuffer(bytearray(P.call("posix", "system", "echo", protocol=2) * 8), dtype=torch.uint8)), ["pytorch-zip"],
             "a storage is data: nothing unpickles data/0")


def _whole_modules(c):
    for name, module in modules().items():
        if name == "weight-norm":
            continue  # holds a dynamically created class, which torch refuses to pickle
        c.benign(f"torch/module/{name}.pt", saved_torch(module.eval()), ["pytorch-zip"],
                 "a whole nn.Module: imports torch.nn classes and applies BUILD, nothing else")


def _optimizers(c):
    model = modules()["mlp"]
    makers = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)}
    for name, maker in makers.items():
        optimizer = maker(model.parameters())
        model(torch.ones(1, 4)).sum().backward()
        optimizer.step()
        c.benign(f"torch/optimizer/{name}.pt", saved_torch(optimizer.state_dict()), ["pytorch-zip"])
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(torch.optim.SGD(model.parameters(), lr=0.1), 10)
    c.benign("torch/optimizer/scheduler.pt", saved_torch(scheduler.state_dict()), ["pytorch-zip"])
    c.benign("torch/optimizer/whole-adam.pt", saved_torch(torch.optim.Adam(model.parameters())), ["pytorch-zip"])


def _legacy(c):
    """torch.save before 1.6: magic, protocol, system info, object, storage keys, raw storages."""
    old = {"_use_new_zipfile_serialization": False}
    for name in ("linear", "mlp", "conv", "lstm"):
        c.benign(f"torch/legacy/{name}-state.pth", saved_torch(modules()[name].state_dict(), **old), ["pytorch-legacy"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        c.benign("torch/legacy/mlp-module.pth", saved_torch(modules()["mlp"], **old), ["pytorch-legacy"],
                 "the persistent id of each container carries its source text")
    c.benign("torch/legacy/tensor.pt", saved_torch(torch.arange(6.0), **old), ["pytorch-legacy"])
    c.benign("torch/legacy/tensor-p4.bin", saved_torch(torch.arange(6.0), pickle_protocol=4, **old), ["pytorch-legacy"])
    c.benign("torch/legacy/tar-0.1.1.pt", legacy_tar(P.dump({"epoch": 1}, 2)), ["pytorch-tar", "pytorch-legacy"],
             "the tar layout of torch 0.1.1, by hand after torch.serialization.legacy_load")


def legacy_tar(pickled, **replaced):
    """sys_info, the object, and no tensors or storages, as torch 0.1.1 wrote them.

    `storages` holds two pickles: how many there are, and the views of them."""
    members = {
        "sys_info": P.dump({"protocol_version": 1000, "little_endian": True}, 2),
        "pickle": pickled,
        "tensors": P.dump(0, 2),
        "storages": P.dump(0, 2) + P.dump([], 2),
    }
    return tar(members | replaced)


class _Doubler(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.register_buffer("offset", torch.ones(2))

    def forward(self, x):
        y = self.linear(x) + self.offset
        if y.sum() > 0:
            y = y * 2
        return y


def _script_export_package(c):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = {
            "script": torch.jit.script(_Doubler()),
            "trace": torch.jit.trace(modules()["mlp"].eval(), torch.ones(1, 4)),
            "frozen": torch.jit.freeze(torch.jit.script(modules()["conv"].eval())),
            "lstm": torch.jit.script(modules()["lstm"].eval()),
        }
        for name, module in scripted.items():
            c.benign(f"torchscript/{name}.pt", saved_script(lambda p, m=module: torch.jit.save(m, p)), ["torchscript"])
        try:
            lite = saved_script(lambda p: scripted["trace"]._save_for_lite_interpreter(p))
            c.benign("torchscript/mobile.ptl", lite, ["torchscript"])
        except Exception as error:  # removed from some builds
            c.skip("torchscript/mobile.ptl", f"{type(error).__name__}")
        exported = torch.export.export(modules()["mlp"].eval(), (torch.ones(1, 4),))
        data = saved(lambda p: torch.export.save(exported, p), "model.pt2")
        c.benign("torch-export/mlp.pt2", without_paths(data), ["torch-export"])
    c.benign("torch-package/linear.pt", saved(_package, "package.pt"), ["torch-package"])


def _package(path):
    with torch.package.PackageExporter(path) as package:
        package.extern(["torch.**", "collections", "numpy.**"])
        package.save_pickle("model", "model.pkl", modules()["linear"])
        package.save_source_string("labels", "LABELS = ['cat', 'dog']\n")
        package.save_text("model", "README.txt", "a package of one layer")
