"""Smart defaults: which columns go to which tower, how, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from b2brecs.configs.dataset import Dataset
from b2brecs.configs.tower import Feature, TowerFeatures
from b2brecs.configs.transforms import Buckets, Embedding, Hashed, History, Scale, Transform
from b2brecs.errors import ConfigError, Problem
from b2brecs.types import NUMERIC_TYPES, TIME_TYPES, Column

# Half-open bounds of cardinality; the earlier platform's table, which its users know.
_DIMS = ((50, 8), (500, 16), (5_000, 32), (50_000, 64), (500_000, 96))
_HASH_ABOVE = 500_000
_UNKNOWN = 1_000


def embedding_dim(cardinality: int) -> int:
    """Return the recommended embedding width for so many distinct values.

    Examples
    --------
    >>> [embedding_dim(n) for n in (49, 50, 5_000, 1_000_000)]
    [8, 16, 64, 128]
    """
    return next((dim for limit, dim in _DIMS if cardinality < limit), 128)


@dataclass(frozen=True)
class Choice:
    """Both towers' features, and (column, reason) of those left out."""

    buyer: TowerFeatures
    product: TowerFeatures
    skipped: tuple[tuple[str, str], ...]


def choose(dataset: Dataset, cardinality: Mapping[str, int]) -> Choice:
    """Choose the features of both towers.

    Ids go to their towers; other columns to the tower of the table they describe (the one whose join key is
    the buyer or the product), since only those are known before a purchase.

    Raises
    ------
    ConfigError
        The dataset's user or product role is not set.
    """
    role = dataset.role
    if role.user is None or role.product is None:
        missing = [name for name in ("user", "product") if getattr(role, name) is None]
        raise ConfigError(
            f"Dataset {dataset.name!r}",
            [
                Problem(f"roles.{name}", "None", "is not set.", f"Set it: dataset.roles({name}='…').")
                for name in missing
            ],
        )
    owner, keys, sources = _owners(dataset), _join_columns(dataset), dataset.sources()
    dim = embedding_dim(cardinality.get(role.product, _UNKNOWN))
    buyer_dim = embedding_dim(cardinality.get(role.user, _UNKNOWN))
    chosen: dict[str, list[Feature]] = {
        "buyer": [
            Feature(column=role.user, transforms=[Embedding(dim=buyer_dim)], reason="the buyer's own taste"),
            Feature(column=role.product, transforms=[History(dim=dim)], reason="what the buyer bought lately"),
        ],
        "product": [Feature(column=role.product, transforms=[Embedding(dim=dim)], reason="the product itself")],
    }
    skipped: list[tuple[str, str]] = []
    for column in dataset.output():
        name, count = column.name, cardinality.get(column.name, _UNKNOWN)
        if name in (role.user, role.product):
            continue
        side = owner.get(sources[name][0]) if name in sources else None
        if side is None:
            skipped.append((name, _why_not(column, dataset)))
        elif sources[name] in keys:
            skipped.append((name, "a join key"))
        elif count <= 1:
            skipped.append((name, "constant"))
        else:
            transforms, reason = _transforms(column, count)
            if transforms:
                chosen[side].append(Feature(column=name, transforms=transforms, reason=reason))
            else:
                skipped.append((name, reason))
    return Choice(
        buyer=TowerFeatures(features=chosen["buyer"]),
        product=TowerFeatures(features=chosen["product"]),
        skipped=tuple(skipped),
    )


def _transforms(column: Column, count: int) -> tuple[list[Transform], str]:
    if column.type in ("STRING", "BOOL"):
        if count > _HASH_ABOVE:
            return [Hashed(dim=32, buckets=100_000)], f"{count:,} values: hashed"
        return [Embedding(dim=embedding_dim(count))], f"{count:,} values"
    if column.type in NUMERIC_TYPES:
        if count > 100:
            return [Scale(), Buckets(count=50)], f"{count:,} numbers: scale and buckets"
        return [Scale()], f"{count:,} numbers"
    if column.type in TIME_TYPES:
        return [], "a date that does not recur"
    return [], f"{column.type} is not used yet"


def _owners(dataset: Dataset) -> dict[str, str]:
    """Table alias → tower, for the tables that describe a buyer or a product."""
    sources = dataset.sources()
    keys = {}
    for side, role in (("buyer", dataset.role.user), ("product", dataset.role.product)):
        if role in sources:
            keys[sources[role]] = side
    owners: dict[str, str] = {}
    # A table joined on the buyer's (product's) id describes buyers (products); so does what hangs on it.
    for join in dataset.joins:
        sides = {keys.get((join.left, a)) or keys.get((join.right, b)) for a, b in join.on}
        sides |= {owners.get(join.left)}
        found = {side for side in sides if side}
        if len(found) == 1:
            owners[join.right] = found.pop()
        for a, b in join.on:
            if (join.left, a) in keys:
                keys.setdefault((join.right, b), keys[join.left, a])
            elif (join.right, b) in keys:
                keys.setdefault((join.left, a), keys[join.right, b])
    primary = dataset.tables[0].alias
    owners.pop(primary, None)
    return owners


def _join_columns(dataset: Dataset) -> set[tuple[str, str]]:
    return {(join.left, a) for join in dataset.joins for a, _ in join.on} | {
        (join.right, b) for join in dataset.joins for _, b in join.on
    }


def _why_not(column: Column, dataset: Dataset) -> str:
    if column.name in (dataset.role.revenue, dataset.role.quantity):
        return "only known once the purchase is made"
    if column.name == dataset.role.timestamp:
        return "the time of the purchase orders the rows"
    return "belongs to the single purchase, not to the buyer or the product"
