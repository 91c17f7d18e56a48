"""The buyer's purchase history as it stood at each moment, by one rule for training and serving.

The rule: the last ``max_length`` distinct products with a line on an earlier day (UTC), the latest first.
A training line sees the history of its own day, serving sees the history at ``as_of``; so the product to be
predicted is in the history exactly when it had been bought before, in training as in serving.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from b2brecs.features.inputs import InputSpec, SideInputs, TowerInputs
from b2brecs.training.interactions import DAY, Interactions

FeatureSource = Callable[[Interactions, int], TowerInputs]


@dataclass(frozen=True, eq=False)
class States:
    """Distinct moments of buyers' histories.

    Parameters
    ----------
    user
        Buyer of each state, int32[m].
    bag
        Product codes, latest first, padded with ``n_items``, int32[m, max_length].
    train_rows
        State of each line of the data, int64[n].
    serve_rows
        State of each buyer at ``as_of``, int64[n_users].
    """

    user: NDArray[np.int32]
    bag: NDArray[np.int32]
    train_rows: NDArray[np.int64]
    serve_rows: NDArray[np.int64]


def states(data: Interactions, as_of: int, *, max_length: int = 50) -> States:
    """Compute every buyer's history before each of their order days, and at ``as_of``."""
    day = data.day
    last = as_of // DAY
    if len(data):
        last = max(last, int(day.max()) + 1)
    span = last + 1
    moment, line_moment = np.unique(
        np.concatenate(
            [data.user.astype(np.int64) * span + day, np.arange(data.n_users, dtype=np.int64) * span + last]
        ),
        return_inverse=True,
    )
    user = (moment // span).astype(np.int32)
    bag = np.full((len(moment), max_length), data.n_items, dtype=np.int32)
    pairs = np.unique(line_moment[: len(data)] * data.n_items + data.item)
    pair_moment, pair_item = pairs // data.n_items, (pairs % data.n_items).tolist()
    bounds = np.searchsorted(pair_moment, np.arange(len(moment) + 1)).tolist()
    recent: dict[int, None] = {}  # insertion order = order of last purchase
    previous = -1
    for row, buyer in enumerate(user.tolist()):
        if buyer != previous:
            recent, previous = {}, buyer
        if recent:
            latest = list(recent)[: -max_length - 1 : -1]
            bag[row, : len(latest)] = latest
        for item in pair_item[bounds[row] : bounds[row + 1]]:
            recent.pop(item, None)
            recent[item] = None
    return States(user, bag, line_moment[: len(data)], line_moment[len(data) :])


def default_inputs(
    data: Interactions, as_of: int, *, width: int = 32, max_length: int = 50, buyer_id: bool = True
) -> TowerInputs:
    """Use ids and history only: buyer id and history on one side, product id on the other.

    Products and buyers that ``data`` does not hold share one untrained row (``n_items``, ``n_users``).
    """
    found = states(data, as_of, max_length=max_length)
    users, items = data.n_users, data.n_items
    known_users, known_items = data.has_lines(), data.sold()
    specs = [InputSpec("history", "bag", items + 1, width, shared_with="product_id")]
    arrays: dict[str, NDArray[np.int32]] = {"history": found.bag}
    if buyer_id:
        specs.insert(0, InputSpec("buyer_id", "index", users + 1, width))
        arrays["buyer_id"] = np.where(known_users[found.user], found.user, users).astype(np.int32)
    product = np.where(known_items, np.arange(items), items).astype(np.int32)
    return TowerInputs(
        buyer=SideInputs(tuple(specs), arrays),
        product=SideInputs((InputSpec("product_id", "index", items + 1, width),), {"product_id": product}),
        train_rows=found.train_rows,
        serve_rows=found.serve_rows,
    )
