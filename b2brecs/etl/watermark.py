"""How far a load has come: the arithmetic of watermarks. They are JSON text, so that every type survives."""

from __future__ import annotations

import datetime as dt
import json
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

    Without rows the old one stands.
    """
    if high is None:
        return low
    found = json_value(high)
    if safe is None:
        return found
    return safe if _comparable(safe) < _comparable(found) else found


def _comparable(text: str) -> Any:
    value = json.loads(text)
    if not isinstance(value, str):
        return value
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        return value
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
