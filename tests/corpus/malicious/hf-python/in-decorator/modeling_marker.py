import os


@(lambda f: os.system('echo weighbridge-marker') or f)
def forward(x):
    return x
