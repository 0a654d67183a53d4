"""`sentences.py MODEL THREADS TEXTS ROUNDS`: texts per second of
sentence-transformers over the lines of TEXTS, as its documentation uses it, and
the vectors of the first lines. JSON on standard output."""

import json
import sys
import time

import torch
from sentence_transformers import SentenceTransformer

folder, threads, texts, rounds = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
torch.set_num_threads(threads)
model = SentenceTransformer(folder, device="cpu")
lines = open(texts, encoding="utf-8").read().splitlines()
model.encode(lines[:32])
speeds = []
for _ in range(rounds):
    begun = time.perf_counter()
    vectors = model.encode(lines, batch_size=32, show_progress_bar=False, normalize_embeddings=True)
    speeds.append(len(lines) / (time.perf_counter() - begun))
json.dump({"texts_per_second": max(speeds), "vectors": vectors[:64].tolist()}, sys.stdout)
