"""Honest tree and table models: XGBoost, LightGBM, CatBoost, skops."""

import io
import json
import re
import struct
import zipfile

import catboost
import lightgbm
import numpy as np
import skops.io
import xgboost

import zips
from benign_pickle import estimators
from corpus import Corpus, saved


def make(c: Corpus):
    _xgboost(c)
    _lightgbm(c)
    _catboost(c)
    _skops(c)


def training_data():
    generator = np.random.default_rng(7)
    x = generator.random((40, 3))
    return x, (x[:, 0] > 0.5).astype(int)


def _xgboost(c):
    x, y = training_data()
    booster = xgboost.train({"max_depth": 2, "seed": 7, "nthread": 1, "objective": "binary:logistic"}, xgboost.DMatrix(x, y, feature_names=["age", "height", "weight"]), 3)
    for suffix in ("json", "ubj"):
        c.benign(f"xgboost/model.{suffix}", saved(booster.save_model, f"m.{suffix}"), ["xgboost"])
    c.benign("xgboost/raw-ubj.bin", bytes(booster.save_raw("ubj")), ["xgboost"], "save_raw; the old 'binf' binary cannot be written since 3.1")
    c.benign("xgboost/text-dump.txt", "".join(f"booster[{i}]:\n{t}" for i, t in enumerate(booster.get_dump())), ["xgboost"])
    head = b"binf" + struct.pack("<fIiiiIII", 0.5, 3, 0, 0, 1, 1, 0, 0) + bytes(4 * 27)
    name = b"binary:logistic"
    c.benign("xgboost/old-binary.model", head + struct.pack("<Q", len(name)) + name + struct.pack("<Q", 6) + b"gbtree" + bytes(160), ["xgboost"],
             "by hand: LearnerModelParamLegacy of XGBoost 1.x, no trees")


def _lightgbm(c):
    x, y = training_data()
    booster = lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1, "num_leaves": 4, "seed": 7, "deterministic": True, "min_data_in_leaf": 5}, lightgbm.Dataset(x, y), 3)
    c.benign("lightgbm/model.txt", saved(booster.save_model), ["lightgbm"])
    c.benign("lightgbm/dump.json", json.dumps(booster.dump_model(), indent=1), [], verdict=("clean",))


def _catboost(c):
    x, y = training_data()
    model = catboost.CatBoostClassifier(iterations=3, depth=2, random_seed=7, thread_count=1, verbose=False, allow_writing_files=False)
    model.fit(x, y)
    data = saved(lambda p: model.save_model(p, format="cbm"))
    # Fields that change with each run: a GUID and the time.
    data = re.sub(rb"[0-9a-f]{5,8}(-[0-9a-f]{5,8}){3}", lambda m: re.sub(rb"[^-]", b"0", m.group()), data)
    data = re.sub(rb"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"2024-01-02T03:04:05Z", data)
    c.benign("catboost/model.cbm", data, ["catboost"])


def _skops(c):
    models = estimators()
    for name in ("logistic-regression", "pipeline", "random-forest", "tfidf", "kmeans", "column-transformer"):
        c.benign(f"skops/{name}.skops", zips.rewritten(stable_ids(skops.io.dumps(models[name]))), ["skops"])


def stable_ids(data):
    """skops names its members by memory address; renumber them in order."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = archive.read("schema.json").decode()
        numbers = {}
        for found in re.findall(r'"(?:file|__id__)": ?"?(\d+)', schema):
            numbers.setdefault(found, str(1000 + len(numbers)))
        renumber = lambda text: re.sub(r"\d{9,}", lambda m: numbers.get(m.group(), m.group()), text)  # noqa: E731
        members = [(renumber(n), archive.read(n)) for n in archive.namelist() if n != "schema.json"]
    return zips.archive([*sorted(members), ("schema.json", renumber(schema))])
