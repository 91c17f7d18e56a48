"""The blend behind ``recommend``: a logistic regression over the candidates of all components.

It is fitted on the validation period: the components are fitted on the training part, each candidate is
labelled 1 when the buyer bought it in the validation period, and the features are those of
``b2brecs.training.candidates``, standardised and clipped to ±5. The same weights then serve components
refitted on training + validation. Two blends are kept: for all purchases, and for new ones only.
"""

from __future__ import annotations

from collections.abc import Mapping
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
FOLDS = 4
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

    def without(self, component: str) -> tuple[str, ...]:
        """Return the feature names that do not come from one component."""
        return tuple(name for name in self.names if not name.startswith(f"{component}: "))


@dataclass(frozen=True, eq=False)
class Sample:
    """Labelled candidates of the validation period."""

    found: Candidates
    truth: Truth
    label: NDArray[np.bool_]


def sample(
    truth: Truth, scorers: Mapping[str, Scorer], facts: Facts, *, new_only: bool, seed: int = 0
) -> Sample:
    """Collect the candidates of validation buyers (at most ``MAX_USERS``, drawn by the seed) and label them."""
    if len(truth.users) > MAX_USERS:
        chosen = np.sort(np.random.default_rng(seed).choice(len(truth.users), MAX_USERS, replace=False))
        truth = subset(truth, chosen)
    parts = [
        collect(users, scorers, facts, new_only=new_only) for users in batches(truth.users, facts.n_items)
    ]
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
    blend without the component ``optional``, and each component alone. Blends are judged out of fold (4 folds
    of buyers, position modulo 4). The best is used; with fewer than 50 purchased candidates only single
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
    return _refit(given, found.names if enough else (), best, scores)


def fit_without(given: Sample, component: str, depth: int = 100) -> Blend:
    """Fit the blend on candidates and features that owe nothing to one component, for comparison."""
    names = tuple(name for name in given.found.names if not name.startswith(f"{component}: "))
    return _refit(given, names, None, {}, keep=others(given.found, component, depth))


def others(found: Candidates, component: str, depth: int = 100) -> NDArray[np.bool_]:
    """Which candidates stand in the list of some other component."""
    ranks = [
        found.features[:, place]
        for place, name in enumerate(found.names)
        if name.endswith(": rank") and not name.startswith(f"{component}: ")
    ]
    return np.min(ranks, axis=0) < np.float32(np.log(depth + 0.5))


def _refit(
    given: Sample,
    names: tuple[str, ...],
    single: str | None,
    validation: Mapping[str, float],
    keep: NDArray[np.bool_] | None = None,
) -> Blend:
    empty = np.zeros(0)
    if not names:
        return Blend((), empty, empty, empty, 0.0, single, dict(validation))
    keep = np.ones(len(given.label), dtype=bool) if keep is None else keep
    x = given.found.features[keep][:, [given.found.names.index(name) for name in names]]
    centre, scale, weights, constant = _logistic(x, given.label[keep])
    return Blend(names, centre, scale, weights, constant, single, dict(validation))


def _out_of_fold(given: Sample, names: tuple[str, ...]) -> float:
    found = given.found
    columns = [found.names.index(name) for name in names]
    x = found.features[:, columns]
    fold = found.row % FOLDS
    scores = np.zeros(len(fold))
    for number in range(FOLDS):
        inside = fold == number
        if not given.label[~inside].any():
            continue
        centre, scale, weights, constant = _logistic(x[~inside], given.label[~inside])
        scores[inside] = constant + _standard(x[inside], centre, scale) @ weights
    return _quality(ranked(found, scores, _K), given.truth)


def _quality(lists: NDArray[np.int32], truth: Truth) -> float:
    values = per_user(lists[:, :_K], truth, ks=(_K,))
    return float((values[f"recall@{_K}"].mean() + values[f"ndcg@{_K}"].mean()) / 2)


def _standard(x: NDArray[Any], centre: Floats, scale: Floats) -> Floats:
    return np.clip((x - centre) / scale, -CLIP, CLIP)


def _logistic(x: NDArray[np.float32], label: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats, float]:
    """Ridge logistic regression by damped Newton steps (iteratively re-weighted least squares)."""
    centre = x.mean(axis=0, dtype=np.float64)
    scale = x.std(axis=0, dtype=np.float64) + 1e-9
    design = np.column_stack([_standard(x, centre, scale), np.ones(len(x))])
    ridge = np.full(design.shape[1], RIDGE)
    ridge[-1] = 1e-9
    y = label.astype(np.float64)
    share = min(max(float(y.mean()), 1e-6), 1 - 1e-6)
    beta = np.zeros(design.shape[1])
    beta[-1] = np.log(share / (1 - share))

    def loss(b: Floats) -> float:
        z = design @ b
        return float(np.logaddexp(0.0, z).sum() - (y * z).sum() + 0.5 * (ridge * b * b).sum())

    current = loss(beta)
    for _ in range(25):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ beta, -30, 30)))
        gradient = design.T @ (p - y) + ridge * beta
        curvature = p * (1 - p)
        hessian = (design * curvature[:, None]).T @ design
        hessian[np.diag_indices_from(hessian)] += ridge
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-3 and loss(beta - size * step) > current:
            size /= 2
        beta = beta - size * step
        previous, current = current, loss(beta)
        if previous - current < 1e-7 * abs(previous):
            break
    return centre, scale, beta[:-1], float(beta[-1])
