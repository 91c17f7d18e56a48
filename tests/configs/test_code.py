"""Whatever the configuration: its Python, executed, gives an equal object."""

from __future__ import annotations

import datetime as dt
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b2brecs.configs.base import Config
from b2brecs.configs.code import dataset_code, features_code, model_code
from b2brecs.configs.dataset import Computed, Dataset, Join, Roles, TableRef
from b2brecs.configs.features import FeatureConfig
from b2brecs.configs.filters import Aggregate, Category, DateRange, Dates, MinCount, Numbers, TopRevenue
from b2brecs.configs.layers import BatchNorm, Dense, Dropout, LayerNorm
from b2brecs.configs.model import ModelConfig
from b2brecs.configs.presets import PRESETS
from b2brecs.configs.tower import Cross, Feature, TowerFeatures
from b2brecs.configs.transforms import Buckets, Cycle, Embedding, Hashed, History, Scale, Transform
from b2brecs.types import COLUMN_TYPES, Column, TableSchema
from tests.widgets import samples


def execute(code: str, name: str) -> Any:
    """Run the code in an empty namespace and return what it made."""
    space: dict[str, Any] = {}
    exec(compile(code, "<generated>", "exec"), space)
    return space[name]


def same(config: Config, code: str, name: str) -> None:
    made = execute(code, name)
    assert type(made) is type(config)
    assert made == config, code
    assert made.to_json() == config.to_json(), code


NASTY = [
    "class", "a b", "it's", 'say "so"', "both ' and \"", "new\nline", "\\", "Größe", "ｆｕｌｌ", "\u202e", "self", "name",
    "Dataset", "dataset", "Column", "on", "{x}", "%s", "table_1", "__import__('os').getpid()", "'); raise SystemExit('",
]  # fmt: skip
texts = st.one_of(st.sampled_from(NASTY), st.text(min_size=1, max_size=8), st.text(string.ascii_lowercase, min_size=1))
config_names = texts.filter(lambda text: "/" not in text and not any(ord(character) < 32 for character in text))
sides = st.sampled_from(["buyer", "product"])
finite = st.floats(allow_nan=False)

filters = st.one_of(
    st.builds(TopRevenue, side=sides, percent=st.floats(0.1, 100)),
    st.builds(MinCount, side=sides, count=st.integers(1, 9)),
    st.builds(Dates, column=texts, rolling_days=st.integers(1, 900), end=st.none() | st.dates()),
    st.builds(Dates, column=texts, start=st.dates(max_value=dt.date(2020, 1, 1))),
    st.builds(
        Category,
        side=sides,
        column=texts,
        values=st.lists(texts | st.integers() | st.booleans(), min_size=1, max_size=3).map(tuple),
        mode=st.sampled_from(["include", "exclude"]),
        include_nulls=st.booleans(),
    ),
    st.builds(Numbers, side=sides, column=texts, minimum=finite, include_nulls=st.booleans()),
    st.builds(Numbers, side=sides, column=texts, maximum=finite),
    st.builds(Numbers, side=sides, column=texts, above=finite),
    st.builds(DateRange, side=sides, column=texts, last_days=st.integers(1, 900), include_nulls=st.booleans()),
    st.builds(DateRange, side=sides, column=texts, start=st.dates(max_value=dt.date(2020, 1, 1))),
    st.builds(Aggregate, side=sides, measure=st.sampled_from(["rows", "partners", "revenue"]), above=finite),
)
columns = st.lists(
    st.builds(Column, texts, st.sampled_from(COLUMN_TYPES), st.booleans()),
    max_size=4,
    unique_by=lambda column: column.name,
).map(tuple)


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    aliases = draw(st.lists(texts, min_size=1, max_size=3, unique=True))
    tables = [TableRef(name=draw(texts | st.just(alias)), alias=alias, columns=draw(columns)) for alias in aliases]
    joins = []
    for index, table in enumerate(tables[1:], 1):
        left = tables[draw(st.integers(0, index - 1))]
        here = draw(st.sampled_from(left.column_names) if left.columns else texts)
        there = draw(st.sampled_from(table.column_names) if table.columns else texts)
        how = draw(st.sampled_from(["left", "inner", "right", "full"]))
        joins.append(Join(left=left.alias, right=table.alias, on=((here, there),), how=how))
    pairs = [(table.alias, column) for table in tables for column in table.column_names]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=4)) if pairs else []
    renames = draw(st.lists(st.tuples(st.sampled_from(pairs), texts), max_size=2)) if pairs else []
    return Dataset(
        draw(config_names),
        description=draw(st.just("") | st.text(max_size=9)),
        tables=tuple(tables),
        joins=tuple(joins),
        selected=tuple(chosen),
        renamed=tuple((*pair, new) for pair, new in renames),
        computed=tuple(draw(st.lists(st.builds(Computed, name=texts, expression=texts), max_size=2))),
        role=draw(st.builds(Roles, user=st.none() | texts, revenue=st.none() | texts, product=st.none() | texts)),
        filters=tuple(draw(st.lists(filters, max_size=3))),
        sequential=draw(st.booleans()),
    )


dims = st.integers(1, 64)
transforms = st.one_of(
    st.builds(Embedding, dim=dims, vocabulary_size=st.sampled_from([500_000, 7]), min_frequency=st.integers(1, 3)),
    st.builds(Hashed, dim=dims),
    st.builds(Scale, method=st.sampled_from(["z_score", "min_max"]), log=st.booleans()),
    st.builds(Buckets, dim=dims, boundaries=st.lists(finite, max_size=3).map(tuple)),
    st.builds(Cycle, period=st.sampled_from(["hour", "weekday", "month"])),
    st.builds(History, dim=dims),
)
towers = st.builds(
    TowerFeatures,
    features=st.lists(
        st.builds(
            Feature,
            column=texts,
            transforms=st.lists(transforms, min_size=1, max_size=3).map(tuple),
            reason=st.just("") | texts,
        ),
        max_size=3,
        unique_by=lambda feature: feature.column,
    ).map(tuple),
    crosses=st.lists(st.builds(Cross, columns=st.lists(texts, min_size=2, max_size=3).map(tuple)), max_size=1).map(
        tuple
    ),
)
features = st.builds(
    FeatureConfig,
    config_names,
    dataset=texts,
    role=st.builds(Roles, user=st.none() | texts, product=st.none() | texts),
    buyer_tower=towers,
    product_tower=towers,
    skipped=st.lists(st.tuples(texts, texts), max_size=1).map(tuple),
)
layers = st.lists(
    st.one_of(
        st.builds(Dense, units=st.integers(1, 99), activation=st.sampled_from(["relu", "tanh"]), l2=st.floats(0, 9)),
        st.builds(Dropout, rate=st.floats(0, 0.9)),
        st.just(BatchNorm()),
        st.builds(LayerNorm, epsilon=st.floats(1e-9, 1)),
    ),
    max_size=3,
).map(tuple)
models = st.builds(
    ModelConfig,
    config_names,
    description=st.just("") | texts,
    buyer_layers=layers,
    product_layers=layers,
    learning_rate=st.floats(1e-6, 10),
    optimizer=st.sampled_from(["adam", "adagrad"]),
    epochs=st.integers(1, 99),
    normalize=st.booleans(),
)


@settings(deadline=None, max_examples=150)
@given(datasets())
def test_dataset_code_gives_an_equal_dataset(dataset: Dataset) -> None:
    same(dataset, dataset_code(dataset), "dataset")


@settings(deadline=None, max_examples=150)
@given(features)
def test_features_code_gives_equal_features(config: FeatureConfig) -> None:
    same(config, features_code(config), "features")


@settings(deadline=None, max_examples=150)
@given(models)
def test_model_code_gives_an_equal_model(config: ModelConfig) -> None:
    same(config, model_code(config), "model")


@pytest.mark.parametrize("preset", list(PRESETS))
def test_presets_are_written_as_chains(preset: str) -> None:
    config = ModelConfig.preset(preset)
    same(config, model_code(config), "model")
    assert ".buyer.dense(" in model_code(config)


def test_a_usual_dataset_reads_as_a_person_would_write_it() -> None:
    config = samples.wholesale().dates(rolling_days=365).min_purchases(buyers=5).top_products(80)
    chain = dataset_code(config).split("\n\n")[-1]
    assert chain == (
        "dataset = (\n"
        '    Dataset.over("wholesale", order_lines)\n'
        '    .join(products, on="sku")\n'
        "    .roles(\n"
        '        user="customer_id",\n'
        '        product="sku",\n'
        '        timestamp="ordered_at",\n'
        '        revenue="revenue",\n'
        '        quantity="quantity",\n'
        "    )\n"
        '    .dates(rolling_days=365, column="ordered_at")\n'
        "    .min_purchases(buyers=5)\n"
        "    .top_products(80)\n"
        ")\n"
    )
    same(config, dataset_code(config), "dataset")


def test_a_join_names_its_left_table_only_where_it_must() -> None:
    stores = TableSchema("stores", (Column("sku", "STRING"), Column("id", "STRING")))
    config = samples.wholesale().join(stores, on="sku", left="products", how="inner", as_="shops")
    code = dataset_code(config)
    assert '.join(shops, on="sku", left="products", how="inner", as_="shops")' in code
    same(config, code, "dataset")


class Trend(Transform):
    """A transform of another package."""

    kind = "test_trend"
    days: int = 7

    def width(self) -> int:
        return 1


def test_a_transform_of_another_package_is_found_by_its_kind() -> None:
    config = FeatureConfig("f", dataset="d").buyer.add("a", Trend(days=3), Scale()).config
    code = features_code(config)
    assert 'Transform.from_dict({"kind": "test_trend", "days": 3})' in code
    same(config, code, "features")


def test_what_the_chain_cannot_say_is_written_as_data() -> None:
    config = samples.lines().changed(joins=(Join(left="order_lines", right="gone", on=(("a", "b"),)),))
    assert "Dataset.from_dict(" in dataset_code(config)
    same(config, dataset_code(config), "dataset")
