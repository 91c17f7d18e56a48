"""Parts of MySQL tables: every row is in exactly one, whatever the key, and estimates cost no scan."""

import json
from itertools import chain

import pytest

from b2brecs.etl import parts as planning
from b2brecs.sources import Part, Since, mysql_bounds
from tests.sources.mysql_server import database, guest, opened, rows, run

COUNT = 5000
# Key → its type, the value of row n as SQL, and the kind of the range.
KEYS: dict[str, tuple[str, str, str]] = {
    "int": ("int", "n * 7 - 9000", "INT64"),
    "smallint": ("smallint", "n - 2500", "INT64"),
    "unsigned": ("int unsigned", "n + 4294960000", "INT64"),
    "bigint": ("bigint", "n * 1000000007 * 1000 - 9007199254740993", "INT64"),
    "big unsigned": ("bigint unsigned", "n + 18446744073709546615", "NUMERIC"),
    "decimal": ("decimal(20,4)", "n / 7 - 300", "NUMERIC"),
    "date": ("date", "'1900-01-01' + INTERVAL n DAY", "DATE"),
    "datetime": ("datetime(6)", "'2024-01-01' + INTERVAL n * 1234567 MICROSECOND", "DATETIME"),
    "timestamp": ("timestamp(3) NULL", "'2024-01-01' + INTERVAL n HOUR", "TIMESTAMP"),
    "text": ("varchar(40)", "MD5(n)", "STRING"),
    "accented": ("varchar(40)", "CONCAT(ELT(1 + n % 6, 'a', 'Ä', 'z', 'É', '😀', ' '), CHAR(65 + n % 57), n)", "STRING"),
    "latin": ("varchar(40) CHARACTER SET latin1", "CONCAT(ELT(1 + n % 4, 'é', 'E', '~', 'ß'), n)", "STRING"),
    "bytewise": ("varchar(40) COLLATE utf8mb4_bin", "CONCAT(ELT(1 + n % 4, 'é', 'E', 'a\\\\', 'a'''), n)", "STRING"),
    "few": ("varchar(10)", "ELT(1 + n % 3, 'DE', 'AT', 'CH')", "STRING"),
    "uuid": ("uuid", "UUID()", "STRING"),
}  # fmt: skip


@pytest.fixture(scope="module")
def keyed(mariadb):
    with database(mariadb, "keyed") as server:
        for name, (kind, value, _) in KEYS.items():
            run(
                server,
                f"CREATE TABLE `{name}` (n int, k {kind}, INDEX (k))",
                f"INSERT INTO `{name}` SELECT n, {value} FROM (SELECT CAST(seq AS SIGNED) AS n FROM seq_1_to_{COUNT}) AS numbers",
                f"INSERT INTO `{name}` VALUES (0, NULL), (-1, NULL)",
                f"ANALYZE TABLE `{name}`",
            )
        yield server


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(planning, "LEAST_ROWS", 1)


def numbers(source, schema, part):
    return [row["n"] for row in rows(source, schema, part)]


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("count", [2, 7])
def test_parts_hold_every_row_once(keyed, small_parts, name, count):
    source = opened(keyed)
    schema = source.schema(name)
    since = Since("k", None)
    found = source.key_range(schema, since, count)
    assert found is not None
    assert (found.column, found.kind, found.nullable) == ("k", KEYS[name][2], True)
    parts = planning.cut(found, count, since=since)
    assert len(parts) == (count if name != "few" else min(count, 3))
    read = [numbers(source, schema, part) for part in parts]
    assert sorted(chain(*read)) == list(range(-1, COUNT + 1))
    assert sum(bool(part) for part in read) == len(parts)
    if name != "few":
        assert max(map(len, read)) < 2.5 * COUNT / count


@pytest.mark.parametrize("name", KEYS)
def test_a_read_since_a_value_begins_at_it_and_keeps_nulls(keyed, small_parts, name):
    source = opened(keyed)
    schema = source.schema(name)
    found = source.key_range(schema, Since("k", None), 4)
    assert found is not None
    low = found.bounds[2] if len(found.bounds) > 2 else found.bounds[1]
    since = Since("k", low)
    whole = sorted(numbers(source, schema, Part(since)))
    assert whole[:2] == [-1, 0]
    below = numbers(source, schema, Part(column="k", high=low))
    assert not set(below) & set(whole)
    assert len(below) + len(whole) == COUNT + 2
    again = source.key_range(schema, since, 3)
    parts = planning.cut(again, 3, since=since) if again is not None else (Part(since),)
    assert sorted(chain(*(numbers(source, schema, part) for part in parts))) == whole


def test_a_watermark_that_a_load_wrote_finds_its_row(keyed):
    source = opened(keyed)
    for name, (_, _, kind) in KEYS.items():
        schema = source.schema(name)
        greatest = next(row["k"] for row in rows(source, schema) if row["n"] == COUNT)
        value = greatest.isoformat() if hasattr(greatest, "isoformat") else greatest
        low = json.dumps(str(value) if kind in ("NUMERIC", "STRING") else value)
        assert COUNT in numbers(source, schema, Part(Since("k", low))), name


# What is chosen


@pytest.fixture(scope="module")
def chosen(mariadb):
    with database(mariadb, "chosen") as server:
        run(
            server,
            "CREATE TABLE plain (id int PRIMARY KEY, at datetime, INDEX (at))",
            "CREATE TABLE unindexed (id int PRIMARY KEY, at datetime)",
            "CREATE TABLE composite (a int, b int, PRIMARY KEY (b, a))",
            "CREATE TABLE keyless (a int, b datetime)",
            "CREATE TABLE indexed (a int, b bigint NOT NULL, c int, INDEX (a), UNIQUE (b, c), INDEX (c))",
            "CREATE TABLE prefixed (a varchar(300), b text, PRIMARY KEY (a(10)), INDEX (b(10)))",
            "CREATE TABLE enums (a enum('z','a') PRIMARY KEY)",
            "CREATE TABLE floats (a double PRIMARY KEY)",
            "CREATE TABLE bytes (a binary(16) PRIMARY KEY)",
            "CREATE TABLE zero (a date NOT NULL, INDEX (a))",
        )
        for name, values in {
            "plain": "seq, '2024-01-01' + INTERVAL seq HOUR", "unindexed": "seq, '2024-01-01'", "composite": "seq, seq",
            "keyless": "seq, '2024-01-01'", "indexed": "seq, seq, seq", "prefixed": "MD5(seq), ''",
            "floats": "seq", "bytes": "UNHEX(MD5(seq))", "zero": "IF(seq < 9, '0000-00-00', '2024-01-01' + INTERVAL seq DAY)",
        }.items():  # fmt: skip
            run(server, f"INSERT INTO {name} SELECT {values} FROM seq_1_to_1000", f"ANALYZE TABLE {name}")
        run(server, "INSERT INTO enums VALUES ('z'), ('a')")
        yield server


LATE = Since("at", '"2024-02-01T00:00:00"')
CHOICES = [
    ("plain", None, "id"), ("plain", Since("at", None), "id"), ("plain", LATE, "at"), ("unindexed", LATE, "id"),
    ("composite", None, "b"), ("keyless", None, None), ("keyless", Since("b", None), None), ("indexed", None, "b"),
    ("prefixed", None, None), ("enums", None, None), ("floats", None, None), ("bytes", None, None), ("zero", None, "a"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "since", "column"), CHOICES)
def test_a_column_with_an_index_is_cut(chosen, table, since, column):
    source = opened(chosen)
    found = source.key_range(source.schema(table), since, 4)
    assert (found and found.column) == column


def test_bounds_are_the_least_and_the_greatest(chosen):
    source = opened(chosen)
    assert source.key_range(source.schema("plain"), None, 4).bounds == ("1", "1000")
    late = source.key_range(source.schema("plain"), LATE, 4)
    assert late.bounds == ('"2024-02-01T00:00:00"', '"2024-02-11T16:00:00"')
    assert 100 < late.rows < 500
    # Zero dates are no bound, and still are in a part.
    assert source.key_range(source.schema("zero"), None, 2).bounds == ('"2024-01-10"', '"2026-09-27"')
    refused: list = []
    whole = rows(source, source.schema("zero"), Part(column="a", high='"2025-01-01"'), refused.append)
    assert (len(refused), len(whole) > 300) == (8, True)


@pytest.mark.parametrize(("table", "name", "since"), [
    ("plain", "id", None), ("plain", "at", LATE), ("plain", "id", LATE), ("indexed", "a", None), ("zero", "a", None),
])  # fmt: skip
def test_the_ends_are_known_without_reading_rows(chosen, table, name, since):
    native = opened(chosen)._native(table)
    query = mysql_bounds.ends_query(native, native.column(name), since).sql("mysql")
    assert "Select tables optimized away" in run(chosen, f"EXPLAIN {query}")[0]


def test_an_empty_table_is_not_cut(chosen):
    run(chosen, "CREATE TABLE nothing (id int PRIMARY KEY)")
    source = opened(chosen)
    assert source.key_range(source.schema("nothing"), None, 4) is None
    assert source.estimate("nothing") == 0


def test_estimates_are_of_the_right_size(chosen):
    source = opened(chosen)
    assert 900 <= source.estimate("plain") <= 1100
    assert 100 <= source.estimate("plain", LATE) <= 500
    assert source.estimate("plain", Since("at", '"2030-01-01T00:00:00"')) <= 2
    assert source.estimate("plain", Since("at", None)) == source.estimate("plain")


def test_an_estimate_of_a_view_needs_no_right_to_explain_it(chosen):
    run(chosen, "CREATE VIEW seen AS SELECT * FROM plain")
    assert 900 <= opened(chosen).estimate("seen") <= 1100
    with guest(chosen, "viewer", "GRANT SELECT ON chosen.seen TO viewer") as server:
        assert opened(server).estimate("seen") is None
        assert len(rows(opened(server), opened(server).schema("seen"))) == 1000


def test_a_sample_of_texts_is_small_and_cuts_evenly(chosen):
    run(chosen, "CREATE TABLE codes (code varchar(40) PRIMARY KEY)",
        "INSERT INTO codes SELECT MD5(seq) FROM seq_1_to_60000", "ANALYZE TABLE codes")  # fmt: skip
    source = opened(chosen)
    schema = source.schema("codes")
    found = source.key_range(schema, None, 6)
    assert len(found.bounds) == 7
    lows = [None, *found.bounds[1:-1]]
    counts = [
        len(rows(source, schema, Part(None, "code", low, high, nulls=low is None)))
        for low, high in zip(lows, [*found.bounds[1:-1], None], strict=True)
    ]
    assert sum(counts) == 60_000
    assert max(counts) < 2 * 10_000
