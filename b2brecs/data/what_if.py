"""What each filter of a dataset keeps, counted before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from b2brecs.backends.protocols import Warehouse
from b2brecs.configs.dataset import Dataset
from b2brecs.configs.filters import Dates, Entities, Filter
from b2brecs.display import Table
from b2brecs.sql.dataset import aliased, layout, name, no_longer, revenue_sum, rows

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Kept:
    """Rows, buyers, products and revenue that are left; None where the role is not set."""

    rows: int
    buyers: int | None
    products: int | None
    revenue: float | None


@dataclass(frozen=True)
class WhatIf:
    """What is left after each filter, in the order in which they are evaluated, and with each filter alone.

    ``undone`` names filters of whole buyers or products that what is left does not fulfil any more, because other
    filters took rows of theirs, with how many.
    """

    dataset: str
    steps: tuple[tuple[str, Kept, Kept | None], ...]
    undone: tuple[tuple[str, int], ...] = ()

    @property
    def before(self) -> Kept:
        """What there is without filters."""
        return self.steps[0][1]

    @property
    def after(self) -> Kept:
        """What all filters leave."""
        return self.steps[-1][1]

    def to_pandas(self) -> pd.DataFrame:
        """Return the steps as a data frame."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"step": label, **kept.__dict__, "rows alone": alone.rows if alone else None}
                for label, kept, alone in self.steps
            ]
        )

    def _table(self) -> Table:
        start = self.before
        shown = [column for column in ("rows", "buyers", "products", "revenue") if getattr(start, column) is not None]
        lines = []
        for label, kept, alone in self.steps:
            values: list[Any] = [label]
            for column in shown:
                value, whole = getattr(kept, column), getattr(start, column)
                values += [value, _share(value, whole)]
            lines.append([*values, _share(alone.rows, start.rows) if alone else None])
        titles = [title for column in shown for title in (column, "%")]
        note = "; ".join(
            f"{count:,} do not fulfil “{label}” any more, as other filters took rows of theirs"
            for label, count in self.undone
        )
        return Table(
            f"What the filters of {self.dataset} keep", ["step", *titles, "rows alone, %"], lines,
            strong=frozenset({len(lines) - 1}), note=note,
        )  # fmt: skip

    def __repr__(self) -> str:
        return str(self._table())

    def _repr_html_(self) -> str:
        return self._table().to_html()


def what_if(warehouse: Warehouse, dataset: Dataset, *more: Filter) -> WhatIf:
    """Count what each filter keeps, those of the dataset and these besides.

    Raises
    ------
    ConfigError
        A filter does not fit the dataset.
    WarehouseError
        The dataset's tables are not as it knows them.
    """
    for each in more:
        dataset = dataset.filter(each, allow_reuse=True)
    bare = dataset.changed(filters=())
    steps: list[tuple[str, Kept, Kept | None]] = [("all rows", count(warehouse, bare), None)]
    so_far: list[Filter] = []
    for each in in_order(dataset):
        so_far.append(each)
        kept = count(warehouse, dataset.changed(filters=tuple(so_far)))
        alone = kept if len(so_far) == 1 else count(warehouse, dataset.changed(filters=(each,)))
        steps.append((str(each), kept, alone))
    return WhatIf(dataset.name, tuple(steps), tuple(_undone(warehouse, dataset)))


def in_order(dataset: Dataset) -> list[Filter]:
    """Return the filters as they are evaluated."""

    def place(each: Filter) -> int:
        if not isinstance(each, Entities):
            return 0 if isinstance(each, Dates) else 1
        return 3 if dataset.sequential and each.side == "buyer" else 2

    return sorted(dataset.filters, key=place)


def count(warehouse: Warehouse, dataset: Dataset) -> Kept:
    """Count the dataset's rows, buyers, products and revenue."""
    role = dataset.role
    columns = [aliased(exp.Count(this=exp.Star()), "rows")]
    for label, column in (("buyers", role.user), ("products", role.product)):
        if column is not None:
            columns.append(aliased(exp.Count(this=exp.Distinct(expressions=[name(column)])), label))
    if role.revenue is not None:
        columns.append(aliased(revenue_sum(role.revenue), "revenue"))
    inner = rows(dataset).subquery(exp.to_identifier("kept", quoted=True))
    found = warehouse.query(exp.select(*columns).from_(inner)).read_all().to_pylist()[0]
    return Kept(found["rows"], found.get("buyers"), found.get("products"), found.get("revenue"))


def _undone(warehouse: Warehouse, dataset: Dataset) -> Iterator[tuple[str, int]]:
    filters = [each for each in dataset.filters if isinstance(each, Entities)]
    if len(filters) < 2:
        return
    _, last = layout(dataset)
    found = warehouse.query(no_longer(dataset, filters, last)).read_all().to_pylist()[0]
    for each, missed in zip(filters, found.values(), strict=True):
        if missed:
            yield str(each), int(missed)


def _share(value: float | None, whole: float | None) -> float | None:
    return None if value is None or not whole else round(100 * value / whole, 1)
