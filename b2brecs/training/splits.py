"""Splits into training, validation and test, with a report of what each part holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np

from b2brecs.errors import ConfigError, EmptySplit
from b2brecs.training.interactions import DAY, Interactions


@dataclass(frozen=True)
class PartReport:
    """What one part holds: lines, buyers, products, first and last calendar day (UTC)."""

    name: str
    rows: int
    users: int
    items: int
    first: date
    last: date


@dataclass(frozen=True)
class SplitReport:
    """What a split holds.

    Parameters
    ----------
    train, val, test
        The parts.
    older_rows
        Lines before the training window, left out.
    cold_users, cold_items
        Share of the test period's buyers / products that have no line before it (in train or val).
    """

    train: PartReport
    val: PartReport
    test: PartReport
    older_rows: int
    cold_users: float
    cold_items: float


@dataclass(frozen=True, eq=False)
class Split:
    """Three parts of one data set that share ids and codes.

    ``val_start`` and ``test_start`` are seconds UTC: every line of a part lies at or after its start.
    """

    train: Interactions
    val: Interactions
    test: Interactions
    val_start: int
    test_start: int
    report: SplitReport
    past: Interactions

    @property
    def seen_items(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Products that may be recommended at test time: those with a line in train or val."""
        return self.past.sold()


def strict_time(data: Interactions, *, test_days: int = 28, val_days: int = 28, train_days: int | None = None) -> Split:
    """Split by calendar days (UTC), counted back from the last day in the data.

    Parameters
    ----------
    data
        All lines.
    test_days
        The test part is the last ``test_days`` calendar days, the last day included.
    val_days
        The validation part is the ``val_days`` days before.
    train_days
        The training part is the ``train_days`` days before that; None takes everything older.

    Raises
    ------
    EmptySplit
        A part would hold no lines; the message tells the data's first and last day.
    ConfigError
        A number of days is below 1.
    """
    for field, value in (("test_days", test_days), ("val_days", val_days), ("train_days", train_days)):
        if value is not None and value < 1:
            raise ConfigError.single("strict_time", field, value, "must be at least 1 day.")
    if not len(data):
        raise EmptySplit("there are no purchase lines to split.")
    last_day = int(data.time.max() // DAY)
    test_start = (last_day - test_days + 1) * DAY
    val_start = test_start - val_days * DAY
    train_start = int(data.time.min()) if train_days is None else val_start - train_days * DAY
    parts = {
        "train": data.between(train_start, val_start),
        "val": data.between(val_start, test_start),
        "test": data.between(test_start, (last_day + 1) * DAY),
    }
    for name, part in parts.items():
        if not len(part):
            first, last = _date(int(data.time.min())), _date(int(data.time.max()))
            raise EmptySplit(
                f"the {name} part holds no lines: the data runs from {first} to {last}, "
                f"and {test_days} test days and {val_days} validation days were asked for. "
                f"Give fewer test_days or val_days, or more data."
            )
    past = data.between(train_start, test_start)
    test = parts["test"]
    report = SplitReport(
        train=_describe("train", parts["train"]),
        val=_describe("val", parts["val"]),
        test=_describe("test", test),
        older_rows=int((data.time < train_start).sum()),
        cold_users=_cold(test.user, past.has_lines()),
        cold_items=_cold(test.item, past.sold()),
    )
    return Split(parts["train"], parts["val"], test, val_start, test_start, report, past)


def _describe(name: str, part: Interactions) -> PartReport:
    return PartReport(
        name=name,
        rows=len(part),
        users=int(part.has_lines().sum()),
        items=int(part.sold().sum()),
        first=_date(int(part.time.min())),
        last=_date(int(part.time.max())),
    )


def _cold(
    codes: np.ndarray[tuple[int], np.dtype[np.int32]], known: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> float:
    return float(1.0 - known[np.unique(codes)].mean())


def _date(seconds: int) -> date:
    return datetime.fromtimestamp(seconds, tz=UTC).date()
