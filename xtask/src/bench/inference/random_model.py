"""`random_model.py SIZE OUT`: a GGUF of random weights in the shapes of Qwen 2.5
(config.json of the published models), 4 bits (Q4_0). Speed does not depend on
what the numbers say."""

import sys

import gguf
import numpy

SHAPES = {  # width, layers, heads, key and value heads, head, inner
    "0.5b": (896, 24, 14, 2, 64, 4864),
    "1.5b": (1536, 28, 12, 2, 128, 8960),
}
VOCABULARY = 151936
BLOCK = 32  # weights that share a scale

size, out = sys.argv[1:]
width, layers, heads, kv_heads, head, inner = SHAPES[size]
random = numpy.random.default_rng(1)
writer = gguf.GGUFWriter(out, "qwen2")
writer.add_context_length(32768)
writer.add_embedding_length(width)
writer.add_block_count(layers)
writer.add_feed_forward_length(inner)
writer.add_head_count(heads)
writer.add_head_count_kv(kv_heads)
writer.add_layer_norm_rms_eps(1e-6)
writer.add_rope_freq_base(1e6)
writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)


def byte_letters():
    """A printable character for every byte, as byte-level BPE has them."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in shown}
    for n, byte in enumerate(b for b in range(256) if b not in letters):
        letters[byte] = chr(256 + n)
    return letters


letters = byte_letters()
tokens = [letters[byte] for byte in range(256)]
alphabet = "abcdefghijklmnopqrstuvwxyz"
pairs = [(a, b) for a in [letters[32], *alphabet] for b in alphabet]
tokens += [a + b for a, b in pairs]
special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
tokens += [f"{letters[32]}unused{n}" for n in range(VOCABULARY - len(tokens) - len(special))]
tokens += special
writer.add_tokenizer_model("gpt2")
writer.add_tokenizer_pre("qwen2")
writer.add_token_list(tokens)
normal, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
writer.add_token_types([normal] * (VOCABULARY - len(special)) + [control] * len(special))
writer.add_token_merges([f"{a} {b}" for a, b in pairs])
writer.add_bos_token_id(VOCABULARY - 3)
writer.add_eos_token_id(VOCABULARY - 1)
writer.add_add_bos_token(False)
writer.add_chat_template(
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def matrix(name, rows, columns):
    blocks = rows * columns // BLOCK
    data = numpy.empty((blocks, 2 + BLOCK // 2), numpy.uint8)
    data[:, 2:] = random.integers(0, 256, (blocks, BLOCK // 2), dtype=numpy.uint8)
    scales = (random.random(blocks) * 0.004 + 0.002).astype(numpy.float16)
    data[:, :2] = scales.view(numpy.uint8).reshape(blocks, 2)
    data = data.reshape(rows, columns // BLOCK * (2 + BLOCK // 2))
    writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType.Q4_0)


def vector(name, length, around):
    writer.add_tensor(name, (around + random.standard_normal(length) * 0.02).astype(numpy.float32))


matrix("token_embd.weight", VOCABULARY, width)
vector("output_norm.weight", width, 1)
for layer in range(layers):
    at = f"blk.{layer}."
    vector(at + "attn_norm.weight", width, 1)
    vector(at + "ffn_norm.weight", width, 1)
    for name, count in (("q", heads), ("k", kv_heads), ("v", kv_heads)):
        matrix(f"{at}attn_{name}.weight", count * head, width)
        vector(f"{at}attn_{name}.bias", count * head, 0)
    matrix(at + "attn_output.weight", width, heads * head)
    matrix(at + "ffn_gate.weight", inner, width)
    matrix(at + "ffn_up.weight", inner, width)
    matrix(at + "ffn_down.weight", width, inner)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
