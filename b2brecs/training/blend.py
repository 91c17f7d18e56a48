"""The blend behind ``recommend``: a logistic regression over the candidates of all components.

It is fitted on the validation period: the components are fitted on the training part, each candidate is
labelled 1 when the buyer bought it in the validation period, and the features are those of
``b2brecs.training.candidates``, standardised and clipped to ±5. The same weights then serve components
refitted on training + validation. Two blends are kept: for all purchases, and for new ones only.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from b2brecs.training.baselines import Scorer
from b2brecs.training.candidates import Candidates, Facts, batches, collect, ranked
from b2brecs.training.metrics import Truth, per_user

Floats = NDArray[np.float64]

CLIP = 5.0
RIDGE = 3.0
MIN_POSITIVES = 50
MAX_USERS = 5_000
FOLDS = 3
MAX_ROWS = 120_000
_K = 10


@dataclass(frozen=True, eq=False)
class Blend:
    """Weights over candidate features, or the name of the one component that is used alone.

    Parameters
    ----------
    names
        Feature names, in the order of the weights.
    centre, scale, weights
        Of each feature; the score is ``constant + Σ weights · clip((x − centre)/scale, ±5)``, a log-odds.
    single
        Given: this component's own ranking is used, the weights are not.
    validation
        Mean of recall@10 and nDCG@10 on validation buyers of every choice that was compared; the blends'
        are out of fold.
    """

    names: tuple[str, ...]
    centre: Floats
    scale: Floats
    weights: Floats
    constant: float
    single: str | None
    validation: Mapping[str, float]

    def scores(self, found: Candidates) -> Floats:
        """Score candidates: log-odds of a purchase, or minus the rank in the single component's list."""
        if self.single is not None:
            column = found.features[:, found.names.index(f"{self.single}: rank")].astype(np.float64)
            tie = found.features[:, found.names.index(f"{self.single}: score")].astype(np.float64)
            return np.asarray(-column + 1e-6 * np.clip(tie, -100, 100))
        columns = [found.names.index(name) for name in self.names]
        return self.constant + _standard(found.features[:, columns], self.centre, self.scale) @ self.weights


@dataclass(frozen=True, eq=False)
class Sample:
    """Labelled candidates of the validation period."""

    found: Candidates
    truth: Truth
    label: NDArray[np.bool_]


def sample(truth: Truth, scorers: Mapping[str, Scorer], facts: Facts, *, new_only: bool, seed: int = 0) -> Sample:
    """Collect the candidates of validation buyers (at most ``MAX_USERS``, drawn by the seed) and label them."""
    if len(truth.users) > MAX_USERS:
        chosen = np.sort(np.random.default_rng(seed).choice(len(truth.users), MAX_USERS, replace=False))
        truth = subset(truth, chosen)
    parts = [collect(users, scorers, facts, new_only=new_only) for users in batches(truth.users, facts.n_items)]
    offset = np.cumsum([0] + [len(part.users) for part in parts])
    found = Candidates(
        users=truth.users,
        row=np.concatenate([part.row + start for part, start in zip(parts, offset, strict=False)]),
        item=np.concatenate([part.item for part in parts]),
        features=np.concatenate([part.features for part in parts]),
        names=parts[0].names,
        lists={name: np.concatenate([part.lists[name] for part in parts]) for name in scorers},
    )
    label = np.isin(found.row * truth.n_items + found.item, truth.keys)
    return Sample(found, truth, label)


def subset(truth: Truth, chosen: NDArray[np.integer[Any]]) -> Truth:
    """Keep some buyers, by ascending position."""
    sizes = truth.sizes
    keep = np.zeros(len(truth.users), dtype=bool)
    keep[chosen] = True
    lines = np.repeat(keep, sizes)
    return Truth(
        users=truth.users[keep],
        start=np.append(0, np.cumsum(sizes[keep])),
        item=truth.item[lines],
        revenue=truth.revenue[lines],
        n_items=truth.n_items,
    )


def fit(given: Sample, *, optional: str | None = None) -> Blend:
    """Fit a blend, or fall back on one component.

    Compared on the validation buyers, by the mean of recall@10 and nDCG@10: the blend of all features, the
    blend without the component ``optional``, and each component alone. Blends are judged out of fold (3 folds
    of buyers, position modulo 3). The best is used; with fewer than 50 purchased candidates only single
    components are compared.
    """
    found = given.found
    scores = {name: _quality(lists, given.truth) for name, lists in found.lists.items()}
    choices = {"blend": found.names}
    if optional is not None and optional in found.lists:
        choices[f"blend without {optional}"] = tuple(n for n in found.names if not n.startswith(f"{optional}: "))
    enough = int(given.label.sum()) >= MIN_POSITIVES
    if enough:
        for name, names in choices.items():
            scores[name] = _out_of_fold(given, names)
    best = max(scores, key=lambda name: scores[name])
    if best in choices:
        return _refit(given, choices[best], None, scores)
    return _refit(given, (), best, scores)


def alone(component: str) -> Blend:
    """Use one component by itself."""
    return _refit(None, (), component, {})


def without(found: Candidates, component: str, depth: int = 100) -> Candidates:
    """Take a component out: its features, its list, and the candidates that only it named."""
    mine = f"{component}: "
    keep = [place for place, name in enumerate(found.names) if not name.startswith(mine)]
    names = tuple(found.names[place] for place in keep)
    ranks = [found.features[:, place] for place in keep if found.names[place].endswith(": rank")]
    listed = np.min(ranks, axis=0) < np.float32(np.log(depth + 0.5))
    lists = {name: value for name, value in found.lists.items() if name != component}
    return Candidates(found.users, found.row[listed], found.item[listed], found.features[listed][:, keep], names, lists)


def drop(given: Sample, component: str) -> Sample:
    """Take a component out of a sample, to learn what it adds."""
    found = without(given.found, component)
    label = np.isin(found.row * given.truth.n_items + found.item, given.truth.keys)
    return Sample(found, given.truth, label)


def _refit(given: Sample | None, names: tuple[str, ...], single: str | None, validation: Mapping[str, float]) -> Blend:
    if given is None or single is not None:
        empty = np.zeros(0)
        return Blend((), empty, empty, empty, 0.0, single, dict(validation))
    design = _Design(given, names)
    beta = design.solve()
    return Blend(names, design.centre, design.scale, beta[:-1], float(beta[-1]), None, dict(validation))


def _out_of_fold(given: Sample, names: tuple[str, ...]) -> float:
    design = _Design(given, names)
    start = design.solve()
    scores = np.zeros(len(given.label))
    for number in range(FOLDS):
        inside = given.found.row % FOLDS == number
        if inside.any() and given.label[~inside].any():
            scores[inside] = design.x[inside] @ design.solve(leave_out=inside, start=start)
    return _quality(ranked(given.found, scores, _K), given.truth)


def _quality(lists: NDArray[np.int32], truth: Truth) -> float:
    values = per_user(lists[:, :_K], truth, ks=(_K,))
    return float((values[f"recall@{_K}"].mean() + values[f"ndcg@{_K}"].mean()) / 2)


def _standard(x: NDArray[Any], centre: Floats, scale: Floats) -> Floats:
    return np.clip((x - centre) / scale, -CLIP, CLIP)


class _Design:
    """Standardised features with a constant, for ridge logistic regression by damped Newton steps.

    Of more than ``MAX_ROWS`` candidates all purchased ones and an even draw of the others are used; the
    constant is corrected for it (King & Zeng 2001).
    """

    def __init__(self, given: Sample, names: tuple[str, ...]) -> None:
        x = given.found.features[:, [given.found.names.index(name) for name in names]]
        self.centre: Floats = x.mean(axis=0, dtype=np.float64)
        self.scale: Floats = x.std(axis=0, dtype=np.float64) + 1e-9
        self.x = np.column_stack([_standard(x, self.centre, self.scale), np.ones(len(x))])
        self.label = given.label
        share = min(1.0, MAX_ROWS / len(x))
        self.used = given.label | (np.random.default_rng(0).random(len(x)) < share)
        self.offset = float(np.log((self.used & ~given.label).sum() / max((~given.label).sum(), 1) + 1e-12))

    def solve(self, *, leave_out: NDArray[np.bool_] | None = None, start: Floats | None = None) -> Floats:
        """Return the weights, the constant last."""
        rows = self.used if leave_out is None else self.used & ~leave_out
        x, y = self.x[rows], self.label[rows].astype(np.float64)
        ridge = np.full(x.shape[1], RIDGE)
        ridge[-1] = 1e-9
        beta = np.zeros(x.shape[1])
        if start is None:
            share = min(max(float(y.mean()), 1e-6), 1 - 1e-6)
            beta[-1] = np.log(share / (1 - share))
        else:
            beta[:] = start
            beta[-1] += self.offset
        with _one_thread():
            beta = _newton(x, y, ridge, beta)
        beta[-1] -= self.offset
        return beta


def _newton(x: Floats, y: Floats, ridge: Floats, beta: Floats) -> Floats:
    def loss(b: Floats, z: Floats) -> float:
        return float(np.logaddexp(0.0, z).sum() - y @ z + 0.5 * (ridge * b) @ b)

    z = x @ beta
    current = loss(beta, z)
    for _ in range(25):
        p = 1.0 / (1.0 + np.exp(-np.clip(z, -30, 30)))
        gradient = x.T @ (p - y) + ridge * beta
        hessian = (x * (p * (1 - p))[:, None]).T @ x
        hessian[np.diag_indices_from(hessian)] += ridge + 1e-9
        step = np.linalg.solve(hessian, gradient)
        move = x @ step
        size = 1.0
        while size > 1e-3 and loss(beta - size * step, z - size * move) > current:
            size /= 2
        beta, z = beta - size * step, z - size * move
        previous, current = current, loss(beta, z)
        if previous - current < 1e-6 * abs(previous):
            break
    return beta


def _one_thread() -> AbstractContextManager[Any]:
    """On few cores, BLAS threads that wait for each other cost more than they give on narrow matrices."""
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError:
        return nullcontext()
    limits: AbstractContextManager[Any] = threadpool_limits(limits=1, user_api="blas")
    return limits
