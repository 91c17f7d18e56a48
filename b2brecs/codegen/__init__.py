"""Write configurations as readable TFX code: ``context`` → ``render`` → ``verify``."""
