import subprocess

subprocess.run(['echo', 'weighbridge-marker'])
