"""Rules fail, warn or move rows away before anybody sees them; they know what the table will be."""

import datetime as dt
import json
from decimal import Decimal
from typing import ClassVar

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlglot import exp

from b2brecs.backends.local.duckdb import DuckDBWarehouse
from b2brecs.backends.protocols import Change
from b2brecs.configs.rules import RowCount, Rule
from b2brecs.errors import ConfigError, LoadError
from b2brecs.etl.quality import broken, offending, quarantine, register_check
from b2brecs.etl.results import CheckResult
from b2brecs.types import Column, TableSchema
from tests.conformance.values import HOSTILE
from tests.etl.staging import (
    BOTH,
    NOW,
    UTC,
    Accepted,
    ForeignKey,
    Fresh,
    NotNull,
    Range,
    Unique,
    commit,
    counts,
    held,
    opened,
    rows_of,
    stage,
)


@pytest.fixture
def home(request):
    return getattr(request, "param", "local")


@pytest.fixture
def warehouse(home, request, tmp_path):
    yield from opened(home, request, tmp_path)


def test_all_that_is_wrong_is_said_at_once(warehouse):
    staged = stage(warehouse, [(1, "a")], price="INT64", code="STRING")
    with pytest.raises(ConfigError) as caught:
        held(warehouse, staged, NotNull("pricee", "cod"), Range("code", minimum=1), Range("price", minimum=1))
    text = str(caught.value)
    assert "rules of table 'orders': 2 problems" in text
    assert "Did you mean 'price'?" in text
    assert "Did you mean 'code'?" in text
    with pytest.raises(ConfigError, match="1 is no value of a STRING column"):
        held(warehouse, staged, NotNull("price"), Range("code", minimum=1))


@BOTH
def test_one_query_answers_all_rules_on_rows_and_one_those_on_the_table(warehouse, monkeypatch):
    staged = stage(warehouse, [(1, None), (1, 5), (None, 7), (2, 7)], id="INT64", v="INT64")
    asked = []
    query = warehouse.query

    def counted(tree):
        asked.append(tree)
        return query(tree)

    monkeypatch.setattr(warehouse, "query", counted)
    found = held(
        warehouse, staged, NotNull("id", action="warn"), RowCount(minimum=5), Unique("id"), Range("v", maximum=6),
        Accepted("v", values=(5, 7)), RowCount(maximum=4), NotNull("id", "v"),
    )  # fmt: skip
    assert [item.rows for item in found] == [1, 0, 1, 2, 0, 0, 2]
    assert [item.passed for item in found] == [False, False, False, False, True, True, False]
    assert [item.action for item in found] == ["warn", *["fail"] * 6]
    assert found[0] == CheckResult("id is not NULL", "warn", passed=False, rows=1, found="1 of 4 rows break it")
    assert (found[1].found, found[4].found) == ("4 rows", "")
    assert len(asked) == 2


@BOTH
def test_no_rows_break_nothing(warehouse):
    staged = stage(warehouse, [], id="INT64", at="TIMESTAMP")
    rules = (NotNull("id"), Unique("id"), Range("id", minimum=1), Accepted("id", values=(1,)))
    assert [item.passed for item in held(warehouse, staged, *rules)] == [True] * 4
    found = held(warehouse, staged, RowCount(), RowCount(maximum=0), Fresh("at", within=dt.timedelta(1)))
    assert [item.passed for item in found] == [False, True, False]
    assert found[2].found == "there is no time in it"


@pytest.mark.parametrize("name", [*HOSTILE, "ROWID", "s", "t", "known", "x" * 400, "_C0"])
def test_hostile_names_and_values(warehouse, name):
    values = ["a'b\"c\\d`e\n; -- 😀", "%s", "{x}", "$1", "?", ""]
    rows = [(value, number) for number, value in enumerate(values)] + [(values[0], 9), (None, 10)]
    staged = stage(warehouse, rows, name="we'ird \"t😀", **{name: "STRING", "n": "INT64"})
    rules = [
        NotNull(name),
        Accepted(name, values=tuple(values[1:]), action="warn"),
        Range(name, minimum="", action="warn"),
    ]
    assert counts(warehouse, staged, *rules) == [1, 2, 0]
    commit(warehouse, [(value,) for value in values[2:]], name="o'ther", **{name: "STRING"})
    foreign = ForeignKey(name, table="o'ther", to=name)
    assert counts(warehouse, staged, foreign) == [3]
    if name.casefold() == "rowid":
        with pytest.raises(LoadError, match="cannot be told apart, as there is a column 'rowid'"):
            held(warehouse, staged, Unique(name))
        return
    assert counts(warehouse, staged, Unique(name), Unique(name, "n")) == [1, 0]
    left = quarantine(warehouse, staged, [Unique(name, action="quarantine")], lambda *_: None, mode="append", keys=())
    assert sorted(row[1] for row in rows_of(warehouse, left.name)) == [0, 1, 2, 3, 4, 5, 10]


@BOTH
def test_hostile_values_in_both_homes(warehouse):
    values = ["a'b\"c\\d`e\n\r\t; -- 😀", "%s", "{x}", "$1", "?", "", "\\", "\\n", "''"]
    staged = stage(warehouse, [(value,) for value in values], v="STRING")
    for value in values:
        assert counts(warehouse, staged, Accepted("v", values=(value,))) == [len(values) - 1]
        where = broken(warehouse, staged, Accepted("v", values=(value,)), mode="swap", keys=())
        assert warehouse.query(exp.select("*").from_(staged.name).where(exp.Not(this=where))).read_all()[
            "v"
        ].to_pylist() == [value]


@BOTH
def test_quarantine_keeps_the_first_of_equal_rows_and_moves_the_rest(warehouse):
    rows = [(1, "a"), (2, "b"), (1, "a"), (1, "c"), (None, "d"), (None, "d"), (2, None), (3, None)]
    staged = stage(warehouse, rows, id="INT64", v="STRING")
    rules = [
        Unique("id", action="quarantine"), NotNull("id", action="warn"), NotNull("v", action="quarantine"),
        RowCount(minimum=5, maximum=5),
    ]  # fmt: skip
    assert [item.describe() for item in offending(rules)] == ["v is not NULL", "id is unique"]
    found = held(warehouse, staged, *rules)
    assert [(item.rows, item.passed) for item in found] == [(2, False), (2, False), (2, False), (0, False)]
    assert found[3].found == "4 rows"
    moved: list = []
    left = quarantine(
        warehouse, staged, rules, lambda rule, batch: moved.extend((rule.describe(), *row.values()) for row in batch.to_pylist()),
        mode="swap", keys=(),
    )  # fmt: skip
    assert left.rows == 4
    assert sorted(moved) == [
        ("id is unique", 1, "a"), ("id is unique", 1, "c"), ("v is not NULL", 2, None), ("v is not NULL", 3, None),
    ]  # fmt: skip
    key = lambda row: (row[0] is None, row)
    assert sorted(((row[0], row[1]) for row in rows_of(warehouse, left.name)), key=key) == [
        (1, "a"), (2, "b"), (None, "d"), (None, "d"),
    ]  # fmt: skip
    assert counts(warehouse, left, *rules[:3]) == [0, 2, 0]


def test_a_row_that_another_rule_moves_away_is_not_the_one_that_stays(warehouse):
    staged = stage(warehouse, [(1, None), (1, 5)], id="INT64", v="INT64")
    rules = [Unique("id", action="quarantine"), NotNull("v", action="quarantine")]
    assert counts(warehouse, staged, *rules) == [0, 1]
    left = quarantine(warehouse, staged, rules, lambda *_: None, mode="swap", keys=())
    assert rows_of(warehouse, left.name) == [(1, 5)]


@BOTH
def test_unique_looks_at_the_rows_that_stand_and_stay(warehouse):
    commit(warehouse, [(1, "a"), (2, "b"), (None, "c"), (4, "n")], id="INT64", v="STRING")
    incoming = [(2, "x"), (9, "a"), (8, "b"), (7, "c"), (6, "new"), (5, "new"), (3, None)]
    staged = stage(warehouse, incoming, id="INT64", v="STRING")
    how = {"target_rows": 4}
    assert counts(warehouse, staged, Unique("v"), mode="swap", **how) == [1]
    assert counts(warehouse, staged, Unique("v"), mode="append", **how) == [4]
    # Key 2 is replaced, so that its 'b' is free again.
    assert counts(warehouse, staged, Unique("v"), Unique("id"), mode="merge", keys=("id",), **how) == [3, 0]
    # NULL and 2 and more go.
    assert counts(warehouse, staged, Unique("v"), mode="refresh", keys=("id",), low="2", **how) == [2]
    assert counts(warehouse, staged, Unique("v"), mode="refresh", keys=("id",), **how) == [1]
    files = stage(warehouse, [("f2", "a"), ("f3", "c")], name="files", run="r2", _source_file="STRING", v="STRING")
    commit(
        warehouse, [("f1", "a"), ("f2", "b"), ("f3", "c"), (None, "d")], name="files", _source_file="STRING", v="STRING"
    )
    replacing = {"mode": "replace", "keys": ("_source_file",), "target_rows": 4}
    assert counts(warehouse, files, Unique("v"), **replacing) == [1]
    assert counts(warehouse, files, Unique("v"), **replacing, removed=("f1",)) == [0]
    assert [item.found for item in held(warehouse, files, RowCount(maximum=9), **replacing)] == ["4 rows, 4 before"]


def test_a_column_that_the_table_lacks_or_has_as_another_type_holds_nothing_there(warehouse):
    commit(warehouse, [(1,), (2,)], id="INT64")
    staged = stage(warehouse, [(3, "a"), (4, "a")], id="INT64", v="STRING")
    assert counts(warehouse, staged, Unique("v"), mode="append", target_rows=2) == [1]
    assert counts(warehouse, staged, Unique("v"), mode="merge", keys=("id",), target_rows=2) == [1]
    other = stage(warehouse, [("1",)], run="r2", id="STRING")
    assert counts(warehouse, other, Unique("id"), mode="append", target_rows=2) == [0]


NARROW = st.one_of(st.none(), st.integers(0, 3))
ROWS = st.lists(st.tuples(NARROW, NARROW), max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    standing=ROWS, incoming=ROWS, mode=st.sampled_from(["swap", "append", "merge", "replace", "refresh"]), low=NARROW
)
def test_what_is_counted_is_what_a_commit_leaves(memory, standing, incoming, mode, low):
    """The warehouse's own commit is the judge, of the rows that stay and of their being unique."""
    kinds = {"k": "INT64", "u": "INT64"}
    memory.drop("orders")
    # What stands is unique already.
    seen: dict = {}
    standing = [row for row in standing if row[1] is None or seen.setdefault(row[1], row) is row]
    commit(memory, standing, **kinds)
    staged = stage(memory, incoming, run="r1", **kinds)
    keys = () if mode in ("swap", "append") else ("k",)
    how = {"mode": mode, "keys": keys, "low": None if low is None else json.dumps(low)}
    rules = [Unique("u", action="quarantine"), RowCount(maximum=10**6)]
    [unique, before] = held(memory, staged, *rules[:1], RowCount(maximum=10**6), target_rows=len(standing), **how)
    moved: list = []
    left = quarantine(memory, staged, rules, lambda _, batch: moved.append(batch.num_rows), **how)
    assert (unique.rows == 0) == (not moved)
    assert sum(moved) == len(incoming) - left.rows
    [again, after] = held(memory, left, *rules, target_rows=len(standing), **how)
    assert again.passed
    if mode not in ("merge", "replace"):
        assert (unique.rows, before.found) == (sum(moved), after.found)
    total = memory.commit(Change(left, mode, keys=keys, low=how["low"]))
    assert after.found == f"{total} rows, {len(standing)} before"
    values = [row[1] for row in rows_of(memory, "orders") if row[1] is not None]
    assert len(values) == len(set(values))


@pytest.fixture(scope="module")
def memory():
    opened = DuckDBWarehouse(":memory:")
    yield opened
    opened.close()


@BOTH
def test_foreign_keys(warehouse):
    commit(warehouse, [(1, "a"), (2, None), (None, "x")], name="products", id="INT64", code="STRING")
    staged = stage(
        warehouse, [(1, Decimal(1), "a", 7), (3, Decimal("1.5"), "b", 1), (None, None, None, None)],
        product="INT64", price="NUMERIC", code="STRING", parent="INT64",
    )  # fmt: skip
    rules = [
        ForeignKey("product", table="products", to="id"), ForeignKey("price", table="products", to="id"),
        ForeignKey("code", table="products", to="code"), ForeignKey("parent", table="orders", to="product"),
    ]  # fmt: skip
    assert counts(warehouse, staged, *rules) == [1, 1, 1, 1]
    left = quarantine(warehouse, staged, [rules[0].changed(action="quarantine")], lambda *_: None, mode="swap", keys=())
    assert left.rows == 2
    with pytest.raises(LoadError, match=r"'product is found in productz.id' needs a table.*Did you mean 'products'"):
        held(warehouse, staged, ForeignKey("product", table="productz", to="id"))
    with pytest.raises(ConfigError, match=r"has no column 'ids'. Did you mean 'id'?"):
        held(warehouse, staged, ForeignKey("product", table="products", to="ids"))
    with pytest.raises(ConfigError, match="INT64 and of STRING are not compared"):
        held(warehouse, staged, ForeignKey("product", table="products", to="code"))


def test_a_tables_own_key_is_looked_for_among_what_stands_and_what_comes(warehouse):
    commit(warehouse, [(1, None), (2, 1)], id="INT64", parent="INT64")
    staged = stage(warehouse, [(3, 4), (4, 1), (5, 99)], id="INT64", parent="INT64")
    rule = ForeignKey("parent", table="orders", to="id")
    assert counts(warehouse, staged, rule, mode="append", target_rows=2) == [1]
    assert counts(warehouse, staged, rule, mode="swap", target_rows=2) == [2]


@BOTH
def test_row_counts(warehouse):
    commit(warehouse, [(n,) for n in range(10)], id="INT64")
    staged = stage(warehouse, [(n,) for n in (0, 1, 1, 10, 11)], id="INT64")

    def passed(rule, mode, keys=(), low=None):
        [found] = held(warehouse, staged, rule, target_rows=10, mode=mode, keys=keys, low=low)
        return found.passed, found.found

    assert passed(RowCount(minimum=5), "swap") == (True, "5 rows, 10 before")
    assert passed(RowCount(change=0.49), "swap") == (False, "5 rows, 10 before")
    assert passed(RowCount(change=0.5), "append") == (True, "15 rows, 10 before")
    assert passed(RowCount(maximum=12), "merge", ("id",)) == (True, "12 rows, 10 before")
    assert passed(RowCount(maximum=11), "merge", ("id",)) == (False, "12 rows, 10 before")
    assert passed(RowCount(change=0.1), "refresh", ("id",), "8") == (False, "13 rows, 10 before")
    [new] = held(warehouse, staged, RowCount(change=0.1))
    assert (new.passed, new.found) == (True, "5 rows")


def test_an_empty_table_may_be_filled(warehouse):
    commit(warehouse, [], id="INT64")
    staged = stage(warehouse, [(1,)], id="INT64")
    [found] = held(warehouse, staged, RowCount(change=0.1), target_rows=0)
    assert (found.passed, found.found) == (True, "1 rows, 0 before")


@BOTH
def test_freshness(warehouse):
    day = dt.timedelta(days=1)
    times = [(dt.datetime(2024, 5, 31, 12, tzinfo=UTC), dt.datetime(2024, 6, 1, 11), dt.date(2024, 5, 31), None)]
    kinds = {"ts": "TIMESTAMP", "at": "DATETIME", "day": "DATE", "none": "TIMESTAMP"}
    staged = stage(warehouse, times, **kinds)
    hours = dt.timedelta(hours=1)
    found = held(
        warehouse, staged, Fresh("ts", within=day), Fresh("ts", within=23 * hours), Fresh("at", within=hours),
        Fresh("at", within=hours / 2), Fresh("day", within=day), Fresh("day", within=23 * hours), Fresh("none", within=day),
    )  # fmt: skip
    assert [item.passed for item in found] == [True, False, True, False, True, False, False]
    assert found[1].found == "the latest is 2024-05-31T12:00:00+00:00, 1 day, 0:00:00 ago"
    assert found[5].found == "the latest is 2024-05-31, 1 day, 0:00:00 ago"
    # What stands counts too, unless it is replaced; the time of the check may be in any zone.
    late = stage(warehouse, [(dt.datetime(2020, 1, 1, tzinfo=UTC), None, None, None)], run="r2", **kinds)
    commit(warehouse, times, **kinds)
    berlin = NOW.astimezone(dt.timezone(2 * hours))
    [append] = held(warehouse, late, Fresh("ts", within=day), target_rows=1, mode="append", now=berlin)
    [swap] = held(warehouse, late, Fresh("ts", within=day), target_rows=1, mode="swap", now=berlin)
    assert (append.passed, swap.passed) == (True, False)


def test_an_infinite_time_is_not_old(warehouse):
    schema = TableSchema("orders", (Column("ts", "TIMESTAMP"),))
    batch = pa.record_batch({"ts": pa.array([2**63 - 1], pa.timestamp("us", tz="UTC"))})
    staged = warehouse.stage(schema, "r1", [batch])
    assert [item.passed for item in held(warehouse, staged, Fresh("ts", within=dt.timedelta(1)))] == [True]


class Even(Rule):
    kind: ClassVar[str] = "even_test"
    column: str

    def columns(self):
        return (self.column,)


class Weekday(Rule):
    kind: ClassVar[str] = "weekday_test"


class Unknown(Rule):
    kind: ClassVar[str] = "unknown_test"


def test_new_kinds_of_rules(warehouse):
    two = exp.Literal.number(2)
    register_check(
        Even,
        lambda rule, scope: exp.NEQ(this=exp.Mod(this=scope.value(rule.column), expression=two), expression=exp.Literal.number(0)),
    )  # fmt: skip
    register_check(
        Weekday,
        lambda rule, scope: CheckResult(rule.describe(), rule.action, passed=scope.now.weekday() < 5, found=f"{scope.now:%A}"),
    )  # fmt: skip
    staged = stage(warehouse, [(1,), (2,), (None,)], id="INT64")
    found = held(warehouse, staged, Weekday(), Even(column="id", action="quarantine"), RowCount(maximum=2))
    assert [(item.rows, item.passed) for item in found] == [(0, False), (1, False), (0, True)]
    assert found[0].found == "Saturday"
    assert warehouse.discard(staged, broken(warehouse, staged, Even(column="id"), mode="swap", keys=())).rows == 2
    with pytest.raises(ConfigError, match=r"nothing checks this kind of rule.*register_check"):
        held(warehouse, staged, Unknown())
    for rule in (Weekday(), RowCount()):
        with pytest.raises(ConfigError, match="of the table, not of single rows"):
            broken(warehouse, staged, rule, mode="swap", keys=())
