"""How a load is cut into parts, and what reads them: this process, or Beam. Pure.

Whatever the bounds are, each row is in exactly one part: the ranges are half open and touch, the first is open below,
the last above, and rows without a key belong to the first.
"""

from __future__ import annotations

import datetime as dt
import heapq
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal, InvalidOperation
from typing import Any, Literal

from b2brecs.configs.etl import Engine
from b2brecs.sources.base import KeyRange, Part, Since, SourceFile

# Fewer rows than this are not worth a connection of their own.
LEAST_ROWS = 50_000
# What a Beam worker is given at a time: enough of them to keep the workers evenly busy.
BEAM_ROWS = 250_000
MOST_PARTS = 256
MOST_HERE = 4

# Runners that work on this machine only.
_HERE = frozenset({"direct", "fnapi", "prism", "switchingdirect", "bundlebaseddirect", "interactive"})
_EPOCH = dt.datetime(1, 1, 1)  # noqa: DTZ001
_MICROSECOND = dt.timedelta(microseconds=1)
_EXACT = Context(prec=100)
_NUMERIC_STEP = Decimal(1).scaleb(-9)


@dataclass(frozen=True)
class Choice:
    """What reads a table, in how many parts at most, and a sentence that says why."""

    mode: Literal["local", "beam"]
    parts: int
    why: str


def cut(found: KeyRange, parts: int, *, since: Since | None = None, snapshot: str | None = None) -> tuple[Part, ...]:
    """Cut a table along a column.

    Bounds between the least and the greatest are used where there are any; else numbers, dates and times are cut
    evenly between the two. Text is cut at given bounds only, in the order in which the source gave them.

    Parameters
    ----------
    found
        The column, and what is known of its values.
    parts
        How many parts are wanted. Fewer are made of few rows, or where the bounds fall together.
    since, snapshot
        What every part carries.
    """
    wanted = min(parts, found.rows // LEAST_ROWS)
    cuts = _cuts(found, wanted) if wanted > 1 else []
    if not cuts:
        return (Part(since=since, snapshot=snapshot),)
    lows, highs = (None, *cuts), (*cuts, None)
    return tuple(
        Part(since, found.column, low, high, nulls=found.nullable and low is None, snapshot=snapshot)
        for low, high in zip(lows, highs, strict=True)
    )


def cut_files(files: Sequence[SourceFile], parts: int) -> tuple[Part, ...]:
    """Deal files out to parts of about equal size; without files there are no parts."""
    named = {file.name: file.size for file in files}
    heap: list[tuple[int, int, int]] = [(0, 0, number) for number in range(min(max(parts, 1), len(named)))]
    dealt: list[set[str]] = [set() for _ in heap]
    for name in sorted(named, key=lambda name: (-named[name], name)):
        size, count, number = heapq.heappop(heap)
        dealt[number].add(name)
        heapq.heappush(heap, (size + named[name], count + 1, number))
    return tuple(Part(files=tuple(name for name in named if name in chosen)) for chosen in dealt)


def choose(
    engine: Engine, estimate: int | None, *, beam_available: bool, distributable: bool, processors: int
) -> Choice:
    """Choose what reads a table.

    Parameters
    ----------
    engine
        What the job asks for.
    estimate
        About how many rows will be read, if known.
    beam_available
        Whether Apache Beam is installed.
    distributable
        Whether other machines can reach the source.
    processors
        How many processors this machine has.
    """
    runner = dict(engine.options).get("runner", "")
    if engine.mode == "beam":
        count = engine.parallel or _share(estimate, BEAM_ROWS, MOST_PARTS, unknown=processors)
        return Choice("beam", count, f"{_rows(estimate)}, read by {_named(runner)} in {_parts(count)}: as asked")
    if engine.mode == "local":
        reason = "as asked"
    elif estimate is None:
        reason = "their number is not known beforehand"
    elif estimate < engine.threshold:
        reason = f"Beam begins at {engine.threshold:,}"
    elif not is_remote(runner):
        reason = "no Beam runner is configured"
    elif not beam_available:
        reason = "Apache Beam is not installed"
    elif not distributable:
        reason = "other machines cannot reach the source"
    else:
        count = engine.parallel or _share(estimate, BEAM_ROWS, MOST_PARTS, unknown=processors)
        return Choice("beam", count, f"{_rows(estimate)}, read by {_named(runner)} in {_parts(count)}")
    most = engine.parallel or min(processors, MOST_HERE)
    count = _share(estimate, LEAST_ROWS, most, unknown=most)
    return Choice("local", count, f"{_rows(estimate)}, read here in {_parts(count)}: {reason}")


def is_remote(runner: str) -> bool:
    """Say whether a Beam runner works beyond this machine. Dotted names and those without "Runner" are understood."""
    return bool(runner) and runner.rpartition(".")[2].casefold().removesuffix("runner") not in _HERE


def _named(runner: str) -> str:
    return runner.rpartition(".")[2] or "Beam on this machine"


def _rows(estimate: int | None) -> str:
    return "an unknown number of rows" if estimate is None else f"about {estimate:,} row{'s' * (estimate != 1)}"


def _parts(count: int) -> str:
    return "1 part" if count == 1 else f"{count:,} parts"


def _share(estimate: int | None, rows: int, most: int, *, unknown: int) -> int:
    return max(1, min(most, unknown if estimate is None else estimate // rows))


# Where to cut


def _cuts(found: KeyRange, wanted: int) -> list[str]:
    """Return the bounds between parts, rising strictly and above the least value, so that no part is empty."""
    if found.kind == "STRING":
        # The source's order of text is its own: what can be said here is only whether two bounds are equal.
        texts = [text for text in found.bounds if isinstance(json.loads(text), str)]
        distinct = {text: position for position, text in reversed(list(enumerate(texts))) if text != texts[0]}
        return _evenly(sorted(distinct.items(), key=lambda item: item[1]), len(texts) - 1, wanted)
    read = _READ.get(found.kind)
    if read is None:
        return []
    rising: list[tuple[Any, str, int]] = []
    for position, text in enumerate(found.bounds):
        value = read(text)
        # Infinite times, and what else has no place in Python, are left out: any rising bounds will do.
        if value is not None and (not rising or value > rising[-1][0]):
            rising.append((value, text, position))
    if len(rising) < 2:
        return []
    if len(found.bounds) > 2:
        return _evenly([(text, position) for _, text, position in rising[1:]], len(found.bounds) - 1, wanted)
    (least, sample, _), (greatest, _, _) = rising
    between = [_BETWEEN[found.kind](least, greatest, number, wanted) for number in range(1, wanted)]
    return [_written(value, sample) for value in dict.fromkeys(between) if value > least]


def _evenly(bounds: Iterable[tuple[str, int]], shares: int, wanted: int) -> list[str]:
    """Choose of given bounds those next to even shares; ``position / shares`` of the rows lie below a bound."""
    # The greatest value alone is no part worth reading.
    given = [(text, position) for text, position in bounds if position < shares]
    targets = [number * shares for number in range(1, wanted)] if given else []
    chosen = {min(given, key=lambda item: abs(item[1] * wanted - target))[0] for target in targets}
    return [text for text, _ in given if text in chosen]


def _integer(text: str) -> int | None:
    value = json.loads(text, parse_float=Decimal)
    try:
        return int(value) if int(value) == Decimal(str(value)) else None
    except (ValueError, TypeError, OverflowError, InvalidOperation):
        return None


def _decimal(text: str) -> Decimal | None:
    try:
        value = Decimal(str(json.loads(text, parse_float=Decimal)))
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def _moment(text: str) -> dt.datetime | None:
    try:
        value = dt.datetime.fromisoformat(str(json.loads(text)))
        return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
    except (ValueError, OverflowError):
        return None


def _date(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(str(json.loads(text)))
    except ValueError:
        return None


def _integer_between(low: int, high: int, number: int, of: int) -> int:
    return low + (high - low + 1) * number // of


def _decimal_between(low: Decimal, high: Decimal, number: int, of: int) -> Decimal:
    step = _EXACT.divide(_EXACT.multiply(_EXACT.subtract(high, low), Decimal(number)), Decimal(of))
    return _EXACT.add(low, step).quantize(_NUMERIC_STEP, rounding=ROUND_FLOOR, context=_EXACT)


def _date_between(low: dt.date, high: dt.date, number: int, of: int) -> dt.date:
    return dt.date.fromordinal(_integer_between(low.toordinal(), high.toordinal(), number, of))


def _moment_between(low: dt.datetime, high: dt.datetime, number: int, of: int) -> dt.datetime:
    first, last = ((value - _EPOCH) // _MICROSECOND for value in (low, high))
    return _EPOCH + _MICROSECOND * _integer_between(first, last, number, of)


def _written(value: Any, sample: str) -> str:
    """Write a bound as JSON, in the form of one that the source gave."""
    given = json.loads(sample)
    if isinstance(value, dt.datetime):
        aware = dt.datetime.fromisoformat(given).tzinfo is not None
        return json.dumps((value.replace(tzinfo=dt.UTC) if aware else value).isoformat())
    if isinstance(value, dt.date):
        return json.dumps(value.isoformat())
    text = str(value) if isinstance(value, int) else format(value.normalize(_EXACT), "f")
    return json.dumps(text) if isinstance(given, str) else text


_READ: Mapping[str, Callable[[str], Any]] = {
    "INT64": _integer, "NUMERIC": _decimal, "DATE": _date, "DATETIME": _moment, "TIMESTAMP": _moment,
}  # fmt: skip
_BETWEEN: Mapping[str, Callable[[Any, Any, int, int], Any]] = {
    "INT64": _integer_between, "NUMERIC": _decimal_between, "DATE": _date_between,
    "DATETIME": _moment_between, "TIMESTAMP": _moment_between,
}  # fmt: skip

__all__ = ["LEAST_ROWS", "Choice", "choose", "cut", "cut_files", "is_remote"]
