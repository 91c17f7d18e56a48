from __future__ import annotations

import numpy as np
import pytest

from b2brecs.training.interactions import from_arrays
from b2brecs.training.metrics import bootstrap, coverage, per_user, top_k, truth_of

# Buyer a bought products 0, 2, 4 for 10, 20, 70; buyer b bought product 1 for 0.
TEST = from_arrays(
    ["a", "a", "a", "a", "b"],
    ["0", "2", "4", "4", "1"],
    [0, 0, 0, 1, 0],
    revenue=[10, 20, 30, 40, 0],
)
# Codes: "0"→0, "1"→1, "2"→2, "4"→3
LISTS = np.array([[3, 1, 0], [0, 2, 1]], dtype=np.int32)


def test_every_metric_by_hand() -> None:
    values = per_user(LISTS, truth_of(TEST), ks=(1, 3), item_share=np.array([0.5, 0.25, 1.0, 0.125]))
    log3 = 1 / np.log2(3)
    assert values["recall@3"].tolist() == [2 / 3, 1]
    assert values["recall@1"].tolist() == [1 / 3, 0]
    assert values["hit@1"].tolist() == [1, 0]
    assert values["hit@3"].tolist() == [1, 1]
    assert values["mrr@3"] == pytest.approx([1, 1 / 3])
    assert values["ndcg@3"] == pytest.approx([(1 + 0.5) / (1 + log3 + 0.5), 0.5])
    assert values["ndcg@1"] == pytest.approx([1, 0])
    assert values["map@3"] == pytest.approx([(1 + 2 / 3) / 3, 1 / 3])
    assert values["revenue@3"][0] == pytest.approx(80 / 100)
    assert np.isnan(values["revenue@3"][1])
    assert values["novelty@3"] == pytest.approx([(3 + 2 + 1) / 3, (1 + 0 + 2) / 3])
    assert coverage(LISTS, 1, 4) == 0.5
    assert coverage(LISTS, 3, 4) == 1.0


def test_new_purchases_leave_out_known_products_and_buyers_without_new_ones() -> None:
    past = TEST.select((TEST.user == 1) | (TEST.item == 3))
    truth = truth_of(TEST, past=past)
    assert truth.users.tolist() == [0]
    assert truth.item.tolist() == [0, 2]
    assert truth.revenue.tolist() == [10, 20]


def test_an_empty_place_is_a_miss() -> None:
    lists = np.array([[3, -1, -1], [-1, -1, -1]], dtype=np.int32)
    values = per_user(lists, truth_of(TEST), ks=(3,), item_share=np.full(4, 0.5))
    assert values["recall@3"].tolist() == [1 / 3, 0]
    assert values["novelty@3"][0] == 1


def test_top_k_breaks_ties_by_ascending_column_and_skips_minus_infinity() -> None:
    scores = np.array([[1, 3, 3, 2, 3], [0, 0, 0, 0, 0], [-np.inf, 1, -np.inf, -np.inf, -np.inf]])
    assert top_k(scores, 2).tolist() == [[1, 2], [0, 1], [1, -1]]
    assert top_k(scores, 7)[0].tolist() == [1, 2, 4, 3, 0, -1, -1]


def test_top_k_equals_a_full_sort() -> None:
    scores = np.random.default_rng(0).integers(0, 9, size=(50, 40)).astype(np.float32)
    assert np.array_equal(top_k(scores, 12), np.argsort(-scores, axis=1, kind="stable")[:, :12])


def test_bootstrap_repeats_itself_covers_the_mean_and_skips_nan() -> None:
    values = np.random.default_rng(1).random((200, 2))
    values[0, 1] = np.nan
    low, high = bootstrap(values, seed=3)
    assert np.array_equal(bootstrap(values, seed=3)[0], low)
    mean = np.nanmean(values, axis=0)
    assert (low < mean).all()
    assert (mean < high).all()
    assert high - low == pytest.approx(2 * 1.96 * 0.29 / np.sqrt(200), rel=0.25)
