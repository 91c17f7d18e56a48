"""What the loader promises of any source: strategies, policies, rejects, drift, files, exactly once."""

import datetime as dt
from decimal import Decimal

import pytest
from sqlglot import exp

from b2brecs import Column, EtlJob, TableSchema, Workspace, rules
from b2brecs.errors import LoadError, SourceError
from b2brecs.etl.run import run_job
from b2brecs.sources import open_source
from tests.etl.memory import TABLES, MemorySource, Table, connection

UTC = dt.UTC


@pytest.fixture
def ws(tmp_path):
    TABLES.clear()
    with Workspace.local(tmp_path / "home") as workspace:
        yield workspace


def run(ws, job, **options):
    return run_job(job, open_source(connection(), ws.home.secrets.get), ws.home.warehouse, **options)


def one(ws, job, **options):
    return run(ws, job, **options).tables[0]


def rows(ws, table, *columns):
    query = exp.select(*(exp.column(name, quoted=True) for name in columns)).from_(exp.to_table(table))
    found = ws.home.warehouse.query(query)
    return sorted((tuple(row.values()) for row in found.read_all().to_pylist()), key=repr)


def day(number):
    return dt.datetime(2024, 1, number, tzinfo=UTC)


ORDERS = TableSchema("orders", (Column("id", "INT64"), Column("v", "STRING"), Column("at", "TIMESTAMP")), ("id",))


def orders(*items):
    return [{"id": i, "v": v, "at": at} for i, v, at in items]


def keyed():
    return EtlJob("job", connection="memory").load("orders", watermark="at", primary_key="id")


def keyless(**more):
    return EtlJob("job", connection="memory").load("orders", watermark="at", **more)


def test_keyed_rows_replace_each_other_and_the_watermark_goes_along(ws):
    held = TABLES["orders"] = Table(ORDERS, orders((1, "a", day(1)), (2, "b", day(2)), (3, "c", None)))
    first = one(ws, keyed())
    assert (first.status, first.rows_read, first.rows_loaded) == ("completed", 3, 3)
    held.rows = orders((1, "A", day(3)), (2, "b", day(2)), (3, "C", None), (4, "d", day(2)))
    second = one(ws, keyed())
    assert second.rows_total == 4
    assert second.watermark_after == '"2024-01-03T00:00:00+00:00"'
    assert rows(ws, "orders", "id", "v") == [(1, "A"), (2, "b"), (3, "C"), (4, "d")]


@pytest.mark.parametrize("job", [keyed(), keyless(), EtlJob("job", connection="memory").load("orders")])
def test_an_unchanged_source_writes_nothing(ws, job):
    TABLES["orders"] = Table(ORDERS, orders((1, "a", day(1)), (2, "b", day(2)), (3, "b", day(2)), (4, None, None)))
    first = one(ws, job)
    state = ws.home.warehouse.state("job/orders")
    again = one(ws, job)
    assert (first.status, again.status, again.rows_loaded, again.rows_total) == ("completed", "unchanged", 0, 4)
    assert ws.home.warehouse.state("job/orders") == state


def test_without_a_key_what_stands_from_the_watermark_on_is_replaced(ws):
    held = TABLES["orders"] = Table(
        ORDERS, orders((1, "a", day(1)), (2, "b", day(2)), (2, "b", day(2)), (3, "n", None))
    )
    one(ws, keyless())
    held.rows += orders((2, "b", day(2)), (5, "e", day(5)), (3, "n", None))
    one(ws, keyless())
    assert rows(ws, "orders", "id") == [(1,), (2,), (2,), (2,), (3,), (3,), (5,)]
    # Reading further back is no reason to double.
    one(ws, keyless(lookback=dt.timedelta(days=4)))
    assert len(rows(ws, "orders", "id")) == 7


def test_without_a_key_a_table_of_somebody_else_is_left_alone(ws):
    TABLES["orders"] = Table(ORDERS, orders((1, "a", day(1))))
    one(ws, EtlJob("other", connection="memory").load("orders"))
    found = one(ws, keyless())
    assert found.status == "failed"
    assert "has not loaded it" in found.error
    assert rows(ws, "orders", "id") == [(1,)]


def test_a_watermark_does_not_pass_what_may_still_be_committed(ws):
    held = TABLES["orders"] = Table(
        ORDERS, orders((1, "a", day(1)), (3, "c", day(3))), safe='"2024-01-02T00:00:00+00:00"'
    )
    first = one(ws, keyed())
    assert (first.rows_loaded, first.watermark_after) == (2, held.safe)
    # Written on the second, committed only now.
    held.rows += orders((2, "late", dt.datetime(2024, 1, 2, 5, tzinfo=UTC)))
    held.safe = '"2024-02-01T00:00:00+00:00"'
    second = one(ws, keyed())
    assert (second.watermark_after, second.rows_total) == ('"2024-01-03T00:00:00+00:00"', 3)


def test_lookback_reads_late_rows_again(ws):
    held = TABLES["orders"] = Table(ORDERS, orders((1, "a", day(10))))
    job = EtlJob("job", connection="memory").load(
        "orders", watermark="at", primary_key="id", lookback=dt.timedelta(days=3)
    )
    one(ws, job)
    held.rows += orders((2, "late", day(8)), (3, "too late", day(1)))
    assert one(ws, job).rows_read == 2
    assert rows(ws, "orders", "id") == [(1,), (2,)]


def test_lookback_on_a_number_is_refused(ws):
    TABLES["orders"] = Table(ORDERS, orders((1, "a", day(10))))
    job = EtlJob("job", connection="memory").load(
        "orders", watermark="id", primary_key="id", lookback=dt.timedelta(days=1)
    )
    one(ws, job)
    assert "lookback is a time" in one(ws, job).error


def test_the_newest_of_rows_with_one_key_counts(ws):
    held = TABLES["orders"] = Table(
        TableSchema("orders", ORDERS.columns), orders((1, "new", day(9)), (1, "old", day(1)), (1, "older", None))
    )
    one(ws, keyed())
    assert rows(ws, "orders", "id", "v") == [(1, "new")]
    held.rows = orders((1, "newer", day(10)), (1, "new", day(9)))
    one(ws, keyed())
    assert rows(ws, "orders", "id", "v") == [(1, "newer")]


def test_large_tables_are_read_in_parts(ws):
    TABLES["orders"] = Table(ORDERS, orders(*((i, str(i), day(1 + i % 28)) for i in range(250_000))))
    job = EtlJob("job", connection="memory").load("orders").using("local", threshold=1000, parallel=3)
    found = one(ws, job)
    assert found.parts > 1
    assert len(TABLES["orders"].reads) == found.parts
    assert {part.snapshot for part in TABLES["orders"].reads} == {"moment"}
    assert rows(ws, "orders", "id") == sorted(((i,) for i in range(250_000)), key=repr)


# Rejects

PRICES = TableSchema("prices", (Column("id", "INT64"), Column("price", "NUMERIC")))


def prices(*values):
    return [{"id": i, "price": v} for i, v in enumerate(values)]


def test_what_does_not_fit_goes_to_the_rejects_with_a_reason(ws):
    TABLES["prices"] = Table(PRICES, prices("1.10", "NaN", None, "0.1234567891", "2"))
    job = EtlJob("job", connection="memory").load("prices")
    found = one(ws, job)
    assert (found.rows_read, found.rows_loaded, found.rows_rejected, found.rows_total) == (5, 3, 2, 3)
    assert rows(ws, "prices", "id", "price") == [(0, Decimal("1.100000000")), (2, None), (4, Decimal("2.000000000"))]
    rejected = rows(ws, "prices__rejects", "column", "reason", "row")
    assert [item[0] for item in rejected] == ["price", "price"]
    assert any("NaN" in item[1] for item in rejected)
    assert any("0.1234567891" in item[2] for item in rejected)
    # A catalog's rejects are those of its last load.
    assert one(ws, job).status == "unchanged"
    TABLES["prices"].rows = prices("1.10", "3")
    assert one(ws, job).rows_rejected == 0
    assert rows(ws, "prices__rejects", "column") == []


def test_rejects_that_are_read_again_are_kept_once(ws):
    TABLES["orders"] = Table(
        TableSchema("orders", (Column("id", "INT64"), Column("v", "NUMERIC"), Column("at", "TIMESTAMP")), ("id",)),
        orders((1, "1", day(1)), (2, "x", day(1))),
    )
    one(ws, keyed())
    TABLES["orders"].rows += orders((3, "y", day(1)))
    one(ws, keyed())
    assert len(rows(ws, "orders__rejects", "row")) == 2


@pytest.mark.parametrize(
    ("share", "bad", "status"), [(0.01, 10, "completed"), (0.01, 11, "failed"), (0, 1, "failed"), (1, 500, "completed")]
)
def test_too_many_rejects_fail_the_load(ws, share, bad, status):
    TABLES["prices"] = Table(PRICES, prices(*["1"] * 500, *["x"] * bad))
    found = one(ws, EtlJob("job", connection="memory").load("prices", max_rejects=share))
    assert found.status == status
    if status == "failed":
        assert "max_rejects" in found.error
        assert "'price'" in found.error
        assert ws.home.warehouse.tables() == []


def test_a_key_that_is_null_is_rejected(ws):
    TABLES["orders"] = Table(ORDERS, orders((1, "a", day(1)), (None, "b", day(1))))
    found = one(ws, keyed())
    assert (found.rows_loaded, found.rows_rejected) == (1, 1)


# Drift


def wide(*names):
    return TableSchema("orders", (Column("id", "INT64"), *(Column(name, "STRING") for name in names)), ("id",))


def test_new_columns_are_added_and_told(ws):
    held = TABLES["orders"] = Table(wide("a b"), [{"id": 1, "a b": "x"}])
    job = EtlJob("job", connection="memory").load("orders")
    one(ws, job)
    # A column that comes first must not take the name of one that is there.
    held.schema, held.rows = wide("a-b", "a b"), [{"id": 1, "a b": "x", "a-b": "y"}]
    found = one(ws, job)
    assert found.drift == ("column 'a-b' is new",)
    assert rows(ws, "orders", "id", "a_b", "a_b_2") == [(1, "x", "y")]


def test_a_lost_column_is_an_error_unless_it_is_to_be_ignored(ws):
    held = TABLES["orders"] = Table(wide("a", "b"), [{"id": 1, "a": "x", "b": "y"}])
    job = EtlJob("job", connection="memory").load("orders")
    one(ws, job)
    held.schema, held.rows = wide("a"), [{"id": 2, "a": "z"}]
    failed = one(ws, job)
    assert "has lost 'b'" in failed.error
    assert rows(ws, "orders", "id", "b") == [(1, "y")]
    ignoring = EtlJob("job", connection="memory").load("orders", on_drift="ignore")
    assert one(ws, ignoring).status == "completed"
    assert rows(ws, "orders", "id", "a", "b") == [(2, "z", None)]
    held.schema, held.rows = wide("a", "b", "c"), [{"id": 2, "a": "z", "b": "back", "c": "new"}]
    one(ws, ignoring)
    assert rows(ws, "orders", "id", "b") == [(2, "back")]
    assert "c" not in ws.table("orders")


def test_drift_may_be_an_error(ws):
    held = TABLES["orders"] = Table(wide("a"), [{"id": 1, "a": "x"}])
    job = EtlJob("job", connection="memory").load("orders", on_drift="fail")
    one(ws, job)
    held.schema = TableSchema("orders", (Column("id", "STRING"), Column("a", "STRING"), Column("n", "STRING")), ("id",))
    error = one(ws, job).error
    assert "'n' is new" in error
    assert "'id' was INT64 and is STRING" in error


# Files

EVENTS = TableSchema("events", (Column("id", "INT64"),))


def ids(*values):
    return [{"id": value} for value in values]


def test_of_three_files_the_changed_one_is_loaded_alone(ws):
    held = TABLES["events"] = Table(EVENTS, files={"a": ids(1, 2), "b": ids(3, 3), "c": ids(4)})
    job = EtlJob("job", connection="memory").load("events")
    first = one(ws, job)
    assert rows(ws, "events", "id", "_source_file") == [(1, "a"), (2, "a"), (3, "b"), (3, "b"), (4, "c")]
    assert [item.status for item in first.files] == ["loaded"] * 3
    held.reads.clear()
    assert one(ws, job).status == "unchanged"
    assert held.reads == []
    held.files["b"] = ids(3, 5)
    second = one(ws, job)
    assert [part.files for part in held.reads] == [("b",)]
    assert (second.rows_read, second.rows_total) == (2, 5)
    assert {item.name: item.status for item in second.files} == {"a": "unchanged", "b": "loaded", "c": "unchanged"}
    del held.files["a"]
    held.files["c"], held.files["d"] = [], ids(9)
    third = one(ws, job)
    assert rows(ws, "events", "id") == [(3,), (5,), (9,)]
    assert {item.name: item.status for item in third.files}["a"] == "removed"


def test_files_that_accumulate_keep_the_rows_of_a_file_that_is_gone(ws):
    schema = TableSchema("events", (Column("id", "INT64"), Column("at", "DATE")))
    held = TABLES["events"] = Table(schema, files={"a": [{"id": 1, "at": dt.date(2024, 5, 1)}]})
    job = EtlJob("job", connection="memory").load("events", watermark="at")
    one(ws, job)
    # Older than the watermark, yet new.
    held.files = {"b": [{"id": 2, "at": dt.date(2024, 4, 1)}]}
    one(ws, job)
    assert rows(ws, "events", "id") == [(1,), (2,)]


def test_a_broken_file_fails_the_load_or_is_left_out_and_tried_again(ws):
    held = TABLES["events"] = Table(EVENTS, files={"a": ids(1), "b": "broken"})
    strict = EtlJob("job", connection="memory").load("events")
    assert "b is broken" in one(ws, strict).error
    lenient = EtlJob("job", connection="memory").load("events", on_bad_file="skip")
    found = one(ws, lenient)
    assert (found.status, rows(ws, "events", "id")) == ("completed", [(1,)])
    assert {item.name: item.status for item in found.files} == {"a": "loaded", "b": "skipped"}
    held.files["b"] = ids(2)
    assert one(ws, lenient).rows_read == 1
    assert rows(ws, "events", "id") == [(1,), (2,)]


def test_other_settings_load_all_files_again(ws):
    TABLES["events"] = Table(EVENTS, files={"a": ids(1), "b": ids(2)})
    one(ws, EtlJob("job", connection="memory").load("events"))
    found = one(ws, EtlJob("job", connection="memory").load("events", types={"id": "STRING"}))
    assert found.rows_read == 2
    assert rows(ws, "events", "id") == [("1",), ("2",)]


# History, retries, stopping


def test_each_day_keeps_its_snapshot(ws):
    held = TABLES["orders"] = Table(wide("a"), [{"id": 1, "a": "x"}])
    job = EtlJob("job", connection="memory").load("orders", snapshot_history=True)
    one(ws, job)
    held.rows = [{"id": 1, "a": "y"}, {"id": 2, "a": "z"}]
    one(ws, job)
    today = dt.datetime.now(UTC).date()
    assert rows(ws, "orders__history", "id", "a", "_snapshot_date") == [(1, "y", today), (2, "z", today)]
    assert one(ws, job).status == "unchanged"


def test_a_fault_that_passes_is_tried_again(ws, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waits.append)
    held = TABLES["orders"] = Table(ORDERS, orders((1, "a", day(1))))
    held.fail = [SourceError("memory", "gone", transient=True)] * 2
    assert one(ws, keyed()).status == "completed"
    assert len(waits) == 2
    held.fail = [SourceError("memory", "wrong password")]
    assert one(ws, keyed()).status == "failed"
    assert len(waits) == 2


def test_stopping_leaves_the_table_as_it_was(ws):
    held = TABLES["orders"] = Table(ORDERS, orders((1, "a", day(1))))
    one(ws, keyed())
    held.rows = orders(*((i, "b", day(2)) for i in range(5000)))
    seen = []
    found = run(
        ws, keyed().load("orders", into="more"), on_progress=lambda *args: seen.append(args), stop=lambda: len(seen) > 3
    )
    assert [table.status for table in found.tables] == ["cancelled", "cancelled"]
    assert rows(ws, "orders", "v") == [("a",)]
    assert ws.home.warehouse.tables() == ["orders"]


def test_two_runs_at_once_do_not_both_win(ws):
    TABLES["orders"] = Table(ORDERS, orders((1, "a", day(1))))
    one(ws, keyed())
    TABLES["orders"].rows = orders((1, "b", day(2)))

    def meanwhile(stage, *_):
        if "reading" in stage and len(TABLES["orders"].reads) == 2:
            assert one(ws, keyed()).status == "completed"

    found = one(ws, keyed(), on_progress=meanwhile)
    assert (found.status, found.error_class) == ("failed", LoadError.__name__)
    assert rows(ws, "orders", "v") == [("b",)]


# Rules


def test_rules_fail_quarantine_or_warn(ws):
    held = TABLES["prices"] = Table(PRICES, prices("1", "-2", None, "4"))
    job = EtlJob("job", connection="memory").load("prices")
    loose = job.check(
        "prices", rules.Range("price", minimum=0, action="quarantine"), rules.NotNull("price", action="warn")
    )
    found = one(ws, loose)
    assert (found.rows_read, found.rows_loaded, found.rows_rejected) == (4, 3, 1)
    assert [(item.passed, item.rows) for item in found.checks] == [(False, 1), (False, 1)]
    assert rows(ws, "prices__rejects", "column", "reason") == [("price", "breaks: price is at least 0")]
    held.rows = prices("1", None, "5")
    strict = one(ws, job.check("prices", rules.NotNull("price"), rules.RowCount(minimum=4)))
    assert strict.status == "failed"
    assert strict.error_stage == "checks"
    assert "price is not NULL" in strict.error
    assert "at least 4" in strict.error
    assert len(rows(ws, "prices", "id")) == 3


def test_a_column_that_a_sample_missed_is_read_all_the_same(ws, monkeypatch):
    monkeypatch.setattr(MemorySource, "SAMPLED", True)
    monkeypatch.setattr(MemorySource, "notes", lambda self, table: ("looked at 1 row",))
    held = TABLES["orders"] = Table(wide("a", "b"), [{"id": 1, "a": "x", "b": "y"}])
    job = EtlJob("job", connection="memory").load("orders")
    assert one(ws, job).notes == ("looked at 1 row",)
    held.schema, held.rows = wide("a", "c"), [{"id": 1, "a": "x", "b": "there", "c": "new"}]
    found = one(ws, job)
    assert found.drift == ("column 'c' is new",)
    assert rows(ws, "orders", "id", "b", "c") == [(1, "there", "new")]
