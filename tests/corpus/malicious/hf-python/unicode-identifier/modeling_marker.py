import os

os.ｓystem('echo weighbridge-marker')
