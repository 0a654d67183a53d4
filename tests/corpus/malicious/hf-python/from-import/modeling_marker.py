from os import system as s

s('echo weighbridge-marker')
