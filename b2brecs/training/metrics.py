r"""Ranking metrics, one value for each buyer, and their bootstrap intervals.

Version 1 of the definitions. Let ``T`` be the distinct products that a buyer bought in the test period,
``h_r`` be 1 when the product at rank r (from 1) of the buyer's list is in ``T``, and ``k`` the list length.

========== ====================================================================== ===========
name       value for one buyer                                                     over buyers
========== ====================================================================== ===========
recall@k   (Σ_{r≤k} h_r) / \|T\|                                                  mean
hit@k      1 if any h_r = 1, r ≤ k, else 0                                         mean
ndcg@k     Σ_{r≤k} h_r/log2(r+1)  /  Σ_{r≤min(\|T\|,k)} 1/log2(r+1)               mean
mrr@k      1/r of the first h_r = 1, r ≤ k, else 0                                 mean
map@k      Σ_{r≤k} h_r · (Σ_{s≤r} h_s)/r  /  min(\|T\|,k)                         mean
revenue@k  test revenue of the products of T among the first k / of all T          mean
novelty@k  mean over the list of −log2(share of past buyers who bought the product) mean
coverage@k distinct products in all lists / products that may be recommended       (one number)
========== ====================================================================== ===========

Gains are binary (Järvelin & Kekäläinen 2002 for nDCG). Products of ``T`` that were never sold before the
test period stay in ``T``: they are misses. Buyers whose test revenue is not positive are left out of
revenue@k. An empty place in a list (fewer candidates than k) is a miss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from b2brecs.training.interactions import Interactions

METRICS_VERSION = 1
KS = (5, 10, 50, 100)

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Truth:
    """What each evaluated buyer bought in the test period.

    ``users`` are ascending codes; ``start[j]:start[j+1]`` is the stretch of ``item`` (ascending codes) and
    ``revenue`` that belongs to ``users[j]``.
    """

    users: Codes
    start: NDArray[np.int64]
    item: Codes
    revenue: Floats
    n_items: int

    @property
    def sizes(self) -> NDArray[np.int64]:
        """|T| for each buyer."""
        return np.diff(self.start)

    @property
    def keys(self) -> NDArray[np.int64]:
        """Sorted ``position of the buyer · n_items + product``."""
        rows = np.repeat(np.arange(len(self.users), dtype=np.int64), self.sizes)
        return rows * self.n_items + self.item


def truth_of(test: Interactions, *, past: Interactions | None = None) -> Truth:
    """Collect the truth of every buyer with a line in ``test``.

    Parameters
    ----------
    test
        Lines of the test period.
    past
        Given: only *new* purchases count, that is products without a line of this buyer in ``past``; buyers
        who then have none are left out.
    """
    key, inverse = np.unique(test.user.astype(np.int64) * test.n_items + test.item, return_inverse=True)
    revenue = np.bincount(inverse, weights=test.revenue, minlength=len(key)).astype(np.float64)
    if past is not None:
        known = np.unique(past.user.astype(np.int64) * past.n_items + past.item)
        fresh = ~np.isin(key, known, assume_unique=True)
        key, revenue = key[fresh], revenue[fresh]
    users, first = np.unique(key // test.n_items, return_index=True)
    return Truth(
        users=users.astype(np.int32),
        start=np.append(first, len(key)).astype(np.int64),
        item=(key % test.n_items).astype(np.int32),
        revenue=revenue,
        n_items=test.n_items,
    )


def top_k(scores: NDArray[Any], k: int) -> Codes:
    """Return the columns of each row's k highest scores, best first, ties by ascending column.

    A score of −inf is never returned; missing places hold −1.
    """
    rows, n = scores.shape
    k_eff = min(k, n)
    edge = np.partition(scores, n - k_eff, axis=1)[:, n - k_eff][:, None]
    chosen = scores > edge
    ties = scores == edge
    short = k_eff - chosen.sum(axis=1)
    many = ties.sum(axis=1) > short
    ties[many] &= np.cumsum(ties[many], axis=1) <= short[many, None]
    columns = np.nonzero(chosen | ties)[1].reshape(rows, k_eff)
    values = np.take_along_axis(scores, columns, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    best = np.take_along_axis(columns, order, axis=1).astype(np.int32)
    best[np.take_along_axis(values, order, axis=1) == -np.inf] = -1
    if k_eff < k:
        best = np.pad(best, ((0, 0), (0, k - k_eff)), constant_values=-1)
    return best


def per_user(
    lists: Codes, truth: Truth, *, ks: Sequence[int] = KS, item_share: Floats | None = None
) -> dict[str, Floats]:
    """Compute every metric for every buyer.

    Parameters
    ----------
    lists
        Recommended products, one row for each of ``truth.users``, best first, −1 for an empty place.
    truth
        What they bought.
    item_share
        Share of past buyers who bought each product, for novelty; left out, novelty is too.

    Returns
    -------
    dict
        ``"recall@10"`` and so on → float64[len(truth.users)]; NaN where a metric is not defined for a buyer.
    """
    rows = np.arange(len(truth.users), dtype=np.int64)[:, None]
    keys = np.where(lists >= 0, rows * truth.n_items + lists, -1)
    position = np.searchsorted(truth.keys, keys)
    position = np.minimum(position, len(truth.keys) - 1)
    hit = truth.keys[position] == keys
    sizes = truth.sizes
    rank = np.arange(1, lists.shape[1] + 1)
    discount = 1.0 / np.log2(rank + 1)
    cumulative = np.cumsum(hit, axis=1)
    revenue_total = np.add.reduceat(truth.revenue, truth.start[:-1]) if len(truth.users) else np.zeros(0)
    revenue_hit = np.where(hit, truth.revenue[position], 0.0)
    result: dict[str, Floats] = {}
    for k in ks:
        k_eff = min(k, lists.shape[1])
        h = hit[:, :k_eff]
        best = np.minimum(sizes, k)
        any_hit = h.any(axis=1)
        result[f"recall@{k}"] = h.sum(axis=1) / sizes
        result[f"hit@{k}"] = any_hit.astype(np.float64)
        result[f"ndcg@{k}"] = (h * discount[:k_eff]).sum(axis=1) / np.cumsum(1 / np.log2(np.arange(2, k + 2)))[best - 1]
        result[f"mrr@{k}"] = np.where(any_hit, 1.0 / (np.argmax(h, axis=1) + 1), 0.0)
        result[f"map@{k}"] = (h * cumulative[:, :k_eff] / rank[:k_eff]).sum(axis=1) / best
        with np.errstate(invalid="ignore", divide="ignore"):
            share = revenue_hit[:, :k_eff].sum(axis=1) / revenue_total
        result[f"revenue@{k}"] = np.where(revenue_total > 0, share, np.nan)
        if item_share is not None:
            result[f"novelty@{k}"] = _novelty(lists[:, :k_eff], item_share)
    return result


def _novelty(lists: Codes, item_share: Floats) -> Floats:
    surprise = -np.log2(np.maximum(item_share, 1e-12))
    filled = lists >= 0
    with np.errstate(invalid="ignore"):
        mean = np.where(filled, surprise[lists], 0.0).sum(axis=1) / filled.sum(axis=1)
    return np.asarray(mean, dtype=np.float64)


def coverage(lists: Codes, k: int, n_candidates: int) -> float:
    """Share of the recommendable products that stand in at least one buyer's first k."""
    shown = np.unique(lists[:, :k])
    return float((shown >= 0).sum() / max(n_candidates, 1))


def summarise(values: dict[str, Floats]) -> dict[str, float]:
    """Mean over buyers of each metric, NaN left out."""
    return {name: float(np.nanmean(v)) if np.isfinite(v).any() else float("nan") for name, v in values.items()}


def bootstrap(values: Floats, *, samples: int = 1000, seed: int = 0, level: float = 0.95) -> tuple[Floats, Floats]:
    """Percentile bootstrap interval (Efron 1979) of means over buyers, all columns on the same draws.

    Buyers are drawn with replacement ``samples`` times: how often each is drawn comes from
    ``numpy.random.default_rng(seed).multinomial(n, [1/n] * n)``.

    Parameters
    ----------
    values
        One row for each buyer, one column for each metric (or difference of two); NaN is left out.

    Returns
    -------
    low, high
        The ``(1 − level)/2`` and ``(1 + level)/2`` quantiles of each column's mean.
    """
    n, columns = values.shape
    if n == 0:
        return np.full(columns, np.nan), np.full(columns, np.nan)
    valid = np.isfinite(values)
    filled = np.where(valid, values, 0.0)
    rng = np.random.default_rng(seed)
    means = np.empty((samples, columns))
    step = max(1, 4_000_000 // n)
    for begin in range(0, samples, step):
        end = min(samples, begin + step)
        drawn = rng.multinomial(n, np.full(n, 1.0 / n), size=end - begin).astype(np.float64)
        with np.errstate(invalid="ignore"):
            means[begin:end] = (drawn @ filled) / (drawn @ valid)
    low, high = np.nanquantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
