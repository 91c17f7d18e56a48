"""What stands in one column of a dataset, as a filter's editor shows it: counted in the warehouse, of all rows."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from typing import Any

from sqlglot import exp

from b2brecs.backends.protocols import Warehouse
from b2brecs.configs.dataset import Dataset
from b2brecs.sql.dataset import aliased, name, rows
from b2brecs.types import NUMERIC_TYPES, TIME_TYPES, Column, ColumnType

BARS = 32
VALUES = 100
_TEXT = 64 * 1024
_EXACT_IN_JS = 2**53
_FINITE = "1e300"


def look(warehouse: Warehouse, dataset: Dataset, column: str, search: str = "") -> dict[str, Any]:
    """Describe a column of the dataset's rows before its filters.

    Returns
    -------
    dict
        ``rows``, ``nulls``, ``distinct``; ``values``, the commonest with their counts, of those that contain
        ``search``, and ``matching``, how many do; of numbers and dates ``minimum``, ``maximum`` and ``bars``, each
        ``[from, to, rows]``. The first and last bar hold what lies beyond as well.

    Raises
    ------
    WarehouseError
        The dataset's tables are not as it knows them.
    """
    found = next(item for item in dataset.output() if item.name == column)
    source = exp.select(aliased(name(column), "v")).from_(_all_rows(dataset)).subquery(_quoted("looked"))
    answer: dict[str, Any] = {"column": column, "type": found.type, "search": search}
    answer |= _counts(warehouse, source, found)
    answer |= _values(warehouse, source, found, search)
    if found.type in NUMERIC_TYPES:
        answer |= _numbers(warehouse, source, found)
    elif found.type in TIME_TYPES:
        answer |= _days(warehouse, source)
    return answer


def can_list(kind: ColumnType) -> bool:
    """Say whether single values of a type can be chosen."""
    return kind in NUMERIC_TYPES or kind in ("STRING", "BOOL")


def _quoted(text: str) -> exp.Identifier:
    return exp.to_identifier(text, quoted=True)


def _all_rows(dataset: Dataset) -> exp.Subquery:
    return rows(dataset.changed(filters=())).subquery(_quoted("all_rows"))


def _text(kind: ColumnType) -> exp.Expr:
    """Return the value as a filter of values compares it."""
    return name("v") if kind in ("STRING", "BOOL") else exp.Cast(this=name("v"), to=exp.DataType.build("TEXT"))


def _counts(warehouse: Warehouse, source: exp.Subquery, column: Column) -> dict[str, Any]:
    items = [
        aliased(exp.Count(this=exp.Star()), "rows"),
        aliased(exp.Count(this=name("v")), "present"),
        aliased(exp.Count(this=exp.Distinct(expressions=[_text(column.type)])), "distinct"),
    ]
    row = _one(warehouse, exp.select(*items).from_(source.copy()))
    return {"rows": row["rows"], "nulls": row["rows"] - row["present"], "distinct": row["distinct"]}


def _values(warehouse: Warehouse, source: exp.Subquery, column: Column, search: str) -> dict[str, Any]:
    if not can_list(column.type):
        return {"values": [], "matching": 0}
    groups = exp.select(aliased(_text(column.type), "value"), aliased(exp.Count(this=exp.Star()), "n"))
    groups = groups.from_(source.copy()).where(_present()).group_by(_text(column.type))
    if search:
        text = exp.Lower(this=exp.Cast(this=name("v"), to=exp.DataType.build("TEXT")))
        position = exp.StrPosition(this=text, substr=exp.Lower(this=exp.Literal.string(search)))
        groups = groups.where(exp.GT(this=position, expression=exp.Literal.number(0)))
    everything = exp.Window(this=exp.Count(this=exp.Star()))
    listed = (
        exp.select(name("value"), name("n"), aliased(everything, "matching"))
        .from_(groups.subquery(_quoted("grouped")))
        .order_by(exp.Ordered(this=name("n"), desc=True), exp.Ordered(this=name("value"), desc=False))
        .limit(VALUES)
    )
    found = warehouse.query(listed).read_all().to_pylist()
    return {
        "values": list(_short_enough((_plain(row["value"], column.type), row["n"]) for row in found)),
        "matching": found[0]["matching"] if found else 0,
    }


def _short_enough(pairs: Iterator[tuple[Any, int]]) -> Iterator[list[Any]]:
    room = _TEXT
    for value, count in pairs:
        room -= len(str(value))
        if room >= 0:
            yield [value, count]


def _plain(value: Any, kind: ColumnType) -> Any:
    if kind == "INT64" and abs(int(value)) < _EXACT_IN_JS:
        return int(value)
    return value


def _numbers(warehouse: Warehouse, source: exp.Subquery, column: Column) -> dict[str, Any]:
    value = exp.Cast(this=name("v"), to=exp.DataType.build("DOUBLE"))
    finite = exp.LTE(this=exp.Abs(this=value), expression=exp.Literal.number(_FINITE))
    numbers = exp.select(aliased(value.copy(), "x")).from_(source.copy()).where(_present(), finite)
    items = [
        aliased(exp.Min(this=name("x")), "low"),
        aliased(exp.Max(this=name("x")), "high"),
        aliased(exp.Avg(this=name("x")), "mean"),
    ]
    row = _one(warehouse, exp.select(*items).from_(numbers.subquery(_quoted("finite"))))
    if row["low"] is None:
        return {"minimum": None, "maximum": None, "bars": []}
    low, high = float(row["low"]), float(row["high"])
    start, width, bars = _scale(low, high, float(row["mean"]), whole=column.type == "INT64")
    # As a user would type them, and compared as the filter compares them: a bar counts what its range keeps.
    edges = [float(f"{start + width * number:.12g}") for number in range(bars + 1)]
    counts = []
    for number in range(bars):
        inside: list[exp.Expr] = [] if number == 0 else [exp.GTE(this=name("x"), expression=_number(edges[number]))]
        if number < bars - 1:
            inside.append(exp.LT(this=name("x"), expression=_number(edges[number + 1])))
        one = exp.If(this=exp.and_(*inside) if inside else exp.true(), true=exp.Literal.number(1))
        counts.append(aliased(exp.Count(this=exp.Case(ifs=[one])), f"n{number}"))
    row = _one(warehouse, exp.select(*counts).from_(numbers.subquery(_quoted("finite"))))
    shown = [[edges[number], edges[number + 1], row[f"n{number}"]] for number in range(bars)]
    return {"minimum": low, "maximum": high, "bars": shown}


def _scale(low: float, high: float, mean: float, *, whole: bool) -> tuple[float, float, int]:
    """Return where bars start, how wide they are and how many there are: round numbers that a user would type.

    Far tails do not flatten the rest: the scale ends at six times the mean's distance from the near end.
    """
    if high == low:
        return low, 1.0, 1
    first, last = max(low, mean - 6 * max(high - mean, 1e-300)), min(high, mean + 6 * (mean - low))
    if last <= first:
        first, last = low, high
    rough = (last - first) / BARS
    power = 10.0 ** math.floor(math.log10(rough))
    width = next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough * (1 - 1e-9))
    if whole:
        width = max(1.0, math.ceil(width))
    start = math.floor(first / width) * width
    return start, width, max(1, min(2 * BARS, math.floor((last - start) / width) + 1))


def _days(warehouse: Warehouse, source: exp.Subquery) -> dict[str, Any]:
    day = exp.Cast(this=name("v"), to=exp.DataType.build("DATE"))
    tree = (
        exp.select(aliased(day, "day"), aliased(exp.Count(this=exp.Star()), "n"))
        .from_(source.copy())
        .where(_present())
        .group_by(day.copy())
    )
    counts = {row["day"]: row["n"] for row in warehouse.query(tree).read_all().to_pylist()}
    if not counts:
        return {"minimum": None, "maximum": None, "bars": []}
    low, high = min(counts), max(counts)
    width = max(1, math.ceil(((high - low).days + 1) / BARS))
    bars = [0] * (((high - low).days) // width + 1)
    for day_, count in counts.items():
        bars[(day_ - low).days // width] += count
    shown = []
    for number, count in enumerate(bars):
        start = low + dt.timedelta(days=width * number)
        shown.append([start.isoformat(), min(high, start + dt.timedelta(days=width - 1)).isoformat(), count])
    return {"minimum": low.isoformat(), "maximum": high.isoformat(), "bars": shown}


def _present() -> exp.Expr:
    return exp.Not(this=exp.Is(this=name("v"), expression=exp.Null()))


def _number(value: float) -> exp.Expr:
    return exp.Cast(this=exp.Literal.string(repr(value)), to=exp.DataType.build("DOUBLE"))


def _one(warehouse: Warehouse, tree: exp.Select) -> dict[str, Any]:
    found: dict[str, Any] = warehouse.query(tree).read_all().to_pylist()[0]
    return found
