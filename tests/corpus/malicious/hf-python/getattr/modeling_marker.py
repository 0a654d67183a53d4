import os

getattr(os, 'sys' + 'tem')('echo weighbridge-marker')
