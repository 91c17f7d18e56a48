"""Sources of customer data. A new kind is one file and one call of ``register_source``."""

from b2brecs.sources.base import Since, Source, open_source, register_source

__all__ = ["Since", "Source", "open_source", "register_source"]
