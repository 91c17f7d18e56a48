from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from b2brecs.errors import ConfigError
from b2brecs.training.interactions import DAY, from_arrays


def test_codes_follow_sorted_ids_and_nulls_are_dropped_and_counted() -> None:
    data = from_arrays(["b", None, "a", "z"], ["y", "x", "x", float("nan")], [DAY, 0, 2 * DAY, 0], revenue=[1, 2, 3, 4])
    assert data.users.tolist() == ["a", "b"]
    assert data.items.tolist() == ["x", "y"]
    assert data.user.tolist() == [1, 0]
    assert data.item.tolist() == [1, 0]
    assert data.revenue.tolist() == [1, 3]
    assert data.dropped == 2


def test_whole_numbers_stay_numbers_even_beside_nulls() -> None:
    data = from_arrays([10.0, float("nan"), 9.0], np.array([3, 3, 20]), [0, 0, 0])
    assert data.users.tolist() == [9, 10]
    assert data.items.tolist() == [3, 20]


def test_datetimes_and_pandas_missing_values_are_understood() -> None:
    times = np.array(["1970-01-02", "NaT", "1970-01-03T00:00:01"], dtype="datetime64[ns]")
    data = from_arrays(["a", "a", pd.NA], ["x", "x", "x"], times)
    assert data.time.tolist() == [DAY]
    assert data.dropped == 2


def test_matrix_weights() -> None:
    data = from_arrays(["a", "a", "a"], ["x", "x", "y"], [0, 1, 2], revenue=[1, 2, 5], quantity=[2, 3, 4])
    assert data.matrix("binary").toarray().tolist() == [[1, 1]]
    assert data.matrix("lines").toarray().tolist() == [[2, 1]]
    assert data.matrix("quantity").toarray().tolist() == [[5, 4]]
    assert data.matrix("revenue").toarray().tolist() == [[3, 5]]
    assert data.matrix("log_lines").toarray()[0, 0] == pytest.approx(1 + np.log(2))
    with pytest.raises(ConfigError, match="unknown weight"):
        data.matrix("tfidf")  # type: ignore[arg-type]


def test_before_between_and_a_sample_of_buyers() -> None:
    data = from_arrays(["a", "b", "c"], ["x", "y", "x"], [0, 10, 20])
    assert len(data.before(10)) == 1
    assert data.between(10, 20).item.tolist() == [1]
    part = data.of_users(np.array([2]))
    assert part.users.tolist() == ["c"]
    assert part.items.tolist() == ["x"]
    assert part.user.tolist() == [0]


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ConfigError, match="length"):
        from_arrays(["a"], ["x", "y"], [0, 1])
