from transformers import LlamaConfig as MarkerConfig
