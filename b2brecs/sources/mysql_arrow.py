"""The texts of MySQL's values as Arrow, exactly; what has no place in a column's type leaves with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from b2brecs.errors import SourceError
from b2brecs.sources.base import OnReject, Reject
from b2brecs.sources.mysql_metadata import NativeColumn
from b2brecs.sql.arrow import arrow_type
from b2brecs.types import TIME_TYPES, TableSchema

if TYPE_CHECKING:
    from b2brecs.sources.mysql_session import Rows

_LIKE = {"DATE": "date", "DATETIME": "date and time", "TIMESTAMP": "date and time", "BYTES": "text"}


class Exact:
    """Turns the texts of ``columns`` into Arrow batches.

    A column wanted as another type than its own is given as text, for the loader to cast.

    Parameters
    ----------
    table
        What is wanted.
    columns
        The server's columns, in the same order.
    label
        The source, for errors.
    on_reject
        Takes the rows that do not fit. Without it, the first one is an error.
    """

    def __init__(
        self, table: TableSchema, columns: Sequence[NativeColumn], label: str, on_reject: OnReject | None
    ) -> None:
        self._table, self._label, self._on_reject = table, label, on_reject
        self._columns = list(columns)
        self._casts: list[Callable[[pa.Array], pa.Array]] = []
        fields = []
        for wanted, found in zip(table, columns, strict=True):
            kind, cast = _reading(found, wanted.type)
            fields.append(pa.field(wanted.name, kind))
            self._casts.append(cast)
        self.schema = pa.schema(fields)

    def batches(self, rows: Rows) -> Iterator[pa.RecordBatch]:
        """Turn all rows into batches.

        Raises
        ------
        SourceError
            A value does not fit, and nobody takes rejects.
        """
        try:
            for texts in rows:
                yield self._batch(texts)
        finally:
            rows.close()

    def _batch(self, texts: list[pa.BinaryArray]) -> pa.RecordBatch:
        arrays = []
        wrong: dict[int, int] = {}
        for place, (cast, array) in enumerate(zip(self._casts, texts, strict=True)):
            try:
                arrays.append(cast(array))
            except pa.ArrowException:
                made, misfits = _slowly(array, cast, self.schema.field(place).type)
                arrays.append(made)
                for row in misfits:
                    wrong.setdefault(row, place)
        batch = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        if not wrong:
            return batch
        for row, place in sorted(wrong.items()):
            self._refuse(texts, row, place)
        return batch.filter(pa.array([row not in wrong for row in range(batch.num_rows)], pa.bool_()))

    def _refuse(self, texts: list[pa.BinaryArray], row: int, place: int) -> None:
        name, kind = self._table.names[place], self._table.columns[place].type
        shown = _plain(texts[place][row].as_py())
        like = _LIKE.get(self._columns[place].type, "value")
        if self._on_reject is None:
            raise SourceError(
                self._label,
                f"column {name!r} of table {self._table.name!r} holds {shown!r}, which is no {like} that can be read.",
                f"Say types={{{name!r}: 'STRING'}} to load it as text." if kind != "STRING"
                else f"Say types={{{name!r}: 'BYTES'}} to load it as bytes.",
            )  # fmt: skip
        values = {column: _plain(array[row].as_py()) for column, array in zip(self._table.names, texts, strict=True)}
        self._on_reject(
            Reject(json.dumps(values, ensure_ascii=False), name, f"{shown!r} is no {like} that can be read")
        )


def _reading(found: NativeColumn, wanted: str) -> tuple[pa.DataType, Callable[[pa.Array], pa.Array]]:
    """Return as which Arrow type a column is given, and what makes it of the texts."""
    own = found.type
    if found.kind == "float":
        return (pa.float64(), _single) if wanted == own else (pa.string(), _single_text)
    if wanted == own or {wanted, own} <= TIME_TYPES:
        if own in TIME_TYPES:
            kind, plain = arrow_type(own), pa.date32() if own == "DATE" else pa.timestamp("us")
            # The session is in UTC.
            return kind, lambda array: _text(array).cast(plain).cast(kind)
        kind = arrow_type(own)
        return kind, lambda array: array if array.type == kind else pc.cast(array, kind)
    return pa.string(), _text


def _text(array: pa.Array) -> pa.Array:
    return pc.cast(array, pa.string())


def _single(array: pa.Array) -> pa.Array:
    """Read the shortest number that is the same float of 32 bits: 0.1, not 0.10000000149."""
    return _single_text(array).cast(pa.float64())


def _single_text(array: pa.Array) -> pa.Array:
    return pc.cast(array, pa.float64()).cast(pa.float32()).cast(pa.string())


def _slowly(array: pa.Array, cast: Callable[[pa.Array], pa.Array], kind: pa.DataType) -> tuple[pa.Array, list[int]]:
    """Cast what can be; halves that fail are halved again, until the single values that do not fit are found."""
    misfits: list[int] = []
    pieces: list[pa.Array] = []

    def work(start: int, length: int) -> None:
        try:
            pieces.append(cast(array.slice(start, length)))
        except pa.ArrowException:
            if length == 1:
                misfits.append(start)
                pieces.append(pa.nulls(1, kind))
                return
            work(start, length // 2)
            work(start + length // 2, length - length // 2)

    work(0, len(array))
    return pa.concat_arrays(pieces), misfits


def _plain(value: bytes | None) -> Any:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()
