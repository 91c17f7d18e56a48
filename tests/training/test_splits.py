from __future__ import annotations

from datetime import date

import pytest

from b2brecs.errors import ConfigError, EmptySplit
from b2brecs.training.interactions import DAY, from_arrays
from b2brecs.training.splits import strict_time


def test_parts_are_whole_calendar_days_counted_from_the_last() -> None:
    days = list(range(10))
    data = from_arrays(["a"] * 10, ["x"] * 10, [d * DAY + 86_399 * (d % 2) for d in days])
    split = strict_time(data, test_days=2, val_days=3, train_days=4)
    assert split.test.day.tolist() == [8, 9]
    assert split.val.day.tolist() == [5, 6, 7]
    assert split.train.day.tolist() == [1, 2, 3, 4]
    assert split.past.day.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert split.report.older_rows == 1
    assert (split.val_start, split.test_start) == (5 * DAY, 8 * DAY)
    assert split.report.test.first == date(1970, 1, 9)


def test_report_counts_buyers_and_products_never_seen_before() -> None:
    data = from_arrays(["a", "a", "a", "b"], ["x", "x", "y", "x"], [0, DAY, 2 * DAY, 2 * DAY])
    report = strict_time(data, test_days=1, val_days=1).report
    assert report.cold_users == 0.5
    assert report.cold_items == 0.5


def test_an_empty_part_is_refused_with_the_dates() -> None:
    data = from_arrays(["a", "a"], ["x", "x"], [0, DAY])
    with pytest.raises(EmptySplit, match=r"train part.*1970-01-01 to 1970-01-02"):
        strict_time(data, test_days=1, val_days=1)
    with pytest.raises(EmptySplit, match="no purchase lines"):
        strict_time(data.select(data.time > 10 * DAY), test_days=1, val_days=1)


def test_days_below_one_are_refused() -> None:
    data = from_arrays(["a"], ["x"], [0])
    with pytest.raises(ConfigError, match="at least 1 day"):
        strict_time(data, test_days=0)
