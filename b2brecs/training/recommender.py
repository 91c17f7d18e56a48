"""The object that recommends: components, facts and blends of one moment. Needs numpy and scipy only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from b2brecs.training.baselines import WithFallback
from b2brecs.training.blend import Blend
from b2brecs.training.candidates import Candidates, Codes, Facts, batches, collect, ranked
from b2brecs.training.store import Parts, load, save

DEPTH = 100


class Recommendation(NamedTuple):
    """One recommended product.

    Parameters
    ----------
    product
        Its id.
    score
        Chance, by the blend, that the buyer buys it within the validation period's length (0 to 1); for a
        single component, a number that only orders. Products that fill up a list score 0.
    reason
        A short phrase made of facts.
    components
        Standard score of each component for this pair: 0 is an average product for this buyer.
    code
        ``"repeat"``, ``"similar"``, ``"popular"`` or ``"cold_start"``.
    """

    product: Any
    score: float
    reason: str
    components: dict[str, float]
    code: str


@dataclass(frozen=True, eq=False)
class Recommender:
    """Recommends products to buyers.

    Parameters
    ----------
    users, items
        Sorted ids; codes are positions in them.
    components
        Fitted components by name.
    facts
        What is known at ``facts.as_of``.
    blends
        ``"all"`` and ``"new"``.
    """

    users: NDArray[Any]
    items: NDArray[Any]
    components: Mapping[str, WithFallback]
    facts: Facts
    blends: Mapping[str, Blend]

    def code(self, user_id: Any) -> int:
        """Return a buyer's code, −1 when the buyer is unknown or has no purchase before ``as_of``."""
        value = str(user_id) if self.users.dtype.kind == "U" else user_id
        try:
            place = int(np.searchsorted(self.users, int(value) if self.users.dtype.kind == "i" else value))
        except (TypeError, ValueError):
            return -1
        found = place < len(self.users) and str(self.users[place]) == str(user_id)
        return place if found and len(self.facts.bought(np.array([place]))[0]) else -1

    def recommend(
        self, user_id: Any, k: int = 10, *, new_only: bool = False, exclude: Iterable[Any] = ()
    ) -> list[Recommendation]:
        """Return the k best products for a buyer, best first.

        Parameters
        ----------
        user_id
            A buyer's id. One who is unknown, or never bought, gets what is popular (code ``"cold_start"``).
        k
            How many.
        new_only
            Leave out what the buyer bought before, and weigh the components for that purpose.
        exclude
            Product ids to leave out.
        """
        code = self.code(user_id)
        found = collect(np.array([code]), self.components, self.facts, new_only=new_only, depth=DEPTH)
        scores = self.blends["new" if new_only else "all"].scores(found)
        out = {str(product) for product in exclude}
        banned = set(self.facts.bought(np.array([code]))[1].tolist()) if new_only else set()
        result: list[Recommendation] = []
        place_of = {int(item): place for place, item in enumerate(found.item)}
        order = ranked(found, scores, len(found.item))[0].tolist()
        chosen = set(order)
        popular = np.argsort(-self.facts.product["buyers"], kind="stable").tolist() if k > len(order) - len(out) else []
        for item in order + [item for item in popular if item not in chosen and self.facts.sold[item]]:
            if len(result) >= k:
                break
            if item in banned or str(self.items[item]) in out:
                continue
            result.append(self._explain(code, item, place_of.get(item), found, scores, new_only=new_only))
        return result

    def lists(self, users: Codes, k: int = DEPTH, *, new_only: bool = False) -> NDArray[np.int32]:
        """Return product codes for many buyers, int32[len(users), k], −1 where candidates end."""
        blend = self.blends["new" if new_only else "all"]
        parts = []
        for part in batches(np.asarray(users), len(self.items)):
            found = collect(part, self.components, self.facts, new_only=new_only, depth=max(k, DEPTH))
            parts.append(ranked(found, blend.scores(found), k))
        return np.concatenate(parts) if parts else np.zeros((0, k), dtype=np.int32)

    def save(self, folder: str | Path) -> None:
        """Write arrays as npz and the rest as JSON into a folder."""
        save(Parts(self.users, self.items, self.components, self.facts, self.blends), Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> Recommender:
        """Read what ``save`` wrote; unpickles nothing and needs no TensorFlow."""
        return cls(*load(Path(folder)))

    def _explain(
        self, code: int, item: int, place: int | None, found: Candidates, scores: NDArray[Any], *, new_only: bool
    ) -> Recommendation:
        product = self.items[item].item()
        blend = self.blends["new" if new_only else "all"]
        if place is None:
            kind = "cold_start" if code < 0 else "popular"
            return Recommendation(product, 0.0, self._popular(item), {}, kind)
        row = found.features[place]
        parts = {name: round(float(row[found.names.index(f"{name}: score")]), 4) for name in self.components}
        score = float(scores[place])
        if blend.single is None:
            score = float(1.0 / (1.0 + np.exp(-score)))
        pair, own = self.facts.find(np.array([code]), np.array([item]))
        if code < 0:
            return Recommendation(product, score, self._popular(item), parts, "cold_start")
        if own[0]:
            times = int(self.facts.own["own_orders"][pair[0]])
            days = int(self.facts.own["own_last_days"][pair[0]])
            often = "once" if times == 1 else "twice" if times == 2 else f"{times} times"
            ago = f"{days} day{'s' if days != 1 else ''} ago"
            text = f"bought {often}, {ago}" if times == 1 else f"bought {often}, last {ago}"
            return Recommendation(product, score, text, parts, "repeat")
        personal = [parts[name] for name in parts if name in _PERSONAL]
        general = [parts[name] for name in parts if name in _GENERAL]
        if personal and max(personal) > max(general, default=0.0):
            return Recommendation(product, score, "bought by similar buyers", parts, "similar")
        return Recommendation(product, score, self._popular(item), parts, "popular")

    def _popular(self, item: int) -> str:
        recent = round(float(np.expm1(self.facts.product["buyers_28"][item])))
        if recent > 1:
            return f"popular now: {recent} buyers in the last 28 days"
        ever = round(float(np.expm1(self.facts.product["buyers"][item])))
        return f"bought by {ever} buyer{'s' if ever != 1 else ''} so far"


_PERSONAL = ("item-kNN", "EASE", "ALS", "two-tower")
_GENERAL = ("popularity", "recent popularity")
