"""The quick test: a dataset's rows, split by time, through baselines and two-tower to a measured recommender."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from b2brecs.backends.protocols import Warehouse
from b2brecs.configs.compat import compatible
from b2brecs.configs.dataset import Dataset
from b2brecs.configs.features import FeatureConfig
from b2brecs.configs.model import ModelConfig
from b2brecs.configs.split import StrictTime
from b2brecs.configs.tower import SIDES
from b2brecs.display import Table
from b2brecs.errors import ConfigError, Problem, nearest
from b2brecs.sql.dataset import name, rows
from b2brecs.training.configured import ConfiguredInputs
from b2brecs.training.evaluate import RECOMMEND, Leaderboard
from b2brecs.training.interactions import Interactions, from_arrays
from b2brecs.training.quick import QuickResult, quick_test
from b2brecs.training.recommender import Recommender

if TYPE_CHECKING:
    import pandas as pd

_TITLES = ("product_name", "description", "title", "name", "item_description", "product")
_SCOPES = {"all": "all purchases", "new": "new products"}
Report = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Recommendations:
    """Products for one buyer, best first: id, name, score, reason."""

    buyer: Any
    items: tuple[dict[str, Any], ...]
    new_only: bool = False

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a data frame."""
        import pandas as pd

        return pd.DataFrame(list(self.items))

    def _table(self) -> Table:
        return Table(
            f"{'New products' if self.new_only else 'Recommendations'} for buyer {self.buyer}",
            ["#", "product", "name", "score", "why"],
            [[i, str(r["product"]), r["name"] or "", round(r["score"], 4), r["reason"]] for i, r in enumerate(self.items, 1)],
        )

    def __repr__(self) -> str:
        return str(self._table())

    def _repr_html_(self) -> str:
        return self._table().to_html()


@dataclass(frozen=True)
class BoardView:
    """The leaderboard, shown: one row per model, the same test buyers for all."""

    board: Leaderboard
    k: int = 10

    def to_pandas(self, metrics: Iterable[str] | None = None) -> pd.DataFrame:
        """Return every metric of every model, one column per (metric, scope)."""
        import pandas as pd

        first = self.board.rows[0]
        chosen = list(metrics) if metrics is not None else list(first.all)
        return pd.DataFrame(self.board.records(chosen))

    def plot(self, metric: str | None = None) -> Any:
        """Draw a metric with its 95 % intervals, over all purchases and over new products, as an Altair chart."""
        import altair as alt
        import pandas as pd

        chosen = metric or f"recall@{self.k}"
        points = []
        for row in self.board.rows:
            for scope, title in _SCOPES.items():
                values = row.metrics(scope)  # type: ignore[arg-type]
                if chosen in values:
                    low, high = row.intervals[scope].get(chosen, (values[chosen], values[chosen]))  # type: ignore[index]
                    points.append(
                        {"model": row.name, "kind": row.kind, "scope": title, chosen: values[chosen], "low": low, "high": high}
                    )
        base = alt.Chart(pd.DataFrame(points)).encode(y=alt.Y("model:N", sort="-x", title=None))
        bars = base.mark_bar().encode(x=alt.X(f"{chosen}:Q"), color=alt.Color("kind:N", title=None))
        lines = base.mark_rule().encode(x="low:Q", x2="high:Q")
        return (bars + lines).properties(width=300, height=220).facet(alt.Column("scope:N", title=None))

    def _table(self) -> Table:
        recall, ndcg = f"recall@{self.k}", f"ndcg@{self.k}"
        columns = ["model", f"{recall} all", "95 % interval", f"{ndcg} all", f"revenue@{self.k}", f"{recall} new", f"{ndcg} new", "fit s"]
        ordered = sorted(self.board.rows, key=lambda row: -row.all.get(recall, 0.0))
        table_rows = []
        for row in ordered:
            low, high = row.intervals["all"].get(recall, (0.0, 0.0))
            table_rows.append(
                [
                    row.name, row.all.get(recall), f"{low:.4f} – {high:.4f}", row.all.get(ndcg),
                    row.all.get(f"revenue@{self.k}"), row.new.get(recall), row.new.get(ndcg), round(row.seconds, 1),
                ]
            )  # fmt: skip
        strong = frozenset(i for i, row in enumerate(ordered) if row.name == RECOMMEND)
        protocol = self.board.protocol
        days = cast("list[str]", protocol["test"])
        subtitle = f"{protocol['test_buyers']:,} buyers, {protocol['products']:,} products, test {days[0]} to {days[1]}"
        return Table("Leaderboard", columns, table_rows, strong, subtitle=subtitle)

    def __repr__(self) -> str:
        return str(self._table())

    def _repr_html_(self) -> str:
        return self._table().to_html()


@dataclass(frozen=True, eq=False)
class QuickTest:
    """A quick test's answer: leaderboard, what it says in words, and the recommender it measured.

    Attributes
    ----------
    features, model
        What was tested.
    summary
        In plain words: how ``recommend`` compares, what the two-tower adds and where it does not.
    """

    features: FeatureConfig
    model: ModelConfig
    result: QuickResult
    names: Mapping[str, str]
    facts: Mapping[str, Any]

    @property
    def leaderboard(self) -> BoardView:
        """Every baseline, the two-tower, and what ``recommend`` returns, on the same test buyers."""
        return BoardView(self.result.leaderboard)

    @property
    def summary(self) -> str:
        """What the figures say, in plain words."""
        return self.result.summary

    @property
    def recommender(self) -> Recommender:
        """The recommender by itself, without product names."""
        return self.result.recommender

    def split_report(self) -> Table:
        """Return the parts of the split: lines, buyers, products and dates of each."""
        report = self.result.split.report
        parts = [report.train, report.val, report.test]
        note = (
            f"Of the test period's buyers {report.cold_users:.1%} have no line before it, "
            f"of its products {report.cold_items:.1%}."
        )
        columns = ["part", "lines", "buyers", "products", "first day", "last day"]
        values = [[p.name, p.rows, p.users, p.items, str(p.first), str(p.last)] for p in parts]
        return Table("Split", columns, values, note=note)

    def recommend(
        self, buyer: Any, k: int = 10, *, new_only: bool = False, exclude: Iterable[Any] = ()
    ) -> Recommendations:
        """Recommend ``k`` products to a buyer, best first.

        Parameters
        ----------
        buyer
            Its id. One who is unknown, or never bought, gets what is popular, and the reason says so.
        k
            How many.
        new_only
            Leave out what the buyer bought before.
        exclude
            Product ids to leave out.
        """
        found = self.recommender.recommend(buyer, k, new_only=new_only, exclude=exclude)
        items = tuple(
            {"product": r.product, "name": self.names.get(str(r.product)), "score": r.score, "reason": r.reason, "code": r.code}
            for r in found
        )
        return Recommendations(buyer, items, new_only)

    def save(self, folder: str | Path) -> None:
        """Write the recommender and the products' names into a folder; ``load_recommender`` reads them."""
        target = Path(folder)
        self.recommender.save(target)
        (target / "names.json").write_text(json.dumps(dict(self.names), ensure_ascii=False), encoding="utf-8")

    def __repr__(self) -> str:
        return f"{self.leaderboard!r}\n{self.summary}"

    def _repr_html_(self) -> str:
        from html import escape

        return f"{self.leaderboard._repr_html_()}<p style='max-width:960px'>{escape(self.summary)}</p>"


def run_quick_test(
    dataset: Dataset,
    features: FeatureConfig,
    model: ModelConfig,
    warehouse: Warehouse,
    *,
    split: StrictTime | None = None,
    product_name: str | None = None,
    seed: int = 0,
    on_progress: Report | None = None,
) -> QuickTest:
    """Test a configuration in this process.

    Raises
    ------
    ConfigError
        The features and the model do not fit together, or the dataset has no such ``product_name`` column.
    EmptySplit
        A part of the split holds no rows.
    MissingExtra
        TensorFlow is not installed.
    """
    errors = [problem for problem in compatible(features, model) if problem.severity == "error"]
    if errors:
        raise ConfigError(f"FeatureConfig {features.name!r} with ModelConfig {model.name!r}", errors)
    split = split or StrictTime()
    title = _title_column(dataset, product_name)
    table = _read(dataset, features, title, warehouse)
    data = interactions(table, features)

    def tell(stage: str, done: int, total: int, **metrics: float) -> None:
        if on_progress is not None:
            loss = f" (loss {metrics['loss']:.3f})" if "loss" in metrics else ""
            on_progress(stage + loss if done == total else stage, done, total)

    result = quick_test(
        data, model=model, features=ConfiguredInputs(features, table, data), seed=seed, on_progress=tell,
        test_days=split.test_days, val_days=split.val_days, train_days=split.train_days,
    )  # fmt: skip
    facts = {"rows": table.num_rows, "lines": len(data), "without buyer, product or time": data.dropped}
    return QuickTest(features, model, result, _names(table, features, title), facts)


def interactions(table: pa.Table, features: FeatureConfig) -> Interactions:
    """Turn rows into purchase lines by the roles."""
    role = features.role
    assert role.user is not None
    assert role.product is not None
    assert role.timestamp is not None

    def number(column: str | None) -> Any:
        return None if column is None else pc.cast(table[column], pa.float64()).to_numpy(zero_copy_only=False)

    moment = pc.cast(pc.cast(table[role.timestamp], pa.timestamp("s")), pa.int64())
    seconds = moment.to_pandas().to_numpy(dtype="float64", na_value=np.nan)
    return from_arrays(
        _plain(table[role.user]), _plain(table[role.product]), seconds,
        revenue=number(role.revenue), quantity=number(role.quantity),
    )  # fmt: skip


def _plain(column: pa.ChunkedArray) -> list[Any]:
    kind = column.type
    values = column if pa.types.is_integer(kind) else pc.cast(column, pa.string())
    return cast("list[Any]", values.to_pylist())


def _read(dataset: Dataset, features: FeatureConfig, title: str | None, warehouse: Warehouse) -> pa.Table:
    wanted = [column for _, column in features.role.items()]
    for side in SIDES:
        tower = features.tower(side)
        wanted += [feature.column for feature in tower.features]
        wanted += [column for cross in tower.crosses for column in cross.columns]
    if title is not None:
        wanted.append(title)
    available = [column.name for column in dataset.output()]
    for column in wanted:
        if column not in available:
            raise ConfigError(
                f"FeatureConfig {features.name!r}",
                [Problem("column", repr(column), f"is no longer a column of dataset {dataset.name!r}.", nearest(column, available))],
            )
    tree = exp.select(*(name(column) for column in dict.fromkeys(wanted))).from_(
        rows(dataset).subquery(exp.to_identifier("training", quoted=True))
    )
    return warehouse.query(tree).read_all()


def _title_column(dataset: Dataset, given: str | None) -> str | None:
    names = [column.name for column in dataset.output()]
    if given is not None:
        if given not in names:
            raise ConfigError.single(f"Dataset {dataset.name!r}", "product_name", given, "is not a column.", nearest(given, names))
        return given
    lower = {column.lower(): column for column in reversed(names)}
    return next((lower[title] for title in _TITLES if title in lower and lower[title] != dataset.role.product), None)


def _names(table: pa.Table, features: FeatureConfig, title: str | None) -> dict[str, str]:
    if title is None:
        return {}
    assert features.role.product is not None
    pairs = table.select([features.role.product, title]).filter(pc.is_valid(table[title]))
    counted = pairs.group_by([features.role.product, title]).aggregate([([], "count_all")]).to_pylist()
    counted.sort(key=lambda row: (row["count_all"], str(row[title])))
    return {str(row[features.role.product]): str(row[title]) for row in counted}
