"""PostgreSQL: a table cut into parts gives every row exactly once, and all parts the same moment."""

import contextlib
import dataclasses
import json
import threading

import pytest

from b2brecs.etl.parts import cut
from b2brecs.sources import Part, Since
from b2brecs.sources import postgres_bounds as bounds_module
from b2brecs.types import Column, TableSchema
from tests.sources.postgres_tools import connect, database, execute, opened, quoted

ROWS = 20_000
# Type of the key → its value for n; skewed, with gaps, with equal values where there is no primary key.
KEYS = {
    "int2": "(n % 30000)::int2",
    "int4": "n * n",
    "int8": "(n::int8 * n - 100000) * 1000",
    "numeric(20,4)": "(n * n / 7.0)::numeric(20, 4)",
    "numeric": "CASE n % 100 WHEN 0 THEN 'NaN' ELSE n / 3.0 END",
    "date": "CASE n % 100 WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity' WHEN 2 THEN '0044-03-15 BC' ELSE date '2020-01-01' + n % 2000 END",
    "timestamp": "CASE n % 1000 WHEN 0 THEN 'infinity' ELSE timestamp '2020-01-01' + n * n * interval '1 millisecond' END",
    "timestamptz": "CASE n % 1000 WHEN 0 THEN '-infinity' ELSE timestamptz '2020-01-01Z' + n * interval '1 minute' END",
    "text": "CASE n % 4 WHEN 0 THEN 'Ä' WHEN 1 THEN E'\\'\"\\\\ ' WHEN 2 THEN '' ELSE 'b👍' END || md5(n::text)",
    "varchar(40)": "chr(65 + n % 50) || md5(n::text)",
    "char(40)": "md5(n::text)",
    "uuid": "md5(n::text)::uuid",
}


@pytest.fixture(scope="module")
def server(postgres):
    statements = []
    for kind, value in KEYS.items():
        statements += [
            f"CREATE TABLE {quoted(kind)} (n int, key {kind})",
            f"INSERT INTO {quoted(kind)} SELECT n, CASE WHEN n % 97 = 0 THEN NULL ELSE ({value})::{kind} END FROM generate_series(1, {ROWS}) n",
            f"CREATE INDEX ON {quoted(kind)} (key)",
        ]
    with database(postgres, "parts", *statements, "ANALYZE") as made:
        yield made


def read(source, schema, parts):
    return [n for part in parts for n in source.read(schema, part).read_all()["n"].to_pylist()]


@pytest.mark.parametrize("kind", KEYS)
def test_every_row_is_in_one_part(server, kind):
    source = opened(server)
    schema = source.schema(kind)
    found = source.key_range(schema, Since("key", None), 7)
    assert found is not None
    assert (found.column, found.nullable) == ("key", True)
    assert found.rows == ROWS
    assert len(found.bounds) == 8
    # The planner makes many parts of many rows only.
    parts = cut(dataclasses.replace(found, rows=10**9), 7)
    assert len(parts) == 7
    rows = read(source, schema, parts)
    assert sorted(rows) == list(range(1, ROWS + 1))
    # None of them has much more than its share.
    sizes = [source.read(schema, part).read_all().num_rows for part in parts]
    assert max(sizes) < 2 * ROWS / 7


def test_parts_and_a_watermark_hold_at_once(server):
    source = opened(server)
    schema = source.schema("int4")
    since = Since("key", str(10_000**2))
    found = source.key_range(schema, since, 4)
    assert found is not None
    assert 0 < found.rows < ROWS
    rows = read(source, schema, cut(dataclasses.replace(found, rows=10**9), 4, since=since))
    assert sorted(rows) == sorted({n for n in range(1, ROWS + 1) if n >= 10_000 or n % 97 == 0})


@pytest.fixture(scope="module")
def orders(server):
    execute(
        server,
        "CREATE TABLE orders (n int PRIMARY KEY, code text UNIQUE, at timestamptz, plain timestamptz, ratio float8, doc jsonb)",
        f"INSERT INTO orders SELECT n, 'c' || n, timestamptz '2024-01-01Z' + n * interval '1 s', now(), n, '1' FROM generate_series(1, {ROWS}) n",
        "CREATE INDEX ON orders (at)",
        "CREATE TABLE pair (a int, b int, n int, PRIMARY KEY (a, b))",
        "CREATE TABLE hollow (n int PRIMARY KEY)",
        "CREATE VIEW seen AS SELECT * FROM orders",
        "CREATE TABLE halves (n int PRIMARY KEY) PARTITION BY RANGE (n)",
        "CREATE TABLE half_1 PARTITION OF halves FOR VALUES FROM (0) TO (10000)",
        "CREATE TABLE half_2 PARTITION OF halves FOR VALUES FROM (10000) TO (100000)",
        f"INSERT INTO halves SELECT n FROM generate_series(1, {ROWS}) n",
        "ANALYZE",
    )
    return server


def test_the_key_is_cut_unless_a_watermark_narrows_the_read_down(orders):
    source = opened(orders)
    schema = source.schema("orders")

    def column(since):
        found = source.key_range(schema, since, 4)
        return found and found.column

    assert column(None) == "n"
    assert column(Since("at", None)) == "n"
    assert column(Since("at", '"2024-01-01T05:00:00+00:00"')) == "at"
    # Without an index it narrows nothing down.
    assert column(Since("plain", '"2024-01-01"')) == "n"
    assert column(Since("doc", '"1"')) == "n"


@pytest.mark.parametrize("table", ["pair", "hollow", "seen"])
def test_what_cannot_be_cut_is_read_in_one(orders, table):
    source = opened(orders)
    assert source.key_range(source.schema(table), None, 4) is None


def test_a_partitioned_table_is_cut_across_its_partitions(orders):
    source = opened(orders)
    schema = source.schema("halves")
    found = source.key_range(schema, None, 4)
    assert found is not None
    parts = cut(dataclasses.replace(found, rows=10**9), 4)
    assert sorted(read(source, schema, parts)) == list(range(1, ROWS + 1))


def test_a_large_table_is_sampled(orders, monkeypatch):
    monkeypatch.setattr(bounds_module, "_SAMPLED_PAGES", 40)
    source = opened(orders)
    schema = source.schema("orders")
    pages = execute(orders, "SELECT pg_relation_size('orders') / current_setting('block_size')::int")[0][0]
    assert pages > 100
    found = source.key_range(schema, None, 4)
    assert found is not None
    assert found.kind == "INT64"
    bounds = [int(bound) for bound in found.bounds]
    # Not all was looked at, and yet the shares are about even.
    assert bounds == sorted(bounds)
    for number, bound in enumerate(bounds):
        assert abs(bound - ROWS * number / 4) < ROWS / 5


def test_of_few_new_rows_the_index_knows_the_ends(orders):
    source = opened(orders)
    schema = source.schema("orders")
    low = '"2024-01-01T05:33:18+00:00"'
    found = source.key_range(schema, Since("at", low), 4)
    assert found is not None
    assert [json.loads(bound) for bound in found.bounds] == ["2024-01-01T05:33:18+00:00", "2024-01-01T05:33:20+00:00"]
    assert found.rows < 100


def test_the_key_need_not_be_among_the_columns(orders):
    source = opened(orders)
    table = TableSchema("orders", (Column("code", "STRING"),), ("n",))
    found = source.key_range(table, None, 4)
    assert found is not None
    codes = [
        code
        for part in cut(dataclasses.replace(found, rows=10**9), 4)
        for code in source.read(table, part).read_all()["code"].to_pylist()
    ]
    assert len(codes) == len(set(codes)) == ROWS


def test_bounds_beyond_a_small_type_do_no_harm(server):
    source = opened(server)
    schema = source.schema("int2")
    assert read(source, schema, [Part(column="key", low="-99999999999", high="99999999999", nulls=True)]) == list(
        range(1, ROWS + 1)
    )


def test_all_parts_see_one_moment_while_a_writer_works(server):
    execute(
        server,
        "CREATE TABLE busy AS SELECT n, n AS key FROM generate_series(1, 3000) n",
        "CREATE INDEX ON busy (key)",
    )
    source = opened(server)
    schema = source.schema("busy")
    parts = [Part(column="key", low=low, high=high) for low, high in ((None, "1000"), ("1000", "2000"), ("2000", None))]
    stop, wrote = threading.Event(), threading.Event()

    def write():
        # Rows move between the parts: their number stays, their keys do not.
        with contextlib.closing(connect(server, autocommit=True)) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                cursor.execute(
                    "WITH gone AS (DELETE FROM busy WHERE n % 2 = 0 RETURNING n, key) SELECT count(*) FROM gone"
                )
                cursor.execute("INSERT INTO busy SELECT n, 3001 - n FROM generate_series(2, 3000, 2) n")
                cursor.execute("UPDATE busy SET key = key + 100000 WHERE n % 2 = 0")
                cursor.execute("DELETE FROM busy WHERE n % 2 = 0")
                cursor.execute("INSERT INTO busy SELECT n, n FROM generate_series(2, 3000, 2) n")
                wrote.set()

    writer = threading.Thread(target=write)
    with source.snapshot() as snapshot:
        assert snapshot is not None
        writer.start()
        try:
            assert wrote.wait(60)
            for _ in range(3):
                frozen = [dataclasses.replace(part, snapshot=snapshot) for part in parts]
                assert sorted(read(source, schema, frozen)) == list(range(1, 3001))
        finally:
            stop.set()
            writer.join()


def test_a_snapshot_is_patient(server):
    execute(server, "ALTER DATABASE parts SET idle_in_transaction_session_timeout = '100ms'")
    source = opened(server)
    schema = source.schema("int4")
    with source.snapshot() as snapshot:
        execute(server, "SELECT pg_sleep(0.5)")
        assert source.read(schema, Part(snapshot=snapshot)).read_all().num_rows == ROWS
    execute(server, "ALTER DATABASE parts RESET idle_in_transaction_session_timeout")


def test_parts_are_read_by_several_threads_of_one_source(server):
    source = opened(server)
    schema = source.schema("uuid")
    found = source.key_range(schema, Since("key", None), 4)
    assert found is not None
    rows: list[int] = []

    def work(part):
        rows.extend(source.read(schema, part).read_all()["n"].to_pylist())

    with source.snapshot() as snapshot:
        parts = cut(dataclasses.replace(found, rows=10**9), 4, snapshot=snapshot)
        threads = [threading.Thread(target=work, args=(part,)) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(rows) == list(range(1, ROWS + 1))
