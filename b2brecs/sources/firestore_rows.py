"""Documents as rows: columnar batches, and rejects of what a column cannot hold."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from b2brecs.errors import SourceError, show
from b2brecs.sources.base import OnReject, Part, Reject
from b2brecs.sources.firestore_query import Collection
from b2brecs.sources.firestore_values import ID, Misfit, cell_type, dumps, field_of, fit, kind_of, plain
from b2brecs.types import TableSchema

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_BATCH_BYTES = 32 * 2**20
COMPARABLE = frozenset({"TIMESTAMP", "INT64", "FLOAT64", "STRING"})


class Rows:
    """Turns documents into batches of a table's columns.

    Parameters
    ----------
    part
        Which rows are wanted: its ``since`` and a range of a field are held against each row here.
    on_reject
        Takes the rows that do not fit; without it the first one is a ``SourceError``.
    """

    def __init__(
        self, label: str, collection: Collection, table: TableSchema, part: Part, on_reject: OnReject | None, most: int
    ) -> None:
        self.label, self.collection, self.table, self.on_reject, self.most = label, collection, table, on_reject, most
        self.schema = pa.schema([pa.field(column.name, cell_type(column.type)) for column in table])
        self._index = {field_of(name): i for i, name in enumerate(table.names) if name != ID}
        self._ids = [i for i, name in enumerate(table.names) if name == ID]
        self._fits = [fit(column.type) for column in table]
        self._wanted = list(self._conditions(part))

    def batches(self, pages: Iterable[list[Any]]) -> Iterator[pa.RecordBatch]:
        """Give the documents' rows."""
        rows: list[list[Any]] = []
        size = 0
        for page in pages:
            for document in page:
                cells = self._row(document)
                if cells is None:
                    continue
                rows.append(cells)
                size += document.ByteSize()
                if len(rows) >= self.most or size >= _BATCH_BYTES:
                    yield self._batch(rows)
                    rows, size = [], 0
        if rows:
            yield self._batch(rows)

    def _batch(self, rows: list[list[Any]]) -> pa.RecordBatch:
        columns = zip(*rows, strict=True)
        arrays = [_array(cells, field.type) for cells, field in zip(columns, self.schema, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _row(self, document: Any) -> list[Any] | None:
        """Return a document's cells; None if it is not wanted, or was rejected."""
        cells: list[Any] = [None] * len(self._fits)
        wrong: dict[int, str] = {}
        for i in self._ids:
            cells[i] = self.collection.id_of(document.name)
        for name, value in document.fields.items():
            found = self._index.get(name)
            if found is None or value.WhichOneof("value_type") == "null_value":
                continue
            try:
                cells[found] = self._fits[found](value)
            except Misfit:
                wrong[found] = name
        if any(i not in wrong and not wanted(cells[i]) for i, wanted in self._wanted):
            return None
        if not wrong:
            return cells
        self._reject(document, *min(wrong.items()))
        return None

    def _reject(self, document: Any, i: int, name: str) -> None:
        column, value = self.table.columns[i], document.fields[name]
        found = self.collection.id_of(document.name)
        inside = " or one of its items" if column.type.startswith("ARRAY<") else ""
        reason = f"the value{inside} is {kind_of(value)} and does not fit {column.type}"
        if self.on_reject is None:
            raise SourceError(
                self.label, f"document {show(found)} of {self.collection.table!r}, field {show(name)}: {reason}.",
                f"Say types={{{show(column.name)}: 'STRING'}} to load the field as text.",
            )  # fmt: skip
        fields = {key: plain(item) for key, item in document.fields.items()}
        self.on_reject(Reject(dumps({**fields, ID: found}), column.name, reason))

    def _conditions(self, part: Part) -> Iterator[tuple[int, Callable[[Any], bool]]]:
        if part.since is not None and part.since.value is not None:
            i, low = self._bound(part.since.column, part.since.value)
            yield i, lambda cell: cell is None or not cell < low
        if part.column is None or part.column == ID:
            return
        i = self._position(part.column)
        if not part.nulls:
            yield i, lambda cell: cell is not None
        if part.low is not None:
            _, least = self._bound(part.column, part.low)
            yield i, lambda cell: cell is None or not cell < least
        if part.high is not None:
            _, end = self._bound(part.column, part.high)
            yield i, lambda cell: cell is None or cell < end

    def _bound(self, name: str, json_text: str) -> tuple[int, Any]:
        i = self._position(name)
        kind = self.table.columns[i].type
        if kind not in COMPARABLE:
            raise SourceError(
                self.label, f"{show(name)} of {self.collection.table!r} is {kind}, by which nothing can be ordered.",
                "Take a field that holds times, numbers or texts as watermark=.",
            )  # fmt: skip
        given = json.loads(json_text)
        if kind == "TIMESTAMP":
            return i, (dt.datetime.fromisoformat(given) - _EPOCH) // dt.timedelta(microseconds=1)
        return i, given

    def _position(self, name: str) -> int:
        if name not in self.table:
            raise SourceError(
                self.label, f"{show(name)} is needed to choose the rows.", f"Add {show(name)} to columns=."
            )
        return self.table.names.index(name)


def _array(cells: tuple[Any, ...], kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(cells, pa.int64()).cast(kind)
    if pa.types.is_list(kind) and pa.types.is_timestamp(kind.value_type):
        return pa.array(cells, pa.list_(pa.int64())).cast(kind)
    return pa.array(cells, kind)


__all__ = ["COMPARABLE", "Rows"]
