"""Is this configuration any good? Quick tests, compared with simple baselines."""
