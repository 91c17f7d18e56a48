"""The query that reads one file as a table's columns, and tells the rows that do not fit from those that do."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from b2brecs.sources.base import Part
from b2brecs.sources.files.natives import read_native
from b2brecs.sources.files.scan import PATH, TEXT, Scan
from b2brecs.sources.files.sql import both, cast, coalesce, column, duck_type, is_set, named, number, select, sql
from b2brecs.sources.files.texts import Reading, Trust, read_text
from b2brecs.sources.select import range_condition, since_condition
from b2brecs.types import Column

# What stands in ``wrong`` when a row cannot be taken apart at all.
BROKEN = -1


@dataclass(frozen=True)
class Wanted:
    """A column to read, and how far its type is to be trusted."""

    column: Column
    trust: Trust


def build(scan: Scan, wanted: Sequence[Wanted], part: Part, *, careful: bool = True) -> str:
    """Return the query of a file's rows.

    It gives the columns in order. Unless ``careful``, it fails at a value that is none; that costs nothing. Where a row
    may not fit, more follow: ``wrong``, NULL or the index of the first column whose value does not fit, or ``BROKEN``;
    and of a wrong row its values as text, and its own text if it has one. ``PATH`` is last.
    """
    places = range(len(wanted))
    readings = [
        _reading(scan.kinds[index], item, column(f"c{index}"), column(f"v{index}"), careful=careful)
        for index, item in enumerate(wanted)
    ]
    raw = [column(f"c{index}") for index in places] + ([] if scan.row is None else [column("j")])
    values = [column(f"v{index}") for index in places]
    path = [column(PATH)] if scan.path else []
    read = [named(reading.value, f"v{index}") for index, reading in enumerate(readings)]
    inner = select([*read, *raw, *([] if scan.whole is None else [column("w")]), *path], scan.query)
    wrong = _wrong(readings, scan)
    if wrong is None and values:
        return sql(_where(select([*values, *path], inner), wanted, part))
    # What is wrong is found here once, and asked for above several times.
    found = _where(
        select([*values, *raw, *path, named(wrong or cast(exp.Null(), "INTEGER"), "wrong")], inner), wanted, part
    )
    shown: list[exp.Expr] = [exp.Array(expressions=[cast(column(f"c{index}"), TEXT) for index in places])]
    if scan.row is not None:
        shown.append(column("j"))
    last = [
        named(exp.Case(ifs=[exp.If(this=is_set(column("wrong")), true=item)]), f"s{index}")
        for index, item in enumerate(shown)
    ]
    return sql(select([*values, column("wrong"), *last, *path], found))


def _reading(native: str, item: Wanted, source: exp.Expr, value: exp.Expr, *, careful: bool) -> Reading:
    if native == TEXT:
        return read_text(source, item.column.type, value, item.trust, careful=careful)
    return read_native(source, native, item.column.type, value)


def _wrong(readings: Sequence[Reading], scan: Scan) -> exp.Expr | None:
    looked = [(index, reading.quick or reading.full, reading.full) for index, reading in enumerate(readings)]
    quick = [item for _, item, full in looked if item is not None and full is not None]
    arms = [_arm(full, index) for index, _, full in looked if full is not None]
    if scan.whole is not None:
        quick.insert(0, scan.whole)
        arms.insert(0, _arm(scan.whole, BROKEN))
    if not arms:
        return None
    return exp.Case(ifs=[exp.If(this=both(*quick), true=cast(exp.Null(), "INTEGER")), *arms])


def _arm(fits: exp.Expr, index: int) -> exp.If:
    unless = exp.Not(this=coalesce(fits, exp.false()))
    return exp.If(this=unless, true=number(index) if index >= 0 else exp.Neg(this=number(-index)))


def _where(query: exp.Select, wanted: Sequence[Wanted], part: Part) -> exp.Select:
    """Add the part's conditions. A value that does not fit is NULL here, so its row stays and is reported."""
    places = {item.column.name: index for index, item in enumerate(wanted)}
    kinds = {f"v{index}": duck_type(item.column.type) for index, item in enumerate(wanted)}
    found = []
    if part.since is not None:
        since = dataclasses.replace(part.since, column=f"v{places[part.since.column]}")
        found.append(since_condition(since, kinds, "duckdb"))
    if part.column is not None:
        ours = dataclasses.replace(part, column=f"v{places[part.column]}")
        found.append(range_condition(ours, kinds, "duckdb"))
    for condition in found:
        if condition is not None:
            query = query.where(condition, copy=False)
    return query
