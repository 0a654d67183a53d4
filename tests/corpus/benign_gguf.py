"""Honest GGUF files from the gguf library, and legacy GGML by hand."""

import struct

import gguf
import numpy as np

import ggufs
from chat_templates import BENIGN as TEMPLATES
from corpus import Corpus, saved


def make(c: Corpus):
    for style, template in TEMPLATES.items():
        c.benign(f"gguf/chat-template-{style}.gguf", model(template), ["gguf"], f"chat template in the style of {style}")
    c.benign("gguf/no-template.gguf", model(None), ["gguf"])
    c.benign("gguf/no-extension", model(None), ["gguf"])
    c.benign("gguf/big-endian.gguf", model(TEMPLATES["chatml"], endian=gguf.GGUFEndian.BIG), ["gguf"])
    c.benign("gguf/named-templates.gguf", model([{"name": "default", "template": TEMPLATES["chatml"]}, {"name": "tool_use", "template": TEMPLATES["qwen-tools"]}]), ["gguf"])
    c.benign("gguf/quantised.gguf", quantised(), ["gguf"], "Q4_0, Q8_0, F16 and BF16 tensors")
    c.benign("gguf/alignment-64.gguf", model(None, alignment=64), ["gguf"], "explicit general.alignment")
    c.benign("gguf/alignment-32-explicit.gguf", model(None, alignment=32), ["gguf"], "explicit default alignment")
    c.benign("gguf/vocabulary-only.gguf", saved(_vocabulary_only), ["gguf"])
    c.benign("gguf/lora-adapter.gguf", saved(_adapter), ["gguf", "lora"])
    c.benign("gguf/mmproj.gguf", saved(_projector), ["gguf"])
    for index in range(2):
        c.benign(f"gguf/sharded/model-{index + 1:05}-of-00002.gguf", saved(lambda p, i=index: _shard(p, i)), ["gguf"], "split.no counts from 0")
    c.benign("gguf/version2.gguf", ggufs.gguf(version=2), ["gguf"], "by hand: the library writes v3 only")
    c.benign("gguf/version1.gguf", ggufs.gguf(version=1), ["gguf"], "by hand: 32-bit counts")
    c.benign("ggml/ggjt-v3.bin", _ggjt(), ["ggml-legacy"], "by hand, after llama.cpp of mid 2023")
    c.benign("ggml/ggml-unversioned.bin", _ggml(), ["ggml-legacy"], "by hand, after whisper.cpp")
    c.benign("ggml/ggla-lora.bin", _ggla(), ["ggml-legacy"], "by hand, after llama.cpp export-lora")


def model(template, endian=gguf.GGUFEndian.LITTLE, alignment=None):
    def write(path):
        writer = gguf.GGUFWriter(path, "llama", endianess=endian)
        if alignment:
            writer.add_custom_alignment(alignment)
        writer.add_name("Example Tiny")
        writer.add_author("Example")
        writer.add_license("apache-2.0")
        writer.add_file_type(0)
        _llama(writer)
        _tokenizer(writer)
        if template is not None:
            writer.add_chat_template(template)
        _weights(writer)
        _finish(writer)

    return saved(write)


def _llama(writer):
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_feed_forward_length(16)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(500000.0)


def _tokenizer(writer):
    tokens = ["<unk>", "<s>", "</s>", "▁the", "▁cat", "import", "▁os", "system", "eval", "exec"]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([2, 3, 3] + [1] * (len(tokens) - 3))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)


def _weights(writer):
    generator = np.random.default_rng(7)
    shapes = {"token_embd.weight": (10, 8), "output_norm.weight": (8,), "output.weight": (10, 8), "blk.0.attn_norm.weight": (8,), "blk.0.ffn_norm.weight": (8,)}
    shapes |= {f"blk.0.attn_{p}.weight": (8, 8) for p in ("q", "k", "v", "output")}
    shapes |= {"blk.0.ffn_gate.weight": (16, 8), "blk.0.ffn_up.weight": (16, 8), "blk.0.ffn_down.weight": (8, 16)}
    for name, shape in shapes.items():
        writer.add_tensor(name, generator.standard_normal(shape, dtype="f4"))


def _finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantised():
    def write(path):
        writer = gguf.GGUFWriter(path, "llama")
        _llama(writer)
        _tokenizer(writer)
        x = np.linspace(-1, 1, 4 * 64, dtype="f4").reshape(4, 64)
        for kind in (gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.BF16):
            writer.add_tensor(f"blk.0.{kind.name.lower()}.weight", gguf.quants.quantize(x, kind), raw_dtype=kind)
        writer.add_tensor("blk.0.f16.weight", x.astype("f2"))
        _finish(writer)

    return saved(write)


def _vocabulary_only(path):
    writer = gguf.GGUFWriter(path, "llama")
    _llama(writer)
    _tokenizer(writer)
    _finish(writer)


def _adapter(path):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 16.0)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.ones((4, 8), "f4"))
    writer.add_tensor("blk.0.attn_q.weight.lora_b", np.zeros((8, 4), "f4"))
    _finish(writer)


def _projector(path):
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type(gguf.GGUFType.MMPROJ)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_tensor("v.patch_embd.weight", np.ones((4, 3, 2, 2), "f4"))
    _finish(writer)


def _shard(path, index):
    writer = gguf.GGUFWriter(path, "llama")
    if index == 0:
        _llama(writer)
        _tokenizer(writer)
    writer.add_uint16("split.no", index)
    writer.add_uint16("split.count", 2)
    writer.add_int32("split.tensors.count", 2)
    writer.add_tensor(("token_embd.weight", "output.weight")[index], np.ones((10, 8), "f4"))
    _finish(writer)


def _ggjt():
    head = struct.pack("<II", 0x67676A74, 3) + struct.pack("<7I", 3, 8, 256, 2, 1, 4, 0)
    vocabulary = b"".join(struct.pack("<I", len(t)) + t + struct.pack("<f", 0.0) for t in (b"<unk>", b"<s>", b"</s>"))
    name = b"norm.weight"
    tensor = struct.pack("<III", 1, len(name), 0) + struct.pack("<I", 8) + name
    body = head + vocabulary + tensor
    return body + bytes(-len(body) % 32) + np.ones(8, "f4").tobytes()


def _ggml():
    head = struct.pack("<I", 0x67676D6C) + struct.pack("<11I", 3, 1500, 384, 6, 4, 448, 384, 6, 4, 80, 1)
    filters = struct.pack("<2I", 80, 2) + bytes(80 * 2 * 4)
    vocabulary = struct.pack("<I", 3) + b"".join(struct.pack("<I", len(t)) + t for t in (b"a", b"b", b"c"))
    name = b"decoder.ln.weight"
    return head + filters + vocabulary + struct.pack("<III", 1, len(name), 0) + struct.pack("<I", 4) + name + bytes(16)


def _ggla():
    name = b"layers.0.attention.wq.weight.loraA"
    body = struct.pack("<IIII", 0x67676C61, 1, 4, 8) + struct.pack("<III", 2, len(name), 0) + struct.pack("<II", 4, 8) + name
    return body + bytes(-len(body) % 32) + bytes(4 * 32)
