"""Every builder refuses wrong input with the field, the value and the fix."""

import pytest

from b2brecs import Column, Connection, Dataset, EtlJob, FeatureConfig, ModelConfig, Secret, TableSchema, compatible
from b2brecs.configs.base import Config
from b2brecs.configs.filters import TopRevenue
from b2brecs.errors import ConfigError, FilterConflict

LINES = TableSchema(
    "lines",
    (
        Column("sku", "STRING"),
        Column("buyer", "STRING"),
        Column("day", "DATE"),
        Column("qty", "INT64"),
        Column("revenue", "FLOAT64"),
    ),
)
ITEMS = TableSchema("items", (Column("sku", "STRING"), Column("title", "STRING"), Column("weight", "FLOAT64")))


def sales() -> Dataset:
    return (
        Dataset.over("sales", LINES)
        .join(ITEMS, on="sku")
        .roles(user="buyer", product="sku", timestamp="day", revenue="revenue", quantity="qty")
    )


def features() -> FeatureConfig:
    return FeatureConfig.on(sales()).buyer.id("buyer").history().product.id("sku").scale("weight").build()


WRONG = {
    "unknown role column": (lambda: sales().roles(user="buyr"), "roles.user", "buyr", "'buyer'"),
    "role of a wrong type": (lambda: sales().roles(timestamp="sku"), "roles.timestamp", "sku", "TIMESTAMP"),
    "unknown join column": (lambda: sales().join(ITEMS, on="skuu", as_="more"), "on", "skuu", "'sku'"),
    "unknown join table": (lambda: sales().join(ITEMS, on="sku", left="linez", as_="i2"), "table", "linez", "'lines'"),
    "alias taken": (lambda: sales().join(ITEMS, on="sku"), "tables", "items", "as_="),
    "unknown filter column": (lambda: sales().keep("titel", "x"), "category.column", "titel", "'title'"),
    "a date that is none": (lambda: sales().dates(start="2020-13-45"), "start", "2020-13-45", "YYYY-MM-DD"),
    "a window backwards": (lambda: sales().dates(start="2021-01-02", end="2021-01-01"), "start", "2021-01-02", "xchange"),
    "a window without bounds": (lambda: sales().dates(), "start", "None", "rolling_days"),
    "dates by text": (lambda: sales().dates(start="2020-01-01", column="title"), "dates.column", "title", ""),
    "a share above 100": (lambda: sales().top_products(101), "percent", "101", "at most 100"),
    "a count of nothing": (lambda: sales().min_purchases(buyers=0), "count", "0", "at least 1"),
    "an unknown feature": (lambda: features().buyer.text("titel"), "buyer[2].column", "titel", "'title'"),
    "a negative width": (lambda: features().buyer.text("title", dim=-3), "dim", "-3", "at least 1"),
    "a transform of a wrong type": (lambda: features().product.scale("title"), "product[2].scale", "title", "FLOAT64"),
    "a cross of one": (lambda: features().product.cross("title"), "columns", "title", "at least 2"),
    "a column twice": (lambda: features().product.text("sku"), "product[2].column", "sku", "several transforms"),
    "empty towers": (lambda: FeatureConfig.on(sales()).build(), "buyer", "()", ".buyer.id('buyer')"),
    "leak": (lambda: features().buyer.scale("revenue").build(), "buyer", "revenue", "Take it out"),
    "a negative layer": (lambda: ModelConfig.preset().buyer.dense(-5), "units", "-5", "at least 1"),
    "a dropout of 1": (lambda: ModelConfig.preset().buyer.dropout(1.0), "rate", "1.0", "less than 1"),
    "an empty tower": (lambda: ModelConfig.preset().buyer.clear().build(), "buyer_layers", "()", ".buyer.dense(64)"),
    "an unknown preset": (lambda: ModelConfig.preset("standrd"), "preset", "standrd", "'standard'"),
    "an unknown optimiser": (
        lambda: ModelConfig.preset().train(optimizer="adamm"),  # type: ignore[arg-type]
        "optimizer", "adamm", "adagrad",
    ),
    "an unknown field": (lambda: ModelConfig("m", lerning_rate=1), "lerning_rate", "1", "'learning_rate'"),
    "a port that is none": (
        lambda: Connection.postgres("erp", host="h", database="d", user="u", port=123456), "port", "123456", "65535",
    ),
    "an unknown source": (lambda: Connection.of("erp", "postgrs", host="h"), "source.kind", "postgrs", "'postgres'"),
    "no watermark among the columns": (
        lambda: EtlJob("j", connection="erp").load("t", watermark="at", columns=["id"]), "columns", "at", "Add 'at'",
    ),
    "history of what grows": (
        lambda: EtlJob("j", connection="erp").load("t", watermark="at", snapshot_history=True),
        "snapshot_history", "True", "watermark= out",
    ),
    "wrong schedule": (lambda: EtlJob("j", connection="erp").schedule("0 25 * * *"), "cron", "'0 25 * * *'", "daily at"),
    "text as a number": (lambda: sales().between("title", 1), "numbers.column", "'title'", "within"),
    "two bounds of a kind": (
        lambda: sales().products_with("rows", minimum=1, above=2), "above", "2", "Leave one out",
    ),
    "an aggregate without its role": (lambda: Dataset.over("d", "t").buyers_with("rows", minimum=1), "aggregate", "buyer", "user"),
    "one target twice": (lambda: EtlJob("j", connection="erp").load("t").load("u", into="t"), "tables.target", "t", "into="),
    "a job of nothing": (lambda: EtlJob("j", connection="erp").build(), "tables", "()", ".load("),
    "a target that is no name": (lambda: EtlJob("j", connection="erp").load("t", into="a b"), "target", "a b", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_names_field_value_and_fix(case):
    build, field, value, fix = WRONG[case]
    with pytest.raises(ConfigError) as caught:
        build()
    problem = next(p for p in caught.value.problems if value in p.value)
    assert problem.field == field
    assert problem.message
    assert fix in problem.fix
    assert value in str(caught.value)


def test_all_problems_come_at_once():
    with pytest.raises(ConfigError) as caught:
        ModelConfig("m", learning_rate=-1, batch_size=0, embedding_dim=1)
    assert {problem.field for problem in caught.value.problems} == {"learning_rate", "batch_size", "embedding_dim"}


def test_a_column_belongs_to_one_section_of_filters():
    dataset = sales().between("weight", 1, side="product")
    with pytest.raises(FilterConflict, match="weight"):
        dataset.between("weight", 2, side="buyer")
    assert len(dataset.filter(dataset.filters[0].changed(side="buyer"), allow_reuse=True).filters) == 2


def test_filters_are_numbered_replaced_and_removed():
    dataset = sales().top_products(80).min_purchases(buyers=3).top_products(90)
    assert dataset.summary() == [
        "Filter #1: buyers with at least 3 rows",
        "Filter #2: products that make 90 % of revenue",
    ]
    assert dataset.without_filter(1).filters == (TopRevenue(side="product", percent=90),)


def test_revenue_filter_needs_the_role():
    bare = Dataset.over("sales", LINES).roles(product="sku")
    with pytest.raises(ConfigError, match=r"roles\(revenue="):
        bare.top_products()


def test_builders_return_new_objects():
    first = sales()
    second = first.keep("title", "x")
    assert first.filters == ()
    assert second.filters
    cursor = features().buyer
    assert cursor.text("title").config != cursor.config
    with pytest.raises(Exception, match="frozen"):
        first.name = "other"  # type: ignore[misc]


CONFIGS: list[Config] = [
    Connection.files("f", path="/data", tables={"a b": "*.csv"}),
    Connection.postgres("p", host="h", database="d", user="u", password=Secret("env:X"), schema="s"),
    EtlJob("j", connection="p").load("t", watermark="at", primary_key=["id"], types={"price": "NUMERIC"}),
    sales().compute("margin", "revenue * 0.2").dates(rolling_days=30).keep("title", "a'b\"c").top_buyers(),
    features(),
    ModelConfig.preset("regularized").product.batch_norm().layer_norm().build(),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.KIND)
def test_configs_survive_json_and_are_equal_by_value(config):
    again = type(config).from_json(config.to_json())
    assert again == config
    assert hash(again) == hash(config)
    assert again.content_hash == config.content_hash
    assert config.diff(again) == []


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.KIND)
def test_every_config_shows_itself(config):
    assert config.name in repr(config)
    html = config._repr_html_()
    assert config.name in html
    assert "a'b" not in html


def test_names_and_descriptions_do_not_change_identity():
    model = ModelConfig.preset()
    assert model.changed(name="other", description="x").content_hash == model.content_hash
    assert model.changed(seed=7).content_hash != model.content_hash


def test_diff_names_the_paths():
    left = ModelConfig.preset("standard")
    right = left.buyer.dense(8).config
    assert [path for path, _, _ in left.diff(right)] == ["buyer_layers[2]"]


def test_auto_explains_itself_and_keeps_the_purchase_out():
    cfg = FeatureConfig.auto(sales(), cardinality={"sku": 4000, "buyer": 900, "title": 3900, "weight": 500})
    columns = {feature.column for feature in cfg.buyer_tower.features}
    assert columns == {"buyer", "sku"}
    assert [feature.column for feature in cfg.product_tower.features] == ["sku", "title", "weight"]
    assert all(feature.reason for feature in (*cfg.buyer_tower.features, *cfg.product_tower.features))
    left_out = dict(cfg.skipped)
    assert left_out["revenue"] == left_out["qty"] == "only known once the purchase is made"
    assert cfg.build() == cfg


def test_incompatible_widths_are_told():
    cfg = FeatureConfig.on(sales()).buyer.id("buyer").history(dim=16).product.id("sku", dim=32).build()
    assert any(
        "shares the product id's embedding" in problem.message for problem in compatible(cfg, ModelConfig.preset())
    )
    assert not [p for p in compatible(features(), ModelConfig.preset()) if p.severity == "error"]


def test_model_flow_counts_exactly():
    flow = ModelConfig.preset("standard").flow("buyer", 64)
    assert flow == [
        ("dense 128 relu l2 1e-06", 128, 64 * 128 + 128),
        ("dense 64 relu", 64, 128 * 64 + 64),
        ("projection 32", 32, 64 * 32 + 32),
    ]


def test_self_join_by_alias_names_columns_apart():
    people = TableSchema("people", (Column("id", "INT64"), Column("boss", "INT64"), Column("name", "STRING")))
    dataset = Dataset.over("d", people).join(people, on=("boss", "id"), as_="bosses")
    assert [c.name for c in dataset.output()] == ["id", "boss", "name", "bosses_id", "bosses_boss", "bosses_name"]


def test_select_and_rename_follow_the_one_naming_rule():
    dataset = sales().select("sku", "buyer", "day", "items.title").rename(title="name")
    assert [c.name for c in dataset.output()] == ["sku", "buyer", "day", "name"]
    with pytest.raises(ConfigError, match="already a column"):
        dataset.rename(name="sku")


def test_removing_a_join_removes_what_hangs_on_it():
    makers = TableSchema("makers", (Column("title", "STRING"), Column("city", "STRING")))
    dataset = sales().join(makers, on="title", left="items")
    assert [table.alias for table in dataset.without_join("items").tables] == ["lines"]


def test_a_stored_dataset_whose_parts_lead_nowhere_is_not_built():
    data = sales().keep("title", "x").to_dict()
    wrong_join = data | {"joins": [data["joins"][0] | {"on": [["sku", "skuu"]]}]}
    with pytest.raises(ConfigError, match=r"'skuu': is not a column of 'items'. Did you mean 'sku'"):
        Dataset.from_dict(wrong_join).build()
    with pytest.raises(ConfigError, match="each table but the first is joined once"):
        Dataset.from_dict(data | {"joins": []}).build()
    with pytest.raises(ConfigError, match=r"without_filter\(1\)"):
        Dataset.from_dict(data | {"selected": [["lines", "sku"], ["lines", "buyer"], ["lines", "day"]]}).build()
