import torch


class MarkerModel(torch.nn.Module):
    pass
