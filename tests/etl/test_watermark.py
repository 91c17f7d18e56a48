"""The arithmetic of watermarks."""

import datetime as dt
from decimal import Decimal

import pytest

from b2brecs.errors import LoadError
from b2brecs.etl.watermark import bounded, step_back

UTC = dt.UTC


@pytest.mark.parametrize(
    ("high", "safe", "low", "found"),
    [
        (None, None, None, None),
        (None, '"2024-01-01"', '"2023-01-01"', '"2023-01-01"'),
        (5, None, "3", "5"),
        (5, "4", "3", "4"),
        (5, "9", "3", "5"),
        (5, "1", "3", "3"),
        (5, "-9223372036854775808", None, "-9223372036854775808"),
        (dt.date(2024, 5, 1), '"2024-04-01"', None, '"2024-04-01"'),
        (dt.datetime(2024, 5, 1, tzinfo=UTC), '"2024-05-01T02:00:00+02:00"', None, '"2024-05-01T00:00:00+00:00"'),
        (dt.datetime(2024, 5, 1), '"1970-01-01T00:00:00"', '"2024-04-01T00:00:00"', '"2024-04-01T00:00:00"'),
        (Decimal(10), '"9"', None, '"9"'),
        (Decimal(9), '"10"', None, '"9"'),
    ],
)  # fmt: skip
def test_a_watermark_is_the_greatest_value_that_is_safe_and_never_steps_back(high, safe, low, found):
    assert bounded(high, safe, low) == found


def test_lookback_steps_back_by_time_only():
    assert step_back('"2024-01-03"', 86_400, "DATE", "t") == '"2024-01-02"'
    assert step_back('"2024-01-03T00:00:00+00:00"', 60, "TIMESTAMP", "t") == '"2024-01-02T23:59:00+00:00"'
    assert step_back("7", 0, "INT64", "t") == "7"
    with pytest.raises(LoadError, match="lookback is a time"):
        step_back("7", 60, "INT64", "t")
