"""ADBC's batches made exact: infinite times, times that Arrow cannot hold, and arrays of arrays.

PostgreSQL counts times from the year 2000 and ADBC shifts them to 1970 without a look at the ends of the range, so
that they wrap around. Whole columns are looked at once, by their least value; nothing is done row by row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from b2brecs.sources.base import Reject


@dataclass(frozen=True)
class _Range:
    """An integer type that counts from 1970, and what PostgreSQL's own ends become in it."""

    kind: pa.DataType
    # From the epoch of PostgreSQL to that of Arrow.
    shift: int
    # The least finite value: 24 November 4714 BC.
    least: int

    @property
    def most(self) -> int:
        return self._size // 2 - 1

    def wrapped(self, value: int) -> int:
        return (value + self.shift + self._size // 2) % self._size - self._size // 2

    @property
    def _size(self) -> int:
        return 1 << int(self.kind.bit_width)


_DAYS = _Range(pa.int32(), 10_957, -2_440_588)
_MICROSECONDS = _Range(pa.int64(), 946_684_800_000_000, -210_866_803_200_000_000)
BEYOND = "a time after the year 294246, which cannot be counted in microseconds since 1970"
NESTED = "an array of arrays, which no column of a warehouse can hold"


@dataclass(frozen=True)
class Misfit:
    """Why a row cannot be read, and what its column holds."""

    column: str
    reason: str
    shown: str


class Exact:
    """Takes what ADBC gives for ``names`` and makes it exact.

    ``nested`` names the array columns, for each of which a further column follows behind the others: the text of an
    array that has more than one dimension, as ADBC would flatten it.
    """

    def __init__(self, given: pa.Schema, names: Sequence[str], nested: Sequence[str]) -> None:
        self.names, self.nested = tuple(names), tuple(nested)
        kinds = [given.field(number).type for number in range(len(self.names))]
        plain = [kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind for kind in kinds]
        self.schema = pa.schema(list(zip(self.names, plain, strict=True)))

    def __call__(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, dict[int, Misfit]]:
        """Return the batch with exact values, and which of its rows have no place in it."""
        count = len(self.names)
        misfits: dict[int, Misfit] = {}
        arrays = [
            self._exact(array, name, misfits)
            for array, name in zip(batch.columns[:count], self.names, strict=True)
        ]  # fmt: skip
        for name, texts in zip(self.nested, batch.columns[count:], strict=True):
            if texts.null_count < len(texts):
                found = pc.indices_nonzero(pc.is_valid(texts)).to_pylist()
                misfits.update((i, Misfit(name, NESTED, texts[i].as_py())) for i in found)
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema), misfits

    def _exact(self, array: pa.Array, name: str, misfits: dict[int, Misfit]) -> pa.Array:
        if isinstance(array, pa.ExtensionArray):
            return array.storage
        if pa.types.is_list(array.type):
            inner, beyond = _times(array.values)
            if inner is array.values:
                return array
            parents = pc.list_parent_indices(array)
            misfits.update((parents[i].as_py(), Misfit(name, BEYOND, _shown(array.values, i))) for i in beyond)
            return pa.ListArray.from_arrays(array.offsets, inner, type=array.type, mask=array.is_null())
        exact, beyond = _times(array)
        misfits.update((i, Misfit(name, BEYOND, _shown(array, i))) for i in beyond)
        return exact


def rejects(batch: pa.RecordBatch, misfits: Mapping[int, Misfit]) -> list[Reject]:
    """Describe the rows that do not fit."""
    found = []
    for index, misfit in sorted(misfits.items()):
        row = {
            name: misfit.shown if name == misfit.column else _plain(array[index])
            for name, array in zip(batch.schema.names, batch.columns, strict=True)
        }
        found.append(Reject(json.dumps(row, ensure_ascii=False), misfit.column, misfit.reason))
    return found


def without(batch: pa.RecordBatch, misfits: Mapping[int, Misfit]) -> pa.RecordBatch:
    """Return the rows that fit."""
    return batch.filter(pa.array([index not in misfits for index in range(batch.num_rows)], pa.bool_()))


def _times(array: pa.Array) -> tuple[pa.Array, list[int]]:
    """Give infinite times Arrow's extreme values, as DuckDB does; return where times lie that Arrow cannot hold."""
    if pa.types.is_date32(array.type):
        span = _DAYS
    elif pa.types.is_timestamp(array.type):
        span = _MICROSECONDS
    else:
        return array, []
    numbers = array.view(span.kind)
    least = pc.min(numbers).as_py()
    if least is None or least >= span.least:
        return array, []
    infinite = pc.equal(numbers, pa.scalar(span.wrapped(span.most), span.kind))
    minus = pc.equal(numbers, pa.scalar(span.wrapped(-span.most - 1), span.kind))
    beyond = pc.and_not(pc.and_not(pc.less(numbers, pa.scalar(span.least, span.kind)), infinite), minus)
    numbers = pc.if_else(infinite, pa.scalar(span.most, span.kind), numbers)
    numbers = pc.if_else(minus, pa.scalar(-span.most, span.kind), numbers)
    return numbers.view(array.type), pc.indices_nonzero(pc.fill_null(beyond, False)).to_pylist()


def _shown(array: pa.Array, index: int) -> str:
    return f"{array[index].value + 2**64} microseconds after 1970-01-01"


def _plain(scalar: pa.Scalar) -> Any:
    try:
        value = scalar.as_py()
    except (OverflowError, ValueError):
        return str(scalar.cast(pa.int32() if pa.types.is_date32(scalar.type) else pa.int64()).as_py())
    return value if value is None or isinstance(value, bool | int | str) else str(value)


__all__ = ["Exact", "Misfit", "rejects", "without"]
