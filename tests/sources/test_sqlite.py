"""SQLite files: what is there, one moment, and refusals in words."""

import json
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace

import pytest

from b2brecs import Connection
from b2brecs.errors import NotFound, SourceError
from b2brecs.etl.cast import cast_batches
from b2brecs.sources import WHOLE, Part, Since, open_source
from b2brecs.types import Column


def opened(path):
    return open_source(Connection.of("till", "sqlite", path=str(path)), lambda _: "")


def write(path, *statements):
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(*statement) if isinstance(statement, tuple) else connection.executescript(statement)
        connection.commit()
    return path


def rows(source, schema, part=WHOLE, on_reject=None):
    return [
        row
        for batch in cast_batches(source.read(schema, part, on_reject=on_reject), schema, on_reject=on_reject)
        for row in batch.to_pylist()
    ]


@pytest.fixture
def shop(tmp_path):
    return write(
        tmp_path / "shop.db",
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(80) NOT NULL, active BOOLEAN, since DATE);"
        "CREATE TABLE lines (order_id INT, line INT, PRIMARY KEY (line, order_id)) WITHOUT ROWID;"
        "CREATE TABLE empty (id INT, made TEXT GENERATED ALWAYS AS (id || 'x'));"
        "CREATE VIEW named AS SELECT id, name, count(*) AS n FROM customers GROUP BY id;"
        "INSERT INTO customers VALUES (1, 'Ada', 1, '2024-02-29'), (5, '', 0, NULL), (9, 'é😀', NULL, '1999-12-31')",
    )


def test_a_connection_says_what_it_found(shop):
    assert opened(shop).test() == "SQLite file with 4 tables"
    found = {table.name: table.rows for table in opened(shop).tables()}
    # As many as the rows' numbers allow, which costs nothing to know.
    assert found == {"customers": 9, "empty": 0, "lines": None, "named": None}


def test_a_schema_has_types_keys_and_nullability(shop):
    source = opened(shop)
    schema = source.schema("customers")
    assert [(c.name, c.type, c.nullable) for c in schema] == [
        ("id", "INT64", False), ("name", "STRING", False), ("active", "BOOL", True), ("since", "DATE", True),
    ]  # fmt: skip
    assert schema.primary_key == ("id",)
    assert source.schema("lines").primary_key == ("line", "order_id")
    assert source.schema("empty").names == ("id", "made")
    assert [c.type for c in source.schema("named")] == ["INT64", "STRING", "STRING"]


def test_rows_are_read_in_the_order_of_the_wanted_columns(shop):
    source = opened(shop)
    schema = source.schema("customers")
    wanted = replace(schema, columns=(schema.column("name"), schema.column("id")))
    assert rows(source, wanted) == [{"name": "Ada", "id": 1}, {"name": "", "id": 5}, {"name": "é😀", "id": 9}]
    assert rows(source, source.schema("named"))[2] == {"id": 9, "name": "é😀", "n": "1"}
    assert source.read(source.schema("empty")).read_all().num_rows == 0


def test_a_preview_asks_for_a_few_rows_and_shows_whatever_is_there(shop):
    source = opened(shop)
    assert source.preview("customers", 2)["id"].to_pylist() == [1, 5]
    write(shop, "INSERT INTO customers VALUES (10, x'ff', 'maybe', 20240101)")
    found = source.preview("customers", 10)
    assert found["since"].to_pylist() == ["2024-02-29", None, "1999-12-31", "20240101"]
    assert found["name"].to_pylist()[-1] == "ff"
    assert found["id"].to_pylist() == [1, 5, 9, 10]


@pytest.mark.parametrize(
    "name",
    ['quo"te', "it's", "back`tick", '"; DROP TABLE x; --', "😀 table", "select", "a.b", "100%", "x" * 400, "", "rowid", "[b]"],
)  # fmt: skip
def test_hostile_names_are_only_names(tmp_path, name):
    quoted = '"' + name.replace('"', '""') + '"'
    path = write(
        tmp_path / "hostile.db",
        f"CREATE TABLE {quoted} ({quoted} INT, b TEXT)",
        f"INSERT INTO {quoted} VALUES (1, 'one'), (2, NULL), (NULL, 'none')",
    )
    source = opened(path)
    schema = source.schema(name)
    assert schema.names == (name, "b")
    part = Part(Since(name, "1"), name, "1", "2", nulls=True)
    assert rows(source, schema, part) == [{name: 1, "b": "one"}, {name: None, "b": "none"}]
    assert source.preview(name, 1).num_rows == 1
    found = source.key_range(schema, None, 4)
    assert found is not None
    assert (found.column, found.bounds) == ("_rowid_" if name == "rowid" else "rowid", ("1", "3"))
    assert [len(rows(source, schema, Part(None, found.column, *b))) for b in ((None, "2"), ("2", None))] == [1, 2]


@pytest.mark.parametrize("name", ["percent %20 ?mode=rwc#x.db", "ünï 😀.db", "it's.db", 'a"b.db'])
def test_hostile_paths_are_only_paths(tmp_path, name):
    path = write(tmp_path / name, "CREATE TABLE t (a INT)")
    assert [table.name for table in opened(path).tables()] == ["t"]


def test_names_are_found_in_any_capitals(shop):
    assert opened(shop).schema("CUSTOMERS").names == opened(shop).schema("customers").names
    assert len(rows(opened(shop), opened(shop).schema("Customers"))) == 3


@pytest.mark.parametrize("name", ["custmers", "sqlite_master", "", "customers; DROP TABLE customers"])
def test_a_missing_table_is_named(shop, name):
    with pytest.raises(NotFound) as caught:
        opened(shop).schema(name)
    assert "customers" in str(caught.value)


def test_a_missing_column_is_named(shop):
    source = opened(shop)
    with pytest.raises(NotFound, match="Did you mean 'name'"):
        source.read(replace(source.schema("customers"), columns=(Column("nme", "STRING"),)))


# Refusals


def test_a_file_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        opened(tmp_path / "none.db").test()
    with pytest.raises(SourceError, match="a folder"):
        opened(tmp_path).test()
    with pytest.raises(SourceError):
        opened("a\0b").test()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_recognised(tmp_path):
    path = tmp_path / "no.db"
    path.write_bytes(b"id,name\n1,Ada\n" * 1000)
    for work in (opened(path).test, lambda: opened(path).schema("t")):
        with pytest.raises(SourceError, match="not a SQLite database"):
            work()


def test_a_damaged_file_is_an_error(tmp_path):
    path = write(tmp_path / "bad.db", "CREATE TABLE t (a TEXT)",
                 "WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) INSERT INTO t SELECT hex(i) FROM n")  # fmt: skip
    content = bytearray(path.read_bytes())
    content[40960:122880] = b"\xa5" * 81920
    path.write_bytes(content)
    source = opened(path)
    with pytest.raises(SourceError, match="damaged"):
        source.read(source.schema("t")).read_all()


def test_an_empty_file_is_an_empty_database(tmp_path):
    (tmp_path / "empty.db").touch()
    assert opened(tmp_path / "empty.db").test() == "SQLite file with 0 tables"


def test_a_view_that_no_longer_works_spoils_only_itself(shop):
    write(shop, "CREATE TABLE gone (a INT); CREATE VIEW broken AS SELECT a FROM gone; DROP TABLE gone")
    source = opened(shop)
    assert "broken" in [table.name for table in source.tables()]
    with pytest.raises(SourceError, match="table 'broken' cannot be read"):
        source.schema("broken")


def test_a_locked_file_is_an_error_that_may_pass(shop, monkeypatch):
    from b2brecs.sources import sqlite_session

    monkeypatch.setattr(sqlite_session, "_BUSY_S", 0.1)
    with closing(sqlite3.connect(shop, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SourceError, match="another program is writing") as caught:
            opened(shop).test()
    assert caught.value.transient


def test_a_writer_is_waited_for(shop):
    with closing(sqlite3.connect(shop, isolation_level=None, check_same_thread=False)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        thread = threading.Timer(0.3, lambda: writer.execute("COMMIT"))
        thread.start()
        assert opened(shop).test() == "SQLite file with 4 tables"
        thread.join()


def test_nothing_is_ever_written(shop):
    source = opened(shop)
    before = shop.read_bytes()
    from b2brecs.sources.sqlite_session import connect

    with closing(connect(source.settings)) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM customers")
    source.read(source.schema("customers")).read_all()
    assert shop.read_bytes() == before
    assert [path.name for path in shop.parent.iterdir()] == ["shop.db"]


# One moment


@pytest.fixture(params=["delete", "wal"])
def journal(request, tmp_path):
    path = write(
        tmp_path / "journal.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)",
        "WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50000) INSERT INTO t SELECT i, 'old' FROM n",
    )
    with closing(sqlite3.connect(path, timeout=0)) as writer:
        writer.execute(f"PRAGMA journal_mode = {request.param}")
        yield path, writer, request.param


def change(writer, mode):
    """Change everything; what a read has begun may hold the writer off, but never changes under its eyes."""
    try:
        writer.execute("UPDATE t SET a = 'new'")
        writer.commit()
    except sqlite3.OperationalError:
        assert mode == "delete"
        writer.rollback()


def test_a_read_sees_one_moment(journal):
    path, writer, mode = journal
    source = opened(path)
    reader = source.read(source.schema("t"))
    first = reader.read_next_batch()
    change(writer, mode)
    rest = reader.read_all()
    assert first.num_rows + rest.num_rows == 50_000
    assert set(first["a"].to_pylist()) | set(rest["a"].to_pylist()) == {"old"}
    # The reader's end is the end of its transaction.
    writer.execute("UPDATE t SET a = 'new'")
    writer.commit()
    assert source.read(source.schema("t")).read_all()["a"].unique().to_pylist() == ["new"]


def test_parts_see_the_same_moment(journal):
    path, writer, mode = journal
    source = opened(path)
    schema = source.schema("t")
    with source.snapshot() as snapshot:
        before = rows(source, schema, Part(None, "id", None, "25000", snapshot=snapshot))
        change(writer, mode)
        after = rows(source, schema, Part(None, "id", "25000", None, snapshot=snapshot))
    assert len(before) + len(after) == 50_000
    assert {row["a"] for row in before + after} == {"old"}
    with pytest.raises(SourceError, match="moment") as caught:
        source.read(schema, Part(snapshot=snapshot))
    assert caught.value.transient


def test_parts_are_read_by_several_threads_at_the_same_moment(journal):
    path, _, _ = journal
    source = opened(path)
    schema = source.schema("t")
    found = []
    with source.snapshot() as snapshot:
        parts = [Part(None, "id", str(low), str(low + 10_000), snapshot=snapshot) for low in range(1, 50_000, 10_000)]
        threads = [threading.Thread(target=lambda p=part: found.extend(rows(source, schema, p))) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(row["id"] for row in found) == list(range(1, 50_001))


def test_a_read_that_nobody_wants_lets_writers_in(journal):
    path, writer, _ = journal
    source = opened(path)
    reader = source.read(source.schema("t"))
    reader.read_next_batch()
    del reader
    writer.execute("UPDATE t SET a = 'new'")
    writer.commit()
    begun = source.read(source.schema("t"))
    del begun
    writer.execute("DELETE FROM t")
    writer.commit()


# Parts


def test_parts_hold_every_row_once_whatever_its_key(tmp_path):
    path = write(tmp_path / "parts.db", "CREATE TABLE t (n INT, k)")
    values = [None, 1, 2.5, -3, "text", b"blob", "", 2**62, -(2**62), 0.0, "1", b""]
    write(path, *[("INSERT INTO t VALUES (?, ?)", (n, values[n % len(values)])) for n in range(240)])
    source = opened(path)
    schema = replace(source.schema("t"), columns=(Column("n", "INT64"),))
    for column, cuts in {"rowid": ["60", "61", "200"], "k": ["-5", "1", "2"], "n": ["0", "100", "500"]}.items():
        lows, highs = [None, *cuts], [*cuts, None]
        read = [
            row["n"]
            for low, high in zip(lows, highs, strict=True)
            for row in rows(source, schema, Part(None, column, low, high, nulls=low is None))
        ]
        assert sorted(read) == list(range(240)), column


def test_only_rows_that_are_numbered_are_cut(shop):
    source = opened(shop)
    found = source.key_range(source.schema("customers"), None, 2)
    assert found is not None
    assert (found.column, found.kind, found.bounds, found.nullable, found.rows) == (
        "rowid",
        "INT64",
        ("1", "9"),
        False,
        9,
    )
    for name in ("lines", "named", "empty"):
        assert source.key_range(source.schema(name), None, 2) is None
    write(shop, "CREATE TABLE taken (rowid TEXT, _rowid_ TEXT, oid TEXT); INSERT INTO taken VALUES ('x', 'y', 'z')")
    assert source.key_range(source.schema("taken"), None, 2) is None


def test_estimates_count_only_what_an_index_finds(shop):
    write(shop, "CREATE INDEX by_name ON customers (name)")
    source = opened(shop)
    assert source.estimate("customers") == 9
    assert source.estimate("customers", Since("id", "5")) == 2
    assert source.estimate("customers", Since("name", json.dumps("B"))) == 1
    assert source.estimate("customers", Since("since", json.dumps("2000-01-01"))) is None
    assert source.estimate("lines") is None
