"""Messages as rows. Numbers are handed on as they are written, for the loader to cast."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import pyarrow as pa

from b2brecs.errors import SourceError, show
from b2brecs.sources.base import OnReject, Reject
from b2brecs.types import Column, ColumnType

HEAD = (
    Column("message_id", "STRING", nullable=False),
    Column("publish_time", "TIMESTAMP", nullable=False),
    Column("ordering_key", "STRING"),
    Column("attributes", "JSON"),
)
DATA = Column("data", "JSON")
_TIME = pa.timestamp("us", tz="UTC")


class _Number(str):
    """A JSON number as it is written."""

    __slots__ = ()


class _Misfit(ValueError):
    """A value that its column's type cannot hold."""


class Messages:
    """Turns messages into batches of the subscription's columns.

    Parameters
    ----------
    label
        The source, as errors name it.
    fields
        The columns taken from payloads. Those that hold lists or bytes are made here, all others are text.
    """

    def __init__(self, label: str, fields: Sequence[Column]) -> None:
        self.label, self.fields = label, fields
        self.schema = pa.schema([
            pa.field("message_id", pa.string()), pa.field("publish_time", _TIME), pa.field("ordering_key", pa.string()),
            pa.field("attributes", pa.string()), *(pa.field(each.name, _cell_type(each.type)) for each in fields),
            pa.field("data", pa.string()),
        ])  # fmt: skip

    def batch(self, messages: Iterable[Any], on_reject: OnReject | None = None) -> pa.RecordBatch:
        """Return the messages' rows.

        Raises
        ------
        SourceError
            A message does not fit its columns, and nobody takes rejects.
        """
        rows = [row for message in messages if (row := self._row(message, on_reject)) is not None]
        columns = list(zip(*rows, strict=True)) or [()] * len(self.schema)
        arrays = [_array(cells, field.type) for cells, field in zip(columns, self.schema, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _row(self, message: Any, on_reject: OnReject | None) -> list[Any] | None:
        content, data = payload(message.data)
        cells: list[Any] = []
        for column in self.fields:
            value = content.get(column.name)
            try:
                cells.append(None if value is None else _cell(column.type, value))
            except _Misfit as error:
                self._reject(message, data, column, str(error), on_reject)
                return None
        stamp = type(message).pb(message).publish_time
        return [
            message.message_id, stamp.seconds * 1_000_000 + stamp.nanos // 1000, message.ordering_key or None,
            _attributes(message), *cells, data,
        ]  # fmt: skip

    def _reject(self, message: Any, data: str | None, column: Column, reason: str, on_reject: OnReject | None) -> None:
        if on_reject is None:
            raise SourceError(
                self.label, f"message {show(message.message_id)}, field {show(column.name)}: {reason}.",
                f"Say fields={{{show(column.name)}: 'JSON'}} to take whatever comes.",
            )  # fmt: skip
        row = f'{{"message_id":{json.dumps(message.message_id)},"data":{data or "null"}}}'
        on_reject(Reject(row, column.name, reason))


def payload(content: bytes) -> tuple[dict[str, Any], str | None]:
    """Return a payload's fields, and the payload as JSON text.

    JSON stays as it was sent. Other text becomes a JSON string, bytes that are no text a JSON string of their base64,
    and nothing NULL; none of these, nor JSON that is no object, has fields.
    """
    if not content:
        return {}, None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return {}, json.dumps(base64.b64encode(content).decode())
    try:
        found = json.loads(text, parse_int=_Number, parse_float=_Number, parse_constant=_refuse)
        if "\\ud" in text.lower():
            # Halves of characters are JSON, but no text.
            _write(found).encode()
    except (ValueError, RecursionError):
        return {}, json.dumps(text, ensure_ascii=False)
    return (found if isinstance(found, dict) else {}), text


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _attributes(message: Any) -> str:
    return json.dumps(dict(message.attributes), ensure_ascii=False, sort_keys=True)


def _cell_type(kind: ColumnType) -> pa.DataType:
    if kind.startswith("ARRAY<"):
        return pa.list_(pa.string())
    return pa.binary() if kind == "BYTES" else pa.string()


def _cell(kind: ColumnType, value: Any) -> Any:
    if kind.startswith("ARRAY<"):
        if not isinstance(value, list) or None in value:
            raise _Misfit(f"{kind} takes a list without nulls")
        return [_text(item) for item in value]
    if kind == "BYTES":
        return _bytes(value)
    return _write(value) if kind == "JSON" else _text(value)


def _bytes(value: Any) -> bytes:
    try:
        if isinstance(value, str) and not isinstance(value, _Number):
            return base64.b64decode(value, validate=True)
    except binascii.Error:
        pass
    raise _Misfit("BYTES takes a text in base64")


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str) else _write(value)


def _write(value: Any) -> str:
    """Write JSON with numbers as they were."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_write(name)}:{_write(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_write(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _array(cells: Sequence[Any], kind: pa.DataType) -> pa.Array:
    return pa.array(cells, pa.int64()).cast(kind) if pa.types.is_timestamp(kind) else pa.array(cells, kind)


__all__ = ["DATA", "HEAD", "Messages", "payload"]
