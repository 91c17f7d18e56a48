from __future__ import annotations

import numpy as np

from b2brecs.training.history import default_inputs, states
from b2brecs.training.interactions import DAY, from_arrays

DATA = from_arrays(
    ["a", "a", "a", "a", "b"],
    ["x", "y", "x", "z", "z"],
    [0, 0, 2 * DAY, 3 * DAY, 3 * DAY],
)
X, Y, Z, PAD = 0, 1, 2, 3


def test_a_line_sees_earlier_days_only_and_serving_sees_all() -> None:
    found = states(DATA, 5 * DAY, max_length=3)
    seen = found.bag[found.train_rows]
    assert seen[0].tolist() == [PAD, PAD, PAD]
    assert sorted(seen[2].tolist()) == [X, Y, PAD]
    assert seen[3].tolist()[:2] == [X, Y]
    assert seen[4].tolist() == [PAD, PAD, PAD]
    assert found.bag[found.serve_rows].tolist() == [[Z, X, Y], [Z, PAD, PAD]]


def test_only_the_latest_products_are_kept() -> None:
    found = states(DATA, 5 * DAY, max_length=2)
    assert found.bag[found.serve_rows[0]].tolist() == [Z, X]


def test_serving_history_is_what_training_would_see_on_that_day() -> None:
    longer = from_arrays(
        np.append(DATA.users[DATA.user], "a"), np.append(DATA.items[DATA.item], "y"), np.append(DATA.time, 5 * DAY)
    )
    later = states(longer, 9 * DAY, max_length=3)
    assert (
        later.bag[later.train_rows[-1]].tolist()
        == states(DATA, 5 * DAY, max_length=3).bag[states(DATA, 5 * DAY, max_length=3).serve_rows[0]].tolist()
    )


def test_unknown_products_and_buyers_share_the_last_row() -> None:
    inputs = default_inputs(DATA.before(DAY), DAY)
    assert inputs.product.arrays["product_id"].tolist() == [X, Y, PAD]
    assert inputs.buyer.arrays["buyer_id"][inputs.serve_rows].tolist() == [0, 2]
    assert inputs.buyer.width == 64
