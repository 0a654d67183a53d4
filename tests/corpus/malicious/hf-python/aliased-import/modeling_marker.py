import os as operating

run = operating.system
run('echo weighbridge-marker')
