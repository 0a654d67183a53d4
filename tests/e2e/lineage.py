"""Writes small models as safetensors, and as the quantised GGUF files that llama.cpp's own library makes of them.

    lineage.py FOLDER

Names are mapped by the `gguf` package, as the converters do. Prints the architectures, a line each.
"""

import sys
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import save_file

LAYERS, WIDTH = 2, 64
LLAMA = ["model.layers.{n}.input_layernorm", "model.layers.{n}.post_attention_layernorm", "model.norm"]

# Architecture, modules that are norms, whether they have a bias, what converters add to the scales.
ARCHITECTURES = [
    ("LLAMA", LLAMA, False, 0.0),
    ("QWEN3", LLAMA + ["model.layers.{n}.self_attn.q_norm", "model.layers.{n}.self_attn.k_norm"], False, 0.0),
    (
        "GEMMA2",
        LLAMA + ["model.layers.{n}.pre_feedforward_layernorm", "model.layers.{n}.post_feedforward_layernorm"],
        False,
        1.0,
    ),
    ("GPT2", ["transformer.h.{n}.ln_1", "transformer.h.{n}.ln_2", "transformer.ln_f"], True, 0.0),
    (
        "GPTNEOX",
        [
            "gpt_neox.layers.{n}.input_layernorm",
            "gpt_neox.layers.{n}.post_attention_layernorm",
            "gpt_neox.final_layer_norm",
        ],
        True,
        0.0,
    ),
    ("FALCON", ["transformer.h.{n}.ln_attn", "transformer.h.{n}.ln_mlp", "transformer.ln_f"], True, 0.0),
    ("MPT", ["transformer.blocks.{n}.norm_1", "transformer.blocks.{n}.norm_2", "transformer.norm_f"], False, 0.0),
    (
        "BERT",
        [
            "bert.embeddings.LayerNorm",
            "bert.encoder.layer.{n}.attention.output.LayerNorm",
            "bert.encoder.layer.{n}.output.LayerNorm",
        ],
        True,
        0.0,
    ),
    (
        "T5",
        [
            "encoder.block.{n}.layer.0.layer_norm",
            "encoder.block.{n}.layer.1.layer_norm",
            "encoder.final_layer_norm",
            "decoder.block.{n}.layer.0.layer_norm",
            "decoder.final_layer_norm",
        ],
        False,
        0.0,
    ),
]


def main():
    folder = Path(sys.argv[1])
    for architecture, modules, bias, shift in ARCHITECTURES:
        random = np.random.default_rng(len(architecture) + len(modules))
        tensors = {"model.embed_tokens.weight": random.normal(size=(64, WIDTH)).astype(np.float16)}
        for module in modules:
            for n in range(LAYERS) if "{n}" in module else [0]:
                for kind in ["weight", "bias"] if bias else ["weight"]:
                    values = random.normal(1.0 - shift, 0.1, size=WIDTH).astype(np.float16)
                    tensors[f"{module.format(n=n)}.{kind}"] = values
        save_file(tensors, folder / f"{architecture}.safetensors")
        for quantisation in [gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_0]:
            convert(folder / f"{architecture}-{quantisation.name}.gguf", architecture, tensors, shift, quantisation)
        print(architecture)


def convert(path, architecture, tensors, shift, quantisation):
    arch = gguf.MODEL_ARCH[architecture]
    names = gguf.get_tensor_name_map(arch, LAYERS)
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[arch])
    writer.add_block_count(LAYERS)
    for name, values in tensors.items():
        if values.ndim == 1:
            values = values.astype(np.float32)
            if name.endswith(".weight"):
                values = values + np.float32(shift)
            # The converter of BERT takes its prefix off first.
            mapped = names.get_name(name.removeprefix("bert."), try_suffixes=(".weight", ".bias"))
            assert mapped, f"{architecture}: {name}"
            writer.add_tensor(mapped, values)
        else:
            values = gguf.quants.quantize(values.astype(np.float32), quantisation)
            writer.add_tensor("token_embd.weight", values, raw_dtype=quantisation)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
