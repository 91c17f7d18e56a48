"""Every baseline recomputed from its documented definition, by other means."""

from __future__ import annotations

import numpy as np
import pytest

from b2brecs.training.baselines import (
    ALS,
    EASE,
    Baseline,
    ItemKNN,
    PersonalFrequency,
    Popularity,
    RecentPopularity,
    default_baselines,
    with_fallback,
)
from b2brecs.training.interactions import DAY, Interactions

AS_OF = 200 * DAY


@pytest.fixture(scope="module")
def past(market: Interactions) -> Interactions:
    return market.before(AS_OF)


def users(data: Interactions) -> np.ndarray:
    return np.arange(data.n_users)


def dense(data: Interactions) -> np.ndarray:
    x = np.zeros((data.n_users, data.n_items))
    for user, item in zip(data.user, data.item, strict=True):
        x[user, item] = 1.0
    return x


def test_popularity_counts_distinct_buyers(past: Interactions) -> None:
    scores = Popularity().fit(past, AS_OF).scores(users(past))
    assert np.array_equal(scores[0], dense(past).sum(axis=0))


def test_recent_popularity_counts_distinct_buyers_in_the_window(past: Interactions) -> None:
    scores = RecentPopularity(days=28).fit(past, AS_OF).scores(users(past))
    window = past.select(past.day >= 172)
    assert np.array_equal(scores[3], dense(window).sum(axis=0))


def test_personal_frequency_decays_by_calendar_days_then_fills_by_popularity(past: Interactions) -> None:
    scores = PersonalFrequency(half_life=90).fit(past, AS_OF).scores(users(past))
    expected = np.zeros_like(scores, dtype=float)
    for user, item, day in zip(past.user, past.item, past.day, strict=True):
        expected[user, item] += 0.5 ** ((200 - day) / 90)
    own = expected > 0
    assert scores[own] == pytest.approx(expected[own], rel=1e-6)
    assert scores[~own].max() < 0
    popular = dense(past).sum(axis=0)
    order = np.argsort(-scores[0], kind="stable")
    rest = [item for item in order if not own[0, item]]
    assert rest == sorted(rest, key=lambda item: (-popular[item], item))


def test_item_knn_is_the_cosine_of_columns_with_the_nearest_kept(past: Interactions) -> None:
    x = dense(past)
    norm = np.linalg.norm(x, axis=0)
    cosine = x.T @ x / np.outer(norm, norm)
    full = ItemKNN(neighbours=past.n_items).fit(past, AS_OF).scores(users(past))
    assert full == pytest.approx(x @ cosine, rel=1e-4, abs=1e-5)
    kept = np.zeros_like(cosine)
    for i, row in enumerate(cosine):
        nearest = np.argsort(-row, kind="stable")[:10]
        kept[i, nearest] = row[nearest]
    some = ItemKNN(neighbours=10).fit(past, AS_OF).scores(users(past))
    assert np.mean(np.abs(some - x @ kept) < 1e-4) > 0.95  # equal similarities may be cut differently


def test_ease_is_the_closed_form(past: Interactions) -> None:
    x = dense(past)
    inverse = np.linalg.inv(x.T @ x + 200 * np.eye(past.n_items))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    assert EASE(l2=200).fit(past, AS_OF).scores(users(past)) == pytest.approx(x @ weights, abs=1e-4)


def test_ease_above_its_limit_scores_only_the_most_bought(past: Interactions) -> None:
    scores = EASE(max_items=20).fit(past, AS_OF).scores(users(past))
    popular = np.argsort(-dense(past).sum(axis=0), kind="stable")
    assert (scores[:, popular[20:]] == 0).all()
    assert (scores[:, popular[:20]] != 0).any(axis=0).all()


def test_als_repeats_itself_and_solves_its_equations(past: Interactions) -> None:
    model = ALS(factors=8, iterations=60)
    scorer = model.fit(past, AS_OF)
    assert np.array_equal(scorer.scores(users(past)), model.fit(past, AS_OF).scores(users(past)))
    x = dense(past)
    item = scorer.item.astype(float)  # type: ignore[attr-defined]
    # Users' factors given the items': confidence is alpha · x on purchased pairs and 1 on the others.
    for user in range(5):
        c = np.where(x[user] > 0, model.alpha * x[user], 1.0)
        left = (item * c[:, None]).T @ item + model.regularization * np.eye(8)
        solved = np.linalg.solve(left, (item * c[:, None]).T @ x[user])
        assert item @ solved == pytest.approx(scorer.scores(users(past))[user], abs=0.1)


def test_a_buyer_without_lines_gets_popularity(past: Interactions) -> None:
    popular = dense(past).sum(axis=0)
    without = past.select(past.user != 5)
    for baseline in default_baselines():
        assert isinstance(baseline, Baseline)
        scorer = with_fallback(baseline.fit(without, AS_OF), without)
        expected = popular - dense(past)[5]
        assert np.array_equal(scorer.scores(np.array([5, -1])), np.stack([expected, expected]))
