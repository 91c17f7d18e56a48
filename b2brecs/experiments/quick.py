"""The quick test: a dataset's rows, split by time, through baselines and two-tower to a measured recommender."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

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
from b2brecs.experiments.board import BoardView
from b2brecs.experiments.model import Model, Recommendations
from b2brecs.sql.dataset import name, rows
from b2brecs.training.configured import ConfiguredInputs
from b2brecs.training.interactions import Interactions, from_arrays
from b2brecs.training.quick import QuickResult, quick_test

_TITLES = ("product_name", "description", "title", "name", "item_description", "product")
Report = Callable[[str, int, int | None], None]


@dataclass(frozen=True, eq=False)
class QuickTest:
    """A quick test's answer: leaderboard, what it says in words, and the recommender it measured.

    Attributes
    ----------
    features, model
        What was tested.
    summary
        In plain words: how ``recommend`` compares, what the two-tower adds and where it does not.
    recommender
        What was measured, fitted on all rows before the test period.
    """

    features: FeatureConfig
    model: ModelConfig
    recommender: Model
    result: QuickResult
    facts: Mapping[str, Any]

    @property
    def leaderboard(self) -> BoardView:
        """Every baseline, the two-tower, and what ``recommend`` returns, on the same test buyers."""
        return BoardView(self.result.leaderboard)

    @property
    def summary(self) -> str:
        """What the figures say, in plain words."""
        return self.result.summary

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
        """Recommend products to a buyer; see ``Model.recommend``."""
        return self.recommender.recommend(buyer, k, new_only=new_only, exclude=exclude)

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
    return QuickTest(features, model, Model(result.recommender, _names(table, features, title)), result, facts)


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
                [
                    Problem(
                        "column",
                        repr(column),
                        f"is no longer a column of dataset {dataset.name!r}.",
                        nearest(column, available),
                    )
                ],
            )
    tree = exp.select(*(name(column) for column in dict.fromkeys(wanted))).from_(
        rows(dataset).subquery(exp.to_identifier("training", quoted=True))
    )
    return warehouse.query(tree).read_all()


def _title_column(dataset: Dataset, given: str | None) -> str | None:
    names = [column.name for column in dataset.output()]
    if given is not None:
        if given not in names:
            raise ConfigError.single(
                f"Dataset {dataset.name!r}", "product_name", given, "is not a column.", nearest(given, names)
            )
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
