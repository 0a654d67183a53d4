"""Honest safetensors: single files, shards, adapters and Hugging Face layouts."""

import hashlib
import json

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch

from chat_templates import BENIGN as TEMPLATES
from corpus import Corpus


def make(c: Corpus):
    torch.manual_seed(7)
    _single(c)
    _sharded(c)
    _adapters(c)
    _repository(c)
    _hub_cache(c)
    _diffusers_and_others(c)


def save(tensors, metadata=None):
    # The library refuses tensors that share memory, so each gets its own.
    return ordered(safetensors.torch.save({name: tensor.clone() for name, tensor in tensors.items()}, metadata))


def ordered(data):
    """The library writes the metadata in random order; put its keys in order."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def llama_tensors(layers=1, width=8):
    names = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
    tensors = {"model.embed_tokens.weight": torch.randn(16, width), "model.norm.weight": torch.ones(width), "lm_head.weight": torch.randn(16, width)}
    for layer in range(layers):
        for name in names:
            tensors[f"model.layers.{layer}.{name}.weight"] = torch.randn(width, width)
    return tensors


LLAMA_CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2,
    "num_hidden_layers": 1, "num_key_value_heads": 2, "vocab_size": 16, "rms_norm_eps": 1e-05, "rope_theta": 500000.0,
    "max_position_embeddings": 64, "torch_dtype": "bfloat16", "tie_word_embeddings": False, "transformers_version": "4.56.0",
}


def tokenizer_config(template):
    return json.dumps({"add_bos_token": True, "bos_token": "<s>", "eos_token": "</s>", "chat_template": template, "model_max_length": 4096,
                       "tokenizer_class": "PreTrainedTokenizerFast"}, indent=2)


def _single(c):
    x = torch.arange(6.0).reshape(2, 3)
    for name, dtype in {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "int8": torch.int8, "uint8": torch.uint8,
                        "int64": torch.int64, "bool": torch.bool, "float8-e4m3": torch.float8_e4m3fn, "float8-e5m2": torch.float8_e5m2,
                        "float64": torch.float64}.items():
        c.benign(f"safetensors/{name}.safetensors", save({"weight": x.to(dtype)}), ["safetensors"])
    c.benign("safetensors/metadata-pt.safetensors", save(llama_tensors(), {"format": "pt"}), ["safetensors"])
    c.benign("safetensors/metadata-mlx.safetensors", save({"w": x}, {"format": "mlx"}), ["safetensors", "mlx"])
    c.benign("safetensors/numpy.safetensors", safetensors.numpy.save({"a": np.arange(4, dtype="f4")}, {"format": "np"}), ["safetensors"])
    c.benign("safetensors/empty.safetensors", save({}), ["safetensors"])
    c.benign("safetensors/zero-sized-and-scalar.safetensors", save({"none": torch.zeros(0, 3), "one": torch.tensor(1.0)}), ["safetensors"])
    c.benign("safetensors/no-extension", save({"w": x}), ["safetensors"])
    c.benign("safetensors/ends-in.bin", save({"w": x}), ["safetensors"])
    kohya = {"ss_network_module": "networks.lora", "ss_base_model_version": "sdxl_base_v1-0", "ss_network_dim": "8", "modelspec.title": "style",
             "modelspec.architecture": "stable-diffusion-xl-v1-base/lora", "modelspec.license": "CreativeML Open RAIL++-M",
             "ss_tag_frequency": json.dumps({"img": {"cat": 10, "system": 2, "import": 1}})}
    c.benign("safetensors/kohya-lora.safetensors", save({"lora_unet_down.lora_up.weight": x, "lora_unet_down.lora_down.weight": x, "lora_unet_down.alpha": torch.tensor(4.0)}, kohya), ["safetensors", "lora"])
    looks_bad = torch.frombuffer(bytearray(b"cos\nsystem\n(S'echo'\ntR.PK\x03\x04MZ\x7fELF" + bytes(4)), dtype=torch.uint8)
    c.benign("safetensors/bytes-that-look-like-code.safetensors", save({"w": looks_bad}), ["safetensors"], "tensor bytes are data")
    gptq = {"model.layers.0.q_proj.qweight": torch.zeros(2, 8, dtype=torch.int32), "model.layers.0.q_proj.qzeros": torch.zeros(1, 1, dtype=torch.int32),
            "model.layers.0.q_proj.scales": torch.ones(1, 8, dtype=torch.float16), "model.layers.0.q_proj.g_idx": torch.zeros(16, dtype=torch.int32)}
    c.benign("hf-repo/gptq/model.safetensors", save(gptq, {"format": "pt"}), ["safetensors"])
    config = LLAMA_CONFIG | {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False}}
    c.benign("hf-repo/gptq/config.json", json.dumps(config, indent=2), ["hf-config", "quant-bnb-awq-gptq-exl2"], verdict=("clean",))


def _sharded(c):
    tensors = llama_tensors(2)
    names = sorted(tensors)
    half = len(names) // 2
    weight_map = {}
    for index, group in enumerate((names[:half], names[half:]), 1):
        file = f"model-{index:05}-of-00002.safetensors"
        weight_map |= dict.fromkeys(group, file)
        c.benign(f"safetensors/sharded/{file}", save({n: tensors[n] for n in group}, {"format": "pt"}), ["safetensors"])
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    c.benign("safetensors/sharded/model.safetensors.index.json", json.dumps(index, indent=2), ["safetensors-index"])


def _adapters(c):
    prefix = "base_model.model.model.layers.0.self_attn.q_proj"
    tensors = {f"{prefix}.lora_A.weight": torch.randn(4, 8), f"{prefix}.lora_B.weight": torch.zeros(8, 4)}
    config = {"peft_type": "LORA", "base_model_name_or_path": "example/base-model", "r": 4, "lora_alpha": 8, "lora_dropout": 0.05, "bias": "none",
              "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM", "inference_mode": True, "peft_version": "0.17.0", "auto_mapping": None}
    c.benign("lora/peft/adapter_model.safetensors", save(tensors, {"format": "pt"}), ["safetensors", "lora"])
    c.benign("lora/peft/adapter_config.json", json.dumps(config, indent=2), ["lora"])
    mlx = {"model.layers.0.self_attn.q_proj.lora_a": torch.randn(8, 4), "model.layers.0.self_attn.q_proj.lora_b": torch.zeros(4, 8)}
    c.benign("lora/mlx/adapters.safetensors", save(mlx, {"format": "mlx"}), ["safetensors", "lora", "mlx"])
    c.companion("benign/lora/mlx/adapter_config.json", json.dumps({"fine_tune_type": "lora", "lora_parameters": {"rank": 4, "scale": 20.0}, "num_layers": 1, "model": "example/base-model"}))


def repository(template=TEMPLATES["llama3"]):
    """The files of a small, ordinary Hugging Face repository."""
    return {
        "config.json": json.dumps(LLAMA_CONFIG, indent=2),
        "generation_config.json": json.dumps({"bos_token_id": 1, "eos_token_id": 2, "temperature": 0.7}),
        "tokenizer_config.json": tokenizer_config(template),
        "special_tokens_map.json": json.dumps({"bos_token": "<s>", "eos_token": "</s>"}),
        "model.safetensors": save({k: v.to(torch.bfloat16) for k, v in llama_tensors().items()}, {"format": "pt"}),
        "README.md": "---\nlicense: apache-2.0\nlibrary_name: transformers\nbase_model: example/base-model\n---\n# Example\n",
    }


def _repository(c):
    formats = {"model.safetensors": ["safetensors"], "tokenizer_config.json": ["tokenizer"]}
    for style, template in TEMPLATES.items():
        torch.manual_seed(7)
        for name, data in repository(template).items():
            path = f"hf-repo/{style}/{name}"
            if name in formats:
                c.benign(path, data, formats[name], f"chat template in the style of {style}")
            elif name == "config.json":
                c.benign(path, data, [], "no auto_map", ("clean",))
            elif style == "llama3":
                c.companion(f"benign/{path}", data)
        if style == "qwen-tools":
            c.benign(f"hf-repo/{style}/chat_template.jinja", template, ["chat-template", "tokenizer"])
    several = [{"name": "default", "template": TEMPLATES["chatml"]}, {"name": "tool_use", "template": TEMPLATES["qwen-tools"]}]
    c.benign("hf-repo/several-templates/tokenizer_config.json", tokenizer_config(several), ["tokenizer"], "a list of named templates")


def _hub_cache(c):
    torch.manual_seed(7)
    root = "hf-cache/hub/models--example--tiny"
    commit = hashlib.sha1(b"commit").hexdigest()
    c.companion(f"benign/{root}/refs/main", commit)
    for name, data in repository().items():
        data = data.encode() if isinstance(data, str) else data
        large = name.endswith(".safetensors")
        digest = hashlib.sha256(data).hexdigest() if large else hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        if large:
            c.benign(f"{root}/blobs/{digest}", data, ["safetensors"], "named by its SHA-256")
        else:
            c.companion(f"benign/{root}/blobs/{digest}", data)
        c.symlink(f"benign/{root}/snapshots/{commit}/{name}", f"../../blobs/{digest}")


def _diffusers_and_others(c):
    x = torch.arange(4.0)
    index = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.35.0", "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}
    c.benign("hf-repo/diffusers/model_index.json", json.dumps(index, indent=2), [])
    c.benign("hf-repo/diffusers/unet/diffusion_pytorch_model.safetensors", save({"conv_in.weight": x}, {"format": "pt"}), ["safetensors"])
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
               {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
    c.benign("hf-repo/sentence-transformers/modules.json", json.dumps(modules, indent=2), [])
    c.benign("hf-repo/sentence-transformers/model.safetensors", save({"embeddings.weight": x}, {"format": "pt"}), ["safetensors"])
