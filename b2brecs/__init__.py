"""b2brecs: from raw company data to a served B2B recommender, without leaving the notebook.

import b2brecs as b2b

ws = b2b.connect("local")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from b2brecs import sample as sample
    from b2brecs.configs import rules as rules
    from b2brecs.configs.compat import compatible as compatible
    from b2brecs.configs.connection import Connection as Connection
    from b2brecs.configs.connection import SourceSettings as SourceSettings
    from b2brecs.configs.dataset import Dataset as Dataset
    from b2brecs.configs.etl import EtlJob as EtlJob
    from b2brecs.configs.features import FeatureConfig as FeatureConfig
    from b2brecs.configs.model import ModelConfig as ModelConfig
    from b2brecs.configs.schedule import Schedule as Schedule
    from b2brecs.configs.secrets import Secret as Secret
    from b2brecs.configs.split import StrictTime as StrictTime
    from b2brecs.configs.transforms import Transform as Transform
    from b2brecs.etl.quality import register_check as register_check
    from b2brecs.features.engines import Engine as Engine
    from b2brecs.features.engines import register_transform as register_transform
    from b2brecs.sources.base import Source as Source
    from b2brecs.sources.base import register_source as register_source
    from b2brecs.types import Column as Column
    from b2brecs.types import TableSchema as TableSchema
    from b2brecs.workspace import Workspace as Workspace
    from b2brecs.workspace import connect as connect

__version__ = "0.1.0"

# Name → where it lives. Nothing is imported before it is used.
_PLACES = {
    "Column": "b2brecs.types",
    "Connection": "b2brecs.configs.connection",
    "Dataset": "b2brecs.configs.dataset",
    "Engine": "b2brecs.features.engines",
    "EtlJob": "b2brecs.configs.etl",
    "FeatureConfig": "b2brecs.configs.features",
    "ModelConfig": "b2brecs.configs.model",
    "Schedule": "b2brecs.configs.schedule",
    "Secret": "b2brecs.configs.secrets",
    "Source": "b2brecs.sources.base",
    "SourceSettings": "b2brecs.configs.connection",
    "StrictTime": "b2brecs.configs.split",
    "TableSchema": "b2brecs.types",
    "Transform": "b2brecs.configs.transforms",
    "Workspace": "b2brecs.workspace",
    "compatible": "b2brecs.configs.compat",
    "connect": "b2brecs.workspace",
    "register_check": "b2brecs.etl.quality",
    "register_source": "b2brecs.sources.base",
    "register_transform": "b2brecs.features.engines",
}
_MODULES = {"errors": "b2brecs.errors", "rules": "b2brecs.configs.rules", "sample": "b2brecs.sample"}

__all__ = ["__version__", *sorted(_PLACES), *_MODULES]  # noqa: PLE0604 - all are text


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        value = getattr(importlib.import_module(_PLACES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(_MODULES[name])
    else:
        from b2brecs.errors import nearest

        raise AttributeError(f"module 'b2brecs' has no {name!r}. {nearest(name, __all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
