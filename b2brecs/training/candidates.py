"""Candidates for each buyer and the facts that the blend judges them by.

Every fact is known at ``as_of``; the same code runs when the blend is fitted (on the validation period), when
it is tested, and when it serves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from b2brecs.training.interactions import DAY, Interactions
from b2brecs.training.metrics import top_k

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from b2brecs.training.baselines import Scorer

Floats = NDArray[np.float32]
Codes = NDArray[np.integer]

NEVER = 1_000.0  # days; stands for "never bought"
_DAYS = ("own_last_days", "own_due", "own_orders_since")
YEAR = 364  # 52 weeks: keeps the day of the week


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known at ``as_of`` about products, and about each buyer's own purchases.

    ``own_key`` holds ``user · n_items + item`` of every pair with a line, ascending; ``own`` and ``product``
    hold one named column each per pair and per product; ``buyer`` has one more value at the end, that of a
    buyer without any line (code −1).
    """

    n_items: int
    as_of: int
    own_key: NDArray[np.int64]
    own: Mapping[str, Floats]
    product: Mapping[str, Floats]
    buyer: Mapping[str, Floats]
    sold: NDArray[np.bool_]

    def bought(self, users: Codes) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Rows (positions in ``users``) and products of everything that these buyers bought before."""
        users = np.asarray(users, dtype=np.int64)
        low = np.searchsorted(self.own_key, users * self.n_items)
        high = np.searchsorted(self.own_key, (users + 1) * self.n_items)
        count = high - low
        rows = np.repeat(np.arange(len(users)), count)
        place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
        return rows, (self.own_key[place] % self.n_items).astype(np.int32)

    def find(self, users: Codes, items: Codes) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Position of each pair in ``own_key``, and whether the pair is there."""
        key = np.asarray(users, dtype=np.int64) * self.n_items + items
        if not len(self.own_key):
            return np.zeros(len(key), dtype=np.int64), np.zeros(len(key), dtype=bool)
        place = np.minimum(np.searchsorted(self.own_key, key), len(self.own_key) - 1)
        return place, self.own_key[place] == key


def gather(data: Interactions, as_of: int) -> Facts:
    """Collect the facts from the lines before ``as_of``."""
    day = (as_of // DAY - data.day).astype(np.int64)  # age in whole days
    key = data.user.astype(np.int64) * data.n_items + data.item
    own_key, pair = np.unique(key, return_inverse=True)
    n = len(own_key)
    last = np.full(n, 1 << 30, dtype=np.int64)
    np.minimum.at(last, pair, day)
    first = np.zeros(n, dtype=np.int64)
    np.maximum.at(first, pair, day)
    visits = np.unique(pair * (1 << 20) + day) >> 20
    orders = np.bincount(visits, minlength=n)
    gap = np.where(orders > 1, (first - last) / np.maximum(orders - 1, 1), NEVER)
    own_user, own_item = own_key // data.n_items, own_key % data.n_items
    user_day = np.unique(data.user.astype(np.int64) * (1 << 20) + day)
    user_orders = np.bincount(user_day >> 20, minlength=data.n_users)
    user_first = np.zeros(data.n_users, dtype=np.int64)
    np.maximum.at(user_first, data.user, day)
    user_last = np.full(data.n_users, int(NEVER), dtype=np.int64)
    np.minimum.at(user_last, data.user, day)

    def decayed(half_life: float) -> Floats:
        return np.bincount(pair, weights=0.5 ** (day / half_life), minlength=n).astype(np.float32)

    # Orders of the buyer since the pair's first purchase: how often the product was in the basket when it could be.
    order_user = user_day >> 20
    start = np.searchsorted(order_user, np.arange(data.n_users))
    since = np.searchsorted(user_day, own_user * (1 << 20) + first, side="right") - start[own_user]
    after = np.searchsorted(user_day, own_user * (1 << 20) + last) - start[own_user]
    own = {
        "own_lines": np.bincount(pair, minlength=n),
        "own_orders": orders,
        "own_decay_30": decayed(30.0),
        "own_decay_90": decayed(90.0),
        "own_decay_365": decayed(365.0),
        "own_last_days": last,
        "own_due": last / np.maximum(gap, 1.0),
        "own_basket_share": orders / np.maximum(since, 1),
        "own_orders_since": after,
        "own_year_ago": np.bincount(pair, weights=(day <= YEAR) & (day > YEAR - 28), minlength=n),
    }
    buyers = np.bincount(own_item, minlength=data.n_items)
    repeat = np.bincount(own_item, weights=orders > 1, minlength=data.n_items)

    def recent(oldest: int, newest: int = 0) -> NDArray[np.int64]:
        window = (day <= oldest) & (day > newest)
        return np.bincount(np.unique(key[window]) % data.n_items, minlength=data.n_items)

    item_last = np.full(data.n_items, int(NEVER), dtype=np.int64)
    np.minimum.at(item_last, data.item, day)
    item_first = np.zeros(data.n_items, dtype=np.int64)
    np.maximum.at(item_first, data.item, day)
    debut = np.bincount(own_item[first <= 28], minlength=data.n_items)  # first-time buyers lately
    r7, r28, r84 = recent(7), recent(28), recent(84)
    product = {
        "buyers": np.log1p(buyers),
        "buyers_7": np.log1p(r7),
        "buyers_28": np.log1p(r28),
        "buyers_84": np.log1p(r84),
        "new_buyers_28": np.log1p(debut),
        "trend": np.log((r28 + 1.0) / (r84 / 3.0 + 1.0)),
        "year_ago": np.log1p(recent(YEAR, YEAR - 28)),
        "repeat_rate": (repeat + 1.0) / (buyers + 10.0),
        "product_last_days": np.log1p(item_last),
        "product_age": np.log1p(item_first),
    }
    buyer = {
        "buyer_orders": np.log1p(user_orders),
        "buyer_products": np.log1p(np.bincount(own_user, minlength=data.n_users)),
        "buyer_last_days": np.log1p(user_last),
        "buyer_age": np.log1p(user_first),
    }
    unknown = {"buyer_last_days": np.log1p(NEVER)}
    return Facts(
        n_items=data.n_items,
        as_of=as_of,
        own_key=own_key,
        own={name: np.asarray(v, dtype=np.float32) for name, v in own.items()},
        product={name: np.asarray(v, dtype=np.float32) for name, v in product.items()},
        buyer={name: np.append(v, unknown.get(name, 0.0)).astype(np.float32) for name, v in buyer.items()},
        sold=data.sold(),
    )


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs of buyer and product with their features.

    ``row`` is a position in ``users``; pairs are sorted by (row, item). ``lists`` holds each component's own
    ranking, int32[len(users), depth], −1 where it ends.
    """

    users: Codes
    row: NDArray[np.int64]
    item: NDArray[np.int32]
    features: Floats
    names: tuple[str, ...]
    lists: Mapping[str, NDArray[np.int32]]


def collect(
    users: Codes, scorers: Mapping[str, Scorer], facts: Facts, *, new_only: bool, depth: int = 100
) -> Candidates:
    """Unite the components' top lists and compute the features of each pair.

    A component's score enters as a standard score over the products that may be recommended to this buyer,
    and as the logarithm of its rank (``depth + 1`` below the list).

    Parameters
    ----------
    users
        Buyer codes.
    scorers
        Fitted components by name.
    facts
        Of the same moment as the components.
    new_only
        Remove what the buyer bought before.
    depth
        How many products of each component's list enter.
    """
    users = np.asarray(users)
    allowed = np.broadcast_to(facts.sold, (len(users), facts.n_items)).copy()
    if new_only:
        allowed[facts.bought(users)] = False
    count = np.maximum(allowed.sum(axis=1), 1)
    taken = np.zeros_like(allowed)
    rows = np.arange(len(users))[:, None]
    lists: dict[str, NDArray[np.int32]] = {}
    matrices: dict[str, Floats] = {}
    for name, scorer in scorers.items():
        scores = np.where(allowed, scorer.scores(users), np.float32(0.0))
        centre = scores.sum(axis=1, dtype=np.float64) / count
        spread = np.sqrt(np.maximum((scores.astype(np.float64) ** 2).sum(axis=1) / count - centre**2, 0.0)) + 1e-9
        best = top_k(np.where(allowed, scores, np.float32(-np.inf)), depth)
        filled = best >= 0
        taken[np.broadcast_to(rows, best.shape)[filled], best[filled]] = True
        lists[name] = best
        matrices[name] = ((scores - centre[:, None]) / spread[:, None]).astype(np.float32)
    row, item = np.nonzero(taken)
    key = row * facts.n_items + item
    columns: dict[str, Floats] = {}
    for name, best in lists.items():
        columns[f"{name}: score"] = matrices[name][row, item]
        rank = np.full(len(key), depth + 1, dtype=np.float32)
        filled = best >= 0
        listed = (rows * facts.n_items + best)[filled]
        rank[np.searchsorted(key, listed)] = np.broadcast_to(np.arange(1, depth + 1), best.shape)[filled]
        columns[f"{name}: rank"] = np.log(rank)
    codes = users[row]
    if not new_only:
        place, known = facts.find(codes, item)
        for name, values in facts.own.items():
            missing = NEVER if name in _DAYS else 0.0
            raw = np.where(known, values[place] if len(values) else 0.0, missing)
            columns[name] = np.log1p(raw).astype(np.float32)
    for name, values in facts.product.items():
        columns[name] = values[item]
    for name, values in facts.buyer.items():
        columns[name] = values[codes]
    features = np.column_stack(list(columns.values())).astype(np.float32)
    return Candidates(users, row, item.astype(np.int32), features, tuple(columns), lists)


def ranked(found: Candidates, scores: NDArray[np.floating], k: int) -> NDArray[np.int32]:
    """Return each buyer's k candidates of the highest score, ties by ascending product, −1 where they end."""
    order = np.lexsort((found.item, -scores, found.row))
    row = found.row[order]
    place = np.arange(len(row)) - np.searchsorted(row, np.arange(len(found.users)))[row]
    keep = place < k
    lists = np.full((len(found.users), k), -1, dtype=np.int32)
    lists[row[keep], place[keep]] = found.item[order][keep]
    return lists


def batches(users: Codes, n_items: int) -> Iterator[Codes]:
    """Cut buyers into pieces whose score matrices stay near 16 MB each."""
    size = max(16, 4_000_000 // max(n_items, 1))
    for first in range(0, len(users), size):
        yield users[first : first + size]
