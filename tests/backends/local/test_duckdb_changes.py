"""What only DuckDB promises of changes: infinite times, files of the first version, a full disk, little memory."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from b2brecs.backends.local.duckdb import DuckDBWarehouse
from b2brecs.backends.local.duckdb_arrow import conform, fit
from b2brecs.backends.protocols import Change, LoadState
from b2brecs.errors import LoadError
from b2brecs.sql.arrow import arrow_schema, arrow_type
from b2brecs.types import Column, ColumnType, TableSchema
from tests.conformance.rows import ORDERS, everything, load, pairs, stage

ROOT = Path(__file__).parents[3]
DAY, MICRO = 2**31, 2**63
# Great and least, next to them, before Christ, and today.
DAYS = [DAY - 1, -DAY, DAY - 2, -DAY + 2, -1_000_000, None, 20_000]
MICROS = [MICRO - 1, -MICRO, MICRO - 2, -MICRO + 2, -99_000_000_000_000_000, None, 1_700_000_000_000_000]
TIMES: dict[ColumnType, list[int | None]] = {"DATE": DAYS, "DATETIME": MICROS, "TIMESTAMP": MICROS}


def numbers(array: Any) -> list[int | None]:
    plain = pa.int32() if pa.types.is_date32(array.type) else pa.int64()
    found: list[int | None] = array.combine_chunks().view(plain).to_pylist()
    return found


def timed(kind: ColumnType) -> tuple[TableSchema, pa.RecordBatch]:
    schema = TableSchema("times", (Column("id", "INT64"), Column("v", kind)))
    plain = pa.int32() if kind == "DATE" else pa.int64()
    values = pa.array(TIMES[kind], plain).view(arrow_type(kind))
    ids = pa.array(range(len(values)), pa.int64())
    return schema, pa.RecordBatch.from_arrays([ids, values], schema=arrow_schema(schema.columns))


@pytest.mark.parametrize("kind", TIMES)
def test_extreme_times_are_infinite_and_come_back(tmp_path: Path, kind: ColumnType) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    schema, batch = timed(kind)
    warehouse.commit(Change(warehouse.stage(schema, "r1", [batch]), "swap"))
    assert numbers(warehouse.query(everything("times", by="id")).read_all()["v"]) == TIMES[kind]
    with warehouse._file.cursor() as cursor:
        text = "SELECT v::VARCHAR, isinf(v) FROM times ORDER BY id"
        found = warehouse._file.run(cursor, text)
    assert found[:2] == [("infinity", True), ("-infinity", True)]
    assert [infinite for _text, infinite in found[2:]] == [False, False, False, None, False]
    assert "(BC)" in found[4][0]
    assert not warehouse.differs(Change(warehouse.stage(schema, "r2", [batch]), "swap"))
    # What is sorted as the greatest or least can be reached by a bound.
    refreshed = Change(warehouse.stage(schema, "r3", [batch.slice(0, 1)]), "refresh", ("v",), low='"infinity"')
    assert warehouse.commit(refreshed) == len(batch) - 1
    warehouse.close()


def test_what_databases_call_minus_infinity_stays_it() -> None:
    """PostgreSQL's own number of it is DuckDB's too, one above Arrow's least."""
    schema = pa.schema([("v", pa.timestamp("us"))])
    raw = pa.RecordBatch.from_arrays([pa.array([-MICRO + 1, 0], pa.int64()).view(pa.timestamp("us"))], schema=schema)
    assert conform(raw, schema).equals(raw)
    assert numbers(pa.chunked_array([fit(raw, schema).column(0)])) == [-MICRO, 0]


def test_extreme_times_in_lists_come_back(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    schema = TableSchema("times", (Column("id", "INT64"), Column("v", "ARRAY<DATE>")))
    kind = arrow_type("ARRAY<DATE>")
    flat = pa.array([5, -DAY, DAY - 1, None, -DAY], pa.int32()).view(pa.date32())
    offsets = pa.array([0, 1, 3, 3, 4, 5], pa.int32())
    lists = pa.ListArray.from_arrays(offsets, flat, type=kind, mask=pa.array([False, False, True, False, False]))
    batch = pa.RecordBatch.from_arrays([pa.array(range(5)), lists], schema=arrow_schema(schema.columns)).slice(1)
    warehouse.commit(Change(warehouse.stage(schema, "r1", [batch]), "swap"))
    found = warehouse.query(everything("times", by="id")).read_all()["v"].combine_chunks()
    assert found.is_null().to_pylist() == [False, True, False, False]
    assert numbers(pa.chunked_array([found.flatten()])) == [-DAY, DAY - 1, None, -DAY]
    warehouse.close()


def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    import duckdb

    old = duckdb.connect(str(tmp_path / "w.duckdb"))
    old.execute(
        'CREATE TABLE "_b2b_state" ("key" VARCHAR PRIMARY KEY, "watermark" VARCHAR, "run" VARCHAR NOT NULL, '
        '"rows" BIGINT NOT NULL)'
    )
    old.execute("""INSERT INTO "_b2b_state" VALUES ('k', '1', 'r1', 5), ('other', NULL, 'r0', 0)""")
    old.close()
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    assert warehouse.state("k") == LoadState("k", "1", "r1", 5)
    new = LoadState("k", "2", "r2", 6, '{"files": ["a"]}')
    load(warehouse, [{"id": 1, "note": "a"}], run="r2", state=new, expect="r1")
    assert warehouse.state("k") == new
    assert warehouse.state("other") == LoadState("other", None, "r0")
    warehouse.close()
    assert warehouse.state("k") == new
    warehouse.close()


def test_an_error_in_a_later_change_takes_the_earlier_back(tmp_path: Path) -> None:
    """The transaction is what keeps them together, not a look at all of them before."""
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    load(warehouse, [{"id": 1, "note": "a"}])
    load(warehouse, [], TableSchema("log", ORDERS.columns))
    first = Change(stage(warehouse, [{"id": 2, "note": "b"}], run="r2"), "swap")
    second = Change(stage(warehouse, [], TableSchema("Log", ORDERS.columns), "r2"), "append")
    with pytest.raises(LoadError, match="more than case"):
        warehouse.commit([first, second])
    assert pairs(warehouse) == [(1, "a")]
    assert warehouse.commit(first) == 1
    warehouse.close()


def test_differs_foretells_what_a_commit_does() -> None:
    """Small random tables, full of NULLs, duplicates and both zeros; the choices are the same each time."""
    schema = TableSchema("t", (Column("k", "STRING"), Column("n", "INT64"), Column("f", "FLOAT64")))
    chance = random.Random(20)
    warehouse = DuckDBWarehouse(":memory:")

    def some() -> list[dict[str, Any]]:
        values: tuple[list[Any], ...] = (["a", "b", None], [1, 2, None], [0.0, -0.0, float("nan"), None])
        return [
            {name: chance.choice(options) for name, options in zip(schema.names, values, strict=True)}
            for _ in range(chance.randrange(4))
        ]

    def content() -> Counter[str]:
        return Counter(map(repr, pairs_of(warehouse)))

    outcomes: Counter[tuple[str, bool]] = Counter()
    for _ in range(200):
        before = some()
        load(warehouse, before, schema)
        new = some() if chance.random() < 0.5 else chance.sample(before, chance.randrange(len(before) + 1))
        mode, more = chance.choice(WAYS)
        change = Change(stage(warehouse, new, schema, "r2"), mode, **more)
        old, foretold = content(), warehouse.differs(change)
        warehouse.commit(change)
        assert foretold == (content() != old), (change, before, new)
        outcomes[mode, foretold] += 1
    assert all(
        outcomes[mode, foretold]
        for mode in ("swap", "append", "merge", "replace", "refresh")
        for foretold in (True, False)
    )
    warehouse.close()


WAYS: list[tuple[Any, dict[str, Any]]] = [
    ("swap", {}), ("append", {}), ("merge", {"keys": ("k",)}), ("merge", {"keys": ("f", "n")}),
    ("replace", {"keys": ("k",)}), ("replace", {"keys": ("k", "n"), "removed": ("a", "z")}),
    ("refresh", {"keys": ("n",)}), ("refresh", {"keys": ("k",), "low": '"b"'}),
    ("refresh", {"keys": ("f",), "low": "0.5"}), ("refresh", {"keys": ("f",), "low": "0"}),
]  # fmt: skip


def pairs_of(warehouse: DuckDBWarehouse) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in warehouse.query(everything("t")).read_all().to_pylist()]


# On a disk of 48 MB: rows that do not fit, then a commit for which nothing is left, then room again.
FULL = """
import os, sys
from pathlib import Path
import pyarrow as pa
from b2brecs.backends.local.duckdb import DuckDBWarehouse
from b2brecs.backends.protocols import Change, LoadState
from b2brecs.errors import WarehouseError
from tests.conformance.rows import ORDERS, everything, load, pairs

folder = Path(sys.argv[1])
warehouse = DuckDBWarehouse(folder / "w.duckdb", memory="100MB")
filler = folder / "filler"

def fill(size=None):
    with filler.open("wb", buffering=0) as file:
        try:
            while size is None or file.tell() < size:
                if file.write(bytes(4096)) < 4096:
                    break
        except OSError:
            pass

def source(total, size=20_000):
    for start in range(0, total, size):
        ids = pa.array(range(start, start + size), pa.int64())
        yield pa.record_batch([ids, [os.urandom(50).hex() for _ in range(size)]], schema=pa.schema(
            [pa.field("id", pa.int64(), nullable=False), ("note", pa.string())]))

def refused(act):
    try:
        act()
    except WarehouseError as error:
        assert type(error) is WarehouseError, type(error)
        assert "disk is full" in str(error), error
        assert f"in {folder}." in str(error), error
    else:
        raise AssertionError("it fitted")
    assert pairs(warehouse) == [(1, "a")]
    assert warehouse.state("k") == LoadState("k", "1", "r1")

load(warehouse, [{"id": 1, "note": "a"}], state=LoadState("k", "1", "r1"))
fill(20 * 2**20)
refused(lambda: warehouse.stage(ORDERS, "r2", source(1_000_000)))
filler.unlink()

staged = warehouse.stage(ORDERS, "r2", source(100_000))
change, state = Change(staged, "merge", ("id",)), LoadState("k", "2", "r2")
fill()
refused(lambda: warehouse.commit(change, state=state, expect="r1"))
warehouse.close()
assert pairs(warehouse) == [(1, "a")]
filler.unlink()

assert warehouse.commit(change, state=state, expect="r1") == 100_001 - 1
assert warehouse.state("k") == state
again = warehouse.stage(ORDERS, "r3", source(20_000))
assert warehouse.commit(Change(again, "swap"), state=LoadState("k", "3", "r3"), expect="r2") == 20_000
warehouse.close()
assert sum(batch.num_rows for batch in warehouse.query(everything("orders"))) == 20_000
warehouse.close()
print("done")
"""
MOUNT = [
    "unshare",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    'mount -t tmpfs -o size=48m tmpfs "$1" && shift && exec "$@"',
]


def small_disks() -> bool:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    return subprocess.run([*MOUNT, "sh", "/mnt", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not small_disks(), reason="no small disk can be mounted here")
def test_a_full_disk_is_named_and_leaves_the_old_table(tmp_path: Path) -> None:
    disk = tmp_path / "a small disk"
    disk.mkdir()
    command = [*MOUNT, "sh", str(disk), sys.executable, "-c", FULL, str(disk)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout == "done\n", done.stderr


def test_merging_takes_little_memory(tmp_path: Path) -> None:
    script = """
import json, sys
from pathlib import Path
import pyarrow as pa
import pyarrow.compute as pc
from b2brecs.backends.local.duckdb import DuckDBWarehouse
from b2brecs.backends.protocols import Change
from b2brecs.types import Column, TableSchema

warehouse = DuckDBWarehouse(sys.argv[1], memory="200MB")
schema = TableSchema("t", (Column("id", "INT64"), Column("text", "STRING")))
def source(total, size=20_000):
    for start in range(0, total, size):
        ids = pa.array(range(start, start + size), pa.int64())
        keys = pa.array([i * 7919 % (total // 2) for i in range(start, start + size)], pa.int64())
        yield pa.record_batch({"id": keys, "text": pc.utf8_lpad(ids.cast(pa.string()), 40, "0")})
total = 1_500_000
change = Change(warehouse.stage(schema, "r", source(total)), "merge", ("id",))
assert warehouse.commit(change) == total // 2
again = Change(warehouse.stage(schema, "r", source(total)), "merge", ("id",))
assert not warehouse.differs(again)
assert warehouse.commit(again) == total // 2
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "w.duckdb")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) < 600, done.stdout
