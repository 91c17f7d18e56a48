"""MySQL on a real MariaDB server: what is there, and refusals in words that hold no secret."""

import json
import socket
import threading
import time
import traceback
from contextlib import closing

import pytest

from b2brecs.errors import NotFound, SourceError
from b2brecs.sources import Part, Since, mysql, mysql_session
from tests.sources.mysql_server import beside, database, guest, opened, quoted, rows, run

HOSTILE = [
    "back`tick", "it's", 'say "x"', '`"; DROP TABLE x; --', "a\\b", "100%s %", "select", "ünï çödé", "x" * 64,
    "a.b", "Orders", "orders", "$1", "?", "/* */", "--",
]  # fmt: skip


@pytest.fixture(scope="module")
def shop(mariadb):
    with database(mariadb, "shop") as server:
        run(
            server,
            "CREATE TABLE customers (id int PRIMARY KEY AUTO_INCREMENT, name varchar(80), active tinyint(1), doc json)",
            "INSERT INTO customers (name, active, doc) VALUES ('Ada', 1, '{}'), ('', 2, NULL), (NULL, 0, '[1.10]')",
            "CREATE TABLE order_lines (order_id bigint, line int, PRIMARY KEY (order_id, line))",
            "CREATE TABLE empty (id int)",
            "CREATE VIEW named AS SELECT id, name FROM customers WHERE name IS NOT NULL",
            "CREATE SEQUENCE counter",
        )
        yield server


def test_a_connection_says_what_it_found(shop):
    assert opened(shop).test().startswith("MariaDB 10")
    assert opened(shop).test().endswith(", 4 tables in 'shop'")


def test_tables_are_listed_with_estimates_and_without_sequences(shop):
    run(shop, "ANALYZE TABLE customers, empty")
    found = {table.name: table.rows for table in opened(shop).tables()}
    assert found == {"customers": 3, "empty": 0, "order_lines": 0, "named": None}


def test_a_schema_has_types_keys_and_nullability(shop):
    schema = opened(shop).schema("customers")
    assert [(c.name, c.type, c.nullable) for c in schema] == [
        ("id", "INT64", False), ("name", "STRING", True), ("active", "INT64", True), ("doc", "JSON", True),
    ]  # fmt: skip
    assert schema.primary_key == ("id",)
    assert opened(shop).schema("order_lines").primary_key == ("order_id", "line")
    assert opened(shop).schema("named").names == ("id", "name")


def test_rows_come_in_the_order_of_the_wanted_columns(shop):
    source = opened(shop)
    schema = source.schema("customers")
    wanted = type(schema)("customers", (schema.column("doc"), schema.column("id")))
    assert rows(source, wanted) == [{"doc": "{}", "id": 1}, {"doc": None, "id": 2}, {"doc": "[1.10]", "id": 3}]


def test_an_empty_text_is_not_null(shop):
    source = opened(shop)
    assert [row["name"] for row in rows(source, source.schema("customers"))] == ["Ada", "", None]


def test_an_empty_table_streams_its_schema(shop):
    source = opened(shop)
    found = source.read(source.schema("empty")).read_all()
    assert (found.num_rows, found.schema.names) == (0, ["id"])


def test_a_view_is_read(shop):
    source = opened(shop)
    assert rows(source, source.schema("named")) == [{"id": 1, "name": "Ada"}, {"id": 2, "name": ""}]
    assert source.estimate("named") == 3
    assert source.key_range(source.schema("named"), None, 4) is None


def test_a_preview_asks_for_a_few_rows(shop):
    assert opened(shop).preview("customers", 2)["name"].to_pylist() == ["Ada", ""]


def test_a_preview_shows_what_a_load_rejects(shop):
    run(shop, "CREATE TABLE odd (id int, day date, at datetime)",
        "INSERT INTO odd VALUES (1, '0000-00-00', '2024-01-01'), (2, '2024-01-01', NULL)")  # fmt: skip
    found = opened(shop).preview("odd", 5)
    run(shop, "DROP TABLE odd")
    assert found["day"].to_pylist() == ["0000-00-00", "2024-01-01"]
    assert str(found.schema.field("at").type) == "timestamp[us]"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_only_names(shop, name):
    run(shop, f"CREATE TABLE {quoted(name)} ({quoted(name)} int PRIMARY KEY, `b` text)",
        f"INSERT INTO {quoted(name)} VALUES (1, 'one'), (2, NULL)")  # fmt: skip
    try:
        source = opened(shop)
        schema = source.schema(name)
        assert schema.names == (name, "b")
        assert rows(source, schema, Part(Since(name, "1"), name, "1", "2")) == [{name: 1, "b": "one"}]
        assert source.preview(name, 1).column_names == [name, "b"]
        assert source.estimate(name, Since(name, "0")) is not None
        found = source.key_range(schema, None, 4)
        assert found is not None
        assert found.bounds == ("1", "2")
        assert source.safe_high(schema, name) is None
    finally:
        run(shop, f"DROP TABLE {quoted(name)}")


def test_names_that_differ_in_capitals_or_accents_are_different(shop):
    run(shop, "CREATE TABLE Cafe (a int)", "CREATE TABLE cafe (b int)", "CREATE TABLE `café` (c int)")
    source = opened(shop)
    assert [source.schema(name).names for name in ("Cafe", "cafe", "café")] == [("a",), ("b",), ("c",)]
    with pytest.raises(NotFound):
        source.schema("CAFE")
    run(shop, "DROP TABLE Cafe, cafe, `café`")


@pytest.mark.parametrize("name", ["custmers", "🛒", "customers ", "shop.customers", ""])
def test_a_missing_table_is_named(shop, name):
    with pytest.raises(NotFound) as caught:
        opened(shop).schema(name)
    assert "customers" in str(caught.value)


def test_a_missing_column_is_named(shop):
    source = opened(shop)
    schema = source.schema("customers")
    wrong = type(schema)("customers", (type(schema.columns[0])("nme", "STRING"),))
    with pytest.raises(NotFound, match="Did you mean 'name'"):
        source.read(wrong)


# Refusals


def everything(error):
    return "".join(traceback.format_exception(error)) + repr(error) + repr(error.__context__) + repr(error.__cause__)


REFUSALS: dict[str, tuple[dict, str, str]] = {
    "wrong password": ({"password": "s3cr3t-wröng-😀"}, "password is wrong", "Check user="),
    "unknown user": ({"user": "nobody-there"}, "password is wrong", "Check user="),
    "no such database": ({"database": "nowhere"}, "no such database", "Check database="),
    "unreachable": ({"port": 1}, "cannot be reached", "Check host="),
    "unknown host": ({"host": "no-such-host.invalid"}, "cannot be reached", "Check host="),
    "no encryption": ({"ssl": True}, "no encryption", "ssl=False"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_are_in_words_and_hold_no_secret(shop, case):
    changes, reason, fix = REFUSALS[case]
    secret = changes.get("password", shop.password)
    source = opened(shop, **changes)
    for work in (source.test, source.tables, lambda: source.schema("customers")):
        with pytest.raises(SourceError) as caught:
            work()
        assert reason in caught.value.reason
        assert fix in caught.value.fix
        assert secret not in everything(caught.value)
    assert secret not in repr(source) + repr(source.settings)


def test_a_server_that_never_answers_is_given_up(shop, monkeypatch):
    assert mysql_session.TIMEOUT_S == 10
    monkeypatch.setattr(mysql, "TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(SourceError, match="no answer") as caught:
        opened(shop, port=silent.getsockname()[1]).test()
    assert caught.value.transient


def test_a_server_that_is_no_mysql_is_recognised(shop):
    with socket.create_server(("127.0.0.1", 0)) as other:

        def greet():
            with other.accept()[0] as client:
                client.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
                client.recv(1000)

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(SourceError, match="not a MySQL server"):
            opened(shop, port=other.getsockname()[1]).tables()
        thread.join()


def test_a_user_who_may_only_read_sees_all_that_is_needed(shop):
    with guest(shop, "reader", "GRANT SELECT ON shop.customers TO reader") as server:
        source = opened(server)
        assert [table.name for table in source.tables()] == ["customers"]
        assert source.schema("customers") == opened(shop).schema("customers")
        assert len(rows(source, source.schema("customers"))) == 3


def test_a_table_that_may_not_be_read_names_the_grant(shop):
    with guest(shop, "o'hara", "GRANT SELECT ON shop.customers TO `o'hara`") as server:
        source = opened(server)
        for name in ("order_lines", "named"):
            with pytest.raises(SourceError) as caught:
                source.schema(name)
            assert caught.value.fix == (
                f"Let an administrator run: GRANT SELECT ON `shop`.`{name}` TO 'o''hara'@'%';"
            )  # fmt: skip
            assert not caught.value.transient


def test_a_right_that_is_revoked_later_names_the_grant(shop):
    with guest(
        shop, "reader", "GRANT SELECT ON shop.customers TO reader", "GRANT SELECT ON shop.order_lines TO reader"
    ) as s:
        source = opened(s)
        schema = source.schema("customers")
        run(shop, "REVOKE SELECT ON shop.customers FROM reader")
        with pytest.raises(SourceError, match=r"GRANT SELECT ON `shop`\.`customers` TO 'reader'@'%'"):
            source.read(schema)


def test_a_database_that_may_not_be_used_names_the_grant(shop):
    with guest(shop, "reader") as server, pytest.raises(SourceError, match=r"GRANT SELECT ON `shop`\.\* TO 'reader'"):
        opened(server).test()


def test_only_columns_that_may_be_read_are_shown(shop):
    with guest(shop, "reader", "GRANT SELECT (id, name) ON shop.customers TO reader") as server:
        source = opened(server)
        assert source.schema("customers").names == ("id", "name")
        assert len(rows(source, source.schema("customers"))) == 3


def test_a_table_dropped_after_it_was_looked_up_is_named(shop):
    run(shop, "CREATE TABLE brief (id int)")
    source = opened(shop)
    schema = source.schema("brief")
    run(shop, "DROP TABLE brief")
    with pytest.raises(SourceError, match="table 'brief' changed since it was looked up"):
        source.read(schema)
    with pytest.raises(NotFound):
        source.schema("brief")


def test_too_many_connections_pass_by_themselves(shop):
    with guest(shop, "crowd", "GRANT SELECT ON shop.* TO crowd",
               "GRANT USAGE ON *.* TO crowd WITH MAX_USER_CONNECTIONS 1") as server:  # fmt: skip
        with closing(beside(server)), pytest.raises(SourceError, match="used up what the server allows") as caught:
            opened(server).tables()
        assert caught.value.transient


# Streams


@pytest.fixture(scope="module")
def large(shop):
    run(shop, "CREATE TABLE large (id int PRIMARY KEY, filler text)",
        "INSERT INTO large SELECT seq, REPEAT('x', 1000) FROM seq_1_to_40000")  # fmt: skip
    return shop


def readers(server):
    return [int(row[0]) for row in run(
        server, "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT `id`%'"
    )]  # fmt: skip


def gone(server):
    for _ in range(200):
        if not readers(server):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("how", ["KILL {}", "KILL QUERY {}"])
def test_a_broken_stream_is_an_error_that_may_pass(large, how):
    source = opened(large)
    reader = source.read(source.schema("large"))
    assert reader.read_next_batch().num_rows > 0
    (number,) = readers(large)
    run(large, how.format(number))
    with pytest.raises(SourceError) as caught:
        reader.read_all()
    assert caught.value.transient
    assert gone(large)


def test_a_stream_is_read_no_faster_than_it_is_wanted(large):
    source = opened(large)
    reader = source.read(source.schema("large"))
    reader.read_next_batch()
    # The server waits for us, with 40 MB in all to send.
    assert len(readers(large)) == 1
    reader.read_next_batch()
    assert len(readers(large)) == 1
    assert reader.read_all().num_rows > 30_000


@pytest.mark.parametrize("begun", [True, False])
def test_a_stream_that_nobody_wants_ends_at_the_server(large, begun):
    source = opened(large)
    reader = source.read(source.schema("large"))
    if begun:
        reader.read_next_batch()
    assert len(readers(large)) == 1
    del reader
    assert gone(large)


def test_a_read_sees_one_moment(large):
    source = opened(large)
    reader = source.read(source.schema("large"))
    first = reader.read_next_batch()
    run(large, "UPDATE large SET filler = 'new'", "DELETE FROM large WHERE id > 39000")
    rest = reader.read_all()
    assert first.num_rows + rest.num_rows == 40_000
    assert set(rest["filler"].to_pylist()) == {"x" * 1000}


def test_several_threads_read_one_source(shop):
    source = opened(shop)
    schema = source.schema("customers")
    counts = []
    threads = [threading.Thread(target=lambda: counts.append(len(rows(source, schema)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [3] * 8


def test_nothing_is_ever_written(shop):
    from b2brecs.sources.mysql_session import ask

    with pytest.raises(SourceError, match="READ ONLY"), opened(shop)._server.connected() as connection:
        ask(connection, "DELETE FROM customers")
    assert json.loads(run(shop, "SELECT COUNT(*) FROM customers")[0][0]) == 3
