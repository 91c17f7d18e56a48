"""How far a load has come: the arithmetic of watermarks. They are JSON text, so that every type survives."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

from b2brecs.errors import LoadError
from b2brecs.etl.cast import json_value


def step_back(low: str, seconds: int, kind: str, table: str) -> str:
    """Return a watermark that lies so many seconds earlier.

    Raises
    ------
    LoadError
        The watermark is not a time.
    """
    if not seconds:
        return low
    back = dt.timedelta(seconds=seconds)
    value = json.loads(low)
    if kind == "DATE":
        return json.dumps((dt.date.fromisoformat(value) - back).isoformat())
    if kind in ("TIMESTAMP", "DATETIME"):
        return json.dumps((dt.datetime.fromisoformat(value) - back).isoformat())
    raise LoadError(f"lookback is a time, but the watermark of {table!r} is {kind}. Leave lookback= out.")


def bounded(high: Any, safe: str | None, low: str | None) -> str | None:
    """Return the next watermark: the greatest value seen, but not past the bound below which nothing can come.

    It never steps back: below the old one nothing could come then, so nothing can now.
    """
    if high is None:
        return low
    found = json_value(high)
    if safe is not None and _comparable(safe) < _comparable(found):
        found = safe
    return found if low is None or _comparable(found) > _comparable(low) else low


def _comparable(text: str) -> Any:
    """Read a watermark as what it orders by; exact numbers are written as text."""
    value = json.loads(text)
    if not isinstance(value, str):
        return value
    for read in (Decimal, _moment):
        try:
            return read(value)
        except (ArithmeticError, ValueError):
            continue
    return value


def _moment(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
