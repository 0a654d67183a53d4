"""`llama.py MODEL THREADS PROMPT TOKENS STREAMS`: tokens per second of llama.cpp,
as its own batched benchmark measures: one batch for each prompt, then one token
of every stream at a time. JSON on standard output."""

import json
import sys
import time

import llama_cpp as llama

model, threads, prompt, written, streams = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
llama.llama_backend_init()
quiet = llama.llama_log_callback(lambda *_: None)
llama.llama_log_set(quiet, None)
weights = llama.llama_model_load_from_file(model.encode(), llama.llama_model_default_params())
vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(weights))


def put(batch, row, token, position, sequence, logits):
    batch.token[row], batch.pos[row] = token, position
    batch.n_seq_id[row], batch.seq_id[row][0] = 1, sequence
    batch.logits[row] = logits


def decode(context, batch):
    if llama.llama_decode(context, batch) != 0:
        sys.exit("llama.cpp failed to compute a batch")
    llama.llama_synchronize(context)


def measure(count):
    settings = llama.llama_context_default_params()
    settings.n_ctx = max(512, count * (prompt + written + 32))
    settings.n_batch, settings.n_ubatch = max(512, prompt), 512
    settings.n_threads = settings.n_threads_batch = threads
    settings.n_seq_max = count
    settings.kv_unified = True
    context = llama.llama_init_from_model(weights, settings)
    batch = llama.llama_batch_init(max(prompt, count), 0, 1)
    # Once to warm up.
    for measured in (False, True):
        llama.llama_memory_clear(llama.llama_get_memory(context), True)
        begun = time.perf_counter()
        for sequence in range(count):
            batch.n_tokens = prompt
            for n in range(prompt):
                put(batch, n, (n * 7919 + sequence * 31 + 3) % vocabulary, n, sequence, n == prompt - 1)
            decode(context, batch)
        middle = time.perf_counter()
        for step in range(written if measured else 4):
            batch.n_tokens = count
            for sequence in range(count):
                put(batch, sequence, (17 + step * 31) % vocabulary, prompt + step, sequence, True)
            decode(context, batch)
            llama.llama_get_logits(context)
        end = time.perf_counter()
    llama.llama_batch_free(batch)
    llama.llama_free(context)
    return {
        "streams": count,
        "prefill": count * prompt / (middle - begun),
        "decode": count * written / (end - middle),
    }


json.dump([measure(int(count)) for count in streams.split(",")], sys.stdout)
