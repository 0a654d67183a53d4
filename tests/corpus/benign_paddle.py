"""Honest PaddlePaddle files. Alone in its module: the library and PyTorch do not share a process."""

import numpy as np  # noqa: F401  (Paddle expects it first)
import paddle

from corpus import Corpus, saved, scratch


def make(c: Corpus):
    _paddle(c)


def _paddle(c):
    paddle.seed(7)
    layer = paddle.nn.Linear(4, 2)
    c.benign("paddle/state.pdparams", saved(lambda p: paddle.save(layer.state_dict(), p), "m.pdparams"), ["pickle"], "paddle.save writes a pickle")
    with scratch() as directory:
        paddle.jit.save(layer, str(directory / "model"), input_spec=[paddle.static.InputSpec([None, 4], "float32")])
        made = {p.name: p.read_bytes() for p in directory.iterdir()}
    for name, data in sorted(made.items()):
        if name.endswith(".json"):
            c.benign(f"paddle/{name}", data, ["paddle"], "PIR program, Paddle 3")
        else:
            c.benign(f"paddle/{name}", data, ["paddle"])
