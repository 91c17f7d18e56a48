"""The leaderboard: every model on the same test buyers, with intervals, and what it says in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from b2brecs.training.metrics import KS, METRICS_VERSION, Truth, bootstrap, coverage, per_user, summarise

Floats = NDArray[np.float64]
Lists = NDArray[np.int32]
Kind = Literal["baseline", "model", "recommend", "ablation"]
Scope = Literal["all", "new", "mixed_new"]

SCOPES: tuple[Scope, ...] = ("all", "new", "mixed_new")
RECOMMEND = "recommend"
TWO_TOWER = "two-tower"
ABLATION = "recommend without two-tower"


@dataclass(frozen=True)
class LeaderboardRow:
    """One model's figures.

    Parameters
    ----------
    all
        Metrics over all purchases of the test period.
    new
        Over products new to the buyer; what the buyer bought before is taken out of the lists.
    mixed_new
        Over products new to the buyer, but with the lists of ``all``, bought products in them.
    intervals
        95 % bootstrap interval of each metric, by scope.
    against_best
        Difference to the best baseline of that scope and metric, (difference, low, high), paired by buyer;
        empty for baselines.
    seconds
        Time to fit on the lines before the test period.
    """

    name: str
    kind: Kind
    all: Mapping[str, float]
    new: Mapping[str, float]
    mixed_new: Mapping[str, float]
    intervals: Mapping[Scope, Mapping[str, tuple[float, float]]]
    against_best: Mapping[Scope, Mapping[str, tuple[float, float, float]]]
    seconds: float

    def metrics(self, scope: Scope) -> Mapping[str, float]:
        """Return the metrics of one scope."""
        return {"all": self.all, "new": self.new, "mixed_new": self.mixed_new}[scope]


@dataclass(frozen=True)
class Leaderboard:
    """Rows in the order baselines, models, recommend; and the protocol they share.

    Parameters
    ----------
    protocol
        Definitions' version, periods, numbers of buyers and products: only rows of equal protocol compare.
    two_tower_effect
        What the two-tower adds to the blend: (difference, low, high) of each metric, by scope; empty without
        a two-tower.
    """

    rows: tuple[LeaderboardRow, ...]
    protocol: Mapping[str, object]
    two_tower_effect: Mapping[Scope, Mapping[str, tuple[float, float, float]]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> LeaderboardRow:
        return next(row for row in self.rows if row.name == name)

    def best_baseline(self, scope: Scope = "all", metric: str = "recall@10") -> LeaderboardRow:
        """Return the baseline that is best at a metric."""
        baselines = [row for row in self.rows if row.kind == "baseline"]
        return max(baselines, key=lambda row: row.metrics(scope).get(metric, float("-inf")))

    def records(self, metrics: Sequence[str] = ("recall@10", "ndcg@10")) -> list[dict[str, object]]:
        """Return plain dictionaries, one for each row, for a table or a file."""
        records: list[dict[str, object]] = []
        for row in self.rows:
            record: dict[str, object] = {"model": row.name, "kind": row.kind}
            record |= {f"{metric} {scope}": row.metrics(scope).get(metric) for scope in SCOPES for metric in metrics}
            records.append(record | {"seconds": round(row.seconds, 2)})
        return records


@dataclass(eq=False)
class Entry:
    """A model's lists: of all products for every buyer, and of new ones for buyers with new purchases."""

    name: str
    kind: Kind
    all: Lists
    new: Lists
    seconds: float = 0.0


def leaderboard(
    entries: Sequence[Entry],
    truth: Truth,
    truth_new: Truth,
    *,
    item_buyers: NDArray[np.integer],
    n_buyers: int,
    protocol: Mapping[str, object],
    ks: Sequence[int] = KS,
    samples: int = 1000,
    seed: int = 0,
) -> Leaderboard:
    """Measure every entry.

    Parameters
    ----------
    entries
        Lists in the order of ``truth.users`` (``all``) and ``truth_new.users`` (``new``).
    item_buyers, n_buyers
        Distinct buyers of each product, and of any, before the test period: for novelty and coverage.
    samples, seed
        Of the bootstrap.
    """
    share = item_buyers / max(n_buyers, 1)
    candidates = int((item_buyers > 0).sum())
    mixed = np.searchsorted(truth.users, truth_new.users)
    values: dict[Scope, dict[str, dict[str, Floats]]] = {scope: {} for scope in SCOPES}
    whole: dict[Scope, dict[str, dict[str, float]]] = {scope: {} for scope in SCOPES}
    for entry in entries:
        measured_on: dict[Scope, tuple[Lists, Truth]] = {
            "all": (entry.all, truth),
            "new": (entry.new, truth_new),
            "mixed_new": (entry.all[mixed], truth_new),
        }
        for scope, (lists, asked) in measured_on.items():
            measured = per_user(lists, asked, ks=ks, item_share=share) if len(asked.users) else {}
            values[scope][entry.name] = measured
            whole[scope][entry.name] = summarise(measured) | {
                f"coverage@{k}": coverage(lists, k, candidates) for k in ks
            }
    ranges = {
        scope: {name: _intervals(measured, samples, seed) for name, measured in values[scope].items()}
        for scope in SCOPES
    }
    baselines = [entry.name for entry in entries if entry.kind == "baseline"]
    rows = []
    for entry in entries:
        against: dict[Scope, Mapping[str, tuple[float, float, float]]] = {}
        if entry.kind != "baseline" and baselines:
            for scope in SCOPES:
                own = values[scope][entry.name]
                best = {metric: values[scope][_winner(baselines, whole[scope], metric)][metric] for metric in own}
                against[scope] = _differences(own, best, samples, seed)
        rows.append(
            LeaderboardRow(
                name=entry.name,
                kind=entry.kind,
                all=whole["all"][entry.name],
                new=whole["new"][entry.name],
                mixed_new=whole["mixed_new"][entry.name],
                intervals={scope: ranges[scope][entry.name] for scope in SCOPES},
                against_best=against,
                seconds=entry.seconds,
            )
        )
    effect: dict[Scope, Mapping[str, tuple[float, float, float]]] = {}
    names = {entry.name for entry in entries}
    if {RECOMMEND, ABLATION} <= names:
        effect = {
            scope: _differences(values[scope][RECOMMEND], values[scope][ABLATION], samples, seed) for scope in SCOPES
        }
    shared = {
        "metrics_version": METRICS_VERSION,
        "test_buyers": len(truth.users),
        "test_buyers_new": len(truth_new.users),
        "products": candidates,
        "bootstrap": {"samples": samples, "seed": seed, "level": 0.95},
    }
    return Leaderboard(tuple(rows), {**shared, **protocol}, effect)


def _winner(names: Sequence[str], figures: Mapping[str, Mapping[str, float]], metric: str) -> str:
    return max(names, key=lambda name: figures[name][metric])


def _intervals(measured: Mapping[str, Floats], samples: int, seed: int) -> dict[str, tuple[float, float]]:
    if not measured:
        return {}
    low, high = bootstrap(np.column_stack(list(measured.values())), samples=samples, seed=seed)
    return {name: (float(a), float(b)) for name, a, b in zip(measured, low, high, strict=True)}


def _differences(
    own: Mapping[str, Floats], other: Mapping[str, Floats], samples: int, seed: int
) -> dict[str, tuple[float, float, float]]:
    if not own:
        return {}
    paired = {name: own[name] - other[name] for name in own}
    ranges = _intervals(paired, samples, seed)
    means = summarise(paired)
    return {name: (means[name], *ranges[name]) for name in own}


def sentences(board: Leaderboard, *, k: int = 10) -> str:
    """Say in plain words how ``recommend`` does, and what the two-tower adds and where it does not."""
    metric = f"recall@{k}"
    mine = board[RECOMMEND]
    found = f"recommend() has {_percent(mine.all[metric])} among {k} products"
    parts = [f"Of what a buyer buys in the test period, {found}{_versus(board, 'all', metric)}."]
    if metric in mine.new:
        parts.append(
            f"Of products new to the buyer, with new_only=True, {_percent(mine.new[metric])}"
            f"{_versus(board, 'new', metric)}."
        )
        best = board.best_baseline("mixed_new", metric)
        parts.append(
            f"A list that keeps known products finds {_percent(mine.mixed_new[metric])} of the new ones "
            f"({best.name} {_percent(best.mixed_new[metric])}): use new_only=True to find new products."
        )
    if any(row.name == TWO_TOWER for row in board.rows):
        parts.append(_two_tower(board, metric))
    return " ".join(parts)


def _two_tower(board: Leaderboard, metric: str) -> str:
    tower = board[TWO_TOWER]
    alone = f"The two-tower alone reaches {_percent(tower.all[metric])}"
    alone += f" and, on new products, {_percent(tower.new[metric])}." if metric in tower.new else "."
    verdicts: dict[str, list[str]] = {}
    told_of: dict[Scope, str] = {"all": "all purchases", "new": "new products"}
    for scope, words in told_of.items():
        effect = board.two_tower_effect.get(scope, {})
        if metric not in effect:
            continue
        difference, low, high = effect[metric]
        if low == high == difference == 0:
            verdict, amount = "it is not used for", ""
        else:
            verdict = "it adds to" if low > 0 else "it takes from" if high < 0 else "it makes no clear difference for"
            amount = f" ({100 * difference:+.2f} points, 95 % interval {100 * low:+.2f} to {100 * high:+.2f})"
        verdicts.setdefault(verdict, []).append(words + amount)
    told = "; ".join(f"{verdict} {' and '.join(words)}" for verdict, words in verdicts.items())
    return f"{alone} In the blend, {told}." if told else alone


def _versus(board: Leaderboard, scope: Scope, metric: str) -> str:
    best = board.best_baseline(scope, metric)
    difference, low, high = board[RECOMMEND].against_best[scope][metric]
    there = f"the best baseline ({best.name}) {_percent(best.metrics(scope)[metric])}"
    if low > 0:
        return f", more than {there} (+{100 * difference:.1f} points)"
    if high < 0:
        return f", less than {there} ({100 * difference:.1f} points)"
    return f", not clearly different from {there} ({100 * difference:+.1f} points)"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
