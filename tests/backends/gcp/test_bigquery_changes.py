"""What is special to BigQuery when it changes tables: scripts, partitions, text in staged rows, repeated tries."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery
from sqlglot import exp

from b2brecs.backends.gcp import bigquery_commit, bigquery_layout, bigquery_stage
from b2brecs.backends.gcp.bigquery import BigQueryWarehouse
from b2brecs.backends.gcp.bigquery_dataset import patiently
from b2brecs.backends.protocols import Change, LoadState, Staged
from b2brecs.errors import LoadError, WarehouseError
from b2brecs.types import Column, TableSchema
from tests.conformance.gcp import gcp_warehouse  # noqa: F401
from tests.conformance.rows import ORDERS, batches, change, column, everything, load, pairs, stage, table

DAYS = TableSchema("days", (Column("id", "INT64", nullable=False), Column("day", "DATE"), Column("note", "STRING")))
FIRST, SECOND = dt.date(2024, 1, 1), dt.date(2024, 1, 2)


def day_rows(*rows: tuple[int, dt.date | None, str]) -> list[dict[str, Any]]:
    return [dict(zip(DAYS.names, row, strict=True)) for row in rows]


def described(warehouse: BigQueryWarehouse, table: str) -> bigquery.Table:
    return warehouse._open().get_table(warehouse._reference(table))


def test_an_error_in_the_script_takes_every_change_back(gcp_warehouse: BigQueryWarehouse) -> None:  # noqa: F811
    load(gcp_warehouse, [{"id": 1, "note": "a"}], state=LoadState("k", "1", "r1"))
    documents = TableSchema("documents", (Column("id", "INT64"), Column("doc", "JSON")))
    other = TableSchema("fresh", ORDERS.columns)
    changes = [
        change(gcp_warehouse, [{"id": 2, "note": "b"}], "swap"),
        change(gcp_warehouse, [{"id": 3, "note": "c"}], "append", other),
        change(gcp_warehouse, [{"id": 1, "doc": "{not json"}], "append", documents),
    ]
    with pytest.raises(WarehouseError):
        gcp_warehouse.commit(changes, state=LoadState("k", "2", "r2"), expect="r1")
    assert pairs(gcp_warehouse) == [(1, "a")]
    assert gcp_warehouse.tables() == ["orders"]
    assert gcp_warehouse.state("k") == LoadState("k", "1", "r1")
    # One that replaces columns comes before the transaction, but after the look at the state.
    narrow = TableSchema("orders", (ORDERS.columns[0],))
    replaced = change(gcp_warehouse, [{"id": 9}], "swap", narrow, run="r3")
    assert gcp_warehouse.commit([replaced, changes[1]], state=LoadState("k", "3", "r3"), expect="r1") == 1
    assert pairs(gcp_warehouse) == [(9,)]
    assert pairs(gcp_warehouse, "fresh") == [(3, "c")]


def test_a_replacement_looks_at_the_state_first() -> None:
    narrow = Staged("_b2b_stage_x", TableSchema("orders", (Column("id", "INT64"),)), 1)
    script = bigquery_commit.script([bigquery_commit.replacement(narrow)], "orders", "_b2b_state_x")
    parts = ["SET _b2b_standing", "IF _b2b_standing", "CREATE OR REPLACE", "BEGIN TRANSACTION", "SET _b2b_standing"]
    places = [script.index(parts[0])]
    for part in parts[1:]:
        places.append(script.index(part, places[-1] + 1))
    assert places == sorted(places)


def test_state_tables_of_the_first_version_are_widened(gcp_warehouse: BigQueryWarehouse) -> None:  # noqa: F811
    gcp_warehouse.tables()
    name = bigquery_commit.state_table("k")
    gcp_warehouse._run(
        f"CREATE TABLE `{name}` AS SELECT 'k' AS `key`, '1' AS `watermark`, 'r1' AS `run`, 5 AS `rows`, "
        "CURRENT_TIMESTAMP() AS `committed_at`"
    )
    assert gcp_warehouse.state("k") == LoadState("k", "1", "r1", 5)
    new = LoadState("k", "2", "r2", 6, '{"files": ["a"]}')
    assert gcp_warehouse.commit((), state=new, expect="r1") == 0
    assert gcp_warehouse.state("k") == new


def test_staged_rows_are_read_as_they_were_announced(gcp_warehouse: BigQueryWarehouse) -> None:  # noqa: F811
    schema = TableSchema("t", (Column("id", "INT64"), Column("big", "BIGNUMERIC"), Column("doc", "JSON")))
    rows = [{"id": 1, "big": Decimal("9.5"), "doc": "[1]"}, {"id": 2, "big": Decimal(10), "doc": None}]
    staged = stage(gcp_warehouse, rows, schema)
    found = gcp_warehouse.query(everything(staged.name, by="id")).read_all()
    assert found.column_names == list(schema.names)
    assert found["big"].to_pylist() == [Decimal("9.5"), Decimal(10)]
    large = exp.GT(this=column("big"), expression=exp.Literal.number("9.6"))
    inner = everything(staged.name).subquery("x")
    assert gcp_warehouse.query(exp.select(column("id")).from_(inner).where(large)).read_all()["id"].to_pylist() == [2]
    # As text, 9.5 would be the greater.
    left = gcp_warehouse.discard(staged, large)
    assert left.rows == 1
    # What another object reads is what lies there.
    other = BigQueryWarehouse(gcp_warehouse.project, "EU", gcp_warehouse.dataset)
    tree = exp.select(column("id"), column("doc")).from_(table(staged.name))
    assert other.query(tree).read_all().to_pylist() == [{"id": 1, "doc": "[1]"}]
    other.close()


def test_a_new_table_is_partitioned_and_stays_so(gcp_warehouse: BigQueryWarehouse) -> None:  # noqa: F811
    new = day_rows((1, FIRST, "a"), (2, SECOND, "b"), (3, None, "c"))
    made = change(gcp_warehouse, new, "merge", DAYS, keys=("id", "note"), partition="DAY")
    assert gcp_warehouse.commit(made) == 3
    found = described(gcp_warehouse, "days")
    assert (found.time_partitioning.type_, found.time_partitioning.field) == ("DAY", "day")
    assert found.clustering_fields == ["id", "note"]
    # A row moves to another day, and one out of none.
    moved = day_rows((1, SECOND, "A"), (3, FIRST, "C"))
    made = change(gcp_warehouse, moved, "merge", DAYS, run="r3", keys=("id",), partition="day")
    assert gcp_warehouse.commit(made) == 3
    assert pairs(gcp_warehouse, "days") == [(1, SECOND, "A"), (2, SECOND, "b"), (3, FIRST, "C")]
    # Other columns: the table is replaced, its layout is kept.
    wider = TableSchema("days", (*DAYS.columns[1:], DAYS.columns[0], Column("n", "INT64")))
    staged = stage(gcp_warehouse, day_rows((7, FIRST, "z")), wider, "r4")
    assert gcp_warehouse.commit(Change(staged, "swap")) == 1
    found = described(gcp_warehouse, "days")
    assert (found.time_partitioning.field, found.clustering_fields) == ("day", ["id", "note"])
    # Without the column it cannot be.
    bare = stage(gcp_warehouse, [{"id": 1, "note": "x"}], TableSchema("days", ORDERS.columns), "r5")
    with pytest.raises(LoadError, match="'day'"):
        gcp_warehouse.commit(Change(bare, "swap"))
    assert gcp_warehouse.schema("days").columns == wider.columns


def test_only_the_days_of_the_staged_rows_are_read_where_days_are_a_key(gcp_warehouse: BigQueryWarehouse) -> None:  # noqa: F811
    old = [(1, FIRST, "a"), (1, SECOND, "b"), (1, None, "c"), (2, SECOND, "d")]
    load(gcp_warehouse, [], DAYS)
    gcp_warehouse.drop("days")
    gcp_warehouse.commit(change(gcp_warehouse, day_rows(*old), "append", DAYS, partition="day"))
    made = change(
        gcp_warehouse, day_rows((1, SECOND, "B"), (1, None, "C")), "merge", DAYS, run="r3", keys=("id", "day")
    )
    step = bigquery_commit.step(made, DAYS, 0, "day")
    assert len(step.declared) == 2
    assert "`t`.`day` BETWEEN _b2b_least_0 AND _b2b_greatest_0 OR `t`.`day` IS NULL" in step.statements[0]
    assert gcp_warehouse.differs(made)
    assert gcp_warehouse.commit(made) == 4
    assert sorted(map(str, pairs(gcp_warehouse, "days"))) == sorted(
        map(str, [(1, FIRST, "a"), (1, SECOND, "B"), (1, None, "C"), (2, SECOND, "d")])
    )
    # A key that says nothing of the day may have been on any.
    anywhere = bigquery_commit.step(Change(made.staged, "merge", ("id",)), DAYS, 0, "day")
    assert anywhere.declared == ()
    assert "BETWEEN" not in anywhere.statements[0]


def test_rows_of_very_many_days_lie_by_months_or_years(gcp_warehouse: BigQueryWarehouse) -> None:  # noqa: F811
    start = dt.date(1990, 1, 1)
    rows = day_rows(*((n, start + dt.timedelta(days=n), "") for n in range(3_100)))
    staged = stage(gcp_warehouse, rows, DAYS)
    (found,) = gcp_warehouse._run(bigquery_layout.spread(Change(staged, "swap", partition="day"), DAYS.columns[1]))
    assert found == {"days": 3_100, "months": 102}
    assert gcp_warehouse.commit(Change(staged, "swap", partition="day")) == 3_100
    assert described(gcp_warehouse, "days").time_partitioning.type_ == "MONTH"


@pytest.mark.parametrize(
    ("keys", "days", "months", "kind", "clustered"),
    [
        ((), 0, 0, "DAY", ["day"]),
        (("id", "note", "n", "d"), 3_000, 100, "DAY", ["id", "note", "d"]),
        (("n",), 3_001, 100, "MONTH", ["day"]),
        (("ID", "day"), 2**20, 3_001, "YEAR", ["id", "day"]),
    ],
)
def test_layouts(keys: tuple[str, ...], days: int, months: int, kind: str, clustered: list[str]) -> None:
    columns = (*DAYS.columns, Column("n", "FLOAT64"), Column("d", "NUMERIC"))
    made = Change(Staged("s", TableSchema("t", columns), 1), "merge" if keys else "append", keys, partition="day")
    laid = bigquery.Table("p.d.t")
    by = bigquery_layout.partition_of(made)
    assert by is not None
    bigquery_layout.arrange(laid, made, by, days, months)
    assert (laid.time_partitioning.type_, laid.time_partitioning.field) == (kind, "day")
    assert laid.clustering_fields == clustered


@pytest.mark.parametrize("partition", ["note", "absent"])
def test_only_times_partition(partition: str) -> None:
    with pytest.raises(LoadError, match=partition):
        bigquery_layout.partition_of(Change(Staged("s", DAYS, 1), "append", partition=partition))


@pytest.mark.parametrize(
    ("kind", "partitioning", "words"),
    [
        ("DATE", bigquery.TimePartitioning(field="day"), "PARTITION BY `day`"),
        ("DATE", bigquery.TimePartitioning(field="day", type_="MONTH"), "PARTITION BY DATE_TRUNC(`day`, MONTH)"),
        ("DATETIME", bigquery.TimePartitioning(field="day"), "PARTITION BY DATETIME_TRUNC(`day`, DAY)"),
        ("TIMESTAMP", bigquery.TimePartitioning(field="day"), "PARTITION BY TIMESTAMP_TRUNC(`day`, DAY)"),
        ("DATE", bigquery.TimePartitioning(), None),
        ("DATE", None, ""),
    ],
)
def test_a_replacement_keeps_the_layout(kind: Any, partitioning: Any, words: str | None) -> None:
    laid = bigquery.Table("p.d.days", schema=[bigquery.SchemaField("day", kind)])
    laid.time_partitioning = partitioning
    rows = TableSchema("days", (Column("n", "INT64"), Column("Day", kind)))
    if words is None:
        with pytest.raises(LoadError, match="Drop"):
            bigquery_layout.layout(laid, rows)
    else:
        assert bigquery_layout.layout(laid, rows) == words


def test_a_cancelled_transaction_is_repeated_with_growing_pauses() -> None:
    pauses: list[float] = []
    tries = iter([exceptions.BadRequest("Transaction is aborted due to concurrent update against table t")] * 4)

    def act() -> str:
        error = next(tries, None)
        if error is not None:
            raise error
        return "done"

    assert patiently(act, sleep=pauses.append) == "done"
    assert len(pauses) == 4
    assert all(2**number <= pause <= 2**number + 2 for number, pause in enumerate(pauses))

    def fail() -> None:
        raise exceptions.BadRequest("Syntax error")

    with pytest.raises(exceptions.BadRequest, match="Syntax error"):
        patiently(fail, sleep=pauses.append)
    assert len(pauses) == 4


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_named() -> None:
    with (
        Path("/dev/full").open("r+b", buffering=0) as file,
        pytest.raises(WarehouseError, match=r"disk is full.*no more room in /"),
    ):
        bigquery_stage.write_parquet(file, ORDERS, batches(ORDERS, [{"id": 1, "note": "a"}]))


def test_a_full_disk_of_the_source_is_the_sources() -> None:
    def source() -> Any:
        yield from batches(ORDERS, [{"id": 1, "note": "a"}])
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"), bigquery_stage.spool() as file:
        bigquery_stage.write_parquet(file, ORDERS, source())
