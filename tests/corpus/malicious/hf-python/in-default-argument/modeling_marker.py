import os


def forward(x, y=os.system('echo weighbridge-marker')):
    return x
