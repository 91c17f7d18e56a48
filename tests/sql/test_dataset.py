"""A dataset's query, run: joins, computed columns, every filter, and hostile names."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest

from b2brecs import Column, Dataset, TableSchema
from b2brecs.errors import ConfigError
from b2brecs.sql.dataset import rows

D = dt.date


def run(dataset, **tables):
    connection = duckdb.connect()
    connection.execute("SET TimeZone='UTC'")
    for name, (schema, data) in tables.items():
        quoted = '"' + name.replace('"', '""') + '"'
        columns = ", ".join(f'"{c.name.replace(chr(34), chr(34) * 2)}" {_native(c.type)}' for c in schema)
        connection.execute(f"CREATE TABLE {quoted} ({columns})")
        if data:
            marks = ", ".join("?" for _ in schema)
            connection.executemany(f"INSERT INTO {quoted} VALUES ({marks})", data)
    return connection.execute(rows(dataset).sql("duckdb")).fetchall()


def _native(kind):
    return {
        "STRING": "VARCHAR",
        "INT64": "BIGINT",
        "FLOAT64": "DOUBLE",
        "DATETIME": "TIMESTAMP",
        "TIMESTAMP": "TIMESTAMPTZ",
    }.get(kind, kind)


LINES = TableSchema(
    "lines", (Column("b", "STRING"), Column("p", "STRING"), Column("day", "DATE"), Column("rev", "FLOAT64"))
)
DATA = [
    ("b1", "p1", D(2024, 1, 1), 50.0),
    ("b1", "p2", D(2024, 1, 10), 30.0),
    ("b2", "p3", D(2024, 1, 20), 15.0),
    ("b2", "p4", D(2024, 1, 31), 5.0),
    ("b3", "p5", D(2024, 1, 31), -10.0),
    ("b3", None, None, None),
]


def base():
    return Dataset.over("d", LINES).roles(user="b", product="p", timestamp="day", revenue="rev")


def products(dataset):
    return sorted(row[1] for row in run(dataset, lines=(LINES, DATA)) if row[1])


def test_without_filters_every_row_comes():
    assert len(run(base(), lines=(LINES, DATA))) == len(DATA)


def test_rolling_days_count_from_the_data_not_from_today():
    assert products(base().dates(rolling_days=11)) == ["p3", "p4", "p5"]


def test_dates_are_inclusive_and_undated_rows_go():
    assert products(base().dates(start="2024-01-10", end="2024-01-20")) == ["p2", "p3"]


def test_rolling_window_before_an_end():
    assert products(base().dates(rolling_days=10, end="2024-01-20")) == ["p2", "p3"]


@pytest.mark.parametrize(
    ("percent", "kept"),
    [(50, ["p1"]), (51, ["p1", "p2"]), (80, ["p1", "p2"]), (81, ["p1", "p2", "p3"]), (100, ["p1", "p2", "p3", "p4"])],
)
def test_top_products_is_the_smallest_prefix_that_reaches_the_share(percent, kept):
    assert products(base().top_products(percent)) == kept


def test_products_of_equal_revenue_stay_or_go_together():
    data = [("b", p, D(2024, 1, 1), r) for p, r in [("p1", 10.0), ("p2", 5.0), ("p3", 5.0), ("p4", 5.0), ("p5", 1.0)]]
    kept = run(base().top_products(50), lines=(LINES, data))
    assert sorted(row[1] for row in kept) == ["p1", "p2", "p3", "p4"]


def test_shares_are_taken_of_the_filtered_rows_independently():
    dataset = base().dates(start="2024-01-15").top_products(50).min_purchases(buyers=2)
    assert products(dataset) == ["p3"]


def test_minimum_counts_the_rows_of_each():
    assert products(base().min_purchases(buyers=2)) == ["p1", "p2", "p3", "p4", "p5"]
    assert products(base().min_purchases(products=2)) == []


def test_nulls_are_kept_or_dropped_as_said():
    assert len(run(base().drop("p", "p1"), lines=(LINES, DATA))) == 5
    assert len(run(base().drop("p", "p1", include_nulls=False), lines=(LINES, DATA))) == 4
    assert len(run(base().between("rev", 0), lines=(LINES, DATA))) == 4
    assert len(run(base().between("rev", 0, include_nulls=True), lines=(LINES, DATA))) == 5


def test_an_empty_table_gives_no_rows():
    assert run(base().top_products(80).dates(rolling_days=3), lines=(LINES, [])) == []


def test_computed_columns_are_typed_and_safe():
    dataset = base().compute("half", "rev / 2").compute("ratio", "rev / 0").compute("up", "UPPER(p)", type="STRING")
    found = run(dataset, lines=(LINES, DATA[:1]))
    assert found[0][-3:] == (25.0, None, "P1")


@pytest.mark.parametrize(
    "hostile",
    [
        "rev; DROP TABLE lines",
        "(SELECT MAX(rev) FROM lines)",
        "read_csv('/etc/passwd')",
        "unknown_column + 1",
        "rev +",
        "COPY lines TO 'x'",
        "lines.rev",
        "getenv('HOME')",
    ],
)
def test_expressions_that_could_act_are_refused(hostile):
    with pytest.raises(ConfigError) as caught:
        rows(base().compute("x", hostile))
    assert caught.value.problems[0].field == "compute.x"


HOSTILE = [
    'a "b"',
    "select",
    "x; DROP TABLE lines; --",
    "ключ",
    "it's",
    "👍",
    "a`b",
    "%s",
    "${x}",
    "{y}",
    " sp ace ",
    "n" * 300,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_data(name):
    left = TableSchema(name, (Column(name, "STRING"), Column("other", "INT64")))
    right = TableSchema("right", (Column(name, "STRING"), Column("title", "STRING")))
    dataset = Dataset.over("d", left).join(right, on=name).keep(name, name, "z")
    found = run(dataset, **{name: (left, [(name, 1), ("no", 2)]), "right": (right, [(name, "t")])})
    assert found == [(name, 1, name, "t")]
    assert rows(dataset).sql("bigquery")


@pytest.mark.parametrize("how", ["left", "inner", "right", "full"])
def test_every_join_type_and_composite_keys(how):
    left = TableSchema("l", (Column("a", "INT64"), Column("b", "INT64"), Column("x", "STRING")))
    right = TableSchema("r", (Column("a", "INT64"), Column("c", "INT64"), Column("y", "STRING")))
    dataset = Dataset.over("d", left).join(right, on={"a": "a", "b": "c"}, how=how).select("x", "y")
    found = run(dataset, l=(left, [(1, 1, "l11"), (1, 2, "l12")]), r=(right, [(1, 1, "r11"), (2, 2, "r22")]))
    expected: set = {("l11", "r11")}
    expected |= {("l12", None)} if how in ("left", "full") else set()
    expected |= {(None, "r22")} if how in ("right", "full") else set()
    assert set(found) == expected


def test_chained_joins_follow_their_table():
    a = TableSchema("a", (Column("id", "INT64"), Column("b_id", "INT64")))
    b = TableSchema("b", (Column("id", "INT64"), Column("c_id", "INT64")))
    c = TableSchema("c", (Column("id", "INT64"), Column("name", "STRING")))
    dataset = Dataset.over("d", a).join(b, on=("b_id", "id")).join(c, on=("c_id", "id"), left="b")
    found = run(dataset, a=(a, [(1, 10)]), b=(b, [(10, 100)]), c=(c, [(100, "end")]))
    assert found == [(1, 10, 10, 100, 100, "end")]


def buyers(dataset):
    return sorted({row[0] for row in run(dataset, lines=(LINES, DATA)) if row[0]})


def test_a_date_range_counts_back_from_the_latest_value_or_has_fixed_days():
    assert products(base().within("day", last_days=11)) == ["p3", "p4", "p5"]
    assert products(base().within("day", start="2024-01-10", end="2024-01-20")) == ["p2", "p3"]
    assert len(run(base().within("day", start="2024-01-31", include_nulls=True), lines=(LINES, DATA))) == 3


def test_as_of_takes_the_data_as_it_was():
    assert products(base().dates(rolling_days=12, as_of="2024-01-20")) == ["p2", "p3"]


def test_strict_bounds_leave_the_bound_out():
    assert products(base().between("rev", above=15)) == ["p1", "p2"]
    assert products(base().between("rev", 5, below=15)) == ["p4"]


@pytest.mark.parametrize(
    ("measure", "bounds", "left"),
    [
        ("rows", {"minimum": 2, "maximum": 2}, ["b1", "b2", "b3"]),
        ("partners", {"below": 2}, ["b3"]),
        ("revenue", {"above": 20}, ["b1"]),
        ("revenue", {"minimum": -10, "maximum": 20}, ["b2", "b3"]),
        ("average_revenue", {"maximum": 10}, ["b2", "b3"]),
    ],
)
def test_buyers_are_kept_by_what_their_rows_sum_up_to(measure, bounds, left):
    assert buyers(base().buyers_with(measure, **bounds)) == left


def test_products_first_then_buyers_on_what_they_leave():
    dataset = base().products_with("revenue", above=10).min_purchases(buyers=2)
    assert products(dataset) == ["p1", "p2", "p3"]
    assert products(dataset.sequentially()) == ["p1", "p2"]
