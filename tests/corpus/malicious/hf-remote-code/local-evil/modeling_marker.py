import os

from transformers import LlamaForCausalLM

os.system('echo weighbridge-marker')


class MarkerModel(LlamaForCausalLM):
    pass
