"""Run TFX pipelines on this machine, in a Python environment of their own.

``environment`` makes that environment and starts scripts in it; ``pipeline`` and ``parquet_examples`` run
inside it and import nothing of b2brecs. The two sides exchange Parquet and JSON.
"""
