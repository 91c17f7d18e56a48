"""How the columns of a dataset become the inputs of the buyer and the product tower."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from b2brecs import context
from b2brecs.configs.base import Config
from b2brecs.configs.dataset import Dataset, Roles
from b2brecs.configs.defaults import choose
from b2brecs.configs.tower import SIDES, Cross, Feature, Side, Text, TowerFeatures
from b2brecs.configs.transforms import Buckets, Cycle, Embedding, Hashed, History, Scale, Transform
from b2brecs.errors import ConfigError, Problem, nearest, show
from b2brecs.types import Column


class FeatureConfig(Config):
    """What each tower sees of a dataset.

    ``cfg.buyer`` and ``cfg.product`` are cursors: their methods add to a tower and return the cursor, so
    that calls chain; ``.build()`` returns the checked config.

    Examples
    --------
    >>> from b2brecs.types import TableSchema
    >>> table = TableSchema("t", (Column("buyer", "STRING"), Column("sku", "STRING"), Column("price", "FLOAT64")))
    >>> ds = Dataset.over("d", table).roles(user="buyer", product="sku")
    >>> cfg = FeatureConfig.on(ds).buyer.id("buyer").product.id("sku").scale("price").build()
    >>> cfg.width("buyer"), cfg.width("product")
    (32, 33)
    """

    KIND: ClassVar[str] = "features"
    dataset: Text
    columns: tuple[Column, ...] = ()
    role: Roles = Roles()
    buyer_tower: TowerFeatures = TowerFeatures()
    product_tower: TowerFeatures = TowerFeatures()
    skipped: tuple[tuple[Text, Text], ...] = ()

    COSMETIC: ClassVar[frozenset[str]] = frozenset({"name", "description", "skipped"})

    def __init__(self, name: str | None = None, /, **fields: Any) -> None:
        super().__init__(name, **fields)

    @classmethod
    def on(cls, dataset: Dataset, name: str | None = None) -> FeatureConfig:
        """Start an empty config on a dataset."""
        return cls(
            name or f"{dataset.name}_features",
            dataset=dataset.name,
            columns=dataset.output() if dataset.known else (),
            role=dataset.role,
        )

    @classmethod
    def auto(
        cls, dataset: Dataset, *, cardinality: Mapping[str, int] | None = None, name: str | None = None
    ) -> FeatureConfig:
        """Choose features by types, roles and cardinality, each with its reason.

        Parameters
        ----------
        cardinality
            Distinct values per output column. Default: the current workspace counts them.

        Raises
        ------
        ConfigError
            The dataset's user or product role is not set.
        """
        if cardinality is None:
            cardinality = context.current().profile(dataset).cardinality
        choice = choose(dataset, cardinality)
        return cls.on(dataset, name).changed(
            buyer_tower=choice.buyer, product_tower=choice.product, skipped=choice.skipped
        )

    @property
    def buyer(self) -> TowerCursor:
        """The buyer tower, to add to."""
        return TowerCursor(self, "buyer")

    @property
    def product(self) -> TowerCursor:
        """The product tower, to add to."""
        return TowerCursor(self, "product")

    def tower(self, side: Side) -> TowerFeatures:
        """Return one tower's features."""
        return self.buyer_tower if side == "buyer" else self.product_tower

    def width(self, side: Side) -> int:
        """Return the exact width of a tower's input, as the trained model has it."""
        return self.tower(side).width()

    def with_tower(self, side: Side, tower: TowerFeatures) -> Self:
        """Return a copy with one tower replaced."""
        return self.changed(**{f"{side}_tower": tower})

    def model_post_init(self, _context: Any, /) -> None:
        problems: list[Problem] = []
        types = {column.name: column.type for column in self.columns}
        for side in SIDES:
            seen: set[str] = set()
            for index, feature in enumerate(self.tower(side).features):
                path = f"{side}[{index}]"
                if types and feature.column not in types:
                    problems.append(
                        Problem(f"{path}.column", repr(feature.column), f"is not a column of dataset {self.dataset!r}.",
                                nearest(feature.column, types))
                    )  # fmt: skip
                elif types:
                    problems += [
                        Problem(f"{path}.{type(item).kind}", repr(feature.column),
                                f"is {types[feature.column]}, which {type(item).kind} does not take.",
                                f"It takes {', '.join(sorted(item.TYPES))}.")
                        for item in feature.transforms
                        if item.TYPES and types[feature.column] not in item.TYPES
                    ]  # fmt: skip
                if feature.column in seen:
                    problems.append(
                        Problem(f"{path}.column", repr(feature.column), "is in this tower already.",
                                "Give one feature several transforms instead.")
                    )  # fmt: skip
                seen.add(feature.column)
            for index, cross in enumerate(self.tower(side).crosses):
                problems += [
                    Problem(f"{side}.cross[{index}]", repr(column), f"is not a column of dataset {self.dataset!r}.",
                            nearest(column, types))
                    for column in cross.columns
                    if types and column not in types
                ]  # fmt: skip
        if problems:
            raise ConfigError(self._title(), problems)

    def problems(self) -> list[Problem]:
        found: list[Problem] = []
        for side, role, method in (("buyer", "user", "id"), ("product", "product", "id")):
            tower = self.tower(side)  # type: ignore[arg-type]
            key = getattr(self.role, role)
            if not tower.features:
                found.append(
                    Problem(
                        side, "()", f"the {side} tower is empty.", f"Add its id: .{side}.{method}({show(key or '…')})."
                    )
                )
            elif key and key not in {feature.column for feature in tower.features} and side == "product":
                found.append(
                    Problem(side, "", f"the product id {key!r} is not in the product tower.",
                            f"Add it: .product.id({key!r}).", "warning")
                )  # fmt: skip
        both = {f.column for f in self.buyer_tower.features if not f.is_history} & {
            f.column for f in self.product_tower.features
        }
        found += [
            Problem("buyer", repr(column), "is in both towers.", "Keep it where it belongs.", "warning")
            for column in sorted(both)
        ]
        for feature in self.buyer_tower.features:
            if feature.column in {self.role.revenue, self.role.quantity}:
                found.append(
                    Problem("buyer", repr(feature.column), "is only known once the purchase is made.",
                            "Take it out: it is not there when a recommendation is asked for.")
                )  # fmt: skip
        return found

    def references(self) -> tuple[tuple[str, str], ...]:
        return (("dataset", self.dataset),)

    def edit(self) -> Any:
        """Open the tower designer on these features."""
        return context.current().edit(self)

    def _facts(self) -> dict[str, str]:
        facts = {"dataset": self.dataset}
        for side in SIDES:
            tower = self.tower(side)
            listed = ", ".join(map(str, (*tower.features, *tower.crosses)))
            facts[f"{side} tower"] = f"{tower.width()} wide: {listed}" if listed else "empty"
        if self.skipped:
            by_reason: dict[str, list[str]] = {}
            for column, reason in self.skipped:
                by_reason.setdefault(reason, []).append(column)
            facts["left out"] = "; ".join(f"{', '.join(columns)} ({reason})" for reason, columns in by_reason.items())
        return facts | super()._facts()


class TowerCursor:
    """A tower of a ``FeatureConfig`` under construction. Immutable: each call returns a new cursor."""

    __slots__ = ("config", "side")

    def __init__(self, config: FeatureConfig, side: Side) -> None:
        self.config = config
        self.side = side

    @property
    def buyer(self) -> TowerCursor:
        """Go on with the buyer tower."""
        return TowerCursor(self.config, "buyer")

    @property
    def product(self) -> TowerCursor:
        """Go on with the product tower."""
        return TowerCursor(self.config, "product")

    def add(self, column: str, *transforms: Transform, reason: str = "") -> TowerCursor:
        """Add a column with any transforms."""
        tower = self.config.tower(self.side)
        feature = Feature(column=column, transforms=transforms, reason=reason)
        return self._next(tower.changed(features=(*tower.features, feature)))

    def id(self, column: str, *, dim: int = 32, min_frequency: int = 1, oov_buckets: int = 1) -> TowerCursor:
        """Add the tower's id, embedded."""
        return self.add(column, Embedding(dim=dim, min_frequency=min_frequency, oov_buckets=oov_buckets))

    def text(
        self,
        column: str,
        *,
        dim: int = 16,
        vocabulary_size: int = 500_000,
        min_frequency: int = 1,
        oov_buckets: int = 1,
    ) -> TowerCursor:
        """Add a category, embedded by a vocabulary."""
        return self.add(
            column,
            Embedding(dim=dim, vocabulary_size=vocabulary_size, min_frequency=min_frequency, oov_buckets=oov_buckets),
        )

    def hashed(self, column: str, *, dim: int = 16, buckets: int = 5_000) -> TowerCursor:
        """Add a category of very many values, embedded by hash."""
        return self.add(column, Hashed(dim=dim, buckets=buckets))

    def scale(
        self, column: str, *, method: Literal["z_score", "min_max"] = "z_score", log: bool = False
    ) -> TowerCursor:
        """Add a number, scaled."""
        return self.add(column, Scale(method=method, log=log))

    def buckets(self, column: str, *, count: int = 10, boundaries: tuple[float, ...] = (), dim: int = 8) -> TowerCursor:
        """Add a number, cut into buckets and embedded."""
        return self.add(column, Buckets(count=count, boundaries=boundaries, dim=dim))

    def cycle(
        self, column: str, *periods: Literal["hour", "weekday", "day_of_month", "month", "quarter"]
    ) -> TowerCursor:
        """Add a date's place in calendar cycles."""
        return self.add(column, *(Cycle(period=period) for period in periods or ("month",)))

    def history(self, *, max_length: int = 50, dim: int = 32) -> TowerCursor:
        """Add the buyer's recent products; their embeddings are the product id's, so ``dim`` must equal its."""
        column = self.config.role.product
        if column is None:
            raise ConfigError.single("FeatureConfig", "history", None, "needs the role 'product'.",
                                     "Set roles(product=...) on the dataset.")  # fmt: skip
        return self.add(column, History(max_length=max_length, dim=dim))

    def cross(self, *columns: str, buckets: int = 5_000, dim: int = 16) -> TowerCursor:
        """Add a cross of two or more columns."""
        tower = self.config.tower(self.side)
        return self._next(tower.changed(crosses=(*tower.crosses, Cross(columns=columns, buckets=buckets, dim=dim))))

    def remove(self, column: str) -> TowerCursor:
        """Take a column out of the tower."""
        tower = self.config.tower(self.side)
        names = [feature.column for feature in tower.features]
        if column not in names:
            raise ConfigError.single(f"FeatureConfig {self.config.name!r}", f"{self.side}.remove", column,
                                     "is not in this tower.", nearest(column, names))  # fmt: skip
        return self._next(tower.changed(features=[item for item in tower.features if item.column != column]))

    def build(self) -> FeatureConfig:
        """Return the checked config; see ``FeatureConfig.build``."""
        return self.config.build()

    def _next(self, tower: TowerFeatures) -> TowerCursor:
        return TowerCursor(self.config.with_tower(self.side, tower), self.side)

    def __repr__(self) -> str:
        return f"<{self.side} tower of {self.config!r}>"

    def _repr_html_(self) -> str:
        return self.config._repr_html_()
