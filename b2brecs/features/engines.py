"""One engine per transform: what it learns from the training rows, and the numbers it makes.

What is learnt is a plain dictionary (JSON types), so that it can be stored, compared and read by other
programs.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from b2brecs.configs.transforms import Buckets, Cycle, Embedding, Hashed, Scale, Transform
from b2brecs.errors import B2BRecsError

T = TypeVar("T", bound=Transform)
State = dict[str, Any]


class Engine(ABC, Generic[T]):
    """Fits and applies one kind of transform. Stateless: what is learnt is passed around."""

    # "index": rows of an embedding table, int32[n]. "dense": numbers, float32[n, width].
    INPUT: ClassVar[Literal["index", "dense"]]

    @abstractmethod
    def fit(self, transform: T, values: pa.Array) -> State:
        """Learn from the training rows' values (NULLs among them)."""

    @abstractmethod
    def apply(self, transform: T, state: State, values: pa.Array) -> NDArray[Any]:
        """Turn values into an index per row, or numbers per row. Every value has an answer, NULL too."""

    def rows(self, transform: T, state: State) -> int:
        """Return how many rows the embedding table has; 0 for dense."""
        del transform, state
        return 0


_ENGINES: dict[str, Engine[Any]] = {}


def register_transform(transform: type[T], engine: type[Engine[T]]) -> None:
    """Make a new transform known: its configuration, and the engine that fits and applies it."""
    _ENGINES[transform.kind] = engine()


def engine_of(transform: Transform) -> Engine[Any]:
    """Return the engine of a transform.

    Raises
    ------
    B2BRecsError
        Nobody registered one.
    """
    engine = _ENGINES.get(type(transform).kind)
    if engine is None:
        raise B2BRecsError(
            f"transform {type(transform).kind!r} has no engine. Call b2brecs.register_transform(Transform, Engine)."
        )
    return engine


def as_text(values: pa.Array) -> pa.Array:
    """Return values as text, NULL as NULL: the form in which vocabularies hold them."""
    if pa.types.is_string(values.type):
        return values
    if pa.types.is_boolean(values.type):
        return pc.if_else(values, "true", "false")
    return pc.cast(values, pa.string())


def stable_hash(text: str, buckets: int) -> int:
    """Hash text into ``[0, buckets)``, the same in every process and version."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") % buckets


def _per_distinct(values: pa.Array, place: Any) -> NDArray[np.int32]:
    encoded = as_text(values).dictionary_encode(null_encoding="encode")
    table = np.array([place(item) for item in encoded.dictionary.to_pylist()], dtype=np.int32)
    return table[encoded.indices.to_numpy(zero_copy_only=False)] if len(values) else np.empty(0, np.int32)


class EmbeddingEngine(Engine[Embedding]):
    """Vocabulary by frequency, then value; what is not in it, NULL included, shares the OOV rows after it."""

    INPUT = "index"

    def fit(self, transform: Embedding, values: pa.Array) -> State:
        counts = as_text(values).drop_null().value_counts().to_pylist()
        kept = [(-item["counts"], item["values"]) for item in counts if item["counts"] >= transform.min_frequency]
        return {"vocabulary": [value for _, value in sorted(kept)[: transform.vocabulary_size]]}

    def apply(self, transform: Embedding, state: State, values: pa.Array) -> NDArray[Any]:
        place = {value: index for index, value in enumerate(state["vocabulary"])}
        known = len(place)

        def index(value: str | None) -> int:
            found = place.get(value) if value is not None else None
            return known + stable_hash(value or "", transform.oov_buckets) if found is None else found

        return _per_distinct(values, index)

    def rows(self, transform: Embedding, state: State) -> int:
        return len(state["vocabulary"]) + transform.oov_buckets


class HashedEngine(Engine[Hashed]):
    """Hash of the text; NULL is hashed as empty text."""

    INPUT = "index"

    def fit(self, transform: Hashed, values: pa.Array) -> State:
        del transform, values
        return {}

    def apply(self, transform: Hashed, state: State, values: pa.Array) -> NDArray[Any]:
        del state
        return _per_distinct(values, lambda value: stable_hash(value or "", transform.buckets))

    def rows(self, transform: Hashed, state: State) -> int:
        del state
        return transform.buckets


def _numbers(values: pa.Array) -> NDArray[np.float64]:
    return np.asarray(pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


class ScaleEngine(Engine[Scale]):
    """Mean and population standard deviation, or smallest and largest value, after log1p of what is above 0."""

    INPUT = "dense"

    def fit(self, transform: Scale, values: pa.Array) -> State:
        x = self._logged(transform, _numbers(values))
        x = x[np.isfinite(x)]
        if not len(x):
            return {"offset": 0.0, "scale": 1.0}
        if transform.method == "z_score":
            return {"offset": float(x.mean()), "scale": float(x.std()) or 1.0}
        low, high = float(x.min()), float(x.max())
        return {"offset": (low + high) / 2, "scale": (high - low) / 2 or 1.0}

    def apply(self, transform: Scale, state: State, values: pa.Array) -> NDArray[Any]:
        x = (self._logged(transform, _numbers(values)) - state["offset"]) / state["scale"]
        return np.where(np.isfinite(x), x, 0.0).astype(np.float32)[:, None]

    @staticmethod
    def _logged(transform: Scale, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.log1p(np.maximum(x, 0.0)) if transform.log else x


class BucketsEngine(Engine[Buckets]):
    """Quantiles of the training rows, or the given boundaries; a value equal to one belongs above it."""

    INPUT = "index"

    def fit(self, transform: Buckets, values: pa.Array) -> State:
        if transform.boundaries:
            return {"boundaries": sorted(transform.boundaries)}
        x = _numbers(values)
        x = x[np.isfinite(x)]
        shares = np.linspace(0, 1, transform.count + 1)[1:-1]
        return {"boundaries": sorted(set(np.quantile(x, shares).tolist())) if len(x) else []}

    def apply(self, transform: Buckets, state: State, values: pa.Array) -> NDArray[Any]:
        del transform
        x = _numbers(values)
        index = np.searchsorted(np.asarray(state["boundaries"]), x, side="right")
        return np.where(np.isnan(x), len(state["boundaries"]) + 1, index).astype(np.int32)

    def rows(self, transform: Buckets, state: State) -> int:
        del transform
        return len(state["boundaries"]) + 2


class CycleEngine(Engine[Cycle]):
    """Sine and cosine of the true calendar position in UTC; NULL gives zeros."""

    INPUT = "dense"

    def fit(self, transform: Cycle, values: pa.Array) -> State:
        del transform, values
        return {}

    def apply(self, transform: Cycle, state: State, values: pa.Array) -> NDArray[Any]:
        del state
        if transform.period == "hour" and pa.types.is_date(values.type):
            share = pc.multiply(pc.cast(pc.is_valid(values), pa.float64()), 0.0)
        else:
            share = self._share(transform.period, values)
        angle = 2 * np.pi * np.asarray(share.to_numpy(zero_copy_only=False), dtype=np.float64)
        pair = np.stack([np.sin(angle), np.cos(angle)], axis=1)
        return np.where(np.isfinite(pair), pair, 0.0).astype(np.float32)

    @staticmethod
    def _share(period: str, values: pa.Array) -> Any:
        def part(function: Any) -> Any:
            return pc.cast(function(values), pa.float64())

        if period == "hour":
            return pc.divide(part(pc.hour), 24.0)
        if period == "weekday":
            return pc.divide(part(pc.day_of_week), 7.0)
        if period == "day_of_month":
            return pc.divide(pc.subtract(part(pc.day), 1.0), 31.0)
        if period == "month":
            return pc.divide(pc.subtract(part(pc.month), 1.0), 12.0)
        return pc.divide(pc.subtract(part(pc.quarter), 1.0), 4.0)


register_transform(Embedding, EmbeddingEngine)
register_transform(Hashed, HashedEngine)
register_transform(Scale, ScaleEngine)
register_transform(Buckets, BucketsEngine)
register_transform(Cycle, CycleEngine)
