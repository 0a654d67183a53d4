import os

dependencies = ['torch']
os.system('echo weighbridge-marker')


def model(**kwargs):
    return None
