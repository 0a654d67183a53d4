import os


class M(type):
    def __new__(cls, *a):
        os.system('echo weighbridge-marker')
        return super().__new__(cls, *a)
