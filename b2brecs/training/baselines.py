"""The baselines that every model is measured against, each defined so that anyone can recompute it.

Common to all: ``fit`` sees the lines before ``as_of`` only. ``S_u`` are the distinct products that buyer u has
a line of; ``b_i`` is the number of distinct buyers of product i. Lists are sorted by descending score, ties by
ascending product id, and hold only products with a line before ``as_of``. A buyer without any line gets the
list of ``Popularity``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from b2brecs.errors import require
from b2brecs.training.interactions import DAY, Interactions, Weight

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Scores = NDArray[np.float32]
Codes = NDArray[np.integer]
Arrays = dict[str, NDArray[np.generic]]


class Scorer(Protocol):
    """What a fitted model offers."""

    def scores(self, users: Codes) -> Scores:
        """Score every product for some buyers, float32[len(users), n_items]."""
        ...


@runtime_checkable
class Baseline(Protocol):
    """A model that needs nothing but interactions."""

    @property
    def name(self) -> str:
        """Name in the leaderboard."""
        ...

    def fit(self, data: Interactions, as_of: int) -> Scorer:
        """Fit on ``data``, which holds only lines before ``as_of`` (seconds UTC)."""
        ...


@dataclass(frozen=True, eq=False)
class VectorScorer:
    """The same scores for every buyer."""

    values: Scores

    def scores(self, users: Codes) -> Scores:
        """Repeat the product scores for each buyer."""
        return np.broadcast_to(self.values, (len(users), len(self.values))).copy()


@dataclass(frozen=True, eq=False)
class FactorScorer:
    """Dot products of buyer and product vectors."""

    user: Scores
    item: Scores

    def scores(self, users: Codes) -> Scores:
        """Multiply vectors."""
        return np.asarray(self.user[users] @ self.item.T, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class HistoryScorer:
    """Buyer × product history times a product × product matrix (sparse, or dense over ``kept`` products)."""

    history: csr_matrix
    weights: csr_matrix | Scores
    kept: NDArray[np.int32] | None = None

    def scores(self, users: Codes) -> Scores:
        """Multiply the buyers' rows with the matrix."""
        rows = self.history[users]
        if self.kept is not None:
            rows = rows[:, self.kept]
        product = rows @ self.weights
        dense = np.asarray(product if isinstance(product, np.ndarray) else product.toarray(), dtype=np.float32)
        if self.kept is None:
            return dense
        out = np.zeros((len(users), self.history.shape[1]), dtype=np.float32)
        out[:, self.kept] = dense
        return out


@dataclass(frozen=True, eq=False)
class FrequencyScorer:
    """Own purchases first, everything else by popularity below them."""

    own: csr_matrix
    fill: Scores

    def scores(self, users: Codes) -> Scores:
        """Own scores are positive, the fill is negative."""
        out = np.broadcast_to(self.fill, (len(users), len(self.fill))).copy()
        rows = self.own[users]
        line = np.repeat(np.arange(len(users)), np.diff(rows.indptr))
        out[line, rows.indices] = rows.data
        return out


@dataclass(frozen=True, eq=False)
class WithFallback:
    """A scorer that ranks by popularity for buyers without any line.

    ``known`` has one more element than there are buyers, False: code −1 stands for an unknown buyer.
    """

    scorer: Scorer
    known: NDArray[np.bool_]
    popularity: Scores

    def scores(self, users: Codes) -> Scores:
        """Score; a buyer without lines gets every product's number of buyers."""
        users = np.asarray(users)
        known = self.known[users]
        out = self.scorer.scores(np.where(known, users, 0))
        out[~known] = self.popularity
        return out


def with_fallback(scorer: Scorer, data: Interactions) -> WithFallback:
    """Add the popularity fallback, as of the data that the scorer was fitted on."""
    return WithFallback(scorer, np.append(data.has_lines(), False), buyers_per_item(data).astype(np.float32))


def buyers_per_item(data: Interactions) -> NDArray[np.int64]:
    """``b_i``: distinct buyers of each product."""
    pairs = np.unique(data.user.astype(np.int64) * data.n_items + data.item)
    return np.bincount(pairs % data.n_items, minlength=data.n_items)


@dataclass(frozen=True)
class Popularity:
    """Score of product i: ``b_i``, its number of distinct buyers before ``as_of``."""

    name: str = "popularity"

    def fit(self, data: Interactions, as_of: int) -> Scorer:  # noqa: ARG002 - the protocol's
        """Count distinct buyers."""
        return VectorScorer(buyers_per_item(data).astype(np.float32))


@dataclass(frozen=True)
class RecentPopularity:
    """Score of product i: its number of distinct buyers in the ``days`` days before ``as_of``.

    Parameters
    ----------
    days
        Length of the window, in days.
    """

    days: int = 28
    name: str = "recent popularity"

    def fit(self, data: Interactions, as_of: int) -> Scorer:
        """Count distinct buyers in the window."""
        return VectorScorer(buyers_per_item(data.between(as_of - self.days * DAY, as_of)).astype(np.float32))


@dataclass(frozen=True)
class PersonalFrequency:
    """What the buyer buys often and lately.

    Score of product i for buyer u: the sum of ``0.5 ** (age / half_life)`` over u's lines of i, where age is
    the whole calendar days (UTC) from the line's day to ``as_of``'s day. Products that u never bought follow
    below all these, by ``b_i``.

    Parameters
    ----------
    half_life
        In days.
    """

    half_life: float = 90.0
    name: str = "personal frequency"

    def fit(self, data: Interactions, as_of: int) -> Scorer:
        """Sum the decayed lines."""
        from scipy.sparse import csr_matrix

        age = as_of // DAY - data.day
        decayed = 0.5 ** (age / self.half_life)
        own = csr_matrix((decayed, (data.user, data.item)), shape=(data.n_users, data.n_items))
        own.sum_duplicates()
        own.data = np.maximum(own.data, 1e-30)
        popular = buyers_per_item(data).astype(np.float64)
        fill = popular / (popular.max() + 1.0) - 2.0
        return FrequencyScorer(own.astype(np.float32), fill.astype(np.float32))


@dataclass(frozen=True)
class ItemKNN:
    """Item-based nearest neighbours (Sarwar et al. 2001) by ``implicit.nearest_neighbours.CosineRecommender``.

    With X the buyer × product matrix (``weight``), the similarity of two products is the cosine of their
    columns; each product keeps its ``neighbours`` most similar products, itself (similarity 1) included. Which
    of several equally similar ones stays at the cut is implicit's choice. Score of product j for buyer u: Σ over
    i of x_ui · sim(i, j), over the kept pairs.
    """

    neighbours: int = 100
    weight: Weight = "binary"
    name: str = "item-kNN"

    def fit(self, data: Interactions, as_of: int) -> Scorer:  # noqa: ARG002 - the protocol's
        """Compute the neighbours with ``implicit``."""
        require("implicit", feature="the item-kNN baseline", extra="train")
        from implicit.nearest_neighbours import CosineRecommender

        matrix = data.matrix(self.weight)
        model = CosineRecommender(K=self.neighbours, num_threads=1)
        with warnings.catch_warnings():  # implicit converts its own intermediate matrix and warns about it
            warnings.simplefilter("ignore")
            model.fit(matrix.astype(np.float64), show_progress=False)
        return HistoryScorer(matrix, model.similarity.tocsr().astype(np.float32))


@dataclass(frozen=True)
class EASE:
    """Embarrassingly shallow autoencoder in closed form (Steck 2019, "Embarrassingly Shallow Autoencoders").

    With X the binary buyer × product matrix and ``P = (XᵀX + l2·I)⁻¹``: ``B_ij = −P_ij / P_jj``, ``B_jj = 0``;
    scores are the rows of ``X B``. Float32 Cholesky factorisation.

    Parameters
    ----------
    l2
        λ of the paper.
    max_items
        Only the products with the most buyers (ties by ascending id) enter, in rows and columns; the others
        score 0. The cost grows with the cube of this number.
    """

    l2: float = 200.0
    max_items: int = 12_000
    name: str = "EASE"

    def fit(self, data: Interactions, as_of: int) -> Scorer:  # noqa: ARG002 - the protocol's
        """Invert the Gram matrix."""
        from scipy.linalg.lapack import spotrf, spotri

        matrix = data.matrix("binary")
        popular = buyers_per_item(data)
        kept = np.sort(np.argsort(-popular, kind="stable")[: min(self.max_items, int((popular > 0).sum()))])
        part = matrix[:, kept]
        gram = np.asfortranarray((part.T @ part).toarray(), dtype=np.float32)
        gram[np.diag_indices_from(gram)] += np.float32(self.l2)
        factor, _ = spotrf(gram, lower=False, overwrite_a=True)
        inverse, _ = spotri(factor, lower=False, overwrite_c=True)
        inverse = np.triu(inverse) + np.triu(inverse, 1).T
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0.0)
        return HistoryScorer(matrix, np.ascontiguousarray(weights, dtype=np.float32), kept.astype(np.int32))


@dataclass(frozen=True)
class ALS:
    """Weighted matrix factorisation (Hu, Koren, Volinsky 2008) by ``implicit.als.AlternatingLeastSquares``.

    The matrix is ``weight`` times ``alpha``; scores are dot products of the factors. ``num_threads=1`` and
    ``random_state=seed`` make it repeat itself.
    """

    factors: int = 64
    regularization: float = 0.05
    alpha: float = 1.0
    iterations: int = 15
    weight: Weight = "binary"
    seed: int = 42
    name: str = "ALS"

    def fit(self, data: Interactions, as_of: int) -> Scorer:  # noqa: ARG002 - the protocol's
        """Alternate least squares with ``implicit``."""
        require("implicit", feature="the ALS baseline", extra="train")
        from implicit.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        with threadpool_limits(limits=1, user_api="blas"):
            model = AlternatingLeastSquares(
                factors=self.factors,
                regularization=self.regularization,
                alpha=self.alpha,
                iterations=self.iterations,
                num_threads=1,
                random_state=self.seed,
                use_gpu=False,
            )
            model.fit(data.matrix(self.weight), show_progress=False)
        return FactorScorer(np.asarray(model.user_factors), np.asarray(model.item_factors))


def default_baselines() -> tuple[Baseline, ...]:
    """Return the six baselines of every leaderboard, with their documented parameters."""
    return (Popularity(), RecentPopularity(), PersonalFrequency(), ItemKNN(), EASE(), ALS())
