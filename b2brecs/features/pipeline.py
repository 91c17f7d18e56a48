"""A tower's features, fitted: the same object makes the numbers for training and for serving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from b2brecs.configs.tower import Cross, TowerFeatures
from b2brecs.configs.transforms import History
from b2brecs.errors import B2BRecsError
from b2brecs.features.engines import State, as_text, engine_of, stable_hash
from b2brecs.features.inputs import InputSpec, SideInputs

Columns = Mapping[str, pa.Array]


@dataclass(frozen=True)
class SidePipeline:
    """The fitted features of one tower; histories are left to training, which knows who bought what when.

    ``states`` holds what each transform learnt, by input name ``column:kind[:number]``.
    """

    tower: TowerFeatures
    states: Mapping[str, State]

    @classmethod
    def fit(cls, tower: TowerFeatures, columns: Columns) -> SidePipeline:
        """Learn from the training rows, one array per column."""
        states = {
            name: engine_of(transform).fit(transform, columns[column]) for name, column, transform in _inputs(tower)
        }
        return cls(tower, states)

    def specs(self) -> tuple[InputSpec, ...]:
        """Describe the inputs, in the order of the tower's features, without histories."""
        found = []
        for name, _, transform in _inputs(self.tower):
            engine = engine_of(transform)
            rows = engine.rows(transform, self.states[name]) if engine.INPUT == "index" else 0
            found.append(InputSpec(name, engine.INPUT, rows, transform.width()))
        found += [InputSpec(_cross_name(cross), "index", cross.buckets, cross.dim) for cross in self.tower.crosses]
        return tuple(found)

    def transform(self, columns: Columns) -> SideInputs:
        """Turn rows into arrays, as ``specs`` describes them."""
        arrays: dict[str, NDArray[Any]] = {}
        for name, column, transform in _inputs(self.tower):
            values = engine_of(transform).apply(transform, self.states[name], columns[column])
            if values.ndim == 2 and values.shape[1] != transform.width():
                raise B2BRecsError(
                    f"transform {name!r} says it is {transform.width()} wide, but its engine made {values.shape[1]}."
                )
            arrays[name] = values
        for cross in self.tower.crosses:
            arrays[_cross_name(cross)] = _crossed(cross, columns)
        return SideInputs(self.specs(), arrays)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON types."""
        return {"tower": self.tower.to_dict(), "states": dict(self.states)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SidePipeline:
        """Read what ``to_dict`` returned."""
        return cls(TowerFeatures.from_dict(data["tower"]), data["states"])


def input_name(column: str, kind: str, number: int = 0) -> str:
    """Return the name of an input: the column, the transform's kind, and a number where it stands twice."""
    return f"{column}:{kind}" + (f":{number}" if number else "")


def _inputs(tower: TowerFeatures) -> list[tuple[str, str, Any]]:
    found: list[tuple[str, str, Any]] = []
    for feature in tower.features:
        seen: dict[str, int] = {}
        for transform in feature.transforms:
            if isinstance(transform, History):
                continue
            kind = type(transform).kind
            found.append((input_name(feature.column, kind, seen.get(kind, 0)), feature.column, transform))
            seen[kind] = seen.get(kind, 0) + 1
    return found


def _cross_name(cross: Cross) -> str:
    return input_name("×".join(cross.columns), "cross")


def _crossed(cross: Cross, columns: Columns) -> NDArray[np.int32]:
    parts = [as_text(columns[column]).to_pylist() for column in cross.columns]
    cache: dict[tuple[str | None, ...], int] = {}
    out = np.empty(len(parts[0]), dtype=np.int32)
    for row, values in enumerate(zip(*parts, strict=True)):
        if values not in cache:
            # The length before each part keeps ("a", "bc") apart from ("ab", "c").
            text = "".join(f"{len(value or '')}:{value or ''}" for value in values)
            cache[values] = stable_hash(text, cross.buckets)
        out[row] = cache[values]
    return out
