"""What only the DuckDB warehouse promises: one file, one process, and no half commit after a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from b2brecs.backends.local.duckdb import DuckDBWarehouse
from b2brecs.backends.protocols import Change, LoadState
from b2brecs.errors import LoadError, WarehouseError
from b2brecs.types import Column, TableSchema
from tests.conformance.rows import ORDERS, everything, load, pairs, stage, table

ROOT = Path(__file__).parents[3]
OLD = [(1, "a"), (2, "b")]
NEW: dict[str, list[tuple[Any, ...]]] = {
    "swap": [(2, "B"), (3, "c")],
    "append": [(1, "a"), (2, "B"), (2, "b"), (3, "c")],
    "merge": [(1, "a"), (2, "B"), (3, "c")],
    "replace": [(1, "a"), (2, "B"), (3, "c")],
    "refresh": [(1, "a"), (2, "B"), (3, "c")],
}
# Kills itself while staging, before the n-th statement of the commit, before its end, or after it.
DYING = """
import os, signal, sys
from b2brecs.backends.local.duckdb import DuckDBWarehouse
from b2brecs.backends.local.duckdb_commit import Tables
from b2brecs.backends.local.duckdb_file import DuckDBFile
from b2brecs.backends.protocols import Change, LoadState
from b2brecs.types import TableSchema
from tests.conformance.rows import ORDERS, batches, stage

path, mode, point = sys.argv[1:]
rows = [{"id": 2, "note": "B"}, {"id": 3, "note": "c"}]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def source():
    yield from batches(ORDERS, rows)
    die()

counter, run, count = 0, DuckDBFile.run, Tables.count

def counted(self, *arguments):
    global counter
    if point.isdigit() and counter >= int(point):
        die()
    counter += 1
    return run(self, *arguments)

def last(self, *arguments):
    found = count(self, *arguments)
    print(counter, flush=True)
    die()

warehouse = DuckDBWarehouse(path)
staged = warehouse.stage(ORDERS, "r2", source()) if point == "staging" else stage(warehouse, rows, run="r2")
low = "2" if mode == "refresh" else None
second = stage(warehouse, rows, TableSchema("log", ORDERS.columns), "r2")
changes = [Change(staged, mode, ("id",), low=low), Change(second, "append")]
DuckDBFile.run = counted
if point == "before the end":
    Tables.count = last
warehouse.commit(changes, state=LoadState("k", "2", "r2"), expect="r1")
die()
"""


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )


def seed(path: Path) -> None:
    warehouse = DuckDBWarehouse(path)
    load(warehouse, [{"id": 1, "note": "a"}, {"id": 2, "note": "b"}], state=LoadState("k", "1", "r1"))
    warehouse.close()


def kill_and_check(path: Path, mode: Any, point: str) -> str:
    seed(path)
    died = run(DYING, str(path), mode, point)
    assert died.returncode == -signal.SIGKILL, died.stderr

    warehouse = DuckDBWarehouse(path)
    state = warehouse.state("k")
    assert state is not None
    expected = ("r2", NEW[mode], ["log", "orders"]) if point == "after" else ("r1", OLD, ["orders"])
    assert (state.run, sorted(pairs(warehouse)), warehouse.tables()) == expected

    rows = [{"id": 2, "note": "B"}, {"id": 3, "note": "c"}]
    low = "2" if mode == "refresh" else None
    second = stage(warehouse, rows, TableSchema("log", ORDERS.columns), "r2")
    changes = [Change(stage(warehouse, rows, run="r2"), mode, ("id",), low=low), Change(second, "append")]
    warehouse.commit(changes, state=LoadState("k", "2", "r2"), expect="r1")
    assert sorted(pairs(warehouse)) == NEW[mode]
    assert pairs(warehouse, "log") == [(2, "B"), (3, "c")]
    assert warehouse.state("k") == LoadState("k", "2", "r2")
    warehouse.close()
    return died.stdout


@pytest.mark.parametrize("mode", ["swap", "append", "merge", "replace", "refresh"])
@pytest.mark.parametrize("point", ["staging", "before the end", "after"])
def test_a_killed_load_leaves_old_or_new_and_runs_again(tmp_path: Path, mode: Any, point: str) -> None:
    kill_and_check(tmp_path / "w.duckdb", mode, point)


def test_a_commit_killed_before_one_of_its_statements_leaves_the_old(tmp_path: Path) -> None:
    statements = int(kill_and_check(tmp_path / "count.duckdb", "merge", "before the end"))
    assert statements > 5
    for number in range(0, statements, 4):
        kill_and_check(tmp_path / f"{number}.duckdb", "merge", str(number))


def test_rows_staged_by_a_dead_process_are_swept(tmp_path: Path) -> None:
    path = str(tmp_path / "w.duckdb")
    script = """
import sys
from b2brecs.backends.local.duckdb import DuckDBWarehouse
warehouse = DuckDBWarehouse(sys.argv[1])
with warehouse._file.cursor() as cursor:
    print(sorted(warehouse._file.names(cursor)))
"""
    assert run(script, path).stdout.strip() == "[]"
    warehouse = DuckDBWarehouse(path)
    load(warehouse, [{"id": 1}])
    stage(warehouse, [{"id": 2}], run="r2")
    warehouse.close()
    warehouse.tables()
    with warehouse._file.cursor() as cursor:
        assert len(warehouse._file.names(cursor)) == 2
    warehouse.close()
    assert run(script, path).stdout.strip() == "['orders']"


def test_a_second_process_is_told_who_holds_the_file(tmp_path: Path) -> None:
    seed(tmp_path / "w.duckdb")
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    warehouse.tables()
    script = """
import os, sys
from b2brecs.backends.local.duckdb import DuckDBWarehouse
from b2brecs.errors import WarehouseError
try:
    DuckDBWarehouse(sys.argv[1]).tables()
except WarehouseError as error:
    print(os.getppid(), error)
"""
    other = run(script, str(tmp_path / "w.duckdb"))
    holder, _, message = other.stdout.partition(" ")
    assert f"open in process {holder}" in message, other.stderr
    assert "ws.close()" in message
    assert "duckdb.org" not in message
    warehouse.close()
    assert run(script, str(tmp_path / "w.duckdb")).stdout == ""


def test_nothing_is_opened_before_it_is_used(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "new" / "w.duckdb")
    assert list(tmp_path.iterdir()) == []
    assert warehouse.tables() == []
    assert (tmp_path / "new" / "w.duckdb").is_file()
    warehouse.close()


def test_close_gives_the_file_back_also_while_a_result_is_read(tmp_path: Path) -> None:
    seed(tmp_path / "w.duckdb")
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    reader = warehouse.query(everything("orders"))
    warehouse.close()
    assert run("import duckdb, sys; duckdb.connect(sys.argv[1])", str(tmp_path / "w.duckdb")).returncode == 0
    del reader
    assert pairs(warehouse) == OLD
    warehouse.close()


def test_a_stream_may_stay_open_during_a_commit(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    load(warehouse, [{"id": number} for number in range(200_000)])
    reader = warehouse.query(everything("orders"))
    seen = reader.read_next_batch().num_rows
    assert load(warehouse, [{"id": 1, "note": "new"}], run="r2") == 1
    assert seen + sum(batch.num_rows for batch in reader) == 200_000
    assert pairs(warehouse) == [(1, "new")]
    warehouse.close()


def test_a_query_may_feed_a_stage(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    load(warehouse, [{"id": number, "note": "x"} for number in range(150_000)])
    staged = warehouse.stage(TableSchema("copy", ORDERS.columns), "r2", warehouse.query(everything("orders")))
    assert warehouse.commit(Change(staged, "swap")) == 150_000
    warehouse.close()


def test_an_error_in_the_middle_of_a_stream_is_ours(tmp_path: Path) -> None:
    from sqlglot import exp

    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    rows = [{"id": number, "note": "1"} for number in range(150_000)] + [{"id": 150_000, "note": "not a number"}]
    load(warehouse, rows)
    tree = exp.select(exp.cast(exp.column("note"), "INT")).from_(table("orders"))
    with pytest.raises(WarehouseError, match="not a number"):
        for _batch in warehouse.query(tree):
            pass
    warehouse.close()


@pytest.mark.parametrize("path", [":memory:", "Größe 😀 'x'/w.duckdb"])
def test_paths_are_data(tmp_path: Path, path: str) -> None:
    warehouse = DuckDBWarehouse(path if path == ":memory:" else tmp_path / path)
    load(warehouse, [{"id": 1, "note": "a"}])
    assert pairs(warehouse) == [(1, "a")]
    warehouse.close()


def test_two_objects_of_one_process_share_the_file(tmp_path: Path) -> None:
    first, second = DuckDBWarehouse(tmp_path / "w.duckdb"), DuckDBWarehouse(tmp_path / "w.duckdb")
    load(first, [], state=LoadState("k", None, "r0"))
    staged = stage(first, [{"id": 1, "note": "a"}], run="r1")
    assert second.tables() == ["orders"]
    start, outcomes = threading.Barrier(2), []
    others = {first: staged, second: stage(second, [{"id": 2, "note": "b"}], run="r2")}

    def commit(warehouse: DuckDBWarehouse, name: str) -> None:
        start.wait()
        try:
            warehouse.commit(Change(others[warehouse], "append"), state=LoadState("k", None, name), expect="r0")
            outcomes.append(name)
        except LoadError:
            outcomes.append("")

    threads = [threading.Thread(target=commit, args=pair) for pair in ((first, "r1"), (second, "r2"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([name for name in outcomes if name]) == 1
    assert len(pairs(first)) == 1
    first.close()
    second.close()


@pytest.mark.parametrize("content", [b"this is not a database", b"PK\x03\x04" * 5000])
def test_another_file_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.duckdb"
    path.write_bytes(content)
    with pytest.raises(WarehouseError, match="cannot be opened"):
        DuckDBWarehouse(path).tables()
    assert path.read_bytes() == content


def test_files_and_python_variables_are_not_tables(tmp_path: Path) -> None:
    path = tmp_path / "secret.csv"
    path.write_text("a\n1\n")
    orders_in_python = {"a": [1]}
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    for name in (str(path), "orders_in_python"):
        with pytest.raises(WarehouseError):
            warehouse.query(everything(name))
    assert orders_in_python
    warehouse.close()


def test_big_numerics_are_kept_exactly_or_refused(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    schema = TableSchema("big", (Column("id", "INT64"), Column("v", "BIGNUMERIC")))
    value = Decimal("1234567890123456789.1234567890123456789")
    load(warehouse, [{"id": 1, "v": value}], schema)
    assert pairs(warehouse, "big") == [(1, value)]
    assert warehouse.schema("big").columns == schema.columns
    with pytest.raises(WarehouseError):
        load(warehouse, [{"id": 1, "v": Decimal("1e-20")}], schema)
    warehouse.close()


def test_a_bare_numeric_in_a_query_is_the_warehouses(tmp_path: Path) -> None:
    from sqlglot import exp, parse_one

    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    tree = parse_one("SELECT CAST('123456789012345678901.123456789' AS NUMERIC) AS x", read="bigquery")
    assert isinstance(tree, exp.Select)
    assert warehouse.query(tree).read_all().to_pylist() == [{"x": Decimal("123456789012345678901.123456789")}]
    warehouse.close()


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    script = """
import json, sys
from pathlib import Path
import pyarrow as pa
import pyarrow.compute as pc
from b2brecs.backends.local.duckdb import DuckDBWarehouse
from b2brecs.backends.protocols import Change
from b2brecs.types import Column, TableSchema
from tests.conformance.rows import everything

warehouse = DuckDBWarehouse(sys.argv[1], memory="150MB")
schema = TableSchema("t", (Column("id", "INT64"), Column("text", "STRING")))
def source(total, size=20_000):
    for start in range(0, total, size):
        ids = pa.array(range(start, start + size), pa.int64())
        yield pa.record_batch({"id": ids, "text": pc.utf8_lpad(pc.multiply(ids, 7919).cast(pa.string()), 40, "0")})
def peak():  # not ru_maxrss, which begins at what the parent process used
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024
peaks = []
for total in (400_000, 5_000_000):
    change = Change(warehouse.stage(schema, "r", source(total)), "swap")
    assert warehouse.differs(change)
    assert warehouse.commit(change) == total
    assert not warehouse.differs(Change(warehouse.stage(schema, "r", source(total)), "swap"))
    assert sum(batch.num_rows for batch in warehouse.query(everything("t"))) == total
    peaks.append(peak())
print(json.dumps(peaks))
"""
    done = run(script, str(tmp_path / "w.duckdb"))
    assert done.returncode == 0, done.stderr
    _small, large = json.loads(done.stdout)
    # More than four and a half million more rows are more than 200 MB of text.
    assert large < 600, large
