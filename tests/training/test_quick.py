from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from b2brecs.errors import NotFound
from b2brecs.training.baselines import PersonalFrequency, Popularity
from b2brecs.training.evaluate import RECOMMEND
from b2brecs.training.interactions import Interactions
from b2brecs.training.metrics import per_user, truth_of
from b2brecs.training.quick import QuickResult, quick_test
from b2brecs.training.recommender import Recommender


@pytest.fixture(scope="module")
def result(market: Interactions) -> QuickResult:
    return quick_test(market, samples=200)


def test_recommend_is_below_no_baseline(result: QuickResult) -> None:
    board = result.leaderboard
    for scope in ("all", "new"):
        for metric in ("recall@10", "ndcg@10"):
            best = board.best_baseline(scope, metric)
            assert board[RECOMMEND].metrics(scope)[metric] >= best.metrics(scope)[metric]


def test_the_leaderboard_measures_what_recommend_returns(result: QuickResult, market: Interactions) -> None:
    truth = truth_of(result.split.test)
    recommender = result.recommender
    lists = np.full((len(truth.users), 10), -1, dtype=np.int32)
    for row, user in enumerate(truth.users):
        products = [found.product for found in recommender.recommend(market.users[user], 10)]
        lists[row] = np.searchsorted(market.items, products)
    recall = per_user(lists, truth, ks=(10,))["recall@10"].mean()
    assert recall == pytest.approx(result.leaderboard[RECOMMEND].all["recall@10"], abs=1e-12)


def test_the_same_data_give_the_same_result(result: QuickResult, market: Interactions) -> None:
    again = quick_test(market, samples=200)
    for first, second in zip(result.leaderboard.rows, again.leaderboard.rows, strict=True):
        assert dict(first.all) == pytest.approx(dict(second.all), nan_ok=True)
        assert dict(first.new) == pytest.approx(dict(second.new), nan_ok=True)
        assert first.intervals == second.intervals


def test_new_only_exclude_and_long_lists(result: QuickResult, market: Interactions) -> None:
    recommender = result.recommender
    buyer = market.users[3]
    past = result.split.past
    known = set(market.items[past.item[past.user == 3]])
    fresh = recommender.recommend(buyer, 500, new_only=True)
    assert not known & {found.product for found in fresh}
    assert len(fresh) == past.sold().sum() - len(known)
    first = recommender.recommend(buyer, 1)[0]
    assert first.product not in {f.product for f in recommender.recommend(buyer, 5, exclude=[first.product])}
    scores = [found.score for found in recommender.recommend(buyer, 20)]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


def test_reasons_are_facts(result: QuickResult, market: Interactions) -> None:
    past = result.split.past
    for found in result.recommender.recommend(market.users[3], 10):
        lines = past.select((past.user == 3) & (market.items[past.item] == found.product))
        if found.code != "repeat":
            assert not len(lines)
            continue
        days = len(np.unique(lines.day))
        ago = result.recommender.facts.as_of // 86_400 - lines.day.max()
        assert f"{ago} day" in found.reason
        assert {1: "once", 2: "twice"}.get(days, f"{days} times") in found.reason


def test_an_unknown_buyer_gets_popular_products_with_a_code(result: QuickResult) -> None:
    found = result.recommender.recommend("nobody", 5)
    assert len(found) == 5
    assert {one.code for one in found} == {"cold_start"}


def test_save_and_load_give_the_same_recommendations(result: QuickResult, market: Interactions, tmp_path: Path) -> None:
    result.recommender.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    for buyer in [*market.users[:5], "nobody"]:
        for new_only in (False, True):
            assert loaded.recommend(buyer, 8, new_only=new_only) == result.recommender.recommend(
                buyer, 8, new_only=new_only
            )
    json.loads((tmp_path / "model" / "recommender.json").read_text())
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {".json", ".npz"}
    with pytest.raises(NotFound):
        Recommender.load(tmp_path / "nothing")


def test_the_summary_names_the_best_baseline(result: QuickResult) -> None:
    assert result.leaderboard.best_baseline("all").name in result.summary
    assert "new_only=True" in result.summary


def test_progress_and_chosen_baselines(market: Interactions) -> None:
    seen: list[tuple[str, int, int]] = []
    result = quick_test(
        market,
        baselines=[Popularity(), PersonalFrequency()],
        samples=50,
        on_progress=lambda stage, done, total, **metrics: seen.append((stage, done, total)),
    )
    assert [row.name for row in result.leaderboard.rows] == ["popularity", "personal frequency", RECOMMEND]
    assert seen[-1][1] == seen[-1][2]


def test_little_data_still_gives_a_recommender(market: Interactions) -> None:
    few = market.of_users(np.arange(4))
    result = quick_test(few, samples=20)
    assert len(result.recommender.recommend(few.users[0], 3)) == 3
    only_repeats = market.select(market.item < 3)
    assert quick_test(only_repeats, samples=20).recommender.recommend(market.users[0], 3)
