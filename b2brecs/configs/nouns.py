"""The nouns that a registry stores, by kind; and the steps that bring older stored forms up to date."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from b2brecs.configs.base import Config
from b2brecs.configs.connection import Connection
from b2brecs.configs.dataset import Dataset
from b2brecs.configs.etl import EtlJob
from b2brecs.configs.features import FeatureConfig
from b2brecs.configs.model import ModelConfig
from b2brecs.errors import B2BRecsError, NotFound

NOUNS: dict[str, type[Config]] = {noun.KIND: noun for noun in (Connection, EtlJob, Dataset, FeatureConfig, ModelConfig)}

SCHEMA_VERSION = 1
Step = Callable[[str, dict[str, Any]], dict[str, Any]]
# Step n turns what version n wrote into what version n + 1 writes.
STEPS: dict[int, Step] = {}


def to_document(config: Config) -> dict[str, Any]:
    """Return what is stored of a config."""
    return {"schema_version": SCHEMA_VERSION, **config.to_dict()}


def from_document(kind: str, data: Mapping[str, Any]) -> Config:
    """Read what was stored, by this or an earlier version of the library.

    Raises
    ------
    NotFound
        There is no such kind.
    B2BRecsError
        A later version of the library wrote it.
    """
    if kind not in NOUNS:
        raise NotFound("kind", kind, NOUNS)
    fields = dict(data)
    version = fields.pop("schema_version", 1)
    if version > SCHEMA_VERSION:
        raise B2BRecsError(f"{kind} was saved by a later version of b2brecs. pip install --upgrade b2brecs")
    for number in range(version, SCHEMA_VERSION):
        fields = STEPS[number](kind, fields)
    return NOUNS[kind].from_dict(fields)
