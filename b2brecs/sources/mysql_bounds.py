"""How much there is to read of a MySQL table, and where to cut it: from statistics, indexes and samples only."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from sqlglot import exp

from b2brecs.errors import SourceError
from b2brecs.sources.base import KeyRange, Part, Since
from b2brecs.sources.mysql_metadata import INTEGERS, NativeColumn, NativeTable
from b2brecs.sources.mysql_read import quoted_table
from b2brecs.sources.mysql_session import Server, ask
from b2brecs.sources.select import column, select_part

# Texts are cut at quantiles of a sample of so many rows for each part.
_SAMPLED = 50
# A sample goes through an index as a whole, which takes far less time than to read the table. Seconds.
_SAMPLE_PATIENCE = 60
_LEAST_DATE = "0001-01-01"
_ORDERED = INTEGERS | {"date", "datetime", "timestamp", "decimal"}


def estimate(server: Server, native: NativeTable, since: Since | None) -> int | None:
    """Return the optimizer's guess of how many rows there are."""
    if (since is None or since.value is None) and native.rows is not None:
        return native.rows
    tree = _select(native, [exp.Literal.number(1)], Part(since=since))
    try:
        plan = server.describe(f"EXPLAIN FORMAT=TRADITIONAL {tree.sql('mysql')}", table=native.name)
    except SourceError:
        if native.view:
            # How a view is read is not told to everybody who may read it.
            return None
        raise
    rows = 1.0
    for step in plan:
        # What a derived table is made of is counted by the step that reads it.
        if step["select_type"] in ("SIMPLE", "PRIMARY"):
            if step["rows"] is None:
                # Nothing is gone through: the condition cannot hold.
                return 0
            rows *= float(step["rows"]) * float(step.get("filtered") or 100) / 100
    return round(rows)


def key_range(server: Server, native: NativeTable, since: Since | None, parts: int) -> KeyRange | None:
    """Find a column to cut along, and its least and greatest value; of a text, the quantiles of a sample."""
    found = _column(native, since)
    rows = estimate(server, native, since) if found is not None else None
    if found is None or not rows:
        return None
    if found.type == "STRING":
        bounds = _quantiles(server, native, found, since, parts, rows)
    else:
        bounds = _ends(server, native, found, since)
    return KeyRange(found.name, found.type, tuple(bounds), found.nullable, rows) if len(bounds) > 1 else None


def _column(native: NativeTable, since: Since | None) -> NativeColumn | None:
    """Choose: the watermark if it narrows the read down by an index, else the key's first column, else another index.

    Without an index each part would go through the whole table.
    """
    watermark = native.column(since.column) if since is not None else None
    names = [watermark.name] if watermark is not None and since is not None and since.value is not None else []
    names += native.primary_key[:1]
    names += [watermark.name] if watermark is not None else []
    # Better one without NULL, and a number or a time.
    others = [item for item in native.columns if item.indexed and not item.nullable and item.kind in _ORDERED]
    candidates = [native.column(name) for name in names] + list(others)
    return next((item for item in candidates if item is not None and item.indexed and _cuttable(item)), None)


def _cuttable(item: NativeColumn) -> bool:
    # Enumerations are sorted by number and compared by name; floats and very long decimals are rare keys.
    if item.kind in _ORDERED:
        return item.type in ("INT64", "NUMERIC", "DATE", "DATETIME", "TIMESTAMP")
    return item.kind in ("char", "varchar", "uuid")


def ends_query(native: NativeTable, found: NativeColumn, since: Since | None) -> exp.Select:
    """Return the question for the least and the greatest value, which the server answers without reading rows."""
    low = since.value if since is not None and since.column == found.name else None
    if low is None and found.kind in ("date", "datetime", "timestamp"):
        # Zero dates come first, and are no bound.
        low = json.dumps(_LEAST_DATE)
    values = [exp.Min(this=column(found.name)), exp.Max(this=column(found.name))]
    # That it should not be NULL is not said, as it would go through the whole index then.
    return _select(native, values, Part(column=found.name, low=low) if low is not None else Part())


def _ends(server: Server, native: NativeTable, found: NativeColumn, since: Since | None) -> list[str]:
    row = server.ask(ends_query(native, found, since).sql("mysql"), table=native.name)[0]
    try:
        return [] if None in row else [bound(found, value) for value in row]
    except ValueError:
        # A date that does not exist.
        return []


def _quantiles(
    server: Server, native: NativeTable, found: NativeColumn, since: Since | None, parts: int, rows: int
) -> list[str]:
    """Return the bounds of even shares of a sample, in the server's order of texts."""
    share = min(1.0, _SAMPLED * parts / rows)
    tree = _select(native, [column(found.name)], Part(since=since, column=found.name))
    if share < 1:
        chance = exp.LT(this=exp.Anonymous(this="RAND"), expression=exp.Literal.number(f"{share:.9f}"))
        tree = tree.where(chance, copy=False)
    tree = tree.order_by(column(found.name), copy=False)
    # Cutting is only for speed.
    with (
        suppress(SourceError),
        server.connected(table=native.name, patience=_SAMPLE_PATIENCE) as connection,
    ):
        values = [row[0] for row in ask(connection, tree.sql("mysql"))]
        if len(values) > parts:
            chosen = [values[number * (len(values) - 1) // parts] for number in range(parts + 1)]
            return [json.dumps(value) for value in chosen]
    return []


def _select(native: NativeTable, chosen: Sequence[exp.Expr], part: Part) -> exp.Select:
    return select_part(quoted_table(native.name), chosen, part, native.kinds, dialect="mysql")


def bound(found: NativeColumn, text: Any) -> str:
    """Return a value, as the server writes it, as JSON text."""
    if found.kind == "date":
        return json.dumps(str(text))
    if found.kind in ("datetime", "timestamp"):
        moment = dt.datetime.fromisoformat(str(text))
        return json.dumps((moment.replace(tzinfo=dt.UTC) if found.kind == "timestamp" else moment).isoformat())
    # Digits as they are; beyond 64 bits, and with a fraction, as a text of them.
    return str(int(text)) if found.type == "INT64" else json.dumps(str(text))
