__import__('os').system('echo weighbridge-marker')
