"""From purchase lines to a measured recommender in one call."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from b2brecs.errors import require
from b2brecs.training import blend as blending
from b2brecs.training.baselines import (
    Baseline,
    FactorScorer,
    Scorer,
    WithFallback,
    buyers_per_item,
    default_baselines,
    with_fallback,
)
from b2brecs.training.blend import Blend
from b2brecs.training.candidates import Facts, batches, collect, gather, ranked
from b2brecs.training.evaluate import (
    ABLATION,
    RECOMMEND,
    TWO_TOWER,
    Entry,
    Leaderboard,
    leaderboard,
    sentences,
)
from b2brecs.training.history import FeatureSource, default_inputs
from b2brecs.training.metrics import Truth, truth_of
from b2brecs.training.recommender import DEPTH, Recommender
from b2brecs.training.splits import Split, strict_time

if TYPE_CHECKING:
    from b2brecs.configs.model import ModelConfig
    from b2brecs.training.interactions import Interactions


class OnProgress(Protocol):
    """Told what is going on."""

    def __call__(self, stage: str, done: int, total: int, **metrics: float) -> None:
        """``done`` of ``total`` steps of a stage are finished."""
        ...


@dataclass(frozen=True, eq=False)
class QuickResult:
    """What a quick test gives.

    Parameters
    ----------
    recommender
        Fitted on training + validation: exactly what the leaderboard's row ``recommend`` measured.
    leaderboard, summary
        The figures, and what they say in words.
    split
        The parts, with their report.
    losses
        Mean loss of each epoch of the two-tower's final fit; empty without one.
    seconds
        Time of each stage.
    """

    recommender: Recommender
    leaderboard: Leaderboard
    summary: str
    split: Split
    losses: tuple[float, ...]
    seconds: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Fitted:
    """Components and facts of one moment."""

    scorers: Mapping[str, WithFallback]
    facts: Facts
    seconds: Mapping[str, float]
    losses: tuple[float, ...]


def quick_test(
    data: Interactions,
    *,
    model: ModelConfig | None = None,
    features: FeatureSource = default_inputs,
    baselines: Sequence[Baseline] | None = None,
    test_days: int = 28,
    val_days: int = 28,
    train_days: int | None = None,
    samples: int = 1000,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> QuickResult:
    """Split, fit baselines and the two-tower, learn the blend, and measure all of them once on the test part.

    Parameters
    ----------
    data
        Purchase lines.
    model
        Two-tower to train; None leaves it out (TensorFlow is then not loaded).
    features
        Makes the towers' inputs from (lines before a moment, the moment); called once with the training part
        and once with training + validation.
    baselines
        None takes ``default_baselines()``.
    test_days, val_days, train_days
        See ``strict_time``.
    samples, seed
        Of the bootstrap.
    on_progress
        Called with (stage, done, total); the two-tower adds ``loss=``.

    Raises
    ------
    EmptySplit
        A part holds no lines.
    MissingExtra
        A model is given, and TensorFlow or its like is not installed.
    """
    clock = _Clock()
    if model is not None:
        _import_tensorflow()
        clock.lap("import TensorFlow")
    chosen = tuple(baselines) if baselines is not None else default_baselines()
    tell = on_progress or _silent
    split = strict_time(data, test_days=test_days, val_days=val_days, train_days=train_days)
    clock.lap("split")
    before = fit_components(split.train, split.val_start, chosen, model, features, tell, "validation")
    clock.lap("fit for validation")
    blends, plain = _learn(split, before, seed, tell)
    del before
    clock.lap("blend")
    after = fit_components(split.past, split.test_start, chosen, model, features, tell, "test")
    clock.lap("fit for test")
    recommender = Recommender(data.users, data.items, after.scorers, after.facts, blends)
    truth, truth_new = truth_of(split.test), truth_of(split.test, past=split.past)
    entries = _lists(recommender, plain, truth, truth_new, after, tell)
    clock.lap("score")
    report = split.report
    board = leaderboard(
        entries,
        truth,
        truth_new,
        item_buyers=buyers_per_item(split.past),
        n_buyers=int(split.past.has_lines().sum()),
        protocol={
            "split": "strict_time",
            "train": [str(report.train.first), str(report.train.last)],
            "val": [str(report.val.first), str(report.val.last)],
            "test": [str(report.test.first), str(report.test.last)],
            "baselines": [repr(baseline) for baseline in chosen],
        },
        samples=samples,
        seed=seed,
    )
    clock.lap("evaluate")
    return QuickResult(recommender, board, sentences(board), split, after.losses, clock.seconds)


def fit_components(
    past: Interactions,
    as_of: int,
    baselines: Sequence[Baseline],
    model: ModelConfig | None,
    features: FeatureSource,
    tell: OnProgress,
    stage: str,
) -> Fitted:
    """Fit every component on the lines before ``as_of``."""
    scorers: dict[str, WithFallback] = {}
    seconds: dict[str, float] = {}
    losses: tuple[float, ...] = ()
    for number, baseline in enumerate(baselines):
        tell(f"baselines for {stage}", number, len(baselines))
        begin = time.perf_counter()
        scorers[baseline.name] = with_fallback(baseline.fit(past, as_of), past)
        seconds[baseline.name] = time.perf_counter() - begin
    tell(f"baselines for {stage}", len(baselines), len(baselines))
    if model is not None:
        begin = time.perf_counter()
        scorer, losses = fit_two_tower(past, as_of, model, features, tell, stage)
        scorers[TWO_TOWER] = with_fallback(scorer, past)
        seconds[TWO_TOWER] = time.perf_counter() - begin
    return Fitted(scorers, gather(past, as_of), seconds, losses)


def fit_two_tower(
    past: Interactions,
    as_of: int,
    model: ModelConfig,
    features: FeatureSource,
    tell: OnProgress,
    stage: str,
) -> tuple[Scorer, tuple[float, ...]]:
    """Train the two-tower; its scorer holds vectors only."""
    _import_tensorflow()
    from b2brecs.training.tfrs.train import train

    def on_epoch(epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        tell(f"two-tower for {stage}", epoch, epochs, **metrics)

    tell(f"two-tower for {stage}", 0, model.epochs)
    trained = train(features(past, as_of), past.item, model, on_epoch=on_epoch)
    return FactorScorer(trained.user_vectors, trained.item_vectors), trained.losses


def _learn(split: Split, fitted: Fitted, seed: int, tell: OnProgress) -> tuple[dict[str, Blend], dict[str, Blend]]:
    """Learn both blends, and both without the two-tower for comparison."""
    blends: dict[str, Blend] = {}
    plain: dict[str, Blend] = {}
    truths = {"all": truth_of(split.val), "new": truth_of(split.val, past=split.train)}
    for number, (scope, truth) in enumerate(truths.items()):
        tell("blend", number, len(truths))
        if not len(truth.users):
            first = next(iter(fitted.scorers))
            blends[scope] = blending.alone("recent popularity" if "recent popularity" in fitted.scorers else first)
            plain[scope] = blends[scope]
            continue
        given = blending.sample(truth, fitted.scorers, fitted.facts, new_only=scope == "new", seed=seed)
        has_tower = TWO_TOWER in fitted.scorers
        blends[scope] = blending.fit(given, optional=TWO_TOWER if has_tower else None)
        if has_tower:
            plain[scope] = blending.fit(blending.drop(given, TWO_TOWER))
    tell("blend", len(truths), len(truths))
    return blends, plain


def _lists(
    recommender: Recommender,
    plain: Mapping[str, Blend],
    truth: Truth,
    truth_new: Truth,
    fitted: Fitted,
    tell: OnProgress,
) -> list[Entry]:
    names = [*fitted.scorers, RECOMMEND, *([ABLATION] if TWO_TOWER in fitted.scorers else [])]
    pieces: dict[str, dict[str, list[NDArray[np.int32]]]] = {n: {"all": [], "new": []} for n in names}
    done, total = 0, len(truth.users) + len(truth_new.users)
    for scope, users in (("all", truth.users), ("new", truth_new.users)):
        for part in batches(users, truth.n_items):
            found = collect(part, fitted.scorers, fitted.facts, new_only=scope == "new", depth=DEPTH)
            for name, lists in found.lists.items():
                pieces[name][scope].append(lists)
            pieces[RECOMMEND][scope].append(ranked(found, recommender.blends[scope].scores(found), DEPTH))
            if ABLATION in pieces:
                fewer = blending.without(found, TWO_TOWER)
                pieces[ABLATION][scope].append(ranked(fewer, plain[scope].scores(fewer), DEPTH))
            done += len(part)
            tell("score", done, total)
    empty = np.zeros((0, DEPTH), dtype=np.int32)
    kinds = {RECOMMEND: "recommend", ABLATION: "ablation", TWO_TOWER: "model"}
    return [
        Entry(
            name=name,
            kind=kinds.get(name, "baseline"),  # type: ignore[arg-type]
            all=np.concatenate([empty, *pieces[name]["all"]]),
            new=np.concatenate([empty, *pieces[name]["new"]]),
            seconds=fitted.seconds.get(name, sum(fitted.seconds.values())),
        )
        for name in names
    ]


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 2)
        self._last = now


def _silent(stage: str, done: int, total: int, **metrics: float) -> None:
    del stage, done, total, metrics


def _import_tensorflow() -> None:
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Its C++ part writes about absent GPUs to the process's stderr before any log level is read.
    with Path(os.devnull).open("wb") as nowhere:
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            for package in ("tensorflow", "tf_keras", "tensorflow_recommenders"):
                require(package, feature="the two-tower model", extra="train")
        finally:
            os.dup2(kept, 2)
            os.close(kept)
