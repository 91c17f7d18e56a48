"""The warehouse's contract: what is written comes back, and a commit happens as a whole, once."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from sqlglot import exp, parse_one

from b2brecs.backends.protocols import Change, Cost, LoadState, Warehouse
from b2brecs.errors import LoadError, NotFound, WarehouseError
from b2brecs.sql.arrow import arrow_schema, arrow_type
from b2brecs.types import COLUMN_TYPES, Column, ColumnType, TableSchema
from tests.conformance.differences import differs
from tests.conformance.rows import ORDERS, Rows, batches, column, everything, load, pairs, read, stage, table
from tests.conformance.values import HOSTILE, VALUES

UTC = dt.UTC


def one_column(kind: str, *, nullable: bool = True) -> TableSchema:
    return TableSchema("values", (Column("id", "INT64", nullable=False), Column("v", kind, nullable)))  # type: ignore[arg-type]


def plain(kind: str, values: list[Any]) -> list[Any]:
    return [None if value is None else json.loads(value) for value in values] if kind == "JSON" else values


class TestWarehouse:
    def test_every_type_has_its_test(self, home: str) -> None:
        assert set(VALUES) == set(COLUMN_TYPES) - {"BIGNUMERIC"}, home

    @pytest.mark.parametrize("kind", VALUES)
    def test_values_and_types_come_back(self, warehouse: Warehouse, kind: ColumnType) -> None:
        rows = [{"id": number, "v": value} for number, value in enumerate(VALUES[kind])]
        assert load(warehouse, rows, one_column(kind)) == len(rows)

        found = warehouse.query(everything("values", by="id")).read_all()
        assert found.schema.field("v").type == arrow_type(kind)
        assert plain(kind, found["v"].to_pylist()) == plain(kind, VALUES[kind])
        described = warehouse.schema("values")
        assert described.columns == one_column(kind).columns
        assert described.rows in {None, len(rows)}

    @pytest.mark.parametrize("kind", [kind for kind in VALUES if not kind.startswith("ARRAY<")])
    def test_columns_without_null_stay_so(self, warehouse: Warehouse, kind: ColumnType) -> None:
        values = [value for value in VALUES[kind] if value is not None]
        schema = one_column(kind, nullable=False)
        load(warehouse, [{"id": number, "v": value} for number, value in enumerate(values)], schema)
        assert warehouse.schema("values").columns == schema.columns

    def test_null_in_a_column_without_null_is_refused(self, warehouse: Warehouse) -> None:
        schema = one_column("STRING", nullable=False)
        nullable = arrow_schema(one_column("STRING").columns)
        batch = pa.RecordBatch.from_pylist([{"id": 1, "v": None}], schema=nullable)
        with pytest.raises((WarehouseError, LoadError)):
            warehouse.commit(Change(warehouse.stage(schema, "r1", [batch]), "swap"))
        assert pairs_or_nothing(warehouse, "values") == []

    def test_null_arrays_come_back(self, warehouse: Warehouse, home: str) -> None:
        load(warehouse, [{"id": 1, "v": None}, {"id": 2, "v": ["a"]}], one_column("ARRAY<STRING>"))
        empty: list[str] | None = [] if differs(home, "no NULL arrays") else None
        assert pairs(warehouse, "values") == [(1, empty), (2, ["a"])]

    def test_nan_comes_back(self, warehouse: Warehouse) -> None:
        load(warehouse, [{"id": 1, "v": float("nan")}], one_column("FLOAT64"))
        assert str(pairs(warehouse, "values")) == "[(1, nan)]"

    def test_times_of_other_zones_come_back_in_utc(self, warehouse: Warehouse) -> None:
        moment = dt.datetime(2024, 7, 1, 10, tzinfo=UTC)
        fields = pa.schema([("id", pa.int64()), ("v", pa.timestamp("us", tz="Asia/Tokyo"))])
        batch = pa.RecordBatch.from_pylist([{"id": 1, "v": moment}], schema=fields)
        warehouse.commit(Change(warehouse.stage(one_column("TIMESTAMP"), "r1", [batch]), "swap"))
        found = warehouse.query(everything("values")).read_all()
        assert found.schema.field("v").type == pa.timestamp("us", tz="UTC")
        assert found["v"].to_pylist() == [moment]

    def test_a_value_that_does_not_fit_is_refused_not_rounded(self, warehouse: Warehouse) -> None:
        wide = pa.schema([("id", pa.int64()), ("v", pa.decimal128(38, 12))])
        batch = pa.RecordBatch.from_pylist([{"id": 1, "v": Decimal("0.000000000001")}], schema=wide)
        with pytest.raises(WarehouseError):
            warehouse.stage(one_column("NUMERIC"), "r1", [batch])

    def test_columns_that_were_not_announced_are_refused(self, warehouse: Warehouse) -> None:
        with pytest.raises(WarehouseError, match="price"):
            warehouse.stage(ORDERS, "r1", [pa.RecordBatch.from_pylist([{"id": 1, "price": 2}])])

    def test_an_error_of_the_source_is_raised_unchanged(self, warehouse: Warehouse) -> None:
        def source() -> Iterator[pa.RecordBatch]:
            yield from batches(ORDERS, [{"id": 1, "note": "a"}])
            raise KeyError("the source broke")

        with pytest.raises(KeyError, match="the source broke"):
            warehouse.stage(ORDERS, "r1", source())
        assert warehouse.tables() == []
        assert load(warehouse, [{"id": 1, "note": "a"}]) == 1

    def test_no_batches_make_an_empty_table(self, warehouse: Warehouse) -> None:
        assert warehouse.commit(Change(warehouse.stage(ORDERS, "r1", []), "swap")) == 0
        assert warehouse.query(everything("orders")).read_all().num_rows == 0
        assert warehouse.schema("orders").columns == ORDERS.columns

    def test_tables_are_sorted_and_private_ones_hidden(self, warehouse: Warehouse) -> None:
        for name in ("zebra", "apple", "Mango"):
            load(warehouse, [{"id": 1}], TableSchema(name, ORDERS.columns), state=LoadState(name, None, "r1"))
        stage(warehouse, [{"id": 1}], TableSchema("unseen", ORDERS.columns))
        assert warehouse.tables() == ["Mango", "apple", "zebra"]

    @pytest.mark.parametrize("name", ["_b2b_state", "_b2b_x", ""])
    def test_private_and_empty_table_names_are_refused(self, warehouse: Warehouse, name: str) -> None:
        with pytest.raises(WarehouseError):
            warehouse.stage(TableSchema(name, ORDERS.columns), "r1", [])

    def test_columns_that_differ_in_case_only_are_refused(self, warehouse: Warehouse) -> None:
        with pytest.raises(WarehouseError, match="'ID'"):
            warehouse.stage(TableSchema("t", (Column("id", "INT64"), Column("ID", "INT64"))), "r1", [])

    @pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
    def test_hostile_names_are_data(self, warehouse: Warehouse, home: str, name: str) -> None:
        load(warehouse, [{"id": 1, "note": "safe"}])
        columns = (Column("id", "INT64", nullable=False), Column(name, "STRING"))
        for schema in (TableSchema(name, ORDERS.columns), TableSchema("t", columns)):
            if differs(home, "names are limited"):
                try:
                    load(warehouse, [{"id": 1}], schema)
                except WarehouseError:
                    continue
            text = schema.names[1]
            load(warehouse, [{"id": 1, text: "old"}, {"id": 1, text: "x"}], schema, mode="merge", keys=["id"])
            load(warehouse, [{"id": 2, text: "y"}], schema, mode="merge", keys=["id", text])
            assert warehouse.schema(schema.name).columns == schema.columns
            tree = exp.select(column(text)).from_(table(schema.name)).order_by(column("id"))
            assert warehouse.query(tree).read_all().to_pylist() == [{text: "x"}, {text: "y"}]
            warehouse.drop(schema.name)
        assert pairs(warehouse) == [(1, "safe")]
        assert warehouse.tables() == ["orders"]

    def test_a_missing_table_is_not_found_with_a_hint(self, warehouse: Warehouse) -> None:
        load(warehouse, [{"id": 1}])
        with pytest.raises(NotFound, match="'orders'"):
            warehouse.schema("order")

    # Queries

    def test_a_large_result_streams_in_batches(self, warehouse: Warehouse) -> None:
        total, size = 200_000, 50_000
        schema = TableSchema("big", (Column("id", "INT64", nullable=False),))
        parts = (
            pa.RecordBatch.from_arrays([pa.array(range(start, start + size))], schema=arrow_schema(schema.columns))
            for start in range(0, total, size)
        )
        assert warehouse.commit(Change(warehouse.stage(schema, "r1", parts), "swap")) == total
        sizes, seen = [], 0
        for batch in warehouse.query(everything("big")):
            sizes.append(batch.num_rows)
            seen += sum(batch.column(0).to_pylist())
        assert sum(sizes) == total
        assert len(sizes) > 1
        assert seen == total * (total - 1) // 2

    def test_a_reader_may_be_closed_early(self, warehouse: Warehouse) -> None:
        load(warehouse, [{"id": number} for number in range(1000)])
        reader = warehouse.query(everything("orders"))
        reader.read_next_batch()
        reader.close()
        assert load(warehouse, [{"id": 1, "note": "a"}]) == 1
        assert pairs(warehouse) == [(1, "a")]

    def test_sums_and_products_keep_their_types(self, warehouse: Warehouse, home: str) -> None:
        columns = (Column("n", "INT64"), Column("d", "NUMERIC"), Column("f", "FLOAT64"))
        rows = [{"n": 2**61, "d": Decimal("0.1"), "f": 0.5}, {"n": 5, "d": Decimal("0.2"), "f": 0.25}]
        load(warehouse, rows, TableSchema("m", columns))
        tree = exp.select(
            exp.alias_(exp.Sum(this=column("n")), "n"),
            exp.alias_(exp.Sum(this=column("d")), "d"),
            exp.alias_(exp.Sum(this=exp.Mul(this=column("d"), expression=column("d"))), "p"),
            exp.alias_(exp.Sum(this=column("f")), "f"),
            exp.alias_(exp.Count(this=exp.Star()), "c"),
        ).from_(table("m"))
        found = warehouse.query(tree).read_all()
        assert found.to_pylist() == [
            {"n": 2**61 + 5, "d": Decimal("0.3"), "p": Decimal("0.05"), "f": 0.75, "c": 2}
        ]  # fmt: skip
        product: ColumnType = "BIGNUMERIC" if differs(home, "products are wide") else "NUMERIC"
        kinds: list[ColumnType] = ["INT64", "NUMERIC", product, "FLOAT64", "INT64"]
        assert found.schema.types == [arrow_type(kind) for kind in kinds]

    def test_dry_run_says_what_it_would_read(self, warehouse: Warehouse) -> None:
        load(warehouse, [{"id": 1}])
        cost = warehouse.dry_run(everything("orders"))
        assert isinstance(cost, Cost)
        assert cost.bytes is None or cost.bytes >= 0

    @pytest.mark.parametrize(
        "tree",
        [
            exp.select(column("absent")).from_(table("orders")),
            everything("absent"),
            everything("/etc/passwd"),
            exp.select(exp.Anonymous(this="no_such_function", expressions=[column("id")])).from_(table("orders")),
            exp.Delete(this=table("orders")),
            parse_one("DROP TABLE orders"),
        ],
        ids=["column", "table", "file", "function", "delete", "drop"],
    )
    def test_a_wrong_query_is_refused(self, warehouse: Warehouse, tree: exp.Expression) -> None:
        load(warehouse, [{"id": 1, "note": "a"}])
        with pytest.raises(WarehouseError):
            warehouse.dry_run(tree)
        with pytest.raises(WarehouseError):
            warehouse.query(tree)
        assert pairs(warehouse) == [(1, "a")]

    # Commits

    def test_staged_rows_are_not_seen(self, warehouse: Warehouse) -> None:
        load(warehouse, [{"id": 1, "note": "old"}])
        staged = stage(warehouse, [{"id": 2, "note": "new"}], run="r2")
        assert staged.rows == 1
        assert pairs(warehouse) == [(1, "old")]
        warehouse.drop(staged.name)
        with pytest.raises(LoadError):
            warehouse.commit(Change(staged, "swap"))
        assert pairs(warehouse) == [(1, "old")]

    def test_staging_again_starts_over(self, warehouse: Warehouse) -> None:
        stage(warehouse, [{"id": 1}, {"id": 2}])
        assert load(warehouse, [{"id": 3, "note": "c"}]) == 1
        assert pairs(warehouse) == [(3, "c")]

    def test_swap_replaces_rows_and_columns(self, warehouse: Warehouse) -> None:
        load(warehouse, [{"id": 1, "note": "a"}, {"id": 2, "note": "b"}])
        other = TableSchema("orders", (Column("id", "STRING"), Column("price", "NUMERIC")))
        assert load(warehouse, [{"id": "x", "price": Decimal(2)}], other, run="r2") == 1
        assert warehouse.schema("orders").columns == other.columns
        assert pairs(warehouse) == [("x", Decimal(2))]

    def test_append_adds_and_keeps(self, warehouse: Warehouse) -> None:
        assert load(warehouse, [{"id": 1, "note": "a"}], mode="append") == 1
        assert load(warehouse, [{"id": 1, "note": "a"}, {"id": 2, "note": None}], mode="append", run="r2") == 3
        assert pairs(warehouse) == [(1, "a"), (1, "a"), (2, None)]

    def test_merge_replaces_equal_keys_and_adds_the_rest(self, warehouse: Warehouse) -> None:
        load(warehouse, [{"id": 1, "note": "a"}, {"id": 2, "note": "b"}])
        rows = [{"id": 2, "note": "B"}, {"id": 3, "note": "c"}]
        assert load(warehouse, rows, mode="merge", keys=["id"], run="r2") == 3
        assert pairs(warehouse) == [(1, "a"), (2, "B"), (3, "c")]

    def test_merge_keeps_the_last_of_equal_keys(self, warehouse: Warehouse) -> None:
        parts = [
            batches(ORDERS, [{"id": number % 7, "note": f"{part}.{number}"} for number in range(700)])[0]
            for part in range(40)
        ]
        staged = warehouse.stage(ORDERS, "r1", parts)
        assert staged.rows == 28_000
        assert warehouse.commit(Change(staged, "merge", ("id",))) == 7
        assert pairs(warehouse) == [(number, f"39.{693 + number}") for number in range(7)]

    @pytest.mark.parametrize("mode", ["merge", "replace"])
    def test_null_keys_are_equal(self, warehouse: Warehouse, mode: Any) -> None:
        schema = TableSchema("orders", (Column("id", "INT64"), Column("note", "STRING"), Column("n", "INT64")))
        rows: Rows = [{"id": None, "note": "x", "n": 1}, {"id": 1, "note": None, "n": 2}]
        for run in ("r1", "r2"):
            assert load(warehouse, rows, schema, mode=mode, keys=["id", "note"], run=run) == 2
        assert pairs(warehouse) == [(None, "x", 1), (1, None, 2)]

    def test_replace_removes_equal_keys_and_adds_all(self, warehouse: Warehouse) -> None:
        load(warehouse, [{"id": 1, "note": "a"}, {"id": 2, "note": "b"}, {"id": 2, "note": "bb"}])
        rows = [{"id": 2, "note": "X"}, {"id": 2, "note": "Y"}, {"id": 2, "note": "Y"}]
        assert load(warehouse, rows, mode="replace", keys=["id"], run="r2") == 4
        assert sorted(pairs(warehouse)) == [(1, "a"), (2, "X"), (2, "Y"), (2, "Y")]

    @pytest.mark.parametrize("mode", ["merge", "replace"])
    @pytest.mark.parametrize("keys", [[], ["ids"]])
    def test_keys_must_be_columns(self, warehouse: Warehouse, mode: Any, keys: list[str]) -> None:
        load(warehouse, [{"id": 1, "note": "a"}])
        with pytest.raises(LoadError, match="key"):
            load(warehouse, [{"id": 1, "note": "b"}], mode=mode, keys=keys, run="r2")
        assert pairs(warehouse) == [(1, "a")]

    @pytest.mark.parametrize("mode", ["append", "merge", "replace"])
    def test_new_columns_are_added_and_missing_ones_null(self, warehouse: Warehouse, mode: Any) -> None:
        columns = (Column("id", "INT64", nullable=False), Column("note", "STRING", nullable=False))
        load(warehouse, [{"id": 1, "note": "a"}], TableSchema("orders", columns))
        grown = TableSchema("orders", (Column("price", "NUMERIC", nullable=False), Column("id", "INT64")))
        assert load(warehouse, [{"price": Decimal("1.5"), "id": 2}], grown, mode=mode, keys=["id"], run="r2") == 2
        assert [tuple(row.values()) for row in read(warehouse)] == [(1, "a", None), (2, None, Decimal("1.5"))]
        assert warehouse.schema("orders").columns == (
            Column("id", "INT64"), Column("note", "STRING"), Column("price", "NUMERIC"),
        )  # fmt: skip

    def test_column_names_match_without_case(self, warehouse: Warehouse) -> None:
        load(warehouse, [{"id": 1, "note": "a"}])
        other = TableSchema("orders", (Column("ID", "INT64", nullable=False), Column("Note", "STRING")))
        assert load(warehouse, [{"ID": 1, "Note": "b"}], other, mode="merge", keys=["Id"], run="r2") == 1
        assert warehouse.schema("orders").names == ("id", "note")
        assert pairs(warehouse) == [(1, "b")]

    @pytest.mark.parametrize("mode", ["append", "merge", "replace"])
    def test_a_column_that_changed_its_type_is_refused(self, warehouse: Warehouse, mode: Any) -> None:
        load(warehouse, [{"id": 1, "note": "7"}])
        other = TableSchema("orders", (Column("id", "INT64", nullable=False), Column("note", "INT64")))
        with pytest.raises(LoadError, match="note is STRING in the table and INT64 in the new rows"):
            load(warehouse, [{"id": 2, "note": 7}], other, mode=mode, keys=["id"], run="r2")
        assert pairs(warehouse) == [(1, "7")]

    # State

    def test_there_is_no_state_before_a_commit(self, warehouse: Warehouse) -> None:
        assert warehouse.state("job/orders") is None

    def test_state_is_written_with_the_rows(self, warehouse: Warehouse) -> None:
        first = LoadState("job/ördérs 'x'", '{"v": "2024-01-01"}', "r1", rows=1)
        load(warehouse, [{"id": 1}], state=first)
        assert warehouse.state(first.key) == first
        second = LoadState(first.key, None, "r2", rows=5)
        load(warehouse, [{"id": 2}], mode="append", run="r2", state=second, expect="r1")
        assert warehouse.state(first.key) == second
        assert warehouse.state("other") is None

    @pytest.mark.parametrize("expect", [None, "r0"])
    def test_a_commit_that_expected_another_state_does_nothing(self, warehouse: Warehouse, expect: str | None) -> None:
        first = LoadState("k", "1", "r1")
        load(warehouse, [{"id": 1, "note": "a"}], state=first)
        with pytest.raises(LoadError, match="r1"):
            load(warehouse, [{"id": 2}], run="r2", state=LoadState("k", "2", "r2"), expect=expect)
        assert pairs(warehouse) == [(1, "a")]
        assert warehouse.state("k") == first

    def test_a_commit_that_expects_a_state_where_there_is_none_does_nothing(self, warehouse: Warehouse) -> None:
        with pytest.raises(LoadError):
            load(warehouse, [{"id": 2}], state=LoadState("k", "2", "r2"), expect="r1")
        assert warehouse.state("k") is None
        assert pairs_or_nothing(warehouse, "orders") == []

    def test_a_commit_happens_once(self, warehouse: Warehouse) -> None:
        load(warehouse, [{"id": 1, "note": "a"}], state=LoadState("k", "1", "r1"))
        state = LoadState("k", "2", "r2", rows=1)
        staged = stage(warehouse, [{"id": 2, "note": "b"}], run="r2")
        assert warehouse.commit(Change(staged, "append"), state=state, expect="r1") == 2
        assert warehouse.commit(Change(staged, "append"), state=state, expect="r1") == 2
        assert load(warehouse, [{"id": 2, "note": "b"}], mode="append", run="r2", state=state, expect="r1") == 2
        assert pairs(warehouse) == [(1, "a"), (2, "b")]
        assert warehouse.state("k") == state

    def test_of_two_commits_at_once_one_wins(self, warehouse: Warehouse) -> None:
        load(warehouse, [], state=LoadState("k", None, "r0"))
        runs = [f"w{number}" for number in range(4)]
        staged = [stage(warehouse, [{"id": number, "note": run}], run=run) for number, run in enumerate(runs)]
        start, outcomes = threading.Barrier(len(runs)), []

        def commit(number: int) -> None:
            start.wait()
            try:
                state = LoadState("k", str(number), runs[number])
                warehouse.commit(Change(staged[number], "append"), state=state, expect="r0")
                outcomes.append(runs[number])
            except LoadError:
                outcomes.append("")

        threads = [threading.Thread(target=commit, args=(number,)) for number in range(len(runs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = filter(None, outcomes)
        assert len(outcomes) == len(runs)
        assert [note for _id, note in pairs(warehouse)] == [winner]
        found = warehouse.state("k")
        assert found is not None
        assert found.run == winner

    def test_drop_removes_what_is_there(self, warehouse: Warehouse) -> None:
        load(warehouse, [{"id": 1}])
        warehouse.drop("orders")
        warehouse.drop("orders")
        assert warehouse.tables() == []
        with pytest.raises(NotFound):
            warehouse.schema("orders")

    def test_the_librarys_tables_are_not_dropped(self, warehouse: Warehouse) -> None:
        load(warehouse, [{"id": 1}], state=LoadState("k", None, "r1"))
        with pytest.raises(WarehouseError):
            warehouse.drop("_b2b_state")


def pairs_or_nothing(warehouse: Warehouse, name: str) -> list[tuple[Any, ...]]:
    """Read a table that need not be there."""
    return pairs(warehouse, name) if name in warehouse.tables() else []
