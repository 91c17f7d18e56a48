"""The warehouse's contract, continued: changes of several tables in one step, and what they remove."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlglot import exp

from b2brecs.backends.protocols import Change, CommitMode, LoadState, Warehouse
from b2brecs.errors import LoadError, WarehouseError
from b2brecs.types import Column, ColumnType, TableSchema
from tests.conformance.differences import differs
from tests.conformance.rows import ORDERS, Rows, change, column, load, pairs, stage, table
from tests.conformance.values import EQUAL_ROWS, HOSTILE, OTHER_ROWS, WIDE

UTC = dt.UTC
LOOSE = TableSchema("orders", (Column("id", "INT64"), Column("note", "STRING")))
FILES = TableSchema("files", (Column("id", "STRING"), Column("note", "STRING")))
LOG = TableSchema("log", (Column("id", "INT64"), Column("note", "STRING")))


def rows(*pairs: tuple[Any, Any]) -> Rows:
    return [{"id": key, "note": note} for key, note in pairs]


class TestSeveralChanges:
    def test_all_happen_in_one_step(self, warehouse: Warehouse) -> None:
        load(warehouse, rows((1, "a"), (2, "b")))
        state = LoadState("k", "7", "r2", rows=4, facts='{"columns": ["id"], "ü": "\'"}')
        changes = [
            change(warehouse, rows((2, "B"), (3, "c")), "merge", keys=("id",)),
            change(warehouse, rows((2, "old")), "append", LOG),
            change(warehouse, rows(("f", "x")), "swap", FILES),
        ]
        assert warehouse.commit(changes, state=state) == 3
        assert pairs(warehouse) == [(1, "a"), (2, "B"), (3, "c")]
        assert pairs(warehouse, "log") == [(2, "old")]
        assert pairs(warehouse, "files") == [("f", "x")]
        assert warehouse.state("k") == state
        # The step was done: again, it does nothing.
        assert warehouse.commit(changes, state=state) == 3

    def test_if_one_cannot_be_none_happens(self, warehouse: Warehouse) -> None:
        load(warehouse, rows((1, "a")), state=LoadState("k", "1", "r1"))
        load(warehouse, rows(("f", "x")), FILES)
        numbers = TableSchema("files", (Column("id", "INT64"), FILES.columns[1]))
        first = change(warehouse, rows((1, "b")), "swap")
        third = change(warehouse, rows((5, "new")), "append", LOG)
        good = change(warehouse, rows(("f", "y")), "merge", FILES, keys=("id",))
        gone = change(warehouse, rows(("f", "z")), "append", FILES, run="r3")
        warehouse.drop(gone.staged.name)
        for second, expect in [
            (change(warehouse, rows((1, "y")), "merge", numbers, run="r4", keys=("id",)), "r1"),
            (Change(good.staged, "merge", ("absent",)), "r1"),
            (gone, "r1"),
            (good, "r0"),
            (good, None),
        ]:
            with pytest.raises(LoadError):
                warehouse.commit([first, second, third], state=LoadState("k", "2", "r2"), expect=expect)
        assert pairs(warehouse) == [(1, "a")]
        assert pairs(warehouse, "files") == [("f", "x")]
        assert warehouse.tables() == ["files", "orders"]
        assert warehouse.state("k") == LoadState("k", "1", "r1")
        # What was staged is still there.
        assert warehouse.commit([first, good, third], state=LoadState("k", "2", "r2"), expect="r1") == 1
        assert pairs(warehouse, "files") == [("f", "y")]

    def test_a_target_is_changed_once(self, warehouse: Warehouse) -> None:
        one = change(warehouse, rows((1, "a")), "append")
        with pytest.raises(LoadError, match="twice"):
            warehouse.commit([one, one])
        assert warehouse.tables() == []

    def test_without_changes_the_state_alone_is_written(self, warehouse: Warehouse) -> None:
        first = LoadState("k", None, "r1", facts='{"files": []}')
        assert warehouse.commit((), state=first) == 0
        assert warehouse.state("k") == first
        with pytest.raises(LoadError):
            warehouse.commit([], state=LoadState("k", "2", "r2"), expect=None)
        assert warehouse.commit((), state=LoadState("k", "2", "r2"), expect="r1") == 0
        assert warehouse.commit((), state=LoadState("k", "2", "r2"), expect="r1") == 0
        assert warehouse.state("k") == LoadState("k", "2", "r2", facts="{}")
        assert warehouse.commit(()) == 0
        assert warehouse.tables() == []


class TestRemoving:
    def test_refresh_removes_from_a_bound_on_and_null(self, warehouse: Warehouse) -> None:
        load(warehouse, rows((1, "a"), (2, "b"), (2, "bb"), (3, "c"), (None, "n"), (None, "m")), LOOSE)
        new = rows((2, "B"), (None, "N"), (9, "i"), (9, "i"))
        assert warehouse.commit(change(warehouse, new, "refresh", LOOSE, keys=("id",), low="2")) == 5
        assert pairs(warehouse) == [(None, "N"), (1, "a"), (2, "B"), (9, "i"), (9, "i")]
        # The same again leaves the same table; without rows, what is to go goes all the same.
        assert warehouse.commit(change(warehouse, new, "refresh", LOOSE, run="r3", keys=("id",), low="2")) == 5
        assert warehouse.commit(change(warehouse, [], "refresh", LOOSE, run="r4", keys=("ID",), low="9")) == 2
        assert pairs(warehouse) == [(1, "a"), (2, "B")]
        assert warehouse.commit(change(warehouse, rows((5, "e")), "refresh", LOOSE, run="r5", keys=("id",))) == 1
        assert pairs(warehouse) == [(5, "e")]

    def test_a_bound_is_of_the_keys_type(self, warehouse: Warehouse) -> None:
        ends: list[tuple[ColumnType, Any, Any, Any]] = [
            ("STRING", "it's", "ü'", "ü'"),
            ("DATE", dt.date(2024, 2, 28), "2024-02-29", dt.date(2024, 2, 29)),
            ("DATETIME", dt.datetime(2024, 1, 1), "2024-01-01T00:00:00.000001", dt.datetime(2024, 1, 1, 0, 0, 0, 1)),
            ("TIMESTAMP", dt.datetime(2024, 1, 1, 11, 59, 59, 999999, UTC), "2024-01-01T14:00:00+02:00",
             dt.datetime(2024, 1, 1, 12, tzinfo=UTC)),
            ("NUMERIC", Decimal("12345678901234567890.123456788"), "12345678901234567890.123456789",
             Decimal("12345678901234567890.123456789")),
            ("FLOAT64", 0.1, 0.30000000000000004, 0.30000000000000004),
        ]  # fmt: skip
        schemas = [TableSchema(f"of {kind}", (Column("id", kind), Column("note", "STRING"))) for kind, *_ in ends]
        old = [
            change(warehouse, rows((below, "stays"), (above, "goes"), (None, "goes")), "swap", schema, run="r1")
            for schema, (_kind, below, _low, above) in zip(schemas, ends, strict=True)
        ]
        warehouse.commit(old)
        new = [
            change(warehouse, rows((above, "new")), "refresh", schema, keys=("id",), low=json.dumps(low))
            for schema, (_kind, _below, low, above) in zip(schemas, ends, strict=True)
        ]
        assert warehouse.differs(new[3])
        assert warehouse.commit(new) == 2
        for schema, (_kind, below, _low, above) in zip(schemas, ends, strict=True):
            assert pairs(warehouse, schema.name) == [(below, "stays"), (above, "new")]

    def test_a_bound_that_is_no_value_is_refused(self, warehouse: Warehouse) -> None:
        load(warehouse, rows((1, "a")), LOOSE)
        made = change(warehouse, [], "refresh", LOOSE, keys=("id",))
        for low in ("", "{}", "null", "[1]"):
            with pytest.raises(LoadError, match="bound"):
                warehouse.commit(replace(made, low=low))
        assert pairs(warehouse) == [(1, "a")]

    def test_replace_removes_named_rows_too(self, warehouse: Warehouse) -> None:
        load(warehouse, rows(("a", "1"), ("a", "2"), ("b", "1"), ("it's 😀", "1"), ("c", "1"), (None, "1")), FILES)
        removed = (*(f"file {number}" for number in range(3000)), *HOSTILE, "it's 😀", "b")
        new = rows(("a", "3"), ("b", "new"))
        assert warehouse.commit(change(warehouse, new, "replace", FILES, keys=("id",), removed=removed)) == 4
        assert pairs(warehouse, "files") == [(None, "1"), ("a", "3"), ("b", "new"), ("c", "1")]
        made = change(warehouse, [], "replace", FILES, run="r3", keys=("id", "note"), removed=("a", "c"))
        assert warehouse.commit(made) == 2
        assert pairs(warehouse, "files") == [(None, "1"), ("b", "new")]

    def test_what_cannot_remove_is_refused(self, warehouse: Warehouse) -> None:
        load(warehouse, rows((1, "a")))
        staged = stage(warehouse, rows((2, "b")), run="r2")
        for made in [
            Change(staged, "replace", ("id",), removed=("1",)),
            Change(staged, "merge", ("note",), removed=("a",)),
            Change(staged, "append", removed=("a",)),
            Change(staged, "refresh", ("id", "note")),
            Change(staged, "refresh"),
        ]:
            for act in (warehouse.commit, warehouse.differs):
                with pytest.raises(LoadError):
                    act(made)
        assert pairs(warehouse) == [(1, "a")]

    def test_a_change_makes_its_table(self, warehouse: Warehouse) -> None:
        modes: list[CommitMode] = ["append", "replace", "refresh", "merge"]
        columns = (Column("id", "STRING", nullable=False), Column("day", "DATE"))
        row = ("x", dt.date(2024, 1, 1))
        made = [
            change(warehouse, [dict(zip(("id", "day"), row, strict=True))], mode, TableSchema(mode, columns),
                   keys=("id",), removed=("y",) if mode == "replace" else (), low='"x"', partition="day")
            for mode in modes
        ]  # fmt: skip
        assert warehouse.differs(made[0])
        assert warehouse.commit(made) == 1
        for mode in modes:
            assert pairs(warehouse, mode) == [row]
            assert warehouse.schema(mode).columns == columns


class TestDiffers:
    """Each time the rows are staged anew, as a run does."""

    @staticmethod
    def ask(warehouse: Warehouse, new: Rows, mode: CommitMode, schema: TableSchema = LOOSE, **more: Any) -> bool:
        return warehouse.differs(change(warehouse, new, mode, schema, run="r2", **more))

    def test_values_of_all_kinds_are_compared_exactly(self, warehouse: Warehouse, home: str) -> None:
        load(warehouse, EQUAL_ROWS, WIDE)
        modes: list[CommitMode] = ["swap", "replace", "refresh"]
        for mode in modes:
            assert not self.ask(warehouse, EQUAL_ROWS[::-1], mode, WIDE, keys=("id",))
        # The emulator is slow.
        few = [pair for pair in dict(OTHER_ROWS[::-1]).items() if pair[0] in "fjbx"]
        for name, value in OTHER_ROWS if home == "local" else few:
            changed = [{**EQUAL_ROWS[0], name: value}, *EQUAL_ROWS[1:]]
            assert self.ask(warehouse, changed, "swap", WIDE), (name, value)
        assert all(self.ask(warehouse, changed, mode, WIDE, keys=("id",)) for mode in modes[1:])

    def test_swap_counts_and_compares_rows(self, warehouse: Warehouse) -> None:
        assert self.ask(warehouse, [], "swap")
        load(warehouse, rows((1, "a"), (1, "a"), (2, None), (None, "b")), LOOSE)
        assert not self.ask(warehouse, rows((None, "b"), (1, "a"), (2, None), (1, "a")), "swap")
        for other in (
            rows((1, "a"), (2, None), (2, None), (None, "b")),
            rows((1, "a"), (1, "b"), (2, None), (None, "a")),
            [],
        ):
            assert self.ask(warehouse, other, "swap"), other

    def test_merge_looks_at_the_last_of_equal_keys(self, warehouse: Warehouse) -> None:
        load(warehouse, rows((1, "a"), (2, None), (None, "n"), (3, "c"), (3, "c")), LOOSE)
        for same in (rows((1, "a")), rows((1, "x"), (None, "n"), (1, "a"), (2, None)), []):
            assert not self.ask(warehouse, same, "merge", keys=("id",)), same
        # Of the two rows of key 3 one would stay.
        for other in (rows((1, "a"), (1, "x")), rows((4, "d")), rows((None, None)), rows((3, "c"))):
            assert self.ask(warehouse, other, "merge", keys=("id",)), other

    def test_replace_compares_with_what_it_would_remove(self, warehouse: Warehouse) -> None:
        load(warehouse, rows(("a", "1"), ("a", "1"), ("a", None), ("b", "1"), (None, "n")), FILES)
        same = rows(("a", None), ("a", "1"), ("a", "1"), (None, "n"))
        assert not self.ask(warehouse, same, "replace", FILES, keys=("id",), removed=("z", "a"))
        assert not self.ask(warehouse, [], "replace", FILES, keys=("id",), removed=("z",))
        assert self.ask(warehouse, same, "replace", FILES, keys=("id",), removed=("b",))
        assert self.ask(warehouse, same[1:], "replace", FILES, keys=("id",))
        assert self.ask(warehouse, [*same, *rows(("a", "1"))], "replace", FILES, keys=("id",))

    def test_refresh_compares_with_what_it_would_remove(self, warehouse: Warehouse) -> None:
        load(warehouse, rows((1, "a"), (2, "b"), (3, "c"), (None, "n")), LOOSE)
        assert not self.ask(warehouse, rows((3, "c"), (None, "n")), "refresh", keys=("id",), low="3")
        assert not self.ask(warehouse, rows((3, "c"), (None, "n"), (2, "b")), "refresh", keys=("id",), low="2")
        assert self.ask(warehouse, rows((3, "c")), "refresh", keys=("id",), low="3")
        assert self.ask(warehouse, rows((3, "c"), (None, "n")), "refresh", keys=("id",))

    def test_append_differs_if_there_are_rows(self, warehouse: Warehouse) -> None:
        load(warehouse, rows((1, "a")), LOOSE)
        assert self.ask(warehouse, rows((1, "a")), "append")
        assert not self.ask(warehouse, [], "append")

    def test_other_columns_differ(self, warehouse: Warehouse) -> None:
        load(warehouse, rows((1, "a")), ORDERS)
        first, second = ORDERS.columns
        same: Rows = [{"id": 1, "note": "a"}]
        assert not self.ask(warehouse, same, "swap", ORDERS)
        for columns in ((second, first), (Column("id", "INT64"), second)):
            renamed = [{name.name: same[0][name.name.lower()] for name in columns}]
            assert self.ask(warehouse, renamed, "swap", TableSchema("orders", columns)), columns
        wider = TableSchema("orders", (first, second, Column("price", "NUMERIC")))
        for schema in (wider, TableSchema("orders", (first,)), LOOSE):
            new = [{name: value for name, value in same[0].items() if name in schema.names}]
            assert self.ask(warehouse, new, "merge", schema, keys=("id",)), schema
        assert not self.ask(warehouse, same, "merge", TableSchema("orders", (second, first)), keys=("id",))


class TestDiscard:
    def test_rows_that_meet_the_condition_go(self, warehouse: Warehouse) -> None:
        schema = TableSchema("orders", (Column("id", "INT64"), Column("select 'x'", "NUMERIC"), Column("doc", "JSON")))
        values = [(1, Decimal(5), "[1]"), (2, Decimal("-0.5"), "{}"), (3, None, None), (3, Decimal(-7), "2")]
        staged = stage(warehouse, [dict(zip(schema.names, row, strict=True)) for row in values], schema)
        price = column("select 'x'")
        assert warehouse.discard(
            staged, exp.LT(this=price, expression=exp.cast(exp.Literal.string("-5"), "NUMERIC"))
        ) == (type(staged)(staged.name, schema, 3))
        tree = exp.select(*map(column, schema.names)).from_(table(staged.name)).order_by(column("id"))
        found = warehouse.query(tree).read_all()
        assert found.column("id").to_pylist() == [1, 2, 3]
        assert found.column(1).to_pylist() == [Decimal(5), Decimal("-0.5"), None]
        # NULL is not true.
        left = warehouse.discard(staged, exp.GT(this=price, expression=exp.Literal.number(0)))
        assert left.rows == 2
        left = warehouse.discard(left, exp.Is(this=column("doc"), expression=exp.null()))
        assert warehouse.commit(Change(left, "swap")) == 1
        with pytest.raises(LoadError):
            warehouse.discard(left, exp.true())

    def test_the_last_of_equal_keys_still_counts(self, warehouse: Warehouse) -> None:
        parts = [{"id": number % 5, "note": str(number)} for number in range(10_000)]
        staged = stage(warehouse, parts)
        condition = exp.In(this=column("note"), expressions=[exp.Literal.string(str(n)) for n in range(9_993, 10_000)])
        staged = warehouse.discard(staged, condition)
        assert staged.rows == 9_993
        assert warehouse.commit(Change(staged, "merge", ("id",))) == 5
        assert pairs(warehouse) == [(0, "9990"), (1, "9991"), (2, "9992"), (3, "9988"), (4, "9989")]

    def test_a_wrong_condition_discards_nothing(self, warehouse: Warehouse) -> None:
        load(warehouse, rows((1, "a")))
        staged = stage(warehouse, rows((2, "b")), run="r2")
        with pytest.raises(WarehouseError):
            warehouse.discard(staged, exp.EQ(this=column("absent"), expression=exp.Literal.number(1)))
        with pytest.raises(LoadError):
            warehouse.discard(type(staged)("orders", ORDERS, 1), exp.true())
        assert warehouse.commit(Change(staged, "append")) == 2


class TestBounds:
    def test_the_greatest_and_least_values_fit(self, warehouse: Warehouse, home: str) -> None:
        assert set(warehouse.bounds) <= {"DATE", "DATETIME", "TIMESTAMP", "NUMERIC", "BIGNUMERIC"}
        assert ("DATE" in warehouse.bounds) == differs(home, "no infinite times")
        kinds: list[Any] = sorted(warehouse.bounds)
        schema = TableSchema("bounds", (Column("id", "INT64"), *(Column(kind, kind) for kind in kinds)))
        ends = [{kind: warehouse.bounds[kind][end] for kind in kinds} for end in (0, 1)]
        for row in ends:
            if "TIMESTAMP" in row:
                row["TIMESTAMP"] = row["TIMESTAMP"].replace(tzinfo=UTC)
        load(warehouse, [{"id": number, **row} for number, row in enumerate(ends)], schema)
        assert pairs(warehouse, "bounds") == [(number, *row.values()) for number, row in enumerate(ends)]
